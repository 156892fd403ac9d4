//! Locks between handsctl processes: `flock`, so that a killed process leaves none behind.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::{Error, Result};
use crate::phrase;

/// How often a held lock is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// A held lock; it ends with the value.
#[derive(Debug)]
pub(super) struct FileLock(File);

/// A lock that programs which are started now hold, too, until they end.
#[derive(Debug)]
pub(super) struct Shared<'a>(&'a File);

impl FileLock {
    /// Shares the lock with every program that is started while this value lives: one that outlives a killed handsctl
    /// keeps the next one waiting until it is done.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn shared_with_children(&self) -> Result<Shared<'_>> {
        fcntl_setfd(&self.0, FdFlags::empty())
            .map_err(|error| Error::io("cannot share the cluster's lock", error.into()))?;
        Ok(Shared(&self.0))
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let _without_it_later_children_hold_it_too = fcntl_setfd(self.0, FdFlags::CLOEXEC);
    }
}

/// Waits for the lock on a folder, which is made where it is missing. `waiting` is called once if another holds it.
/// A holder may delete the folder: then a new one is made and locked.
pub(super) async fn folder(path: &Path, deadline: Duration, waiting: impl AsyncFnOnce()) -> Result<FileLock> {
    let begin = Instant::now();
    let mut waiting = Some(waiting);
    loop {
        if let Some(lock) = attempt(path).map_err(|error| Error::io(cannot(path), error))? {
            return Ok(lock);
        }
        if let Some(tell) = waiting.take() {
            tell().await;
        }
        if begin.elapsed() > deadline {
            let text = format!("another process holds it for more than {}", phrase::span(deadline));
            return Err(Error::io(cannot(path), io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot lock {}", path.display())
}

fn attempt(path: &Path) -> io::Result<Option<FileLock>> {
    std::fs::create_dir_all(path)?;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(same(&file, path)?.then_some(FileLock(file)))
}

/// Whether the locked folder is still the one at this path.
fn same(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holder_at_a_time_and_the_folder_may_be_deleted_meanwhile() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cluster");
        let first = folder(&path, Duration::ZERO, async || {}).await.unwrap();
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_err());
        let (waiting, ()) = tokio::join!(folder(&path, Duration::from_secs(5), async || {}), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::fs::remove_dir(&path).unwrap();
            drop(first);
        });
        let held = waiting.unwrap();
        assert!(path.is_dir());
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_err());
        drop(held);
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_ok());
    }

    #[tokio::test]
    async fn a_program_that_outlives_us_keeps_the_lock_until_it_ends() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cluster");
        let lock = folder(&path, Duration::ZERO, async || {}).await.unwrap();
        let sleep = || std::process::Command::new("/bin/sleep").arg("30").spawn().unwrap();
        let mut left = {
            let _shared = lock.shared_with_children().unwrap();
            sleep()
        };
        let mut other = sleep();
        drop(lock);
        assert!(folder(&path, Duration::ZERO, async || {}).await.is_err());
        left.kill().unwrap();
        left.wait().unwrap();
        // A program of another test, started just then, may have it for a moment.
        let patience = Duration::from_secs(20);
        assert!(folder(&path, patience, async || {}).await.is_ok(), "the other one never had it");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
