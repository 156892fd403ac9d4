//! Texts that all forms of the output share: counts, durations, sizes, names of phases.

use std::time::Duration;

use crate::event::{Action, Phase, Progress};
use crate::object::ObjectId;
use crate::phrase;

/// Returns the name of a phase for people. It is the event stream's word, except "rollout" for `track`.
pub(crate) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Track => "rollout",
        other => other.as_str(),
    }
}

/// Formats the first column: nine columns wide, and an extra space after a longer label to separate it from the text.
pub(crate) fn label(label: &str) -> String {
    if label.len() > 9 { format!("{label} ") } else { format!("{label:<9}") }
}

/// Joins lines, each with a newline.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

/// Returns the message of a step that has ended; without one, the number of its objects per action.
pub(crate) fn step_message(message: &str, objects: &[(ObjectId, Action, Option<String>)]) -> String {
    if message.is_empty() { counts(objects.iter().map(|(_, action, _)| *action)) } else { message.to_owned() }
}

/// Formats the number of objects per action: `1 created, 9 unchanged`. Empty without objects.
pub(crate) fn counts(actions: impl IntoIterator<Item = Action>) -> String {
    let mut by_action: std::collections::BTreeMap<Action, usize> = std::collections::BTreeMap::new();
    for action in actions {
        *by_action.entry(action).or_default() += 1;
    }
    let parts: Vec<String> =
        by_action.iter().map(|(action, count)| format!("{count} {}", action.as_str())).collect();
    parts.join(", ")
}

/// Formats an elapsed time: `0.2s`, `1m05s`, `2h07m`.
pub(crate) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns whether to hide a step. A lock that was acquired without waiting is not shown.
pub(crate) fn is_hidden(phase: Phase, progress: Progress, message: &str) -> bool {
    phase == Phase::Lock && progress != Progress::Failed && message.is_empty()
}

/// Formats the time since the start: `00:41.20` is minutes, seconds and hundredths.
pub(crate) fn stopwatch(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}.{:02}", seconds / 60, seconds % 60, duration.subsec_millis() / 10)
}

/// Formats the API traffic: `requests 23 · 41 KiB in · 9 KiB out · slowest PATCH deployment 34 ms`.
pub(crate) fn wire(requests: u64, bytes_in: u64, bytes_out: u64, slowest: &str) -> String {
    let slowest = if slowest.is_empty() { String::new() } else { format!(" · slowest {slowest}") };
    format!("requests {requests} · {} in · {} out{slowest}", phrase::size(bytes_in), phrase::size(bytes_out))
}

/// Formats what the command waits for: `deployment.apps/openhands 0/1: pulling image`.
pub(crate) fn waiting_text(object: Option<&ObjectId>, message: &str) -> String {
    object.map_or_else(|| message.to_owned(), |object| format!("{object} {message}"))
}

/// Formats the time until a fault is final: `fails in 40 s unless it recovers`.
pub(crate) fn fails_in(left: Duration) -> String {
    format!("fails in {} unless it recovers", phrase::span(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_short_and_stopwatch_form() {
        let table = [
            (210, "0.2s", "00:00.21"),
            (29_400, "29.4s", "00:29.40"),
            (888_000, "14m48s", "14:48.00"),
            (7_620_000, "2h07m", "127:00.00"),
        ];
        for (milliseconds, short, watch) in table {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!((took(duration).as_str(), stopwatch(duration).as_str()), (short, watch));
        }
    }
}
