//! Creates, starts or reuses a kwok cluster.

use std::collections::BTreeMap;

use super::folder::{KwokFolder, context, lock_cluster};
use super::spec::{self, KwokStateFile};
use super::{delete, restart, start, status};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::provider::cluster_spec::ClusterSpec;
use crate::provider::environment::Environment;
use crate::provider::kubeconfig::{ContextEntry, contexts};
use crate::provider::local_cluster::{
    Condition, LocalCluster, LocalProvider, RECREATE_HINT, StartOutcome, UpOptions,
};

/// Creates, starts or reuses the cluster. On success its API server is ready and the user's kubeconfig has its context.
/// `delete_other`: deletes the cluster of another provider that this one replaces, while its folder is locked.
pub(crate) async fn up(
    environment: &Environment,
    desired: &ClusterSpec,
    options: &UpOptions,
    delete_other: impl AsyncFnOnce() -> Result<()>,
    events: &Events,
) -> Result<LocalCluster> {
    let folder = KwokFolder::new(&environment.state, &desired.name);
    let _lock = lock_cluster(&folder, events).await?;
    let cluster = status::inspect(&folder)?;
    let (mut record, outcome) = match (&cluster.condition, cluster.record.clone()) {
        (Condition::Running | Condition::Stopped, Some(record))
            if matches_spec(&record, desired, options)? =>
        {
            let outcome = restart::ensure_running(environment, &folder, &record, events).await?;
            (record, outcome)
        }
        _ => {
            let delete_old = async || {
                delete_other().await?;
                delete::delete_existing(&folder, &cluster, events).await
            };
            let record = start::create(environment, &folder, desired, options, delete_old, events).await?;
            (record, StartOutcome::Created)
        }
    };
    let entry = ContextEntry::read(&folder.kubeconfig(), &context(&folder.name), LocalProvider::Kwok)?;
    let explicit = options.kubeconfig.as_deref();
    contexts::merge_context(environment, &folder.own, &mut record, &entry, explicit, events).await?;
    Ok(LocalCluster {
        context: context(&desired.name),
        kubeconfig: folder.kubeconfig(),
        simulated: true,
        outcome,
        started_nodes: BTreeMap::new(),
    })
}

/// Whether the cluster matches its desired state; false: it must be recreated.
fn matches_spec(record: &KwokStateFile, desired: &ClusterSpec, options: &UpOptions) -> Result<bool> {
    let differences = spec::differences(&record.state.spec, desired);
    if differences.is_empty() || options.recreate {
        return Ok(differences.is_empty());
    }
    let message = format!("the local cluster {} differs from the configuration", desired.name);
    Err(Error::new(Id::ClusterDiffers, Kind::Differences, message)
        .fact("differs", differences.join("\n"))
        .hint(RECREATE_HINT))
}
