//! Locks between handsctl processes. They use `flock`, which the kernel releases when the holder is killed.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};

use super::private_file;
use crate::error::{Error, Result};
use crate::phrase;

/// Interval between two attempts to acquire the lock.
const RETRY: Duration = Duration::from_millis(50);

/// A held lock, released on drop.
#[derive(Debug)]
pub(super) struct FileLock(File);

/// A lock that every program started now also holds until it exits.
#[derive(Debug)]
pub(super) struct Shared<'a>(&'a File);

impl FileLock {
    /// Shares the lock with every program that is started while the returned value lives. If handsctl is killed, the
    /// next handsctl waits until such a program has exited, too.
    ///
    /// # Errors
    /// `HC9003` if the flags of the file descriptor cannot be changed.
    pub(super) fn shared_with_children(&self) -> Result<Shared<'_>> {
        fcntl_setfd(&self.0, FdFlags::empty())
            .map_err(|error| Error::file("cannot share the cluster's lock", error.into()))?;
        Ok(Shared(&self.0))
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let _on_failure_later_children_hold_it_too = fcntl_setfd(self.0, FdFlags::CLOEXEC);
    }
}

/// Waits for the lock on a folder and creates the folder if it is missing. Calls `on_wait` once if another process
/// holds the lock. If the holder deletes the folder, creates and locks a new one.
pub(super) async fn folder(path: &Path, deadline: Duration, on_wait: impl AsyncFnOnce()) -> Result<FileLock> {
    let started = Instant::now();
    let mut on_wait = Some(on_wait);
    loop {
        if let Some(lock) = attempt(path).map_err(|error| Error::file(message(path), error))? {
            return Ok(lock);
        }
        if let Some(on_wait) = on_wait.take() {
            on_wait().await;
        }
        if started.elapsed() > deadline {
            let text = format!("another process has held it for more than {}", phrase::span(deadline));
            return Err(Error::file(message(path), io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn message(path: &Path) -> String {
    format!("cannot lock {}", path.display())
}

fn attempt(path: &Path) -> io::Result<Option<FileLock>> {
    private_file::folder(path)?;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(is_same_folder(&file, path)?.then_some(FileLock(file)))
}

/// Whether the locked folder is still the one at this path: its previous holder may have deleted it.
fn is_same_folder(file: &File, path: &Path) -> io::Result<bool> {
    let locked = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(current) => Ok((locked.dev(), locked.ino()) == (current.dev(), current.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lock_has_one_holder_after_its_folder_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cluster");
        let first = folder(&path, Duration::ZERO, async || {}).await.unwrap();
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_err());
        let (waiting, ()) = tokio::join!(folder(&path, Duration::from_secs(5), async || {}), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::fs::remove_dir(&path).unwrap();
            drop(first);
        });
        let second = waiting.unwrap();
        assert!(path.is_dir());
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_err());
        drop(second);
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_ok());
    }

    #[tokio::test]
    async fn shared_lock_is_held_until_the_child_exits() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cluster");
        let lock = folder(&path, Duration::ZERO, async || {}).await.unwrap();
        let sleep = || std::process::Command::new("/bin/sleep").arg("30").spawn().unwrap();
        let mut with_lock = {
            let _shared = lock.shared_with_children().unwrap();
            sleep()
        };
        let mut without_lock = sleep();
        drop(lock);
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_err());
        with_lock.kill().unwrap();
        with_lock.wait().unwrap();
        // A program that another test starts at this moment may hold the lock briefly.
        let deadline = Duration::from_secs(20);
        assert!(folder(&path, deadline, async || {}).await.is_ok(), "the second child never held it");
        without_lock.kill().unwrap();
        without_lock.wait().unwrap();
    }
}
