//! Exit codes, Events and times as text.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateTerminated;

use crate::status::observed::kube_events::KubeEvent;

/// Formats an exit code with its meaning: `exit code 137 (killed, SIGKILL)`.
pub(crate) fn exit_code_text(terminated: &ContainerStateTerminated) -> String {
    let code = terminated.exit_code;
    match meaning(terminated.reason.as_deref(), code) {
        Some(meaning) => format!("exit code {code} ({meaning})"),
        None => format!("exit code {code}"),
    }
}

/// Returns the meaning of an exit code by the convention of shells and the kernel: 126, 127, and 128 + signal.
fn meaning(reason: Option<&str>, code: i32) -> Option<&'static str> {
    if reason == Some("OOMKilled") {
        return Some("out of memory");
    }
    Some(match code {
        0 => "it exited by itself",
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

/// Formats an Event and its repetitions: `FailedMount, 4 times since 07:06:43Z`.
pub(crate) fn occurrences(event: &KubeEvent) -> String {
    let first = time_of_day(event.first);
    match event.count {
        0 | 1 => format!("{} at {first}", event.reason),
        count => format!("{}, {count} times since {first}", event.reason),
    }
}

/// Formats a time of day: `07:06:43Z`. Findings contain times instead of ages, so that the text of a finding does not
/// change with time.
pub(crate) fn time_of_day(time: Timestamp) -> String {
    time.strftime("%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_have_their_meaning() {
        let text = |code, reason: &str| {
            super::exit_code_text(&ContainerStateTerminated {
                exit_code: code,
                reason: Some(reason.to_owned()),
                ..ContainerStateTerminated::default()
            })
        };
        assert_eq!(text(1, "Error"), "exit code 1");
        assert_eq!(text(127, "Error"), "exit code 127 (the command was not found)");
        assert_eq!(text(137, "OOMKilled"), "exit code 137 (out of memory)");
        assert_eq!(text(139, "Error"), "exit code 139 (segmentation fault, SIGSEGV)");
    }
}
