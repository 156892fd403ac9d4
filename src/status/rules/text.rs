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
fn meaning(reason: Option<&str>, code: i32) -> Option<String> {
    if reason == Some("OOMKilled") {
        return Some("out of memory".to_owned());
    }
    let words = match code {
        0 => "it exited by itself",
        126 => "the command cannot be executed",
        127 => "the command was not found",
        _ => return signal_text(code - SIGNALLED),
    };
    Some(words.to_owned())
}

/// A process that ends by a signal has this exit code plus the signal's number.
const SIGNALLED: i32 = 128;

/// The signals that end a process by default (`man 7 signal`, x86 and ARM), each with what it means.
const SIGNALS: &[(i32, &str, &str)] = &[
    (1, "", "SIGHUP"),
    (2, "", "SIGINT"),
    (3, "", "SIGQUIT"),
    (4, "illegal instruction", "SIGILL"),
    (5, "trap", "SIGTRAP"),
    (6, "aborted", "SIGABRT"),
    (7, "bus error", "SIGBUS"),
    (8, "arithmetic error", "SIGFPE"),
    (9, "killed", "SIGKILL"),
    (10, "", "SIGUSR1"),
    (11, "segmentation fault", "SIGSEGV"),
    (12, "", "SIGUSR2"),
    (13, "broken pipe", "SIGPIPE"),
    (14, "", "SIGALRM"),
    (15, "terminated", "SIGTERM"),
    (24, "CPU time limit exceeded", "SIGXCPU"),
    (25, "file size limit exceeded", "SIGXFSZ"),
    (31, "forbidden system call", "SIGSYS"),
];

/// The greatest number of a signal.
const LAST_SIGNAL: i32 = 64;

fn signal_text(signal: i32) -> Option<String> {
    match SIGNALS.iter().find(|(number, _, _)| *number == signal) {
        Some((_, "", name)) => Some((*name).to_owned()),
        Some((_, words, name)) => Some(format!("{words}, {name}")),
        None => (1..=LAST_SIGNAL).contains(&signal).then(|| format!("signal {signal}")),
    }
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
        assert_eq!(text(159, "Error"), "exit code 159 (forbidden system call, SIGSYS)");
        assert_eq!(text(162, "Error"), "exit code 162 (signal 34)");
        assert_eq!(text(255, "Error"), "exit code 255");
    }
}
