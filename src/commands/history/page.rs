//! The page of `--report`: one revision, with the timeline of its run as far as it keeps it.

use super::recorded::{RecordedHistory, without_content};
use crate::phrase;
use crate::plan::inventory::provenance::Provenance;
use crate::plan::inventory::revision::{Revision, RevisionResult};
use crate::report::RevisionPage;
use crate::session::cluster_session::Session;

/// Returns what the page shows.
pub(super) fn of_revision<'a>(
    session: &Session,
    recorded: &'a RecordedHistory,
    revision: &'a Revision,
) -> RevisionPage<'a> {
    let changes = recorded.changes_of(revision);
    RevisionPage {
        number: revision.number,
        target: session.target(),
        result: revision.result.as_str(),
        is_good: match revision.result {
            RevisionResult::Good => Some(true),
            RevisionResult::Failed => Some(false),
            RevisionResult::Applying | RevisionResult::Interrupted | RevisionResult::NotWatched => None,
        },
        facts: facts(revision),
        against: recorded.previous(revision).map(|before| before.number),
        changed: changes.map(|changes| changes.changed),
        evidence: revision.evidence.as_deref(),
        objects: revision
            .snapshot
            .as_ref()
            .map(|content| content.objects().iter().map(ToString::to_string).collect()),
        record: revision.record.as_ref(),
        usual: recorded.history.usual_run(Some(revision.number)),
    }
}

fn facts(revision: &Revision) -> Vec<(&'static str, String)> {
    let created = revision.created.map(phrase::date_and_time);
    let content = revision.snapshot.as_ref();
    let remark = content.map_or_else(|| without_content(revision), |content| content.note.as_str());
    let unknown = Provenance::default();
    let Provenance { actor: _, commit, run_url, note } = revision.provenance().unwrap_or(&unknown);
    let author = revision.author();
    let computer = Some(revision.by.clone()).filter(|by| by != author);
    let optional = [
        ("recorded", created),
        ("by", Some(author.to_owned())),
        ("on", computer),
        ("commit", commit.clone()),
        ("pipeline", run_url.clone()),
        ("note", note.clone()),
        ("image", content.and_then(|content| content.image()).map(str::to_owned)),
        ("remark", Some(remark.to_owned()).filter(|remark| !remark.is_empty())),
    ];
    optional.into_iter().filter_map(|(label, text)| Some((label, text?))).collect()
}
