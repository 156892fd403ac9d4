//! The last line of a command that changes the set, and what to type next.

use super::app_settings::AppSettingsResult;
use super::sandbox_capacity;
use super::verify::{Endpoint, Verification};
use crate::cluster::apply::applied::Applied;
use crate::event::{Action, Finished};
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::revision::{History, rollback_to};

/// What is deployed now, and the good revision before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UndoHint {
    revision: Option<u64>,
    before: Option<u64>,
}

impl UndoHint {
    /// What undoes a run that recorded or found the revision of this number.
    pub(crate) fn new(history: &History, number: u64) -> Self {
        let before = history.last_good_before(number).map(|before| before.number);
        Self { revision: Some(number), before }
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

/// A message, with what to type next.
pub(crate) fn finished(applied: &[Applied], message: String, undo: UndoHint) -> Finished {
    let changed = applied.iter().any(|applied| applied.action != Action::Unchanged);
    let mut next = vec![("logs".to_owned(), "handsctl logs -f".to_owned())];
    if changed {
        next.push(("undo".to_owned(), undo.command()));
    }
    Finished { revision: undo.revision, message, next, ..Finished::default() }
}

/// `--no-wait`: applied, and not waited for.
pub(crate) fn applied_only(applied: &[Applied], undo: UndoHint) -> Finished {
    finished(applied, "applied, without waiting for the rollout".to_owned(), undo)
}

/// The rollout was waited for: how the application was found.
pub(crate) fn verified(
    applied: &[Applied],
    undo: UndoHint,
    verification: Verification,
    origin: PlanOrigin,
) -> Finished {
    let Verification { endpoint, app_settings, capacity } = verification;
    let AppSettingsResult { model, note } = app_settings;
    let message = match origin {
        PlanOrigin::Configuration => endpoint.words(),
        PlanOrigin::Revision(number) => format!(
            "{}; {}; config.toml is as it was, and the next deploy applies it again",
            rollback_to(number),
            endpoint.words()
        ),
    };
    // Nothing in the pod of profile `dev` starts sandboxes.
    let starts_sandboxes = endpoint != Endpoint::DevTarget;
    let notes = starts_sandboxes.then(|| sandbox_capacity::words(capacity.as_ref())).into_iter().chain(note);
    let sandboxes = capacity.as_ref().map(|capacity| capacity.sandboxes);
    Finished {
        notes: notes.collect(),
        url: endpoint.into_url(),
        sandboxes,
        model,
        ..finished(applied, message, undo)
    }
}
