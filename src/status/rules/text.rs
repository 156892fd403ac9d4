//! Numbers in words: exit codes, spans of time, counts.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ContainerStateTerminated;

use crate::status::observed::kube_events::KubeEvent;

/// `exit code 137 (killed, SIGKILL)`.
pub(crate) fn ended(terminated: &ContainerStateTerminated) -> String {
    let code = terminated.exit_code;
    match meaning(terminated.reason.as_deref(), code) {
        Some(meaning) => format!("exit code {code} ({meaning})"),
        None => format!("exit code {code}"),
    }
}

/// What an exit code means by the shells' and the kernel's convention: 126, 127, and 128 + signal.
fn meaning(reason: Option<&str>, code: i32) -> Option<&'static str> {
    if reason == Some("OOMKilled") {
        return Some("killed for memory");
    }
    Some(match code {
        0 => "it ended by itself",
        126 => "the command cannot be executed",
        127 => "the command was not found",
        129 => "SIGHUP",
        130 => "SIGINT",
        132 => "illegal instruction, SIGILL",
        134 => "aborted, SIGABRT",
        135 => "bus error, SIGBUS",
        136 => "arithmetic error, SIGFPE",
        137 => "killed, SIGKILL",
        139 => "segmentation fault, SIGSEGV",
        143 => "terminated, SIGTERM",
        _ => return None,
    })
}

/// `14 s`, `3 m 20 s`, `2 h 5 m`; under a second `0 s`.
pub(crate) fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} m"),
        (0, minutes, seconds) => format!("{minutes} m {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} m"),
    }
}

/// `1 restart`, `2 restarts`.
pub(crate) fn count(number: impl Into<i64>, noun: &str) -> String {
    let number = number.into();
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `FailedMount, 4 times since 07:06:43Z`.
pub(crate) fn times(note: &KubeEvent) -> String {
    let first = clock(note.first);
    match note.count {
        0 | 1 => format!("{} at {first}", note.reason),
        count => format!("{}, {count} times since {first}", note.reason),
    }
}

/// `07:06:43Z`: findings say when, not how long ago, so that the same finding reads the same later.
pub(crate) fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_in_words() {
        let ended = |code, reason: &str| {
            super::ended(&ContainerStateTerminated {
                exit_code: code,
                reason: Some(reason.to_owned()),
                ..ContainerStateTerminated::default()
            })
        };
        assert_eq!(ended(1, "Error"), "exit code 1");
        assert_eq!(ended(127, "Error"), "exit code 127 (the command was not found)");
        assert_eq!(ended(137, "OOMKilled"), "exit code 137 (killed for memory)");
        assert_eq!(ended(139, "Error"), "exit code 139 (segmentation fault, SIGSEGV)");
    }

    #[test]
    fn spans() {
        let span = |seconds| super::span(SignedDuration::from_secs(seconds));
        assert_eq!([span(-1), span(14), span(60), span(200)], ["0 s", "14 s", "1 m", "3 m 20 s"]);
        assert_eq!([span(3600), span(7500)], ["1 h", "2 h 5 m"]);
    }
}
