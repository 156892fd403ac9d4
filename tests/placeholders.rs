//! What of a screen differs from run to run and from computer to computer, and what stands for it in a recording. Pure.
//!
//! The recordings in `docs/screens` are pictures for readers, and at the same time what the suite compares with the screens
//! of today. So a picture shows a plausible value in each such place, and every run puts the same value there:
//!
//! - The time of a step is shown from 50 ms on. Whether a fast step reaches them depends on the computer. A recording
//!   names its steps that take longer on every computer, with their times; no other step has one.
//! - Ages and spans of a few seconds, and milliseconds, depend on the computer.
//! - The columns of a table follow from such values, so tables are laid out again.
//! - A log in CI has each state of a rollout that the watch saw, which are more on a slow computer. Only the last one stays,
//!   and the times of the lines count up.
//! - On a slow computer a command says which request it waits for. No recording has it.
//! - The Event of a failed pull may reach the API server after the pod's status, which decides. No recording has it.
//! - Names of pods, digests, ports, the home and the host are new in each run or on each computer. Their placeholders have
//!   their usual width, because columns and line breaks follow from it.
//!
//! Names that follow from contents, as that of the ConfigMap, stay: a change of them is a change of the product.

use std::sync::LazyLock;

use regex::Regex;

use crate::recording::{Cell, CellStyle, Line, Recording, text, trim};

/// The ends of the names of Secrets, in the order of their appearance. They follow from contents and the cluster's own key.
const SECRETS: [&str; 3] = ["61a4aa4895", "ca6e485caa", "0b9f2d7715"];
/// Patterns, and what the first group of each becomes.
const PLACEHOLDERS: &[(&str, &str)] = &[
    // A gauge and its bars.
    (r"^  latency    (.{7})", "   6 ms"),
    (r"^  latency .* ms  ([▁▂▃▄▅▆▇█]+)", "▆▆█▇"),
    (r"(https?://127\.0\.0\.1:\d+)", "https://127.0.0.1:16443"),
    (r"\bin (/\S+)/\.kube/config", "/home/ana"),
    (r"\bana@([^\s,;]+)", "laptop"),
    (r"\bopenhands-([0-9a-f]{6,10}-[a-z0-9]{5})\b", "5d9f8c7b64-x2kqp"),
    (r"\bopenhands-prepull-([a-z0-9]{5})\b", "x2kqp"),
    (r"\bsha256:([0-9a-f]{12})", "1f3c09ab52d7"),
    (r"\b(\d+) ms\b", "6"),
    (r"^(\d+ m)$", "2 s"),
    (r"\b(\d+ m) (?:ago|old)\b", "2 s"),
    (r"\b(\d+ m \d+ s)\b", "2 s"),
    // Not 300 s, which is a limit.
    (r"(?:^|[^\w.])([1-5]?\d) s\b", "2"),
    (r"\bpassed  (\S.*)", "2.1 s"),
    // A frame after ten seconds.
    (r"\bpulling image (2) s\b", "12"),
    (r"\b(\d+ m|2 s) left", "14 m 48 s"),
    (r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", "2026-11-29T12:00:00Z"),
    (r" (\d\d:\d\d:\d\dZ)", "12:00:00Z"),
    // A spinner.
    (r"([\x{2800}-\x{28ff}])", "⠼"),
];
/// The column at which the times of steps end.
const TIMES_END: usize = 79;

static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    PLACEHOLDERS.iter().map(|(pattern, text)| (Regex::new(pattern).unwrap(), *text)).collect()
});
/// A title or a step, with the spaces before its time and the time.
static TIMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:  \S [a-z]|[a-z]).*?( +\d+(?:\.\d|m\d\d)s)$").unwrap());

/// The time since the start, before a line of a log.
static STAMPED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d\d:\d\d\.\d\d) ").unwrap());
/// A state of a rollout that has not ended, in a log: the reason follows its counts.
static PASSING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\d\d:\d\d\.\d\d (?:rollout   \S+ (?:0/1|\S+: )|waiting )").unwrap());
/// The Event that says the same as the evidence above it, and the request that a command waits for.
static SOMETIMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ +Failed(?: at|, \d+ times since) |^waiting: ").unwrap());
/// The header of a table.
static HEADER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[A-Z]+(?: {1,}[A-Z]+)+$").unwrap());

