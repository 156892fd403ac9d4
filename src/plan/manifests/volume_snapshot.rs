//! A `VolumeSnapshot` of a claim, and the claim that is made from one. Pure.

use serde_json::{Value, json};

use crate::object::kind::VOLUME_SNAPSHOT;
use crate::object::labels::{self, Component};

/// The annotation of a snapshot with the application's image.
const IMAGE: &str = "handsctl.dev/image";
/// The annotation of a snapshot with the deployed revision.
const REVISION: &str = "handsctl.dev/revision";
/// The annotation that tells whether the application was stopped.
const STOPPED: &str = "handsctl.dev/stopped";
/// The annotation with the run that created the snapshot: an interrupted run deletes no other one of the same name.
const RUN: &str = "handsctl.dev/run";

/// What a snapshot is of.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotSource<'a> {
    /// The name of the set.
    pub set: &'a str,
    /// The namespace of the claim.
    pub namespace: &'a str,
    /// The claim.
    pub claim: &'a str,
    /// The class; None: that of the driver which the cluster prefers.
    pub class: Option<&'a str>,
    /// The application's image.
    pub image: &'a str,
    /// The deployed revision, if it is known.
    pub revision: Option<u64>,
    /// Whether the application is stopped meanwhile.
    pub stopped: bool,
    /// The run that creates it.
    pub run: &'a str,
    /// The time as a part of the name: `20260101-120000`.
    pub time: &'a str,
}

/// Builds a `VolumeSnapshot`.
#[must_use]
pub fn snapshot(source: &SnapshotSource<'_>) -> Value {
    let SnapshotSource { set, namespace, claim, class, image, revision, stopped, run, time } = *source;
    let mut snapshot = json!({
        "apiVersion": VOLUME_SNAPSHOT.api_version(),
        "kind": VOLUME_SNAPSHOT.kind,
        "metadata": {
            "name": format!("{claim}-{time}"),
            "namespace": namespace,
            "labels": labels::member_labels(set, Component::App),
            "annotations": { IMAGE: image, STOPPED: stopped.to_string(), RUN: run },
        },
        "spec": { "source": { "persistentVolumeClaimName": claim } },
    });
    if let Some(class) = class {
        snapshot["spec"]["volumeSnapshotClassName"] = json!(class);
    }
    if let Some(revision) = revision {
        snapshot["metadata"]["annotations"][REVISION] = json!(revision.to_string());
    }
    snapshot
}

/// Returns whether the same run has created this snapshot.
#[must_use]
pub fn is_of_run(live: &Value, manifest: &Value) -> bool {
    let run = |snapshot: &Value| snapshot["metadata"]["annotations"][RUN].as_str().map(str::to_owned);
    run(live).is_some() && run(live) == run(manifest)
}

/// Returns the application's image when the snapshot was taken, if handsctl has created it.
#[must_use]
pub fn image(snapshot: &Value) -> Option<&str> {
    snapshot["metadata"]["annotations"][IMAGE].as_str()
}

/// Returns the claim that is made from a snapshot; `applied` is the claim as handsctl applies it.
#[must_use]
pub fn restored_claim(applied: &Value, snapshot: &str) -> Value {
    let mut claim = without_uid(applied);
    claim["spec"]["dataSource"] = data_source(snapshot);
    claim
}

/// Returns only what no deploy applies of such a claim.
#[must_use]
pub fn restored_fields(applied: &Value, snapshot: &str) -> Value {
    json!({
        "apiVersion": applied["apiVersion"],
        "kind": applied["kind"],
        "metadata": { "name": applied["metadata"]["name"], "namespace": applied["metadata"]["namespace"] },
        "spec": { "dataSource": data_source(snapshot) },
    })
}

/// Returns the claim as a deploy applies it, for an object that is not that one.
#[must_use]
pub fn without_uid(applied: &Value) -> Value {
    let mut claim = applied.clone();
    if let Some(metadata) = claim["metadata"].as_object_mut() {
        metadata.remove("uid");
    }
    claim
}

fn data_source(snapshot: &str) -> Value {
    json!({ "apiGroup": VOLUME_SNAPSHOT.group, "kind": VOLUME_SNAPSHOT.kind, "name": snapshot })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SnapshotSource<'static> {
        SnapshotSource {
            set: "oh",
            namespace: "n",
            claim: "oh-state",
            class: None,
            image: "a/openhands:1.6",
            revision: Some(3),
            stopped: true,
            run: "ana@laptop-1",
            time: "20260101-120000",
        }
    }

    #[test]
    fn snapshot_has_its_claim_and_what_was_deployed() {
        let built = snapshot(&source());
        assert_eq!(built["metadata"]["name"], "oh-state-20260101-120000");
        assert_eq!(built["metadata"]["labels"]["app.kubernetes.io/instance"], "oh");
        assert_eq!(built["metadata"]["annotations"][REVISION], "3");
        assert_eq!(built["spec"], json!({ "source": { "persistentVolumeClaimName": "oh-state" } }));
        assert_eq!(image(&built), Some("a/openhands:1.6"));
        let with_class = snapshot(&SnapshotSource { class: Some("fast"), ..source() });
        assert_eq!(with_class["spec"]["volumeSnapshotClassName"], "fast");
    }

    #[test]
    fn snapshot_of_another_run_is_not_of_this_one() {
        let (built, other) = (snapshot(&source()), snapshot(&SnapshotSource { run: "bob@ci-2", ..source() }));
        assert!(is_of_run(&built, &built));
        assert!(!is_of_run(&other, &built));
        assert!(!is_of_run(&json!({ "metadata": {} }), &json!({ "metadata": {} })), "nobody's");
    }

    #[test]
    fn restored_claim_adds_only_the_source() {
        let applied = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "oh-state", "namespace": "n", "uid": "old", "labels": { "a": "b" } },
            "spec": { "accessModes": ["ReadWriteOnce"] } });
        let restored = restored_claim(&applied, "s");
        assert_eq!(
            restored["metadata"],
            json!({ "name": "oh-state", "namespace": "n", "labels": { "a": "b" } })
        );
        let source = json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s" });
        assert_eq!(restored["spec"], json!({ "accessModes": ["ReadWriteOnce"], "dataSource": source }));
        assert_eq!(restored_fields(&applied, "s")["spec"], json!({ "dataSource": source }));
    }
}
