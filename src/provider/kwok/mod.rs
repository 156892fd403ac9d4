//! The kwok provider: a real control plane as processes on loopback, simulated nodes, kept by `kwokctl`.

mod component;
mod configuration;
mod delete;
mod evidence;
mod folder;
mod kwokctl;
mod objects;
mod ports;
mod processes;
mod spec;
mod start;
mod status;

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::kubeconfig::Entry;
use super::status::Condition;
use super::wanted::Wanted;
use super::{LocalCluster, Maker, Options, Started, contexts, lock};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part};
use folder::Folder;
use spec::Record;

pub use component::Component;
pub(super) use delete::down;
pub use objects::objects;
pub use spec::Spec;
pub use status::{ProcessStatus, Simulated};

/// How long another handsctl may work on the same cluster.
const OTHERS: Duration = Duration::from_secs(600);
/// Name of the step that makes or starts the cluster.
const CONTROL_PLANE: &str = "control plane";

/// The context of a cluster of this provider.
fn context(name: &str) -> String {
    Maker::Kwok.context(name)
}

/// How the cluster is, and its own kubeconfig.
pub(super) fn status(environment: &Environment, name: &str) -> Result<(Condition, PathBuf, Simulated)> {
    let folder = Folder::of(&environment.state, name);
    let (condition, details) = status::status(&folder)?;
    Ok((condition, folder.kubeconfig(), details))
}

/// Makes, starts or leaves the cluster, so that afterwards it runs and the user's kubeconfig knows it.
pub(super) async fn up(
    environment: &Environment,
    wanted: &Wanted,
    options: &Options,
    events: &Events,
) -> Result<LocalCluster> {
    let folder = Folder::of(&environment.state, &wanted.name);
    let _lock = lock_cluster(&folder, events).await?;
    let found = status::find(&folder)?;
    let (mut record, outcome) = match (&found.condition, found.record.clone()) {
        (Condition::Running, Some(record)) if agrees(&record, wanted, options)? => {
            answers(&folder).await?;
            events
                .done(Part::Cluster, CONTROL_PLANE, format!("{} running", record.made.spec.kubernetes))
                .await;
            (record, Started::Running)
        }
        (Condition::Stopped, Some(record)) if agrees(&record, wanted, options)? => {
            start::restart(environment, &folder, &record, &found, events).await?;
            (record, Started::Restarted)
        }
        (Condition::Absent, _) => {
            (start::create(environment, &folder, wanted, options, events).await?, Started::Created)
        }
        _ => {
            delete::clear(&folder, &found, events).await?;
            (start::create(environment, &folder, wanted, options, events).await?, Started::Created)
        }
    };
    let entry = Entry::read(&folder.kubeconfig(), &context(&folder.name), Maker::Kwok)?;
    let explicit = options.kubeconfig.as_deref();
    contexts::merge(environment, &folder.own, &mut record, &entry, explicit, events).await?;
    Ok(LocalCluster {
        context: context(&wanted.name),
        kubeconfig: folder.kubeconfig(),
        simulated: true,
        outcome,
    })
}

async fn lock_cluster(folder: &Folder, events: &Events) -> Result<lock::Lock> {
    lock::folder(&folder.own, OTHERS, async || {
        let message = format!("another handsctl works on cluster {}", folder.name);
        events.begin(Part::Cluster, CONTROL_PLANE, message).await;
    })
    .await
}

/// Whether the cluster is what is wanted; false: it is to be made anew.
fn agrees(record: &Record, wanted: &Wanted, options: &Options) -> Result<bool> {
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
async fn answers(folder: &Folder) -> Result<()> {
    kwokctl::wait_until_ready(folder)
        .await
        .map_err(|error| error.hint("handsctl cluster up --recreate").hint("handsctl cluster down"))
}
