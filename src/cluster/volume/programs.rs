//! The commands that read and write a volume in a container. They need `sh` and `tar`, or Python in the place of `tar`. Pure.

/// Reads a volume as a tar stream, notices changes meanwhile, and copies `SQLite` databases with `SQLite`'s own backup. It
/// ends the stream with a report. `live`: something may write to the volume.
const PACK: &str = include_str!("pack.py");
/// Without Python nothing notices changes. GNU tar exits with 1 if a file changed. Busybox has no option to leave files out,
/// and no empty archives.
const PACK_WITHOUT_PYTHON: &str = r#"
finish() { printf %s "$end"; read -r answer; exit 0; }
end=$4
if command -v python3 >/dev/null 2>&1; then python3 -I -c "$1" "$2" "$3" </dev/null && finish; exit $?; fi
cd "$2" || exit 3
set --
for f in * .[!.]* ..?*; do if [ -e "$f" ] || [ -L "$f" ]; then case "$f" in .handsctl-*|lost+found) ;; *) set -- "$@" "./$f" ;; esac; fi; done
if [ $# = 0 ]; then dd if=/dev/zero bs=1024 count=1 && finish; exit $?; fi
tar -cf - "$@" </dev/null
code=$?
if [ $code = 1 ] && tar --version 2>/dev/null | grep -q GNU; then code=0; fi
if [ $code = 0 ]; then finish; fi
exit $code
"#;

/// The folder of a restore inside of the volume, which makes the swap a matter of names:
/// `new` (being written) → `verified` (complete; every entry of the volume moves to `old`) → `moving` (its entries move to
/// the volume). Whatever interrupts it, the state tells how to finish.
const RESTORE: &str = ".handsctl-restore";

/// Finishes a swap that has begun, in the current folder.
const FINISH_SWAP: &str = r#"
r=.handsctl-restore
entries() { for f in * .[!.]* ..?*; do if [ -e "$f" ] || [ -L "$f" ]; then case "$f" in .handsctl-*|lost+found) ;; *) mv -- "$f" "$1" || exit 4 ;; esac; fi; done; }
if [ -d $r/verified ]; then
  mkdir -p $r/old || exit 4
  entries $r/old/
  mv $r/verified $r/moving || exit 4
fi
if [ -d $r/moving ]; then
  here=$(pwd)
  cd $r/moving || exit 4
  entries "$here/"
  cd "$here" && rmdir $r/moving || exit 4
fi
"#;

fn shell(script: impl Into<String>, arguments: &[&str]) -> Vec<String> {
    let words = ["sh".to_owned(), "-c".to_owned(), script.into(), "handsctl".to_owned()];
    words.into_iter().chain(arguments.iter().map(|word| (*word).to_owned())).collect()
}

/// Returns the command that writes the files of a folder to its standard output, and then `end`. `is_live`: something may
/// write to them. The command ends when it reads a line: once a command has ended, a slow reader does not get the rest of
/// its output (<https://github.com/kubernetes/kubernetes/issues/60140>; seen with kubectl on Kubernetes 1.34).
pub(super) fn pack(folder: &str, is_live: bool, end: &str) -> Vec<String> {
    shell(PACK_WITHOUT_PYTHON, &[PACK, folder, if is_live { "live" } else { "at-rest" }, end])
}

