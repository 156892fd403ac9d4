//! Warns that a volume is new although the set had one before.

use std::collections::BTreeSet;

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::teardown;
use crate::error::Result;
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, POD};
use crate::plan::changes::Change;
use crate::plan::inventory::history::History;
use crate::session::runner::Run;

/// Warns about each claim that is created anew, and names the sandboxes of earlier conversations.
///
/// # Errors
/// None: sandboxes that cannot be listed are left out.
pub(super) async fn report(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let created = prepared.changes.to_send().filter(|(member, change)| {
        member.kind == CLAIM && matches!(change, Change::Create | Change::Recreate)
    });
    let earlier = earlier_claims(&prepared.state.history);
    let new: Vec<&ObjectId> =
        created.map(|(member, _)| &member.id).filter(|id| earlier.contains(id)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let sandboxes = teardown::list_sandboxes(run.api(), run.settings().runtime_namespace()).await;
    let orphans = orphans(&sandboxes.unwrap_or_default());
    for id in new {
        let message = format!(
            "{id} of an earlier revision is created anew: the volume is new and empty, without the settings and \
             conversations of before{orphans}"
        );
        run.events().warn(Id::NewVolume, message).await;
    }
    Ok(())
}

/// Returns the claims of all kept revisions.
fn earlier_claims(history: &History) -> BTreeSet<ObjectId> {
    let snapshots = history.all().iter().filter_map(|revision| revision.snapshot.as_ref());
    let members = snapshots.flat_map(|snapshot| &snapshot.members);
    members.filter(|member| member["kind"] == CLAIM.kind).filter_map(ObjectId::from_object).collect()
}

/// Names the pods and claims of earlier conversations, which no conversation of the new volume refers to.
fn orphans(sandboxes: &[ObjectId]) -> String {
    let names = |kind: &str| -> Vec<String> {
        sandboxes.iter().filter(|id| id.kind == kind).map(ToString::to_string).collect()
    };
    let (pods, claims) = (names(POD.kind), names(CLAIM.kind));
    let all: Vec<String> = pods.into_iter().chain(claims).collect();
    if all.is_empty() {
        return String::new();
    }
    format!(
        "; these belong to no conversation any more, and their volumes still have the files: {}",
        all.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphaned_sandboxes_are_named() {
        assert_eq!(orphans(&[]), "");
        let text = orphans(&[
            CLAIM.id("n", "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-pvc"),
            POD.id("n", "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ]);
        assert!(
            text.ends_with(": pod/openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, persistentvolumeclaim/openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-pvc"),
            "{text}"
        );
    }
}
