//! Whether a claim can be made from a `VolumeSnapshot`. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::deletion;
use crate::object::volume_snapshot::{self, SnapshotState, restore_size, source_claim, taken_at};
use crate::phrase;
use crate::settings::format::Quantity;

/// How many other snapshots an error names.
const MOST: usize = 10;

/// The `VolumeSnapshotContent` of a snapshot: what the storage has.
#[derive(Debug, Clone)]
pub(super) enum SnapshotContent {
    /// The account may not read it.
    Unreadable,
    /// It does not exist.
    Missing,
    /// This one.
    Present(Value),
}

/// A snapshot with what it is restored to.
pub(super) struct SavedVolume<'a> {
    pub(super) snapshot: &'a Value,
    pub(super) content: &'a SnapshotContent,
    /// The claim as a deploy applies it.
    pub(super) applied: &'a Value,
    /// The driver of the present volume, if it is known.
    pub(super) driver: Option<&'a str>,
}

/// Checks that the claim can be made from the snapshot.
///
/// # Errors
/// Exit 2 with the reason.
pub(super) fn ensure_restorable(saved: &SavedVolume<'_>) -> Result<()> {
    let SavedVolume { snapshot, content, applied, driver } = *saved;
    let name = snapshot["metadata"]["name"].as_str().unwrap_or_default();
    let claim = applied["metadata"]["name"].as_str().unwrap_or_default();
    let unusable = |reason: String| {
        let message = format!("cannot restore volume snapshot {name}: {reason}; nothing was changed");
        Error::new(Id::SnapshotUnusable, Kind::Usage, message)
    };
    if let Some(source) = source_claim(snapshot).filter(|source| *source != claim) {
        let reason = format!("it is of volume claim {source}, and this installation has {claim}");
        return Err(unusable(reason));
    }
    if deletion::deleted_since(snapshot).is_some() {
        return Err(unusable("it is being deleted".to_owned()));
    }
    match volume_snapshot::state(snapshot) {
        SnapshotState::Ready => {}
        SnapshotState::Failed(message) => return Err(unusable(message)),
        _ => {
            let namespace = snapshot["metadata"]["namespace"].as_str().unwrap_or_default();
            return Err(unusable("it is not ready".to_owned())
                .hint(format!("kubectl get volumesnapshot {name} -n {namespace} -w shows when it is")));
        }
    }
    match content {
        SnapshotContent::Present(content) if deletion::deleted_since(content).is_none() => {
            let of_content = content["spec"]["driver"].as_str();
            if let (Some(of_content), Some(driver)) = (of_content, driver)
                && of_content != driver
            {
                return Err(unusable(format!(
                    "its driver is {of_content}, and that of the volume is {driver}"
                )));
            }
        }
        SnapshotContent::Present(_) | SnapshotContent::Missing => {
            return Err(unusable("its content in the storage is gone".to_owned()));
        }
        SnapshotContent::Unreadable => {}
    }
    let requested = applied["spec"]["resources"]["requests"]["storage"].as_str();
    if let (Some(needed), Some(requested)) = (restore_size(snapshot), requested)
        && let (Ok(needed_size), Ok(requested_size)) = (Quantity::parse(needed), Quantity::parse(requested))
        && needed_size.nanos() > requested_size.nanos()
    {
        return Err(unusable(format!("it needs {needed}, and the volume claim requests {requested}"))
            .hint(format!("handsctl config set deploy.storage_size={needed}, then handsctl deploy")));
    }
    Ok(())
}

/// Returns the error for a snapshot that does not exist, with those that do.
pub(super) fn missing(name: &str, claim: &str, namespace: &str, others: &[Value]) -> Error {
    let message =
        format!("volume snapshot {name} does not exist in namespace {namespace}; nothing was changed");
    let error = Error::new(Id::SnapshotUnusable, Kind::Usage, message);
    let of_claim = others.iter().rev().filter(|snapshot| source_claim(snapshot) == Some(claim));
    let names: Vec<&str> = of_claim.filter_map(|snapshot| snapshot["metadata"]["name"].as_str()).collect();
    match names.first() {
        None => error.hint("handsctl backup --snapshot takes one"),
        Some(newest) => error
            .fact("snapshots", phrase::first_few(names.iter(), MOST))
            .hint(format!("handsctl restore --snapshot {newest} restores the newest one")),
    }
}

