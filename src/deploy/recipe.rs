//! The steps of `deploy`, `rollback` and the second half of `up`.

use super::auto_rollback::auto_rollback;
use super::dry_run::dry_run;
use super::execute::{execute, verify_unchanged};
use super::prepare::{Preparation, prepare};
use super::prepull::prepull;
use super::version_change;
use crate::cluster::apply::namespaces;
use crate::error::Result;
use crate::event::{Event, Finished, Phase};
use crate::flags::{DryRun, Probe};
use crate::plan::changes::ChangePolicy;
use crate::plan::desired::Goal;
use crate::session::runner::Run;
use crate::session::step::step;

/// The parameters of a deploy or rollback.
#[derive(Debug, Clone)]
pub(crate) struct DeployRequest {
    /// Name of the command: `deploy`, `rollback`.
    pub(crate) command: &'static str,
    /// The configuration or the revision to apply.
    pub(crate) goal: Goal,
    /// The rules for changes of the set.
    pub(crate) policy: ChangePolicy,
    /// Where a dry run is checked; None to execute the changes.
    pub(crate) dry_run: Option<DryRun>,
    /// When the application is probed.
    pub(crate) probe: Probe,
    /// True if a failed rollout may be rolled back.
    pub(crate) auto_rollback: bool,
}

/// Applies the requested state and waits until the application works.
///
/// # Errors
/// The first error of a step, with the finished and the unfinished changes.
pub(crate) async fn deploy(run: &Run<'_>, request: &DeployRequest) -> Result<Finished> {
    run.events().target(request.title(), run.session.target()).await;
    let mut prepared = step(run.events(), Phase::Preflight, "preflight", prepare(run, request)).await?;
    version_change::report(&prepared, run.events()).await;
    report_planned(run, &prepared).await;
    if let Some(mode) = request.dry_run {
        return dry_run(run, request, &prepared, mode).await;
    }
    if prepared.changes.is_empty() {
        return verify_unchanged(run, request, &mut prepared).await;
    }
    // The lock is a Lease in the application's namespace, which must exist first.
    let missing = prepared.state.missing_namespaces();
    namespaces::create_missing(run.api(), &prepared.changes.plan, &missing, run.events()).await?;
    let set = prepared.state.set.clone();
    run.under_lock(&set, async {
        // Another run may have changed the set since.
        prepared.refresh(run, request).await?;
        prepull(run, &prepared).await?;
        match execute(run, request, &mut prepared).await {
            Ok(finished) => Ok(finished),
            Err(error) => Err(auto_rollback(run, request, &mut prepared, error).await),
        }
    })
    .await
}

impl DeployRequest {
    fn title(&self) -> String {
        match self.dry_run {
            Some(_) => format!("{} (dry run)", self.command),
            None => self.command.to_owned(),
        }
    }
}

async fn report_planned(run: &Run<'_>, prepared: &Preparation) {
    let objects = prepared.changes.member_ids().cloned().collect();
    run.events().send(Event::Planned { phase: Phase::Apply, objects }).await;
}
