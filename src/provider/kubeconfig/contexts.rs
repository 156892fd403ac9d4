//! Adds and removes the context of a local cluster, and records the files that it was merged into.

use std::path::Path;

use super::edit::ContextEntry;
use super::merge;
use crate::error::Result;
use crate::event::{Events, Phase as Part};
use crate::provider::environment::Environment;
use crate::provider::state_file::{self, KubeconfigEntry, ProviderState, StateFile};

/// Merges the entry into the selected kubeconfig and notes that file in the cluster's record.
pub(crate) async fn merge_context<S: ProviderState>(
    environment: &Environment,
    own: &Path,
    record: &mut StateFile<S>,
    entry: &ContextEntry,
    explicit: Option<&Path>,
    events: &Events,
) -> Result<()> {
    let file = environment.kubeconfig(explicit);
    let change = merge::merge(file, &environment.kubeconfigs, entry).await?;
    if record.merged.iter().all(|merged| merged.file != file) {
        // The last cluster to be deleted deletes the file, so every record notes that handsctl created it.
        let others = state_file::all_merged(&environment.state)?;
        let created = others.iter().any(|merged| merged.file == file && merged.made);
        record.merged.push(KubeconfigEntry { file: file.to_owned(), made: change.created || created });
        state_file::write(own, record)?;
    }
    if change.changed {
        let message = format!("context {} in {}", entry.name, file.display());
        events.done(Part::Cluster, "kubeconfig", message).await;
    }
    Ok(())
}

/// Removes the context from every file that it was merged into.
pub(crate) async fn remove_context(merged: &[KubeconfigEntry], context: &str) -> Result<()> {
    for KubeconfigEntry { file, made } in merged {
        merge::remove(file, context, *made).await?;
    }
    Ok(())
}
