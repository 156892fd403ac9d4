//! Waits until workloads that are no members of a set are as they should be: cluster DNS, an ingress controller.

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

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub struct WorkloadWait<'a> {
    /// The namespace that everything of it is in.
    pub namespace: &'a str,
    /// Its workloads.
    pub workloads: &'a [ObjectId],
    /// Those that this run has just sent, as the server answered; the others are as they were.
    pub changed: &'a [ObjectId],
    /// When the command's time is over.
    pub deadline: Instant,
}

/// Waits for it: by watch, and with a verdict as soon as it cannot succeed.
///
/// # Errors
/// Exit 10 when the deadline passes; exit 14 where a workload does not exist at all.
pub async fn wait_for_workloads(
    api: &Api,
    streaming: bool,
    wanted: WorkloadWait<'_>,
    events: &Events,
) -> Result<RolloutResult> {
    let mut watches = Watches::open(api, scopes(wanted.namespace), streaming);
    let (lists, _) = watches.initial_lists().await?;
    let (mut state, mut members) = (ObservedState::default(), Members::new());
    for (index, (scope, list)) in watches.scopes().iter().zip(lists).enumerate() {
        observe::show_list(&mut state, index, scope.kind, &list, api.clock().now())?;
        members.extend(list.into_iter().filter_map(|object| workload(scope.kind, wanted, object)));
    }
    if let Some(missing) = wanted.workloads.iter().find(|id| !members.contains_key(id)) {
        let message = format!("{missing} in namespace {} does not exist", wanted.namespace);
        return Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message)
            .hint("handsctl cluster up --recreate makes the cluster anew"));
    }
    let mut expected = observed_set::expected_unchanged(&members);
    for one in &mut expected {
        one.changed = wanted.changed.contains(&one.id);
    }
    let started = api.clock().floor();
    let grace = GracePeriods::starting_at(started);
    let rollout = RolloutWatch { expected, grace, deadline: wanted.deadline };
    let mut observed = ObservedSet { watches, members, state };
    follow::follow(api, &mut observed, &rollout, events).await
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

fn workload(kind: KindInfo, wanted: WorkloadWait<'_>, object: Value) -> Option<(ObjectId, Value)> {
    let id = kind.id(wanted.namespace, object["metadata"]["name"].as_str()?);
    wanted.workloads.contains(&id).then_some((id, object))
}
