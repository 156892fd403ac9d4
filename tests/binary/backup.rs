//! `backup` and `restore` without a cluster: arguments, and files that are no backups.

use std::path::Path;

use handsctl::archive::manifest::{FORMAT, Manifest, STATE};
use handsctl::archive::write::{ArchiveWriter, PartSource};
use jiff::Timestamp;
use tar::{Builder, Header};

use crate::bed::run_in_home;

/// Writes a backup of one file.
pub(crate) fn write_backup(path: &Path, format: u32, version: &str) {
    let mut stream = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o600);
    stream.append_data(&mut header, "settings.json", &b"{}"[..]).unwrap();
    let stream = stream.into_inner().unwrap();
    let mut archive = ArchiveWriter::new(std::fs::File::create(path).unwrap());
    let source =
        PartSource { name: STATE.into(), claim: "openhands-state".into(), size: None, is_at_rest: true };
    let part = archive.add_part(source, stream.as_slice(), |_| {}).unwrap();
    let manifest = Manifest {
        format,
        handsctl: "0.1.0".into(),
        installation: "openhands".into(),
        namespace: "openhands".into(),
        image: format!("docker.all-hands.dev/all-hands-ai/openhands:{version}"),
        version: Some(version.into()),
        revision: Some(1),
        created: Timestamp::UNIX_EPOCH,
        stopped: true,
        parts: vec![part],
    };
    archive.finish(&manifest).unwrap();
}

#[test]
fn dry_run_of_restore_describes_a_complete_file() {
    let home = tempfile::tempdir().unwrap();
    write_backup(&home.path().join("b.tar.gz"), FORMAT, "0.59");
    let run = run_in_home(home.path(), &["restore", "b.tar.gz", "--dry-run"]).exits(0);
    run.prints("complete      every checksum is right").prints("state         1 file, 2 B");
    let described =
        run_in_home(home.path(), &["restore", "b.tar.gz", "--dry-run", "-o", "json"]).exits(0).json();
    assert_eq!((&described["version"], &described["v"]), (&"0.59".into(), &1.into()));
    assert_eq!(described["volumes"][0]["claim"], "openhands-state");
}

#[test]
fn file_that_is_no_complete_backup_is_refused_before_a_cluster_is_needed() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    write_backup(&path("good"), FORMAT, "0.59");
    let good = std::fs::read(path("good")).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(path("flipped"), flipped).unwrap();
    std::fs::write(path("cut"), &good[..good.len() - 9]).unwrap();
    std::fs::write(path("text"), "no backup").unwrap();
    write_backup(&path("newer"), FORMAT + 1, "0.59");
    for (name, reason) in [
        ("flipped", "is not a complete backup"),
        ("cut", "is not a complete backup"),
        ("text", "damaged or of another kind"),
        ("newer", "restore it with a later release of handsctl"),
    ] {
        let run = run_in_home(home.path(), &["restore", name, "--dry-run"]).exits(2);
        run.says("HC5030").says(reason).says(name);
    }
    run_in_home(home.path(), &["restore", "absent", "--dry-run"]).exits(14).says("cannot read absent");
}

#[test]
fn backup_and_another_result_do_not_share_stdout() {
    let home = tempfile::tempdir().unwrap();
    for other in [&["-o", "json"][..], &["-o", "yaml"], &["--events", "-"]] {
        let run = run_in_home(home.path(), &[&["backup", "-"], other].concat()).exits(2);
        run.says("both write to standard output");
    }
    run_in_home(home.path(), &["restore", "x", "--dry-run", "--delete-data"]).exits(2);
}
