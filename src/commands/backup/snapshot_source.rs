//! Checks that the cluster can take a snapshot of a volume claim, and chooses the class.

use kube::api::ListParams;
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::ApiError;
use crate::cluster::volume::snapshot;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{CLAIM, PERSISTENT_VOLUME, VOLUME_SNAPSHOT_CLASS};
use crate::object::volume_snapshot::{ClassChoice, choose_class, driver};
use crate::session::runner::Run;

/// Checks that the cluster has the API of `VolumeSnapshot`s. `action` is "cannot back up openhands with a snapshot".
///
/// # Errors
/// Exit 14 if it has not.
pub(in crate::commands) async fn ensure_api(run: &Run<'_>, action: &str) -> Result<()> {
    if snapshot::has_api(run.api()).await? {
        return Ok(());
    }
    Err(unavailable(&format!("{action}: the cluster has no VolumeSnapshots")))
}

/// Reads the application's claim; None if it does not exist.
///
/// # Errors
/// The account may not read it.
pub(in crate::commands) async fn read_claim(run: &Run<'_>, name: &str) -> Result<Option<Value>> {
    let claims = CLAIM.in_namespace(&run.session.set().namespace);
    let claim = run.api().get_opt(&claims, name).await;
    claim.map_err(|error| error.into_error(&format!("cannot read volume claim {name}")))
}

/// Returns the driver of a bound claim.
///
/// # Errors
/// Exit 14 if the claim is not bound, or if no CSI driver has made its volume.
pub(in crate::commands) async fn driver_of(run: &Run<'_>, claim: &Value) -> Result<String> {
    let name = claim["metadata"]["name"].as_str().unwrap_or_default();
    let Some(volume) = claim["spec"]["volumeName"].as_str() else {
        return Err(unavailable(&format!("volume claim {name} has no volume yet")));
    };
    let volume = optional(run.api().get_opt(&PERSISTENT_VOLUME.collection(None), volume).await)
        .map_err(|error| error.into_error(&format!("cannot read the volume of volume claim {name}")))?
        .flatten();
    driver(claim, volume.as_ref()).map(str::to_owned).ok_or_else(|| {
        unavailable(&format!(
            "no CSI driver has made the volume of volume claim {name}, so nothing takes a snapshot of it"
        ))
    })
}

/// Chooses the class of a snapshot of a claim, or checks the named one. None: the account may not read the classes, and the
/// snapshot controller uses the default one.
///
/// # Errors
/// Exit 14 if the claim's driver has no class; exit 2 if it has several.
pub(super) async fn class(run: &Run<'_>, claim: &Value, named: Option<&str>) -> Result<Option<String>> {
    let driver = driver_of(run, claim).await?;
    let classes = run.api().list(&VOLUME_SNAPSHOT_CLASS.collection(None), &ListParams::default()).await;
    let classes =
        optional(classes).map_err(|error| error.into_error("cannot list the classes of volume snapshots"))?;
    match (classes, named) {
        (None, named) => Ok(named.map(str::to_owned)),
        (Some(classes), Some(named)) => ensure_of_driver(&classes.items, named, &driver).map(Some),
        (Some(classes), None) => chosen(&choose_class(&classes.items, &driver), &driver).map(Some),
    }
}

/// Turns a missing right into None: these objects belong to the whole cluster, and the controller reads them itself.
fn optional<T>(result: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match result {
        Err(error) if error.code() == Some(403) => Ok(None),
        result => result.map(Some),
    }
}

fn ensure_of_driver(classes: &[Value], named: &str, driver: &str) -> Result<String> {
    let class = classes.iter().find(|class| class["metadata"]["name"] == named);
    let reason = match class {
        Some(class) if class["driver"] == driver => return Ok(named.to_owned()),
        Some(class) => format!("is of the driver {}", class["driver"].as_str().unwrap_or_default()),
        None => "does not exist".to_owned(),
    };
    let of_driver = classes.iter().filter(|class| class["driver"] == driver);
    let names: Vec<&str> = of_driver.filter_map(|class| class["metadata"]["name"].as_str()).collect();
    let message = format!("class {named} {reason}, and the volume is of {driver}; nothing was changed");
    let error = Error::new(Id::SnapshotUnavailable, Kind::Usage, message);
    Err(if names.is_empty() {
        error.hint(WITHOUT_SNAPSHOT)
    } else {
        error
            .fact("classes", names.join(", "))
            .hint(format!("--snapshot-class {} is of this driver", names[0]))
    })
}

fn chosen(choice: &ClassChoice<'_>, driver: &str) -> Result<String> {
    match choice {
        ClassChoice::Class(name) => Ok((*name).to_owned()),
        ClassChoice::NoneOfDriver(others) => {
            let error = unavailable(&format!("no VolumeSnapshotClass is of the volume's driver {driver}"));
            Err(if others.is_empty() { error } else { error.fact("drivers", others.join(", ")) })
        }
        ClassChoice::Several(names) => {
            let message = format!(
                "several classes take snapshots of {driver}, and none is the default one; nothing was changed"
            );
            let first = names.first().copied().unwrap_or_default();
            Err(Error::new(Id::SnapshotUnavailable, Kind::Usage, message)
                .fact("classes", names.join(", "))
                .hint(format!("--snapshot-class {first} chooses one of them")))
        }
    }
}

const WITHOUT_SNAPSHOT: &str = "handsctl backup FILE copies the files of the volume instead";

fn unavailable(reason: &str) -> Error {
    Error::new(Id::SnapshotUnavailable, Kind::Prerequisite, format!("{reason}; nothing was changed"))
        .hint(WITHOUT_SNAPSHOT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_class_names_the_driver_and_the_way_without_a_snapshot() {
        let error = chosen(&ClassChoice::NoneOfDriver(vec!["a.csi"]), "rancher.io/local-path").unwrap_err();
        assert_eq!((error.id(), error.kind().exit_code()), (Id::SnapshotUnavailable, 14));
        assert!(
            error.message().contains("rancher.io/local-path; nothing was changed"),
            "{}",
            error.message()
        );
        assert_eq!(
            (error.facts()[0].text.as_str(), error.hints()),
            ("a.csi", [WITHOUT_SNAPSHOT.to_owned()].as_slice())
        );
    }

    #[test]
    fn several_classes_are_named_with_the_flag() {
        let error = chosen(&ClassChoice::Several(vec!["fast", "slow"]), "a.csi").unwrap_err();
        assert_eq!(error.kind().exit_code(), 2);
        assert_eq!(error.facts()[0].text, "fast, slow");
        assert!(error.hints()[0].starts_with("--snapshot-class fast"), "{:?}", error.hints());
    }

    #[test]
    fn named_class_must_be_of_the_volumes_driver() {
        let class = |name: &str, driver: &str| json!({ "metadata": { "name": name }, "driver": driver });
        let classes = [class("fast", "a.csi"), class("other", "b.csi")];
        assert_eq!(ensure_of_driver(&classes, "fast", "a.csi").unwrap(), "fast");
        for (named, reason) in [("other", "is of the driver b.csi"), ("absent", "does not exist")] {
            let error = ensure_of_driver(&classes, named, "a.csi").unwrap_err();
            assert!(error.message().contains(reason), "{}", error.message());
            assert!(error.hints()[0].starts_with("--snapshot-class fast"), "{:?}", error.hints());
        }
    }
}
