//! What came of a command that changes the set, in the words of its last line.

use super::app_settings::AppSettingsResult;
use super::prepare::Prepared;
use super::sandbox_capacity;
use super::verify::Endpoint;
use crate::cluster::apply::applied::Applied;
use crate::cluster::apply::revisions::RevisionRef;
use crate::event::{Action, Finished};
use crate::plan::checks::sandbox_capacity::SandboxCapacity;

/// What is deployed now, and the good revision before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Undo {
    revision: Option<u64>,
    before: Option<u64>,
}

impl Undo {
    /// What undoes a run that made or found this revision.
    pub(crate) fn of(prepared: &Prepared, revision: Option<&RevisionRef>) -> Self {
        let number = revision.map(|revision| revision.number);
        let before = number.and_then(|number| prepared.survey.history.last_good_before(number));
        Self { revision: number, before: before.map(|before| before.number) }
    }

    /// Nothing was changed.
    pub(crate) const fn nothing() -> Self {
        Self { revision: None, before: None }
    }

    fn command(&self) -> String {
        match self.before {
            Some(before) => format!("handsctl rollback --to {before}"),
            None => "handsctl teardown            (keeps the volume)".to_owned(),
        }
    }
}

/// `1 created, 1 configured, 9 unchanged`.
pub(crate) fn counts(applied: &[Applied]) -> String {
    let words = [Action::Created, Action::Configured, Action::Unchanged, Action::Pruned].map(|action| {
        let count = applied.iter().filter(|applied| applied.action == action).count();
        (count > 0).then(|| format!("{count} {}", action.word()))
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The last word, with what to type next.
pub(crate) fn finished(applied: &[Applied], message: String, undo: Undo) -> Finished {
    let changed = applied.iter().any(|applied| applied.action != Action::Unchanged);
    let mut next = vec![("logs".to_owned(), "handsctl logs -f".to_owned())];
    if changed {
        next.push(("undo".to_owned(), undo.command()));
    }
    Finished { revision: undo.revision, message, next, ..Finished::default() }
}

/// The same where the rollout was waited for: how the application was found.
pub(crate) fn arrived(finished: Finished, arrival: Arrival) -> Finished {
    let Arrival { place, seeded, room } = arrival;
    // No sandbox comes of a pod in which nothing listens.
    let mut notes: Vec<String> =
        (place != Endpoint::DevTarget).then(|| sandbox_capacity::words(room.as_ref())).into_iter().collect();
    notes.extend(seeded.note);
    let sandboxes = room.map(|room| room.sandboxes);
    Finished { url: place.into_url(), sandboxes, model: seeded.model, notes, ..finished }
}

/// How the application was found after a rollout.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) place: Endpoint,
    pub(crate) seeded: AppSettingsResult,
    pub(crate) room: Option<SandboxCapacity>,
}
