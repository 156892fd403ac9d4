//! The timeline of a running command, which the reporter fills and the command reads.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::run_timeline::RunTimeline;
use crate::event::Event;
use crate::timeline::RunRecord;

/// A handle to the timeline of the running command.
#[derive(Debug, Clone, Default)]
pub struct SharedTimeline(Arc<Mutex<RunTimeline>>);

impl SharedTimeline {
    /// Adds what an event says.
    pub(crate) fn observe(&self, event: &Event, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).observe(event, now);
    }

    /// Returns the rows until now. Events that the reporter has not processed are missing.
    #[must_use]
    pub fn record(&self, now: Timestamp) -> RunRecord {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(now)
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&RunTimeline) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
