//! The revision whose result a command has not recorded yet: marked as interrupted however the command ends.

use std::sync::Mutex;

use jiff::Timestamp;

use crate::cluster::apply::revisions::{self, RevisionRef};
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::plan::inventory::revision::RevisionResult;
use crate::report::SharedTimeline;

/// The revision that a command is applying.
#[derive(Default)]
pub(crate) struct RevisionSlot {
    slot: Mutex<Option<(Api, RevisionRef)>>,
    timeline: SharedTimeline,
}

impl RevisionSlot {
    /// Creates a slot of a command with this timeline.
    pub(crate) fn new(timeline: SharedTimeline) -> Self {
        Self { slot: Mutex::default(), timeline }
    }

    /// Registers a revision that the command is applying.
    pub(crate) fn open(&self, api: &Api, revision: &RevisionRef) {
        self.replace(Some((api.clone(), revision.clone())));
    }

    /// Removes the revision, because its result is recorded.
    pub(crate) fn close(&self) {
        self.replace(None);
    }

    /// Marks a revision that is still registered as interrupted.
    ///
    /// # Errors
    /// The server does not accept the result. The next run then decides about the revision.
    pub(crate) async fn mark_interrupted(&self) -> Result<()> {
        match self.replace(None) {
            Some((api, mut revision)) => {
                let record = self.timeline.record(Timestamp::now()).to_text();
                let result = RevisionResult::Interrupted;
                revisions::set_result(&api, &mut revision, result, record.as_deref()).await
            }
            None => Ok(()),
        }
    }

    fn replace(&self, new: Option<(Api, RevisionRef)>) -> Option<(Api, RevisionRef)> {
        self.slot.lock().map(|mut slot| std::mem::replace(&mut *slot, new)).unwrap_or_default()
    }
}
