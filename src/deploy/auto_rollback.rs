//! What `deploy` does about a rollout that failed: under `Recreate` the old pod is gone, so the last good revision comes
//! back.

use super::execute::Course;
use super::prepare::{Prepared, Wanted};
use super::version_change;
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::settings::Settings;
use crate::settings::handsctl::{RollbackOnFailure, Strategy};

/// What is in the way of every revision alike: a door that does not open, an old pod that does not go, somebody who
/// deletes what is applied.
const ANOTHER_POD_IS_NO_HELP: [Id; 3] = [Id::UrlSilent, Id::OldPodHeld, Id::Deleted];

/// The revision to go back to after this error; None where what was applied stays.
pub(crate) fn target(
    settings: &Settings,
    prepared: &Prepared,
    course: &Course<'_>,
    error: &Error,
) -> Option<u64> {
    let deploy = &settings.deploy;
    let asked = deploy.rollback_on_failure == RollbackOnFailure::Auto && course.recovers;
    let failed = error.kind() == Kind::Rollout && !ANOTHER_POD_IS_NO_HELP.contains(&error.id());
    let changed = course.writes && prepared.sends() && prepared.is_of_configuration();
    if !(asked && failed && changed && deploy.strategy == Strategy::Recreate) {
        return None;
    }
    prepared.survey.history.latest_good().map(|revision| revision.number)
}

/// Brings the revision back. The error is still the one of the rollout, with what came of this.
pub(crate) async fn bring_back(
    course: &Course<'_>,
    prepared: &mut Prepared,
    number: u64,
    failure: Error,
) -> Error {
    let session = course.session;
    let begun = std::time::Instant::now();
    let mut failed = None;
    let target = format!("to revision {number}, because {}", failure.message());
    course.events.target("rollback", target).await;
    let outcome = match prepared.turn_to(Wanted::Revision(Some(number)), session).await {
        Ok(()) => {
            version_change::report(prepared, course.events).await;
            failed = prepared.survey.history.latest().map(|revision| revision.number);
            let back =
                Course { begun: session.connection.api.traffic().last_date(), recovers: false, ..*course };
            back.run(prepared).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(finished) => {
            let seconds = begun.elapsed().as_secs();
            let state = format!("rolled back to revision {number} in {seconds} s: {}", finished.message);
            let error = failure.replace_state(state);
            match failed {
                Some(failed) => error
                    .hint(format!("handsctl history {failed} keeps what is known of the failed revision")),
                None => error,
            }
        }
        Err(error) => {
            let mut lines = vec![format!("revision {number} could not be brought back: {}", error.message())];
            lines.extend(error.causes());
            failure
                .replace_state(lines.join("\n"))
                .hint("handsctl status shows what is serving")
                .hint(format!("handsctl rollback --to {number}"))
        }
    }
}