/// Names a snapshot with its time.
pub(super) fn describe(name: &str, snapshot: &Value) -> String {
    let time = taken_at(snapshot).and_then(|time| time.parse::<Timestamp>().ok());
    match time {
        Some(time) => format!("volume snapshot {name} of {}", phrase::date_and_time(time)),
        None => format!("volume snapshot {name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready() -> Value {
        json!({ "metadata": { "name": "s", "namespace": "n" },
            "spec": { "source": { "persistentVolumeClaimName": "oh-state" } },
            "status": { "readyToUse": true, "restoreSize": "5Gi", "creationTime": "2026-01-01T12:00:00Z" } })
    }

    fn checked(snapshot: &Value, content: &SnapshotContent) -> std::result::Result<(), String> {
        let applied = json!({ "metadata": { "name": "oh-state" }, "spec": { "resources": { "requests": { "storage": "5Gi" } } } });
        let saved = SavedVolume { snapshot, content, applied: &applied, driver: Some("a.csi") };
        ensure_restorable(&saved).map_err(|error| {
            assert_eq!((error.id(), error.kind()), (Id::SnapshotUnusable, Kind::Usage));
            error.message().to_owned()
        })
    }

    #[test]
    fn snapshot_must_be_ready_of_this_claim_and_fit() {
        let content = &SnapshotContent::Present(json!({ "spec": { "driver": "a.csi" } }));
        assert_eq!(checked(&ready(), content), Ok(()));
        for (pointer, value, reason) in [
            ("/spec/source/persistentVolumeClaimName", json!("other"), "it is of volume claim other"),
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"), "it is being deleted"),
            ("/status/readyToUse", json!(false), "it is not ready"),
            ("/status/restoreSize", json!("6Gi"), "it needs 6Gi, and the volume claim requests 5Gi"),
            ("/status", json!({ "error": { "message": "lost" } }), "lost"),
        ] {
            let mut snapshot = ready();
            snapshot["metadata"]["deletionTimestamp"] = Value::Null;
            *snapshot.pointer_mut(pointer).unwrap() = value;
            let message = checked(&snapshot, content).unwrap_err();
            assert!(message.contains(reason) && message.ends_with("nothing was changed"), "{message}");
        }
        let mut imported = ready();
        imported["spec"]["source"] = json!({ "volumeSnapshotContentName": "c" });
        imported["status"]["restoreSize"] = json!("500M");
        assert_eq!(checked(&imported, content), Ok(()), "no claim is named, and it is smaller");
    }

    #[test]
    fn content_must_exist_and_be_of_the_volumes_driver() {
        assert_eq!(
            checked(&ready(), &SnapshotContent::Unreadable),
            Ok(()),
            "the account may not read contents"
        );
        let gone = "its content in the storage is gone";
        assert!(checked(&ready(), &SnapshotContent::Missing).unwrap_err().contains(gone));
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "spec": { "driver": "a.csi" } });
        assert!(checked(&ready(), &SnapshotContent::Present(deleted)).unwrap_err().contains(gone));
        let other = json!({ "spec": { "driver": "b.csi" } });
        assert!(
            checked(&ready(), &SnapshotContent::Present(other)).unwrap_err().contains("its driver is b.csi")
        );
    }

    #[test]
    fn missing_snapshot_names_those_of_the_claim_newest_first() {
        let snapshot = |name: &str, claim: &str| json!({ "metadata": { "name": name }, "spec": { "source": { "persistentVolumeClaimName": claim } } });
        let others = [snapshot("old", "oh-state"), snapshot("new", "oh-state"), snapshot("x", "other")];
        let error = missing("s", "oh-state", "n", &others);
        assert_eq!(error.facts()[0].text, "new, old");
        assert_eq!(error.hints()[0], "handsctl restore --snapshot new restores the newest one");
        assert_eq!(
            missing("s", "oh-state", "n", &others[2..]).hints()[0],
            "handsctl backup --snapshot takes one"
        );
    }

    #[test]
    fn description_has_the_time_of_the_content() {
        assert!(
            describe("s", &ready()).starts_with("volume snapshot s of 2026-01-01"),
            "{}",
            describe("s", &ready())
        );
        assert_eq!(describe("s", &json!({})), "volume snapshot s");
    }
}
