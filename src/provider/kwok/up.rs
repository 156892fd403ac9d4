//! Creates, starts or reuses a kwok cluster.

use super::folder::{CONTROL_PLANE, KwokFolder, context, lock_cluster};
use super::spec::{self, KwokStateFile};
use super::{delete, kwokctl, start, status};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{ContextEntry, contexts};
use crate::provider::local_cluster::{Condition, LocalCluster, LocalProvider, StartOutcome, UpOptions};

/// Makes, starts or leaves the cluster, so that afterwards it runs and the user's kubeconfig knows it.
pub(crate) async fn up(
    environment: &Environment,
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<LocalCluster> {
    let folder = KwokFolder::of(&environment.state, &wanted.name);
    let _lock = lock_cluster(&folder, events).await?;
    let found = status::inspect(&folder)?;
    let (mut record, outcome) = match (&found.condition, found.record.clone()) {
        (Condition::Running, Some(record)) if agrees(&record, wanted, options)? => {
            answers(&folder).await?;
            events
                .done(Part::Cluster, CONTROL_PLANE, format!("{} running", record.made.spec.kubernetes))
                .await;
            (record, StartOutcome::Running)
        }
        (Condition::Stopped, Some(record)) if agrees(&record, wanted, options)? => {
            start::restart(environment, &folder, &record, &found, events).await?;
            (record, StartOutcome::Restarted)
        }
        (Condition::Absent, _) => {
            (start::create(environment, &folder, wanted, options, events).await?, StartOutcome::Created)
        }
        _ => {
            delete::clear(&folder, &found, events).await?;
            (start::create(environment, &folder, wanted, options, events).await?, StartOutcome::Created)
        }
    };
    let entry = ContextEntry::read(&folder.kubeconfig(), &context(&folder.name), LocalProvider::Kwok)?;
    let explicit = options.kubeconfig.as_deref();
    contexts::merge_context(environment, &folder.own, &mut record, &entry, explicit, events).await?;
    Ok(LocalCluster {
        context: context(&wanted.name),
        kubeconfig: folder.kubeconfig(),
        simulated: true,
        outcome,
    })
}

/// Whether the cluster is what is wanted; false: it is to be made anew.
fn agrees(record: &KwokStateFile, wanted: &ClusterSpec, options: &UpOptions) -> Result<bool> {
    let differences = spec::differences(&record.made.spec, wanted);
    if differences.is_empty() || options.recreate {
        return Ok(differences.is_empty());
    }
    let message = format!("the local cluster {} differs from what is wanted", wanted.name);
    Err(Error::new(Id::ClusterDiffers, Kind::Differences, message)
        .fact("differs", differences.join("\n"))
        .hint("handsctl cluster up --recreate"))
}

/// A cluster whose processes run and whose API server does not answer is nothing that a start could mend.
async fn answers(folder: &KwokFolder) -> Result<()> {
    kwokctl::wait_until_ready(folder)
        .await
        .map_err(|error| error.hint("handsctl cluster up --recreate").hint("handsctl cluster down"))
}
