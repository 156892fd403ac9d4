//! Exit codes, events and times in words.

use jiff::Timestamp;
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
}
