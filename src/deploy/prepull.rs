//! Pulls a changed image onto the node before the old pod is stopped, so that the stop does not last as long as the
//! pull.

use super::prepare::Preparation;
use super::{rollout, sandbox_capacity};
use crate::catalogue::Id;
use crate::cluster::app::probe;
use crate::cluster::nodes::capacity;
use crate::cluster::nodes::image_pull::{self, PullLimits, PullResult};
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow;
use crate::error::Result;
use crate::event::{Events, Phase, Progress};
use crate::object::kind::DEPLOYMENT;
use crate::phrase;
use crate::plan::Member;
use crate::plan::changes::Change;
use crate::plan::manifests::image_pull_pod::{ImagePull, before_change, owner, present_on};
use crate::session::runner::Run;

/// The state that a failed pull leaves.
const UNCHANGED: &str =
    "nothing was changed: the new image is pulled before the old pod is stopped; the old pod is serving";

/// Name of the step.
const STEP: &str = "prepull";

/// Pulls the Deployment's new image if a ready pod would be stopped for it.
///
/// # Errors
/// Exit 9 if the image cannot be pulled; nothing was changed yet.
pub(crate) async fn prepull(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    if !run.settings().deploy.prepull {
        return Ok(());
    }
    let serving = prepared.observed.ready_pods(&run.session.set());
    let Some(old_pod) = serving.first() else { return Ok(()) };
    let node = old_pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let Some((member, pull)) = needed_pull(prepared, node) else { return Ok(()) };
    let (api, events) = (run.api(), run.events());
    if probe::is_simulated(api, old_pod).await {
        events.step(Phase::Preflight, STEP, Progress::Skipped, "simulated nodes: no image is pulled").await;
        return Ok(());
    }
    if let Some(count) = nodes_with_image(run, member, &pull.image).await {
        let message = format!("{}: present on {}", pull.image, phrase::count(count, "node"));
        events.step(Phase::Preflight, STEP, Progress::Skipped, message).await;
        return Ok(());
    }
    events.begin(Phase::Preflight, STEP, pull.image.clone()).await;
    image_pull::delete_leftover_pods(api, &pull.namespace, &pull.set).await?;
    let limits = PullLimits {
        grace: rollout::grace_periods(run.settings(), api.clock().floor()),
        deadline: run.deadline().at,
        streaming: prepared.streaming,
        usual: prepared.usual_run(),
    };
    match image_pull::pull(api, &pull, limits, run.settings(), events).await {
        Ok(PullResult::Pulled) => {
            events.done(Phase::Preflight, STEP, pull.image).await;
            Ok(())
        }
        Ok(PullResult::Rejected(error)) => {
            warn_not_prepulled(&pull, &error.causes().join(": "), events).await;
            Ok(())
        }
        Ok(PullResult::Unscheduled(findings)) => {
            let reasons: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
            warn_not_prepulled(&pull, &reasons.join("; "), events).await;
            Ok(())
        }
        Ok(PullResult::Failed(findings) | PullResult::NotRunnable(findings)) => {
            follow::report_findings(&findings, events).await;
            events.step(Phase::Preflight, STEP, Progress::Failed, pull.image).await;
            Err(finding_error(&findings).state(UNCHANGED))
        }
        Err(error) => {
            events.step(Phase::Preflight, STEP, Progress::Failed, "").await;
            Err(error.state(UNCHANGED))
        }
    }
}

async fn warn_not_prepulled(pull: &ImagePull, reason: &str, events: &Events) {
    events.step(Phase::Preflight, STEP, Progress::Skipped, "not possible").await;
    let message = format!(
        "cannot pull {} before the old pod is stopped; it is pulled afterwards: {reason}",
        pull.image
    );
    events.warn(Id::NotPrepulled, message).await;
}

/// Returns the number of nodes that can run the new pod, if every one of them has its image; None if one lacks it, or
/// the nodes cannot be listed.
async fn nodes_with_image(run: &Run<'_>, member: &Member, image: &str) -> Option<usize> {
    let nodes = capacity::try_nodes(run.api()).await?;
    let listed = present_on(&member.manifest, &nodes, &[]);
    if listed.is_some() {
        return listed;
    }
    // `up` may just have loaded it, and the nodes' status does not list it yet.
    let loaded = sandbox_capacity::local_nodes_with_image(run.session, image).await;
    present_on(&member.manifest, &nodes, &loaded)
}

/// Returns the changed Deployment and the pull of its new image; None if its image does not change.
fn needed_pull<'a>(prepared: &'a Preparation, node: Option<&str>) -> Option<(&'a Member, ImagePull)> {
    let changes = &prepared.changes;
    let is_update = |change: &Change| matches!(change, Change::Update(_));
    let mut updates = changes.to_send().filter(|(_, change)| is_update(change));
    let (member, _) = updates.find(|(member, _)| member.kind == DEPLOYMENT)?;
    let live = prepared.observed.members.get(&member.id)?;
    let pull = before_change(member, live, &changes.plan.set.name, node)?;
    Some((member, ImagePull { owner: prepared.state.parent.as_ref().and_then(owner), ..pull }))
}
