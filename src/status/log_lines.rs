//! Shortens a container's log for a finding. Pure.

/// Replaces the middle of each run of similar lines by their number, so that three lines remain. Lines are similar if they
/// differ only in numbers: a progress report repeats until the container ends, and hides what came before it.
#[must_use]
pub fn fold_similar(lines: &[&str]) -> Vec<String> {
    let mut folded = Vec::new();
    for run in lines.chunk_by(|one, other| without_numbers(one) == without_numbers(other)) {
        match run {
            [first, middle @ .., last] if middle.len() > 1 => {
                folded.push((*first).to_owned());
                folded.push(format!("… {} similar lines …", middle.len()));
                folded.push((*last).to_owned());
            }
            short => folded.extend(short.iter().map(|line| (*line).to_owned())),
        }
    }
    folded
}

/// The longest line of a finding, in bytes.
const MAX_LINE: usize = 2000;

/// Cuts a long line, and marks it.
pub fn shorten(line: &mut String) {
    if line.len() > MAX_LINE {
        let (length, mut end) = (line.len(), MAX_LINE);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        *line += &format!(" … (cut, {length} bytes)");
    }
}

/// The kubelet's errors about a log that it has deleted with its container. They arrive as the text of the log
/// (`pkg/kubelet/kuberuntime/kuberuntime_container.go`, `logs/logs.go`).
const ABSENT_LOG: &[&str] =
    &["unable to retrieve container logs for ", "failed to try resolving symlinks in path \"/var/log/pods/"];

/// Returns whether the text of a log is the kubelet's error that there is none.
#[must_use]
pub fn is_absent_log(text: &str) -> bool {
    let text = text.trim_end();
    !text.contains('\n') && ABSENT_LOG.iter().any(|error| text.starts_with(error))
}

/// Returns the line with `0` for each number.
fn without_numbers(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '0'..='9' if text.ends_with('0') => {}
            '0'..='9' => text.push('0'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_the_kubelet_is_no_log() {
        let deleted = "failed to try resolving symlinks in path \"/var/log/pods/n_full_23/main/0.log\": \
            lstat /var/log/pods/n_full_23: no such file or directory";
        assert!(is_absent_log(deleted));
        assert!(is_absent_log("unable to retrieve container logs for containerd://b30126c8e6e2\n"));
        assert!(!is_absent_log(""));
        assert!(!is_absent_log("unable to retrieve the model"));
        assert!(
            !is_absent_log("unable to retrieve container logs for x\nand goes on"),
            "a log about another log"
        );
    }

    #[test]
    fn lines_that_differ_in_numbers_become_three() {
        let held: Vec<String> =
            (1..=19).map(|count| format!("12:00:{count:02} {} MiB held", count * 200)).collect();
        let mut lines = vec!["loading"];
        lines.extend(held.iter().map(String::as_str));
        lines.push("Killed");
        let expected =
            ["loading", "12:00:01 200 MiB held", "… 17 similar lines …", "12:00:19 3800 MiB held", "Killed"];
        assert_eq!(fold_similar(&lines), expected);
    }

    #[test]
    fn long_line_is_cut_and_marked() {
        let mut line = "ä".repeat(1500);
        shorten(&mut line);
        assert_eq!(line, format!("{} … (cut, 3000 bytes)", "ä".repeat(1000)));
        let mut short = "a".repeat(MAX_LINE);
        shorten(&mut short);
        assert_eq!(short.len(), MAX_LINE);
    }

    #[test]
    fn short_runs_and_other_lines_are_kept() {
        let lines = ["try 1", "try 2", "try 3", "  File \"a.py\", line 3, in run", "    run()", "error 5: x"];
        assert_eq!(fold_similar(&lines), lines);
        assert_eq!(fold_similar(&[]), Vec::<String>::new());
    }
}
