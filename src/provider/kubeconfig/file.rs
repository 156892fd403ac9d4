//! Reads a kubeconfig file, locks it as kubectl does, and replaces it atomically with its mode preserved.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::phrase;
use crate::provider::atomic_file;

/// How long to wait for another program's lock.
const DEADLINE: Duration = Duration::from_secs(10);
/// Interval between two attempts to lock the file.
const RETRY: Duration = Duration::from_millis(20);

/// Returns the content of the file; None: there is no file. Reads on a thread of its own: the file may be a named pipe,
/// which must delay neither the deadline nor a signal.
pub(super) async fn read(path: &Path) -> Result<Option<String>> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_blocking(&path)).await;
    read.map_err(|error| Error::internal("reading the kubeconfig was aborted").caused_by(error))?
}

/// As [`read`], for a file that handsctl itself has written.
pub(super) fn read_blocking(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(format!("cannot read {}", path.display()), error)),
        Ok(text) => Ok(Some(text)),
    }
}

/// A lock file next to the kubeconfig, which kubectl, kind and other programs with client-go respect.
#[derive(Debug)]
pub(super) struct KubeconfigLock {
    /// The kubeconfig itself, with symbolic links resolved.
    target: PathBuf,
    lock: PathBuf,
}

impl Drop for KubeconfigLock {
    fn drop(&mut self) {
        let _the_next_run_reports_a_leftover_lock = std::fs::remove_file(&self.lock);
    }
}

/// Checks whether the kubeconfig can be locked, and waits for another program's lock. Changes nothing.
///
/// # Errors
/// As of [`lock`].
pub(super) async fn check_lock(path: &Path) -> Result<()> {
    let target = resolved(path);
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return lock(path).await.map(drop);
    }
    let failed = |error| Error::file(format!("cannot lock {}", path.display()), error);
    let existing = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."));
    if !existing.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| failed(error.into()))
}

/// Returns the file that a symbolic link leads to: renaming onto the link would replace the link itself.
fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Waits for the lock on a kubeconfig and creates its folder if it is missing.
///
/// # Errors
/// Exit 14 if another program holds the lock; `HC9003` if the folder cannot be written.
pub(super) async fn lock(path: &Path) -> Result<KubeconfigLock> {
    let target = resolved(path);
    let failed = |error| Error::file(format!("cannot lock {}", path.display()), error);
    if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = target.clone().into_os_string();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let started = Instant::now();
    loop {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock) {
            Ok(_file) => return Ok(KubeconfigLock { target, lock }),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            // No program waits for a folder: client-go creates a file.
            Err(_) if lock.is_dir() => {
                let cause = format!("{} is a folder, and its name is that of the lock file", lock.display());
                return Err(failed(io::Error::other(cause))
                    .hint(format!("mv '{0}' '{0}.old' makes room for the lock", lock.display())));
            }
            Err(_) if started.elapsed() < DEADLINE => tokio::time::sleep(RETRY).await,
            Err(_) => {
                let message =
                    format!("{} has been locked for more than {}", path.display(), phrase::span(DEADLINE));
                return Err(Error::new(Id::Io, Kind::Prerequisite, message)
                    .hint(format!("rm {}  (if no kubectl or kind is running)", lock.display())));
            }
        }
    }
}

/// Replaces the content atomically. A new file is readable by its owner only.
pub(super) fn replace(lock: &KubeconfigLock, text: &str) -> Result<()> {
    let target = &lock.target;
    atomic_file::replace(target, text)
        .map_err(|error| Error::file(format!("cannot write {}", target.display()), error))
}

pub(super) fn delete(lock: &KubeconfigLock) -> Result<()> {
    std::fs::remove_file(&lock.target)
        .map_err(|error| Error::file(format!("cannot remove {}", lock.target.display()), error))
}