/// Returns the command that lists the first two levels of a folder.
pub(super) fn list(folder: &str) -> Vec<String> {
    shell(r#"cd "$1" && find . -maxdepth 2"#, &[folder])
}

/// Returns the command that finishes an interrupted swap, and makes room for a new restore.
pub(super) fn prepare_restore(folder: &str) -> Vec<String> {
    let script = format!(r#"cd "$1" || exit 3{FINISH_SWAP}rm -rf $r && mkdir -p $r/new"#);
    shell(script, &[folder])
}

/// Returns the command that writes a tar stream from its standard input beside the volume's files.
pub(super) fn unpack(folder: &str) -> Vec<String> {
    let script = r#"
cd "$1/.handsctl-restore/new" || exit 3
umask 0
if command -v tar >/dev/null 2>&1; then exec tar -xof -; fi
exec python3 -I -c 'import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode="r|").extractall(".", filter="data")'
"#;
    shell(script, &[folder])
}

/// Returns the folder into which [`unpack`] writes.
pub(super) fn unpacked(folder: &str) -> String {
    format!("{folder}/{RESTORE}/new")
}

/// Returns the command that replaces the volume's files by the unpacked ones. The rename of `new` decides: before it the
/// volume is unchanged, after it the command can be finished whenever it stopped.
pub(super) fn swap(folder: &str) -> Vec<String> {
    let script = format!(
        "cd \"$1\" || exit 3\nsync\nmv .handsctl-restore/new .handsctl-restore/verified || exit 4\n{FINISH_SWAP}sync\n"
    );
    shell(script, &[folder])
}

/// Returns the command that deletes what [`unpack`] has written. It does not touch a swap that has begun, whose folders may
/// have the only copy of a file.
pub(super) fn discard(folder: &str) -> Vec<String> {
    let script = r#"
cd "$1" || exit 3
rm -rf .handsctl-restore/new || exit 4
rmdir .handsctl-restore 2>/dev/null
exit 0
"#;
    shell(script, &[folder])
}

/// Returns the command that deletes the earlier files and what a restore left.
pub(super) fn clean(folder: &str) -> Vec<String> {
    shell(format!("rm -rf \"$1/{RESTORE}\""), &[folder])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::*;
    use crate::archive::contents;
    use crate::archive::manifest::{self, Part};
    use crate::archive::read::{compare_part, copy_part};
    use crate::archive::write::{ArchiveWriter, PartSource};

    const END: &str = "the end";

    fn run(command: &[String], input: &[u8]) -> Output {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    fn succeeds(command: &[String], input: &[u8]) -> Vec<u8> {
        let output = run(command, input);
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Runs a command that packs, and returns its stream without the end.
    fn packed(command: &[String]) -> Vec<u8> {
        let output = succeeds(command, b"\n");
        output.strip_suffix(END.as_bytes()).expect("the end").to_vec()
    }

    /// Returns the files of a folder with their content, without those of a restore.
    fn files(folder: &Path) -> BTreeMap<String, String> {
        fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                if entry.file_type().unwrap().is_dir() {
                    walk(root, &path, files);
                } else {
                    files.insert(name, fs::read_to_string(&path).unwrap_or_else(|_| "binary".to_owned()));
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(folder, folder, &mut found);
        found.retain(|name, _| !contents::is_foreign(name));
        found
    }

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn state() -> PartSource {
        PartSource { name: "state".into(), claim: "c".into(), size: None, is_at_rest: false }
    }

    fn part(stream: &[u8]) -> Part {
        ArchiveWriter::new(Vec::new()).add_part(state(), stream, |_| {}).unwrap()
    }

    const OLD: &[(&str, &str)] = &[("settings.json", "old"), ("sessions/a/x", "old"), (".jwt_secret", "old")];
    const NEW: &[(&str, &str)] = &[("settings.json", "new"), ("sessions/b/y z", "new"), ("..odd", "new")];

    /// Returns a volume with the old files and the new ones unpacked.
    fn unpacked_volume() -> tempfile::TempDir {
        let (volume, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(volume.path(), OLD);
        write(source.path(), NEW);
        let folder = volume.path().to_str().unwrap();
        let new = packed(&pack(source.path().to_str().unwrap(), false, END));
        let mut archive = ArchiveWriter::new(Vec::new());
        let part = archive.add_part(state(), new.as_slice(), |_| {}).unwrap();
        let archive = archive.finish(&manifest::sample()).unwrap();
        let mut stream = Vec::new();
        copy_part(archive.as_slice(), &part.name, &mut stream).unwrap();
        succeeds(&prepare_restore(folder), b"");
        succeeds(&unpack(folder), &stream);
        let read_back = packed(&pack(&unpacked(folder), false, END));
        compare_part(read_back.as_slice(), &part, |_| {}).unwrap();
        volume
    }

    fn expected(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
    }

    #[test]
    fn swapped_volume_has_the_new_files_only() {
        let volume = unpacked_volume();
        assert_eq!(files(volume.path()), expected(OLD), "the files are beside the old ones");
        let folder = volume.path().to_str().unwrap();
        succeeds(&swap(folder), b"");
        assert_eq!(files(volume.path()), expected(NEW));
        assert!(
            volume.path().join(".handsctl-restore/old/settings.json").exists(),
            "until the application runs"
        );
        succeeds(&clean(folder), b"");
        assert_eq!(fs::read_dir(volume.path()).unwrap().count(), 3);
    }

    /// Runs the swap, and kills it after this number of renames: each step of the swap is a call of `mv`. Returns whether
    /// it was killed.
    fn is_killed_after(steps: usize, folder: &str) -> bool {
        let mut command = swap(folder);
        let dying = format!(
            "count=0\nmv() {{ if [ $count = {steps} ]; then kill -9 $$; fi; count=$((count + 1)); command mv \"$@\"; }}\n{}",
            command[2]
        );
        command[2] = dying;
        !run(&command, b"").status.success()
    }

    #[test]
    fn discarded_files_leave_the_volume_as_before() {
        let volume = unpacked_volume();
        let folder = volume.path().to_str().unwrap();
        succeeds(&discard(folder), b"");
        assert_eq!(files(volume.path()), expected(OLD));
        assert!(!volume.path().join(RESTORE).exists(), "no room is taken");
        succeeds(&discard(folder), b"");
    }

    #[test]
    fn discard_leaves_a_swap_that_has_begun() {
        for steps in 1..6 {
            let volume = unpacked_volume();
            let folder = volume.path().to_str().unwrap();
            assert!(is_killed_after(steps, folder), "{steps}");
            succeeds(&discard(folder), b"");
            succeeds(&prepare_restore(folder), b"");
            assert_eq!(files(volume.path()), expected(NEW), "after {steps} renames");
        }
    }

    #[test]
    fn swap_interrupted_after_any_rename_is_finished_by_next_restore() {
        for steps in 0..20 {
            let volume = unpacked_volume();
            let folder = volume.path().to_str().unwrap();
            let died = is_killed_after(steps, folder);
            if steps == 0 {
                assert_eq!(files(volume.path()), expected(OLD), "nothing is changed before the first rename");
            }
            succeeds(&prepare_restore(folder), b"");
            let is_old = steps == 0;
            assert_eq!(
                files(volume.path()),
                expected(if is_old { OLD } else { NEW }),
                "after {steps} renames"
            );
            if !died {
                assert!(steps > 5, "{steps}");
                return;
            }
        }
        panic!("the swap has more steps than the test");
    }

    #[test]
    fn packed_files_are_the_same_with_and_without_python() {
        let source = tempfile::tempdir().unwrap();
        write(source.path(), OLD);
        write(source.path(), &[("lost+found/x", "no"), (".handsctl-restore/new/x", "no"), ("empty", "")]);
        std::os::unix::fs::symlink("settings.json", source.path().join("link")).unwrap();
        fs::create_dir(source.path().join("folder")).unwrap();
        let folder = source.path().to_str().unwrap();
        let mut without = pack(folder, false, END);
        without[2] = without[2].replace("command -v python3", "false");
        let (with, without) = (part(&packed(&pack(folder, false, END))), part(&packed(&without)));
        assert!(with.consistency.is_checked && !without.consistency.is_checked);
        let sorted = |part: &Part| {
            let mut files = part.files.clone();
            files.sort();
            files
        };
        assert_eq!(sorted(&with), sorted(&without));
        assert_eq!(with.files.len(), 4, "{:?}", with.files);
        assert!(with.consistency.left_out.is_empty() && without.consistency.left_out.is_empty());
        let empty = tempfile::tempdir().unwrap();
        let mut without = pack(empty.path().to_str().unwrap(), false, END);
        without[2] = without[2].replace("command -v python3", "false");
        assert!(part(&packed(&without)).files.is_empty());
        let listed = String::from_utf8(succeeds(&list(folder), b"")).unwrap();
        assert!(listed.lines().any(|line| line == "./sessions/a"), "{listed}");
        assert!(!listed.contains("sessions/a/x"), "{listed}");
    }

    /// Runs a Python program in a folder. Its arguments are the command that packs the folder while something may write.
    fn pack_within(folder: &Path, program: &str) -> Part {
        let mut python = Command::new("python3");
        python.args(["-c", program]).args(pack(".", true, ""));
        let output = python.current_dir(folder).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        part(&output.stdout)
    }

    #[test]
    fn only_the_files_of_a_database_itself_are_in_its_copy() {
        let source = tempfile::tempdir().unwrap();
        let program = r#"
import os, sqlite3, subprocess, sys
for name in ("app", "notes.db"):
    db = sqlite3.connect(name)
    db.execute("create table t (x)")
    db.commit()
    db.close()
for name in ("app-journal", "app-wal"):
    open(name, "w").close()
for name in ("app-backup", "notes.db-2024.bak", "x-shm"):
    open(name, "w").write("kept")
os.makedirs("app-src")
open("app-src/main.py", "w").write("kept")
os.makedirs("notes.db-shm")
open("notes.db-shm/y", "w").write("kept")
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=True)
"#;
        let part = pack_within(source.path(), program);
        let names: Vec<_> = part.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            names,
            [
                "app",
                "app-backup",
                "app-src/main.py",
                "notes.db",
                "notes.db-2024.bak",
                "notes.db-shm/y",
                "x-shm"
            ]
        );
        assert_eq!(part.consistency.databases, ["app", "notes.db"]);
        assert!(part.consistency.left_out.is_empty(), "{:?}", part.consistency.left_out);
    }

    #[test]
    fn database_is_unsafe_only_if_its_last_attempt_failed() {
        let source = tempfile::tempdir().unwrap();
        // Both files are new, so the program waits and tries again; the first wait completes one of them.
        let program = r#"
import shutil, sqlite3, sys, tempfile, time
for name in ("a.db", "b.db"):
    with open(name, "wb") as file:
        file.write(b"SQLite format 3\0 and no database")
def complete(seconds):
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(folder + "/x")
        db.execute("create table t (x)")
        db.commit()
        db.close()
        shutil.copy(folder + "/x", "a.db")
time.sleep = complete
program, sys.argv = sys.argv[5], ["-c", ".", "live"]
exec(program)
"#;
        let part = pack_within(source.path(), program);
        assert_eq!(part.consistency.databases, ["a.db"]);
        assert_eq!(part.consistency.unsafe_databases, ["b.db"]);
    }

    #[test]
    fn open_database_is_copied_as_of_one_moment() {
        let source = tempfile::tempdir().unwrap();
        let program = r#"
import sqlite3, subprocess, sys
db = sqlite3.connect("openhands.db")
db.execute("PRAGMA journal_mode=WAL")
db.execute("create table t (x)")
db.execute("insert into t values (7)")
db.commit()
packed = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
sys.stdout.buffer.write(packed)
"#;
        let command = pack(".", true, "");
        let output = Command::new("python3")
            .args(["-c", program])
            .args(&command)
            .current_dir(source.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let part = part(&output.stdout);
        assert_eq!(part.consistency.databases, ["openhands.db"]);
        let names: Vec<_> = part.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["openhands.db"], "the write-ahead log is in the copy");
        let target = tempfile::tempdir().unwrap();
        let mut tar = tar::Archive::new(output.stdout.as_slice());
        tar.unpack(target.path()).unwrap();
        let read =
            "import sqlite3; print(sqlite3.connect('openhands.db').execute('select x from t').fetchall())";
        let output = Command::new("python3").args(["-c", read]).current_dir(target.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[(7,)]");
    }
}
