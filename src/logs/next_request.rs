//! What is requested after a connection of a followed log has ended. Pure.

use jiff::{SignedDuration, Timestamp};

use super::containers::ContainerState;
use super::position::Expectation;

/// The log of a container that has ended is given up after so many errors of the server in a row.
pub(crate) const GIVEN_UP: u32 = 8;

/// The log that is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogRequest {
    /// That of the present container, and its later lines.
    Follow,
    /// The rest of that of a container that has ended: the end of a followed connection does not prove that its log is
    /// complete, because it also ends when the kubelet is restarted.
    Rest,
    /// That of the container before the last restart.
    Previous,
    /// The same, only to find out whether there was a restart that the pod's status does not report yet.
    PreviousIfRestarted,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// The server ended it.
    Complete {
        /// Whether the last line that was read before it was repeated.
        is_connected: bool,
    },
    /// Its lines do not follow the last one that was read.
    Unconnected,
    /// There is no such log: the server's error.
    NoLog,
    /// It was lost, or the server cannot respond.
    Lost,
}

/// The next step of a followed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The log is requested again.
    Request(LogRequest, Expectation),
    /// It is complete.
    End,
    /// It ends, and its last lines may be missing unless they are known to be complete.
    EndWithGap,
}

/// How far the time of the end of a connection and that of a container may be wrong.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Whether a log is complete that cannot be compared once more: the server itself ended its last connection after the
/// container had finished. A restart of the kubelet ends it before that.
pub(crate) fn is_known_complete(connection_ended: Option<Timestamp>, finished: Option<Timestamp>) -> bool {
    match (connection_ended, finished) {
        (Some(ended), Some(finished)) => finished.duration_since(ended) <= TOLERANCE,
        _ => false,
    }
}

/// Decides what to do after a connection; `failures` counts the errors in a row.
pub(crate) fn next_step(
    request: LogRequest,
    end: ConnectionEnd,
    state: ContainerState,
    restarts: u64,
    failures: u32,
) -> Step {
    use LogRequest::{Follow, Previous, PreviousIfRestarted, Rest};
    let same_log = |request| Step::Request(request, Expectation::SameLog);
    let is_complete = matches!(end, ConnectionEnd::Complete { is_connected: true });
    match (request, end) {
        (Rest, _) if is_complete && state != ContainerState::Restarted(restarts + 1) => return Step::End,
        (Previous | PreviousIfRestarted, _) if is_complete => return Step::End,
        // Its lines after the last one are in no file any more; the rest of the file is read.
        (Previous, ConnectionEnd::Unconnected) => return Step::Request(Previous, Expectation::Gap),
        (Previous, ConnectionEnd::Complete { .. } | ConnectionEnd::NoLog) => return Step::EndWithGap,
        _ => {}
    }
    match state {
        ContainerState::Restarted(now) if now == restarts + 1 => same_log(Previous),
        ContainerState::Restarted(_) | ContainerState::Gone => Step::EndWithGap,
        ContainerState::MayRun | ContainerState::Ended => {
            let present = if state == ContainerState::Ended { Rest } else { Follow };
            match (request, end) {
                (PreviousIfRestarted, ConnectionEnd::Lost)
                | (Follow | Rest, ConnectionEnd::Unconnected)
                | (Rest, ConnectionEnd::Complete { .. }) => same_log(PreviousIfRestarted),
                // There was no restart, so the file was rotated.
                (PreviousIfRestarted, _) => Step::Request(present, Expectation::Gap),
                (Previous, _) => same_log(Previous),
                (Rest, ConnectionEnd::NoLog) if failures >= GIVEN_UP => Step::EndWithGap,
                (Follow | Rest, _) => same_log(present),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: ConnectionEnd = ConnectionEnd::Complete { is_connected: true };
    const OTHER_LINES: ConnectionEnd = ConnectionEnd::Complete { is_connected: false };

    #[test]
    fn next_step_of_each_situation() {
        use ConnectionEnd::{Lost, NoLog, Unconnected};
        use ContainerState::{Ended, Gone, MayRun, Restarted};
        use Expectation::{Gap, SameLog};
        use LogRequest::{Follow, Previous, PreviousIfRestarted, Rest};
        use Step::{End, EndWithGap};
        let again = |request| Step::Request(request, SameLog);
        let situations = [
            // A rotation, a restart of the kubelet or of the API server.
            (Follow, COMPLETE, MayRun, again(Follow)),
            (Follow, Lost, MayRun, again(Follow)),
            (Follow, NoLog, MayRun, again(Follow)),
            // The container ended: its log is compared once more.
            (Follow, COMPLETE, Ended, again(Rest)),
            (Follow, Lost, Ended, again(Rest)),
            (Rest, COMPLETE, Ended, End),
            (Rest, Lost, Ended, again(Rest)),
            (Rest, NoLog, Ended, again(Rest)),
            (Rest, COMPLETE, Restarted(1), again(Previous)),
            (Rest, OTHER_LINES, Ended, again(PreviousIfRestarted)),
            // It was restarted.
            (Follow, COMPLETE, Restarted(1), again(Previous)),
            (Follow, Lost, Restarted(1), again(Previous)),
            (Follow, Unconnected, Restarted(1), again(Previous)),
            (Follow, Lost, Restarted(2), EndWithGap),
            (Previous, COMPLETE, Restarted(1), End),
            (Previous, OTHER_LINES, Restarted(1), EndWithGap),
            (Previous, NoLog, Restarted(1), EndWithGap),
            (Previous, Lost, Restarted(1), again(Previous)),
            (Previous, Lost, Restarted(2), EndWithGap),
            (Previous, Unconnected, Restarted(1), Step::Request(Previous, Gap)),
            // Other lines, and no restart is reported.
            (Follow, Unconnected, MayRun, again(PreviousIfRestarted)),
            (PreviousIfRestarted, COMPLETE, MayRun, End),
            (PreviousIfRestarted, NoLog, MayRun, Step::Request(Follow, Gap)),
            (PreviousIfRestarted, Unconnected, MayRun, Step::Request(Follow, Gap)),
            (PreviousIfRestarted, OTHER_LINES, Ended, Step::Request(Rest, Gap)),
            (PreviousIfRestarted, Lost, MayRun, again(PreviousIfRestarted)),
            (PreviousIfRestarted, NoLog, Restarted(1), again(Previous)),
            // The pod was deleted.
            (Follow, COMPLETE, Gone, EndWithGap),
            (Follow, Lost, Gone, EndWithGap),
            (Follow, NoLog, Gone, EndWithGap),
            (Rest, Lost, Gone, EndWithGap),
            (Follow, Unconnected, Gone, EndWithGap),
            (PreviousIfRestarted, NoLog, Gone, EndWithGap),
        ];
        for (request, end, state, expected) in situations {
            assert_eq!(next_step(request, end, state, 0, 1), expected, "{request:?} {end:?} {state:?}");
        }
        assert_eq!(next_step(Rest, NoLog, Ended, 0, GIVEN_UP), EndWithGap);
        assert_eq!(next_step(Follow, NoLog, MayRun, 0, GIVEN_UP), again(Follow));
    }

    #[test]
    fn log_is_complete_if_its_connection_outlived_the_container() {
        let time = |second| Timestamp::from_second(second).ok();
        assert!(is_known_complete(time(105), time(100)));
        assert!(is_known_complete(time(99), time(100)), "the times are truncated to seconds");
        assert!(!is_known_complete(time(90), time(100)), "the kubelet was restarted");
        assert!(!is_known_complete(None, time(100)) && !is_known_complete(time(105), None));
    }
}