/// Replaces what varies. `times` has the title or the step of each time that is shown.
pub(crate) fn stable(mut recording: Recording, times: &[(&str, &str)]) -> Recording {
    let mut from = 0;
    distinguish(&mut recording.lines);
    remove_passing(&mut recording.lines);
    for (number, line) in recording.lines.iter_mut().filter(|line| STAMPED.is_match(&text(line))).enumerate()
    {
        replace(line, &STAMPED, &format!("00:00.{:02}", 4 * number));
    }
    while let Some(header) = recording.lines[from..].iter().position(|line| HEADER.is_match(&text(line))) {
        from += header;
        from += lay_out_table(&mut recording.lines[from..]);
    }
    let mut title = String::new();
    for line in &mut recording.lines {
        remove_time(line);
        replace_all(line);
        let name = name(&text(line));
        let is_title = line.first().is_some_and(|cell| cell.character != ' ');
        // The step `rollback` of a rollback is none of those that take long.
        let is_timed = |of: &str| of == name && (is_title || name != title);
        if let Some((_, time)) = times.iter().find(|(of, _)| is_timed(of)) {
            let room = TIMES_END.saturating_sub(time.len()).max(line.len() + 2);
            line.resize(room, Cell { character: ' ', style: CellStyle::default() });
            line.extend(time.chars().map(|character| Cell { character, style: CellStyle::DIM }));
        }
        trim(line);
        if is_title {
            title = name;
        }
    }
    recording
}

/// Removes the lines that not every run has.
fn remove_passing(lines: &mut Vec<Line>) {
    let mut is_passing = false;
    lines.retain(|line| {
        let text = text(line);
        // A line of a log goes on below, without a time, at the edge of the terminal.
        is_passing = PASSING.is_match(&text) || (is_passing && !STAMPED.is_match(&text));
        !is_passing && !SOMETIMES.is_match(&text)
    });
}

/// Replaces what varies in the table that begins with its header, and aligns its columns. Returns the number of its lines.
fn lay_out_table(lines: &mut [Line]) -> usize {
    let header = text(&lines[0]);
    let is_start = |at: usize| at == 0 || (header[..at].ends_with("  ") && header.as_bytes()[at] != b' ');
    let starts: Vec<usize> = (0..header.len()).filter(|at| is_start(*at)).collect();
    let is_row = |line: &Line| {
        !line.is_empty()
            && starts[1..].iter().all(|at| line.get(at - 1).is_none_or(|cell| cell.character == ' '))
    };
    let rows = lines.iter().take_while(|line| is_row(line)).count();
    let cells = |line: &Line| -> Vec<Line> {
        let ends = starts[1..].iter().copied().chain([usize::MAX]);
        let cell = |(from, to): (&usize, usize)| {
            let mut cell: Line = line.iter().take(to).skip(*from).copied().collect();
            replace_all(&mut cell);
            trim(&mut cell);
            cell
        };
        starts.iter().zip(ends).map(cell).collect()
    };
    let table: Vec<Vec<Line>> = lines[..rows].iter().map(cells).collect();
    for (line, row) in lines.iter_mut().zip(&table) {
        line.clear();
        for (column, cell) in row.iter().enumerate() {
            line.extend(cell);
            let width = table.iter().map(|row| row[column].len()).max().unwrap_or_default() + 2;
            line.resize(
                line.len() + width - cell.len(),
                Cell { character: ' ', style: CellStyle::default() },
            );
        }
        trim(line);
    }
    rows
}

fn replace_all(line: &mut Line) {
    for (pattern, with) in PATTERNS.iter() {
        replace(line, pattern, with);
    }
}

/// Replaces the ends of names of Secrets: two that differ still do.
fn distinguish(lines: &mut [Line]) {
    static SECRET: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bopenhands-env-([0-9a-f]{10})\b").unwrap());
    let screen: Vec<String> = lines.iter().map(|line| text(line)).collect();
    let mut found: Vec<&str> = Vec::new();
    for captures in screen.iter().flat_map(|line| SECRET.captures_iter(line)) {
        let end = captures.get(1).map_or("", |end| end.as_str());
        if !found.contains(&end) {
            found.push(end);
        }
    }
    for line in lines {
        let text = text(line);
        for end in SECRET.captures_iter(&text).filter_map(|captures| captures.get(1)) {
            let number = found.iter().position(|found| *found == end.as_str()).unwrap();
            put(line, &text, end, SECRETS[number]);
        }
    }
}

/// Puts a text in the place of a match, in the style of its first character.
fn put(line: &mut Line, text: &str, place: regex::Match<'_>, with: &str) {
    let [from, to] = [place.start(), place.end()].map(|at| text[..at].chars().count());
    let style = line[from].style;
    line.splice(from..to, with.chars().map(|character| Cell { character, style }));
}

