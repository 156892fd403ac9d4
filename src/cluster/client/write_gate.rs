//! Holds back writes while it is uncertain whether this run still has the set's lock.

use tokio::sync::watch;

/// The gate that every write of a connection passes. It is open unless the renewal of the lock closes it.
#[derive(Debug)]
pub(crate) struct WriteGate(watch::Sender<bool>);

impl Default for WriteGate {
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl WriteGate {
    /// Lets writes pass.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Holds back writes, and interrupts those that wait for a response.
    pub(crate) fn close(&self) {
        self.0.send_replace(false);
    }

    /// Whether writes pass.
    pub(crate) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until writes pass.
    pub(crate) async fn opened(&self) {
        self.reaches(true).await;
    }

    /// Waits until writes are held back.
    pub(crate) async fn closed(&self) {
        self.reaches(false).await;
    }

    async fn reaches(&self, state: bool) {
        let mut states = self.0.subscribe();
        // The sender lives as long as this reference.
        let _always_reached = states.wait_for(|current| *current == state).await;
    }
}
