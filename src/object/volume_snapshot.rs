//! What a `VolumeSnapshot`, its class and its claim tell
//! (<https://kubernetes.io/docs/concepts/storage/volume-snapshots/>). Pure.

use serde_json::Value;

/// The annotation of the class that is used for a driver if a snapshot names none.
const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";
/// The annotations of a claim with its provisioner; the second one is that of Kubernetes before 1.23.
const PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

/// How far a `VolumeSnapshot` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotState {
    /// No controller has written a status.
    Unanswered,
    /// A controller works on it.
    Pending,
    /// The content of the volume is captured, and the storage may still copy it. The application may write again.
    Taken,
    /// A claim can be made from it.
    Ready,
    /// A controller reports this error, and may try again.
    Failed(String),
}

/// Returns how far a `VolumeSnapshot` is.
#[must_use]
pub fn state(snapshot: &Value) -> SnapshotState {
    let status = &snapshot["status"];
    if status["readyToUse"] == true {
        return SnapshotState::Ready;
    }
    // Also an error without a message is one.
    if status["error"].is_object() {
        let message = status["error"]["message"].as_str().unwrap_or("without a message");
        return SnapshotState::Failed(message.to_owned());
    }
    if status["creationTime"].is_string() {
        return SnapshotState::Taken;
    }
    if status.is_object() { SnapshotState::Pending } else { SnapshotState::Unanswered }
}

/// Returns the claim of which the snapshot is. None for one that was imported from the storage.
#[must_use]
pub fn source_claim(snapshot: &Value) -> Option<&str> {
    snapshot["spec"]["source"]["persistentVolumeClaimName"].as_str()
}

/// Returns the size that a claim needs at least: `5Gi`.
#[must_use]
pub fn restore_size(snapshot: &Value) -> Option<&str> {
    snapshot["status"]["restoreSize"].as_str()
}

/// Returns when the content was captured, RFC 3339; else when the object was created.
#[must_use]
pub fn taken_at(snapshot: &Value) -> Option<&str> {
    let times = [&snapshot["status"]["creationTime"], &snapshot["metadata"]["creationTimestamp"]];
    times.into_iter().find_map(Value::as_str)
}

/// Returns the driver of a claim's volume: that of the `PersistentVolume`. Only an account that may not read
/// `PersistentVolume`s relies on the claim, which names the provisioner.
#[must_use]
pub fn driver<'a>(claim: &'a Value, volume: Option<&'a Value>) -> Option<&'a str> {
    match volume {
        Some(volume) => volume["spec"]["csi"]["driver"].as_str(),
        None => PROVISIONER.iter().find_map(|name| claim["metadata"]["annotations"][name].as_str()),
    }
}

/// The class of a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassChoice<'a> {
    /// This one.
    Class(&'a str),
    /// No class is of this driver. Holds the drivers of the other classes.
    NoneOfDriver(Vec<&'a str>),
    /// Several are of this driver, and not exactly one of them is the default one.
    Several(Vec<&'a str>),
}

/// Chooses the class for a driver, as the snapshot controller does
/// (<https://kubernetes.io/docs/concepts/storage/volume-snapshot-classes/>), and also the only one that is not the default.
#[must_use]
pub fn choose_class<'a>(classes: &'a [Value], driver: &str) -> ClassChoice<'a> {
    let name = |class: &'a Value| class["metadata"]["name"].as_str();
    let of_driver: Vec<&Value> = classes.iter().filter(|class| class["driver"] == driver).collect();
    let names: Vec<&str> = of_driver.iter().filter_map(|class| name(class)).collect();
    let is_default = |class: &&&Value| class["metadata"]["annotations"][DEFAULT_CLASS] == "true";
    let defaults: Vec<&str> = of_driver.iter().filter(is_default).filter_map(|class| name(class)).collect();
    match (names.as_slice(), defaults.as_slice()) {
        ([], _) => {
            let mut drivers: Vec<&str> =
                classes.iter().filter_map(|class| class["driver"].as_str()).collect();
            drivers.sort_unstable();
            drivers.dedup();
            ClassChoice::NoneOfDriver(drivers)
        }
        ([only], _) | (_, [only]) => ClassChoice::Class(only),
        _ => ClassChoice::Several(names),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn state_follows_what_the_controllers_write() {
        let failed = |text: &str| SnapshotState::Failed(text.to_owned());
        for (status, expected) in [
            (Value::Null, SnapshotState::Unanswered),
            (json!({ "readyToUse": false }), SnapshotState::Pending),
            (json!({ "readyToUse": false, "creationTime": "2026-01-01T00:00:00Z" }), SnapshotState::Taken),
            (json!({ "readyToUse": false, "error": { "message": "no" } }), failed("no")),
            (json!({ "creationTime": "2026-01-01T00:00:00Z", "error": {} }), failed("without a message")),
            (
                json!({ "readyToUse": true, "error": { "message": "of an earlier attempt" } }),
                SnapshotState::Ready,
            ),
        ] {
            assert_eq!(state(&json!({ "status": status })), expected, "{status}");
        }
    }

    #[test]
    fn driver_is_that_of_the_volume_or_of_the_claims_provisioner() {
        let claim = json!({ "metadata": { "annotations": { PROVISIONER[1]: "kubernetes.io/aws-ebs" } } });
        assert_eq!(driver(&claim, None), Some("kubernetes.io/aws-ebs"));
        let volume = json!({ "spec": { "csi": { "driver": "ebs.csi.aws.com" } } });
        assert_eq!(driver(&claim, Some(&volume)), Some("ebs.csi.aws.com"));
        let folder = json!({ "spec": { "hostPath": { "path": "/x" } } });
        assert_eq!(driver(&claim, Some(&folder)), None, "no driver can take a snapshot of a folder");
    }

    #[test]
    fn class_is_the_only_one_or_the_default_one_of_the_driver() {
        let class = |name: &str, driver: &str, default: &str| json!({ "metadata": { "name": name, "annotations": { DEFAULT_CLASS: default } }, "driver": driver });
        let other = class("other", "b", "true");
        let classes = [class("first", "a", "false"), other.clone()];
        assert_eq!(choose_class(&classes, "a"), ClassChoice::Class("first"));
        assert_eq!(choose_class(&classes, "c"), ClassChoice::NoneOfDriver(vec!["a", "b"]));
        let second =
            |default: &str| [class("first", "a", "false"), class("second", "a", default), other.clone()];
        assert_eq!(choose_class(&second("true"), "a"), ClassChoice::Class("second"));
        assert_eq!(choose_class(&second("false"), "a"), ClassChoice::Several(vec!["first", "second"]));
        let both = [class("first", "a", "true"), class("second", "a", "true")];
        assert_eq!(choose_class(&both, "a"), ClassChoice::Several(vec!["first", "second"]));
    }
}
