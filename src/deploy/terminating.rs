//! Waits for namespaces and members that are being deleted, so that they can be created anew.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::prepare::{Preparation, prepare};
use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::apply::delete_object;
use crate::cluster::apply::deletion_wait::{self, DeletedObject};
use crate::cluster::apply::namespaces::{self, NamespaceState};
use crate::error::{Error, Kind, Result};
use crate::event::{Phase, Progress};
use crate::object::kind::NAMESPACE;
use crate::object::{ObjectId, deletion};
use crate::plan::changes::Changes;
use crate::plan::goal::Goal;
use crate::plan::inventory::members;
use crate::session::runner::Run;
use crate::session::step::LONGER_LIMIT;

/// Name of the step.
const STEP: &str = "deletion";

/// Prepares the changes. If a namespace of the set is being deleted, waits until it is gone first: the configuration can
/// be deployed again then. A dry run does not wait, and a revision is gone with its namespace.
///
/// # Errors
/// Those of the preparation; exit 10 if the namespace still exists at the deadline.
pub(super) async fn prepare_after_deletion(run: &Run<'_>, request: &DeployRequest) -> Result<Preparation> {
    let prepared = prepare(run, request).await;
    let waits = request.dry_run.is_none() && request.goal == Goal::Configuration;
    match prepared {
        Err(error) if error.id() == Id::NamespaceTerminating && waits => {
            wait_for_namespaces(run).await?;
            prepare(run, request).await
        }
        prepared => prepared,
    }
}

async fn wait_for_namespaces(run: &Run<'_>) -> Result<()> {
    let (api, events) = (run.api(), run.events());
    let set = run.session.set();
    let reads = set.namespaces().into_iter().map(|name| namespaces::get_even_terminating(api, name));
    let states = try_join_all(reads).await?;
    let terminating = states.into_iter().filter_map(|state| match state {
        NamespaceState::Present(object) if deletion::deleted_since(&object).is_some() => {
            let name = object["metadata"]["name"].as_str()?;
            let id = ObjectId::cluster("", NAMESPACE.kind, name);
            Some(DeletedObject { id, collection: NAMESPACE.collection(None), object })
        }
        _ => None,
    });
    let terminating: Vec<DeletedObject> = terminating.collect();
    if terminating.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = terminating.iter().map(|object| object.id.name.clone()).collect();
    wait(run, terminating, |remaining| match remaining {
        [first, ..] => namespaces::terminating(&first.id.name, &first.object),
        [] => Error::internal("no namespace is left"),
    })
    .await?;
    for name in names {
        let message = format!(
            "namespace {name} was deleted with everything in it, also its volumes; this run creates it again"
        );
        events.warn(Id::NamespaceTerminating, message).await;
    }
    Ok(())
}

/// Returns the workloads that are stopped so that the deletion of their claim completes: with `--delete-data`.
pub(super) fn stopped(changes: &Changes) -> impl Iterator<Item = &ObjectId> {
    let recreated: BTreeSet<&ObjectId> = changes.recreated().map(|member| &member.id).collect();
    let claims = changes.held_claims.iter().filter(move |claim| recreated.contains(&claim.id));
    claims.flat_map(|claim| &claim.workloads)
}

/// Waits until the members that are being deleted are gone, and compares again, so that they are created. With
/// `--delete-data` it first deletes the workloads whose pods keep a claim.
///
/// # Errors
/// Exit 10 with finalizer and manager if a member still exists at the deadline. Then nothing but the
/// deleted workloads was changed.
pub(super) async fn wait_for_members(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &mut Preparation,
) -> Result<()> {
    let changes = &prepared.changes;
    let deleted = changes.recreated().filter_map(|member| {
        let object = prepared.observed.members.get(&member.id)?.clone();
        let collection = member.kind.collection(member.id.namespace.as_deref());
        Some(DeletedObject { id: member.id.clone(), collection, object })
    });
    let mut deleted: Vec<DeletedObject> = deleted.collect();
    if deleted.is_empty() {
        return Ok(());
    }
    let to_stop: BTreeSet<&ObjectId> = stopped(changes).collect();
    for id in &to_stop {
        deleted.extend(stop(run, prepared, id).await?);
    }
    let state = match to_stop.first() {
        Some(workload) => format!("{workload} was deleted; the next deploy creates it again"),
        None => "the installation was not changed".to_owned(),
    };
    wait(run, deleted, |remaining| {
        let remaining: Vec<_> =
            remaining.iter().map(|object| (object.id.clone(), object.object.clone())).collect();
        deletion_wait::still_deleted_error(&remaining).state(&state)
    })
    .await?;
    prepared.refresh(run, request).await
}

/// Deletes a workload of the set, because its pods keep a claim that is to be created anew.
async fn stop(run: &Run<'_>, prepared: &Preparation, id: &ObjectId) -> Result<Option<DeletedObject>> {
    let set = &prepared.state.set;
    let (Some(kind), Some(object)) = (set.kind_of(id), prepared.observed.members.get(id)) else {
        return Ok(None);
    };
    let is_deletable = |live: &serde_json::Value| members::is_member(live, set);
    delete_object::delete_unchanged(run.api(), set, id, object, is_deletable).await?;
    let collection = kind.collection(id.namespace.as_deref());
    Ok(Some(DeletedObject { id: id.clone(), collection, object: object.clone() }))
}

/// Returns the error of a wait that the deadline ended: the server rejected nothing.
fn timed_out(error: Error) -> Error {
    let id = error.id();
    error.replace_kind(id, Kind::Deadline).hint(LONGER_LIMIT)
}

/// Waits until the objects are gone, as a step of the command.
async fn wait(
    run: &Run<'_>,
    objects: Vec<DeletedObject>,
    still_deleted: impl FnOnce(&[DeletedObject]) -> Error,
) -> Result<()> {
    let events = run.events();
    let names: Vec<String> = objects.iter().map(|object| object.id.to_string()).collect();
    let names = names.join(", ");
    events.begin(Phase::Preflight, STEP, format!("waits until {names} is gone")).await;
    let outcome = match deletion_wait::until_gone(run.api(), objects, run.deadline().at, events).await {
        Ok(remaining) if remaining.is_empty() => Ok(()),
        Ok(remaining) => Err(timed_out(still_deleted(&remaining))),
        Err(error) => Err(error),
    };
    let progress = if outcome.is_ok() { Progress::Done } else { Progress::Failed };
    events.step(Phase::Preflight, STEP, progress, names).await;
    outcome
}
