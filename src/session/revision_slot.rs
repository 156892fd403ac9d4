//! The revision whose result a command has not recorded yet: marked as interrupted however the command ends.

use std::sync::Mutex;

use crate::cluster::apply::revisions::{self, RevisionRef};
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::plan::inventory::revision::RevisionResult;

/// The revision that a command is applying.
#[derive(Default)]
pub(crate) struct RevisionSlot(Mutex<Option<(Api, RevisionRef)>>);

impl RevisionSlot {
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
                revisions::set_result(&api, &mut revision, RevisionResult::Interrupted).await
            }
            None => Ok(()),
        }
    }

    fn replace(&self, new: Option<(Api, RevisionRef)>) -> Option<(Api, RevisionRef)> {
        self.0.lock().map(|mut slot| std::mem::replace(&mut *slot, new)).unwrap_or_default()
    }
}
