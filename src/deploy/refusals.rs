//! Adds the line of config.toml to what the API server rejects before the first write.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::prepare::Preparation;
use super::request::DeployRequest;
use super::{live_exposure, quota_room};
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::refusals::CheckScope;
use crate::cluster::apply::{inventory, refusals};
use crate::cluster::rollout::webhook;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Result};
use crate::object::webhook::failed_webhook;
use crate::plan::rejection_words;
use crate::session::runner::Run;

/// Time limit for what explains a rejection.
const EXPLANATION: Duration = Duration::from_secs(2);

/// Checks the planned changes as in [`refusals::check`], what the new objects take of the quotas together, and who reaches
/// the application after them.
///
/// # Errors
/// The first rejection with all others, as in [`refusals::check`]. Exit 7 if others expose the application.
pub(super) async fn check(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
    scope: CheckScope<'_>,
) -> Result<Vec<Applied>> {
    let (changes, observed) = (&prepared.changes, &prepared.observed);
    let (new_key, checked, quotas) = tokio::join!(
        check_new_key(run, prepared),
        refusals::check(run.api(), changes, &request.policy.ownership, observed, scope),
        quota_room::quotas(run.api(), prepared),
    );
    let checked = checked?;
    let rejections = new_key.err().into_iter().chain(checked.rejections);
    let mut rejections = join_all(rejections.map(|error| with_webhook(error, run))).await;
    let together = quota_room::rejections(run, request, prepared, &quotas, &rejections);
    rejections.extend(together);
    let mut rejections = rejections.into_iter().map(|error| located(error, run));
    let Some(first) = rejections.next() else {
        live_exposure::ensure_results_contained(run, prepared, &checked.results)?;
        return Ok(checked.results);
    };
    Err(refusals::with_pods_kept(first.with_others(rejections), observed))
}

/// Adds who installed a webhook that does not respond, and the state of its server.
async fn with_webhook(error: Error, run: &Run<'_>) -> Error {
    let causes = error.causes().join("; ");
    let Some(name) = failed_webhook(&causes) else { return error };
    let lines = timeout(EXPLANATION, webhook::lines(run.api(), name)).await.unwrap_or_default();
    lines.into_iter().fold(error, |error, line| error.fact("webhook", line))
}

/// Checks that the installation's key can be stored, if it is not yet.
///
/// # Errors
/// As [`inventory::check_new_key`].
async fn check_new_key(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let (changes, key) = (&prepared.changes, &prepared.state.key.key);
    if !changes.stores_key {
        return Ok(());
    }
    inventory::check_new_key(run.api(), &changes.plan.set, key).await
}

/// Checks the pods of a restart as in [`refusals::check_restart`].
///
/// # Errors
/// As [`refusals::check_restart`].
pub(crate) async fn check_restart(run: &Run<'_>, observed: &ObservedSet) -> Result<()> {
    refusals::check_restart(run.api(), observed).await.map_err(|error| located(error, run))
}

/// Adds the keys of config.toml that cause a rejection, to each one of an apply.
pub(super) fn located(error: Error, run: &Run<'_>) -> Error {
    error.map_each(|error| rejection_words::explained(error, run.settings()))
}
