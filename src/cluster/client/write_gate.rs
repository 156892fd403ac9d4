//! Holds back writes while it is uncertain whether this run still has the set's lock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::boot_instant::BootInstant;

/// The gate that every write of a connection passes. It is open unless the renewal of the lock closes it, or the lock
/// was not renewed in time.
#[derive(Debug)]
pub(crate) struct WriteGate {
    is_open: watch::Sender<bool>,
    /// The last renewal; None: the command holds no lock.
    renewal: Mutex<Option<LastRenewal>>,
}

/// The last renewal of the lock.
#[derive(Debug, Clone, Copy)]
struct LastRenewal {
    sent_at: BootInstant,
    /// The time after it for which writes may rely on the lock.
    valid_for: Duration,
}

impl Default for WriteGate {
    fn default() -> Self {
        Self { is_open: watch::Sender::new(true), renewal: Mutex::default() }
    }
}

impl WriteGate {
    /// Records that the lock was renewed by a request that was sent then. After `valid_for` without another renewal the
    /// gate closes by itself with the next write, even if the process was stopped or the computer suspended meanwhile,
    /// and no timer of the renewal has expired yet.
    pub(crate) fn on_renewal(&self, sent_at: BootInstant, valid_for: Duration) {
        *self.renewal() = Some(LastRenewal { sent_at, valid_for });
    }

    /// Forgets the lock, because the command no longer holds it.
    pub(crate) fn on_unlock(&self) {
        *self.renewal() = None;
    }

    /// Lets writes pass.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Holds back writes, and interrupts those that wait for a response.
    pub(crate) fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Whether writes pass.
    pub(crate) fn is_open(&self) -> bool {
        let renewal = *self.renewal();
        if renewal.is_some_and(|renewal| renewal.sent_at.elapsed() >= renewal.valid_for) {
            self.close();
        }
        *self.is_open.borrow()
    }

    /// Waits until writes pass.
    pub(crate) async fn opened(&self) {
        while !self.is_open() {
            self.reaches(true).await;
        }
    }

    /// Waits until writes are held back.
    pub(crate) async fn closed(&self) {
        self.reaches(false).await;
    }

    async fn reaches(&self, state: bool) {
        let mut states = self.is_open.subscribe();
        // The sender lives as long as this reference.
        let _always_reached = states.wait_for(|current| *current == state).await;
    }

    fn renewal(&self) -> MutexGuard<'_, Option<LastRenewal>> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