/// The name of a title or a step: `deploy`, `control plane`; otherwise an empty text.
fn name(line: &str) -> String {
    let columns = |from: usize, to: usize| line.chars().skip(from).take(to - from).collect::<String>();
    let name = match line.chars().next() {
        Some('a'..='z') => columns(0, 10),
        Some(' ') if ["✓", "✗", "-"].contains(&columns(2, 3).as_str()) => columns(4, 25),
        // What a running step waits for may follow its name at once.
        Some(' ') if columns(2, 3) == "⠼" => {
            columns(4, 25).split(' ').next().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    name.trim_end().to_owned()
}

/// Removes the time at the end of a title or a step.
fn remove_time(line: &mut Line) {
    let text = text(line);
    if let Some(time) = TIMED.captures(&text).and_then(|captures| captures.get(1)) {
        line.truncate(text[..time.start()].chars().count());
    }
}

/// Replaces the first group of each match.
fn replace(line: &mut Line, pattern: &Regex, with: &str) {
    let text = text(line);
    let groups: Vec<_> = pattern.captures_iter(&text).filter_map(|captures| captures.get(1)).collect();
    for group in groups.into_iter().rev() {
        put(line, &text, group, with);
    }
}

#[test]
fn what_varies_is_the_same_in_every_run() {
    let stable = |screen: &str, times: &[(&str, &str)]| {
        let mut parser = vt100::Parser::new(5.try_into().unwrap(), 100.try_into().unwrap(), 0);
        parser.process(screen.replace('\n', "\r\n").as_bytes());
        let recording = stable(Recording::new("x", parser.screen()), times);
        recording.to_text().trim_start_matches("$ x\n").to_owned()
    };
    let times = [("rollout", "1.9s")];
    let (slow, fast) = (
        "deploy    a → b  12.3s\n  ✓ apply                1 created  0.1s\n  ✓ rollout              1/1  2.7s",
        "deploy    a → b  1m02s\n  ✓ apply                1 created\n  ✓ rollout              1/1",
    );
    let expected = "deploy    a → b\n  ✓ apply                1 created\n  ✓ rollout              1/1                                               1.9s\n";
    assert_eq!(stable(slow, &times), expected);
    assert_eq!(stable(fast, &times), expected);
    assert_eq!(stable("after 300 s or 12 s", &[]), "after 300 s or 2 s\n");
    assert_eq!(
        stable("openhands-77746b77c4-kwrlx at http://127.0.0.1:40123, 12 s ago by ana@h, ⠋ 81 ms", &[]),
        "openhands-5d9f8c7b64-x2kqp at https://127.0.0.1:16443, 2 s ago by ana@laptop, ⠼ 6 ms\n"
    );
    assert_eq!(
        stable("restarts in 1 m 10 s, pulling image 1 m 12 s · 13 m 48 s left", &[]),
        "restarts in 2 s, pulling image 12 s · 14 m 48 s left\n"
    );
    let slow = "REVISION  AGE   BY          NOTE\n4         12 s  ana@host    -\n".to_owned()
        + &" ".repeat(28)
        + "more\nimage  registry.example/openhands:1";
    let fast = "REVISION  AGE  BY     NOTE\n4         0 s  ana@h  -\n".to_owned()
        + &" ".repeat(22)
        + "more\nimage  registry.example/openhands:1";
    let table = "REVISION  AGE  BY          NOTE\n4         2 s  ana@laptop  -\n".to_owned()
        + &" ".repeat(27)
        + "more\nimage  registry.example/openhands:1\n";
    assert_eq!(stable(&slow, &[]), table);
    assert_eq!(stable(&fast, &[]), table);
}

#[test]
fn what_only_a_slow_run_says_is_left_out() {
    let stable = |screen: &str| {
        let mut parser = vt100::Parser::new(9.try_into().unwrap(), 100.try_into().unwrap(), 0);
        parser.process(screen.replace('\n', "\r\n").as_bytes());
        stable(Recording::new("x", parser.screen()), &[]).to_text()
    };
    let slow = "\
        00:00.10 apply     1 configured\n\
        00:00.20 rollout   deployment.apps/openhands 1/1: its controller has not observed the change\n\
        00:00.90 rollout   deployment.apps/openhands 0/1: no node has room for the pod\n of this log\n\
        00:31.00 waiting   deployment.apps/openhands 0/1: creating container (deadline in 14m29s)\n\
        00:32.00 rollout   deployment.apps/openhands 1/1\n\
        00:32.10 done      OpenHands is ready\n inside";
    let fast = "\
        00:00.01 apply     1 configured\n\
        00:01.00 rollout   deployment.apps/openhands 1/1\n\
        00:01.10 done      OpenHands is ready\n inside";
    assert_eq!(stable(slow), stable(fast));
    assert!(stable(fast).contains("rollout   deployment.apps/openhands 1/1\n"));
    assert_eq!(stable("waiting: GET /api for 2 s\nopenhands  healthy"), stable("openhands  healthy"));
}
