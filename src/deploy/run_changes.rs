//! Reports what a run is about to change against the latest revision, who started it, and how long the last good run took.

use super::prepare::Preparation;
use super::request::DeployRequest;
use crate::event::{Event, RunChanges};
use crate::object::Mask;
use crate::object::kind::SECRET;
use crate::plan::changes::RevisionChange;
use crate::plan::diff::recorded_changes;
use crate::plan::inventory::provenance::Provenance;
use crate::plan::inventory::snapshot::Snapshot;
use crate::session::runner::Run;
use crate::settings::FieldKeys;

/// Sends the event.
pub(super) async fn report(run: &Run<'_>, request: &DeployRequest, prepared: &Preparation) {
    let latest = prepared.state.history.latest();
    let changed = match (prepared.changes.revision, latest) {
        (RevisionChange::Existing { .. }, _) | (_, None) => Some(Vec::new()),
        (RevisionChange::New(_), Some(latest)) => {
            latest.snapshot.as_ref().map(|before| names_of_changes(prepared, before))
        }
    };
    let note = request.note.as_ref().map(|note| run.settings().redacted(note));
    let Provenance { actor, commit, run_url, note } = run.provenance().with_note(note);
    let usual = prepared.state.history.usual_run(None);
    let changes = RunChanges {
        revision: Some(prepared.changes.revision.number()),
        against: latest.map(|latest| latest.number),
        changed,
        by: actor.unwrap_or_else(|| run.user_host()),
        commit,
        run_url,
        note,
        usual: usual.map(|(number, record)| (number, record.clone())),
    };
    run.events().send(Event::Changes(Box::new(changes))).await;
}

fn names_of_changes(prepared: &Preparation, before: &Snapshot) -> Vec<String> {
    let plan = &prepared.changes.plan;
    let secrets = plan.members.iter().filter(|member| member.kind == SECRET);
    let mask = Mask::from_objects(secrets.map(|member| &member.manifest));
    let after = Snapshot::from_plan(plan);
    recorded_changes(&before.members, &after.members, &mask, &FieldKeys::default()).names
}
