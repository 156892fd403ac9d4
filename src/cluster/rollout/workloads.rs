//! Waits until workloads outside of a set are ready: cluster DNS, an ingress controller.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::follow::{self, RolloutResult, RolloutWatch};
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::watch::observe;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::cluster::watch::store::all_of;
use crate::cluster::watch::watcher::{WatchScope, Watches};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::ObjectId;
use crate::object::kind::{DEPLOYMENT, EVENT, JOB, KindInfo, POD, REPLICA_SET};
use crate::plan::inventory::members::Members;
use crate::status::{GracePeriods, ObservedState};

/// The workloads to wait for.
#[derive(Debug, Clone, Copy)]
pub struct WorkloadWait<'a> {
    /// The namespace of all its workloads.
    pub namespace: &'a str,
    /// The workloads.
    pub workloads: &'a [ObjectId],
    /// The workloads that this run has just applied; the others are unchanged.
    pub changed: &'a [ObjectId],
    /// Whether this run started the nodes. The pods are older, and some wait for the API server and the cluster's network.
    pub restarted: bool,
    /// The command's deadline.
    pub deadline: Instant,
}

/// How long pods of started nodes may take to become ready again.
const RESTART: Duration = Duration::from_secs(5 * 60);

/// Waits until the workloads are ready, by watches, and fails as soon as they cannot become ready.
///
/// # Errors
/// Exit 10 if the deadline passes; exit 14 if a workload does not exist at all.
pub async fn wait_for_workloads(
    api: &Api,
    streaming: bool,
    wait: WorkloadWait<'_>,
    events: &Events,
) -> Result<RolloutResult> {
    let mut watches = Watches::open(api, scopes(wait.namespace), streaming);
    let (lists, _) = watches.initial_lists().await?;
    let (mut state, mut members) = (ObservedState::default(), Members::new());
    for (index, (scope, list)) in watches.scopes().iter().zip(lists).enumerate() {
        observe::show_list(&mut state, index, scope.kind, &list, api.clock().now())?;
        members.extend(list.into_iter().filter_map(|object| workload(scope.kind, wait, object)));
    }
    if let Some(missing) = wait.workloads.iter().find(|id| !members.contains_key(id)) {
        let message = format!("{missing} in namespace {} does not exist", wait.namespace);
        return Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message)
            .hint("handsctl cluster up --recreate deletes everything in the cluster, and creates it again"));
    }
    let mut expected = observed_set::expected_unchanged(&members);
    for expectation in &mut expected {
        expectation.changed = wait.changed.contains(&expectation.id);
    }
    let started = api.clock().floor();
    let grace = GracePeriods::starting_at(started);
    let grace =
        if wait.restarted { GracePeriods { members_changed: true, fix: RESTART, ..grace } } else { grace };
    let rollout = RolloutWatch { expected, grace, deadline: wait.deadline, usual: None };
    let mut observed = ObservedSet { watches, members, state };
    let result = follow::follow(api, &mut observed, &rollout, None, events).await?;
    if let RolloutResult::Failed(findings) | RolloutResult::Expired(_, findings) = &result {
        follow::report_findings(findings, events).await;
    }
    match result {
        RolloutResult::Expired(error, _) => Err(error),
        result => Ok(result),
    }
}

fn scopes(namespace: &str) -> Vec<WatchScope> {
    let scope = |kind: KindInfo| all_of(kind, Some(namespace));
    vec![
        scope(DEPLOYMENT),
        scope(JOB),
        scope(REPLICA_SET),
        scope(POD),
        WatchScope { optional: true, ..scope(EVENT) },
    ]
}

fn workload(kind: KindInfo, wait: WorkloadWait<'_>, object: Value) -> Option<(ObjectId, Value)> {
    let id = kind.id(wait.namespace, object["metadata"]["name"].as_str()?);
    wait.workloads.contains(&id).then_some((id, object))
}
