//! The order in which a restore replaces the volumes, so that a failure costs as little as possible.

use crate::archive::manifest::{Manifest, Part};
use crate::error::Result;

/// The fact of an error after which some volumes have the restored files.
const REPLACED: &str = "replaced";

/// The changes of volumes.
pub(super) trait VolumeChanges {
    /// Writes the application's state beside its present files, and reads it back.
    async fn write_state(&self) -> Result<()>;
    /// Writes the files of a conversation's volume beside the present ones, reads them back, and replaces the present
    /// ones, which are kept.
    async fn replace_conversation(&self, part: &Part) -> Result<()>;
    /// Replaces the application's state by what was written. The earlier files are kept.
    async fn replace_state(&self) -> Result<()>;
}

/// Replaces the volumes of a backup. The state comes last: until then the application has the earlier state, and a full
/// volume or a wrong checksum of the state has changed nothing.
///
/// # Errors
/// Those of the changes. The error names the volumes that are replaced already.
pub(super) async fn replace_volumes(manifest: &Manifest, changes: &impl VolumeChanges) -> Result<()> {
    changes.write_state().await?;
    let mut replaced: Vec<&str> = Vec::new();
    let result = async {
        for part in manifest.sandboxes() {
            changes.replace_conversation(part).await?;
            replaced.push(&part.claim);
        }
        changes.replace_state().await
    }
    .await;
    result.map_err(|error| {
        if replaced.is_empty() {
            return error;
        }
        error
            .fact(REPLACED, format!("{}; {KEPT}", replaced.join(", ")))
            .hint("run handsctl restore again: it replaces the other volumes, too")
    })
}

/// What is left on a replaced volume until the application works again.
pub(super) const KEPT: &str = "the earlier files are still on the volume, in .handsctl-restore/old";

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::archive::manifest;
    use crate::error::Error;

    /// Records the changes, of which one fails.
    #[derive(Default)]
    struct Recorded {
        failing: &'static str,
        done: RefCell<Vec<String>>,
    }

    impl Recorded {
        fn change(&self, change: String) -> Result<()> {
            let result = if change == self.failing { Err(Error::internal("no")) } else { Ok(()) };
            self.done.borrow_mut().push(change);
            result
        }
    }

    impl VolumeChanges for Recorded {
        async fn write_state(&self) -> Result<()> {
            self.change("write state".to_owned())
        }

        async fn replace_conversation(&self, part: &Part) -> Result<()> {
            self.change(format!("replace {}", part.claim))
        }

        async fn replace_state(&self) -> Result<()> {
            self.change("replace state".to_owned())
        }
    }

    /// Restores two conversations and the state. Returns the changes, and what the error says of replaced volumes.
    async fn restored(failing: &'static str) -> (Vec<String>, Option<String>) {
        let mut manifest = manifest::sample();
        let mut second = manifest.parts[1].clone();
        second.claim = "d-pvc".to_owned();
        manifest.parts.push(second);
        let changes = Recorded { failing, ..Recorded::default() };
        let result = replace_volumes(&manifest, &changes).await;
        assert_eq!(result.is_err(), !failing.is_empty());
        let fact = result.err().and_then(|error| error.facts().first().map(|fact| fact.text.clone()));
        (changes.done.into_inner(), fact)
    }

    #[tokio::test]
    async fn state_is_written_first_and_replaced_last() {
        let order = ["write state", "replace c-pvc", "replace d-pvc", "replace state"];
        assert_eq!(restored("").await, (order.map(str::to_owned).to_vec(), None));
    }

    #[tokio::test]
    async fn failure_changes_no_later_volume_and_names_the_replaced_ones() {
        assert_eq!(restored("write state").await, (vec!["write state".to_owned()], None));
        let (done, replaced) = restored("replace c-pvc").await;
        assert_eq!((done.len(), replaced), (2, None));
        let (done, replaced) = restored("replace d-pvc").await;
        assert_eq!((done.len(), replaced), (3, Some(format!("c-pvc; {KEPT}"))));
        let (done, replaced) = restored("replace state").await;
        assert_eq!((done.len(), replaced), (4, Some(format!("c-pvc, d-pvc; {KEPT}"))));
    }
}
