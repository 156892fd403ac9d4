//! `deploy --dry-run`: what would be done, and with `=server` what the API server says to it.

use super::prepare::Prepared;
use super::summary::{Undo, counts, finished};
use crate::cluster::apply::applied::{Applied, ApplyMode};
use crate::cluster::apply::waves::{self, Change};
use crate::error::Result;
use crate::event::{Action, Events, Finished, Phase};
use crate::flags::DryRun;
use crate::plan::inventory::prune::PruneDecision;
use crate::plan::inventory::revision::RevisionResult;
use crate::session::cluster_session::Session;

/// Tells of every member what would be done. Nothing is changed.
///
/// # Errors
/// Where the server would refuse.
pub(crate) async fn dry_run(
    session: &Session,
    prepared: &Prepared,
    who: DryRun,
    events: &Events,
) -> Result<Finished> {
    let Prepared { plan, survey, live, needs, ownership, .. } = prepared;
    let missing = survey.missing_namespaces();
    if who == DryRun::Server && missing.is_empty() {
        let api = &session.connection.api;
        let mut applied =
            waves::apply(api, plan, needs, &live.members, ownership, ApplyMode::DryRun, events).await?;
        applied.extend(leftovers(prepared, events).await);
        let message = format!("dry run, checked by the server: {}", counts(&applied));
        return Ok(finished(&applied, message, Undo::nothing()));
    }
    let mut applied = Vec::new();
    for (member, need) in plan.members.iter().zip(needs) {
        let action = match need {
            Change::Unchanged => Action::Unchanged,
            Change::Create(_) => Action::Created,
            Change::Update(_) => Action::Configured,
        };
        let object = member.id.clone();
        events.object(Phase::Apply, object, action, None).await;
        applied.push(Applied { id: member.id.clone(), action, object: None });
    }
    applied.extend(leftovers(prepared, events).await);
    let checked = match who {
        DryRun::Client => "dry run".to_owned(),
        DryRun::Server => {
            format!("dry run, not checked by the server: namespace {} does not exist yet", missing.join(", "))
        }
    };
    Ok(finished(&applied, format!("{checked}: {}", counts(&applied)), Undo::nothing()))
}

/// Tells what would become of members that are no longer planned.
async fn leftovers(prepared: &Prepared, events: &Events) -> Vec<Applied> {
    let mut told = Vec::new();
    for leftover in prepared.leftovers(RevisionResult::Good) {
        let (action, message) = match leftover.decision {
            PruneDecision::Delete => (Action::Pruned, None),
            PruneDecision::DeleteWithData => (Action::Pruned, Some("and the data on it".to_owned())),
            PruneDecision::Keep(why) => (Action::Kept, Some(why)),
            PruneDecision::InUse => continue,
        };
        let object = leftover.id.clone();
        events.object(Phase::Prune, object, action, message).await;
        told.push(Applied { id: leftover.id, action, object: None });
    }
    told
}
