//! `backup` and `restore` on a real API server without containers: what they refuse, and that a refusal changes nothing.

use handsctl::archive::manifest::FORMAT;
use serde_json::Value;

use crate::bed::{Bed, Namespace};
use crate::binary::backup::write_backup;

/// The resource versions of the objects that a restore could change.
fn versions(namespace: &Namespace) -> Vec<(String, String)> {
    let list = namespace.bed.get(&["deployments,persistentvolumeclaims,leases,pods", "-n", &namespace.name]);
    let mut versions: Vec<(String, String)> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object: &Value| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
            (format!("{} {}", object["kind"], text("name")), text("resourceVersion"))
        })
        .collect();
    versions.sort();
    versions
}

#[test]
fn refused_backup_and_restore_change_nothing() {
    let namespace = Bed::shared().namespace("backup");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.tar.gz");
    write_backup(&file, FORMAT, "0.59");
    let file = file.to_str().unwrap();
    let destination = folder.path().join("new.tar.gz");
    let destination = destination.to_str().unwrap();
    namespace.handsctl(&["backup", destination]).exits(12).says("nothing to back up");
    let restore = namespace.handsctl(&["restore", file]).exits(12).says("nothing to restore into");
    restore.says(" creates the installation with an empty volume");
    namespace.handsctl(&["deploy"]).exits(0);
    let before = versions(&namespace);
    for arguments in [
        &["backup", destination][..],
        &["backup", destination, "--stop"],
        &["backup", destination, "--sandboxes"],
        &["restore", file],
        &["restore", file, "--delete-data", "--yes"],
    ] {
        namespace.handsctl(arguments).exits(14).says("simulated nodes: no container runs");
    }
    namespace.handsctl(&["restore", file, "--delete-data"]).exits(2).says("--yes confirms it");
    assert_eq!(versions(&namespace), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no file is left");
}
