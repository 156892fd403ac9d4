//! The context of a local cluster in the user's kubeconfig, and the memory of where it was put.

use std::path::Path;

use super::edit::ContextEntry;
use super::merge;
use crate::error::Result;
use crate::event::{Events, Phase as Part};
use crate::provider::environment::Environment;
use crate::provider::state_file::{self, KubeconfigEntry, ProviderState, StateFile};

/// Puts the entry into the file that the user means, and remembers that in the cluster's record.
pub(crate) async fn merge_context<M: ProviderState>(
    environment: &Environment,
    own: &Path,
    record: &mut StateFile<M>,
    entry: &ContextEntry,
    explicit: Option<&Path>,
    events: &Events,
) -> Result<()> {
    let file = environment.kubeconfig(explicit);
    let change = merge::merge(file, &environment.kubeconfigs, entry).await?;
    if record.merged.iter().all(|merged| merged.file != file) {
        // Whichever cluster goes last takes the file with it.
        let others = state_file::all_merged(&environment.state)?;
        let made = others.iter().any(|merged| merged.file == file && merged.made);
        record.merged.push(KubeconfigEntry { file: file.to_owned(), made: change.made || made });
        state_file::write(own, record)?;
    }
    if change.changed {
        let message = format!("context {} in {}", entry.name, file.display());
        events.done(Part::Cluster, "kubeconfig", message).await;
    }
    Ok(())
}

/// Takes the context out of every file that it was put into.
pub(crate) async fn remove_context(merged: &[KubeconfigEntry], context: &str) -> Result<()> {
    for KubeconfigEntry { file, made } in merged {
        merge::remove(file, context, *made).await?;
    }
    Ok(())
}
