//! The last line of a command that changes the set, and the commands to type next.

use super::app_settings::AppSettingsResult;
use super::sandbox_capacity;
use super::verify::{Endpoint, Verification};
use crate::cluster::apply::applied::Applied;
use crate::event::{Action, Finished};
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::revision::History;
use crate::plan::inventory::snapshot::rollback_to;

/// The deployed revision and the last good one before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UndoHint {
    revision: Option<u64>,
    last_good_before: Option<u64>,
}

impl UndoHint {
    /// Returns the hint for a run that deployed the revision of this number.
    pub(crate) fn new(history: &History, number: u64) -> Self {
        let last_good_before = history.last_good_before(number).map(|revision| revision.number);
        Self { revision: Some(number), last_good_before }
    }

    /// Returns the hint for a run without a revision to undo.
    pub(crate) const fn nothing() -> Self {
        Self { revision: None, last_good_before: None }
    }

    fn command(&self) -> String {
        match self.last_good_before {
            Some(number) => format!("handsctl rollback --to {number}"),
            None => "handsctl teardown            (keeps the volume)".to_owned(),
        }
    }
}

/// Returns the counts as text: `1 created, 1 configured, 9 unchanged`.
pub(crate) fn counts(applied: &[Applied]) -> String {
    let words = [Action::Created, Action::Configured, Action::Unchanged, Action::Pruned].map(|action| {
        let count = applied.iter().filter(|applied| applied.action == action).count();
        (count > 0).then(|| format!("{count} {}", action.as_str()))
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The label of the command that shows the logs.
const LOGS: &str = "logs";

/// Builds a result with the commands to type next.
pub(crate) fn finished(applied: &[Applied], message: String, undo: UndoHint) -> Finished {
    let changed = applied.iter().any(|applied| applied.action != Action::Unchanged);
    let mut next = vec![(LOGS.to_owned(), "handsctl logs -f".to_owned())];
    if changed {
        next.push(("undo".to_owned(), undo.command()));
    }
    Finished { revision: undo.revision, message, next, ..Finished::default() }
}

/// Builds the result of `--no-wait`.
pub(crate) fn applied_only(applied: &[Applied], undo: UndoHint) -> Finished {
    finished(applied, "applied, without waiting for the rollout".to_owned(), undo)
}

/// Builds the result of a verified rollout.
pub(crate) fn verified(
    applied: &[Applied],
    undo: UndoHint,
    verification: Verification,
    origin: PlanOrigin,
) -> Finished {
    let Verification { endpoint, app_settings, capacity } = verification;
    let AppSettingsResult { model, note } = app_settings;
    let message = match origin {
        PlanOrigin::Configuration => endpoint.describe(),
        PlanOrigin::Revision(number) => format!(
            "{}; {}; config.toml was not changed, and the next deploy applies it again",
            rollback_to(number),
            endpoint.describe()
        ),
    };
    // The pod of profile `dev` starts no sandboxes.
    let starts_sandboxes = endpoint != Endpoint::DevTarget;
    let has_logs = endpoint != Endpoint::Simulated;
    let notes =
        starts_sandboxes.then(|| sandbox_capacity::describe(capacity.as_ref())).into_iter().chain(note);
    let sandboxes = capacity.as_ref().map(|capacity| capacity.sandboxes);
    let mut finished = finished(applied, message, undo);
    finished.next.retain(|(label, _)| has_logs || label != LOGS);
    Finished { notes: notes.collect(), url: endpoint.into_url(), sandboxes, model, ..finished }
}
