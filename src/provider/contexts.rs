//! The context of a local cluster in the user's kubeconfig, and the memory of where it was put.

use std::path::Path;

use super::environment::Environment;
use super::kubeconfig::{self, Entry};
use super::record::{self, Made, Merged, Record};
use crate::error::Result;
use crate::event::{Events, Phase as Part};

/// Puts the entry into the file that the user means, and remembers that in the cluster's record.
pub(super) async fn merge<M: Made>(
    environment: &Environment,
    own: &Path,
    record: &mut Record<M>,
    entry: &Entry,
    explicit: Option<&Path>,
    events: &Events,
) -> Result<()> {
    let file = environment.kubeconfig(explicit);
    let change = kubeconfig::merge(file, &environment.kubeconfigs, entry).await?;
    if record.merged.iter().all(|merged| merged.file != file) {
        // Whichever cluster goes last takes the file with it.
        let others = record::all_merged(&environment.state)?;
        let made = others.iter().any(|merged| merged.file == file && merged.made);
        record.merged.push(Merged { file: file.to_owned(), made: change.made || made });
        record::write(own, record)?;
    }
    if change.changed {
        let message = format!("context {} in {}", entry.name, file.display());
        events.done(Part::Cluster, "kubeconfig", message).await;
    }
    Ok(())
}

/// Takes the context out of every file that it was put into.
pub(super) async fn forget(merged: &[Merged], context: &str) -> Result<()> {
    for Merged { file, made } in merged {
        kubeconfig::remove(file, context, *made).await?;
    }
    Ok(())
}
