//! Fails before the first write if the live objects expose the application more than the configuration does.

use serde_json::Value;

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::apply::applied::Applied;
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::plan::PlanOrigin;
use crate::plan::changes::Change;
use crate::plan::ownership::live_exposure::{LiveExposure, Membership, live_exposures};
use crate::session::runner::Run;

/// Checks the objects that the run leaves as they are.
///
/// # Errors
/// Exit 7 if they expose the application by fields of others, and it has no login.
pub(super) fn ensure_unchanged_contained(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let unchanged = prepared.changes.plan.members.iter().zip(&prepared.changes.members);
    let unchanged = unchanged.filter(|(_, change)| **change == Change::Unchanged).map(|(member, _)| member);
    let live = unchanged
        .filter_map(|member| prepared.observed.members.get(&member.id).map(|object| (&member.id, object)));
    ensure_contained(run, prepared, &live.collect::<Vec<_>>())
}

/// Checks the objects as a dry run returned them.
///
/// # Errors
/// As [`ensure_unchanged_contained`].
pub(super) fn ensure_results_contained(
    run: &Run<'_>,
    prepared: &Preparation,
    results: &[Applied],
) -> Result<()> {
    let objects = results.iter().filter_map(|result| Some((&result.id, result.object.as_ref()?)));
    ensure_contained(run, prepared, &objects.collect::<Vec<_>>())
}

fn ensure_contained(run: &Run<'_>, prepared: &Preparation, objects: &[(&ObjectId, &Value)]) -> Result<()> {
    let plan = &prepared.changes.plan;
    // A rollback is a way out of other failures, and `status` warns of the exposure.
    if plan.origin != PlanOrigin::Configuration || run.session.accepts_exposure() {
        return Ok(());
    }
    let live = objects.iter().filter_map(|(id, object)| {
        let member = plan.members.iter().find(|member| member.id == **id)?;
        let is_member = prepared.observed.members.contains_key(*id);
        Some((member, *object, if is_member { Membership::Member } else { Membership::New }))
    });
    let exposures = live_exposures(&plan.set.name, &plan.set.namespace, live);
    error(&exposures, run).map_or(Ok(()), Err)
}

fn error(exposures: &[LiveExposure], run: &Run<'_>) -> Option<Error> {
    let (first, others) = exposures.split_first()?;
    let mut message =
        format!("OpenHands has no login, but {} {}", first.id.with_namespace(), first.sentence());
    for other in others {
        message = format!("{message}, and {} {}", other.id.with_namespace(), other.sentence());
    }
    let now = run.api().clock().now();
    let mut error = Error::new(Id::ExposedByOthers, Kind::Ownership, message);
    for exposure in exposures {
        error = error.fact("fields", exposure.lines(now).join("\n"));
    }
    let commands = exposures.iter().map(LiveExposure::command);
    error = commands.fold(error, |error, command| error.hint(format!("to end it: {command}")));
    let error = error
        .hint("to accept it: [deploy] exposure = \"acknowledged\"")
        .state("the installation was not changed");
    Some(error)
}
