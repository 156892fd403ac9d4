//! The part of `deploy` before the old pod is stopped: a changed image has to be on its node by then.

use super::prepare::Prepared;
use super::rollout;
use crate::catalogue::Id;
use crate::cluster::app::probe;
use crate::cluster::apply::waves::Change;
use crate::cluster::nodes::image_pull::{self, PullLimits, PullResult};
use crate::cluster::watch::observed_set;
use crate::error::{Error, Result};
use crate::event::{Events, Phase, Progress};
use crate::object::kind::DEPLOYMENT;
use crate::plan::manifests::image_pull_pod::{ImagePull, before_change, owner};
use crate::session::cluster_session::Session;
use crate::session::step::Deadline;
use crate::status::Finding;

/// Name of the step.
const STEP: &str = "prepull";

/// Pulls the image that the Deployment changes to, where a pod is serving that would be stopped for it.
///
/// # Errors
/// Exit 9 where the image cannot be had: nothing was changed by then.
pub(crate) async fn prepull(
    session: &Session,
    prepared: &Prepared,
    deadline: Deadline,
    events: &Events,
) -> Result<()> {
    if !session.settings.deploy.prepull {
        return Ok(());
    }
    let serving = observed_set::ready_pods(&prepared.live.state);
    let Some(old) = serving.first() else { return Ok(()) };
    let node = old.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let Some(pull) = wanted(prepared, node) else { return Ok(()) };
    let api = &session.connection.api;
    if probe::is_simulated(api, old).await {
        events.step(Phase::Preflight, STEP, Progress::Skipped, "simulated nodes: no image is pulled").await;
        return Ok(());
    }
    events.begin(Phase::Preflight, STEP, pull.image.clone()).await;
    image_pull::delete_leftover_pods(api, &pull.namespace, &pull.set).await?;
    let patience = PullLimits {
        tolerance: rollout::grace_periods(&session.settings, api.traffic().last_date()),
        deadline: deadline.at,
        streaming: prepared.streaming,
    };
    match image_pull::pull(api, &pull, patience, events).await {
        Ok(PullResult::Pulled) => {
            events.done(Phase::Preflight, STEP, pull.image).await;
            Ok(())
        }
        Ok(PullResult::Rejected(error)) => {
            let why = error.causes();
            not_tried(&pull, &why.join(": "), events).await;
            Ok(())
        }
        Ok(PullResult::Unscheduled(findings)) => {
            let why: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
            not_tried(&pull, &why.join("; "), events).await;
            Ok(())
        }
        Ok(PullResult::Failed(findings) | PullResult::NotRunnable(findings)) => {
            events.step(Phase::Preflight, STEP, Progress::Failed, pull.image).await;
            Err(refused(session, prepared, &findings))
        }
        Err(error) => {
            events.step(Phase::Preflight, STEP, Progress::Failed, "").await;
            Err(error.state(unchanged(prepared)))
        }
    }
}

async fn not_tried(pull: &ImagePull, why: &str, events: &Events) {
    events.step(Phase::Preflight, STEP, Progress::Skipped, "not possible").await;
    let message = format!(
        "{} could not be pulled before the old pod is stopped, and is pulled afterwards: {why}",
        pull.image
    );
    events.warn(Id::NotPrepulled, message).await;
}

fn wanted(prepared: &Prepared, node: Option<&str>) -> Option<ImagePull> {
    let mut pairs = prepared.plan.members.iter().zip(&prepared.needs);
    let changed = pairs.find(|(member, need)| member.kind == DEPLOYMENT && matches!(need, Change::Update(_)));
    let (member, _) = changed?;
    let live = prepared.live.members.get(&member.id)?;
    let pull = before_change(member, live, &prepared.plan.set.name, node)?;
    Some(ImagePull { owner: prepared.survey.parent.as_ref().and_then(owner), ..pull })
}

fn refused(session: &Session, prepared: &Prepared, findings: &[Finding]) -> Error {
    let error = rollout::explained(findings);
    let id = error.id();
    error
        .at_config(id.entry().key.and_then(|key| session.settings.locate(key)))
        .state(unchanged(prepared))
        .hint("mend it and run handsctl deploy again")
        .hint(format!("handsctl explain {id}"))
}

/// What people who use the application see meanwhile.
fn unchanged(prepared: &Prepared) -> String {
    let serving = match prepared.survey.history.latest_good() {
        Some(revision) => format!("revision {} is serving", revision.number),
        None => "the old pod is serving".to_owned(),
    };
    format!("nothing was changed: the new image is pulled before the old pod is stopped; {serving}")
}
