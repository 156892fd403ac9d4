//! The binary on a terminal: progress, final lines, questions, and the state of the terminal after signals.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portable_pty::{PtySize, native_pty_system};
use rustix::process::Signal;
use serde_json::Value;

use crate::bed::{Bed, CommandLine, Namespace, in_home};
use crate::pseudo_terminal::{Terminal, WAIT_LIMIT, is_spinner};

/// More CPU than a node has: the pod waits for a node, and the rollout for the pod.
const UNSCHEDULABLE: &[&str] =
    &["--set", "deploy.resources.requests.cpu=\"4000\"", "--set", "deploy.tolerate.unschedulable=\"10m\""];

/// The command line without `--context`, so that only the kubeconfig's current context is left.
fn without_context(namespace: &Namespace, arguments: &[&str]) -> CommandLine {
    let all = [arguments, &["-n", &namespace.name, "--name", "oh"]].concat();
    in_home(namespace.folder.path(), &all).env("KUBECONFIG", &namespace.bed.kubeconfig)
}

fn last_event(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.lines().last().expect("no event")).unwrap()
}

#[test]
fn deploy_collapses_bars_to_final_lines() {
    let namespace = Bed::shared().namespace("terminal-deploy");
    let ended =
        Terminal::start(namespace.command(&["deploy"]).without("NO_COLOR"), 120).wait_for_end().exits(0);
    assert!(ended.raw.contains(is_spinner), "no spinner was drawn");
    assert!(ended.raw.contains("\u{1b}[1m"), "no color was used");
    ended.assert_restored();
    for once in [
        "config    ",
        "deploy    oh →",
        "✓ preflight",
        "✓ apply",
        "✓ rollout",
        "- probe",
        "handsctl teardown",
    ] {
        assert_eq!(ended.count(once), 1, "{once} in:\n{}", ended.text());
    }
    assert_eq!(ended.count("10 created"), 1, "{}", ended.text());
    assert_eq!(ended.count("deployed as a simulation"), 1, "{}", ended.text());
    for (line, next) in ended.lines.iter().zip(&ended.lines[1..]) {
        assert!(!line.is_empty() || !next.is_empty(), "two empty lines:\n{}", ended.text());
    }

    let second_run = Terminal::start(namespace.command(&["deploy"]), 120).wait_for_end().exits(0);
    second_run.assert_restored();
    second_run.says("✓ apply                10 unchanged");
    assert_eq!(
        second_run.count("handsctl teardown"),
        0,
        "an unchanged deploy has no undo hint:\n{}",
        second_run.text()
    );

    let teardown = Terminal::start(namespace.command(&["teardown"]), 120).wait_for_end().exits(0);
    teardown.assert_restored();
    teardown.says("✓ objects              12 deleted");
    teardown.says("kept       persistentvolumeclaim/oh-state");
}

#[test]
fn terminal_in_ci_gets_plain_lines() {
    let namespace = Bed::shared().namespace("terminal-ci");
    let deploy = namespace.command(&["deploy"]).env("CI", "1").env("NO_COLOR", "1");
    let ended = Terminal::start(deploy, 120).wait_for_end().exits(0);
    assert!(!ended.raw.contains('\u{1b}'), "an escape sequence: {:?}", ended.raw);
    assert!(ended.lines[0].starts_with("00:00."), "{}", ended.text());
    ended.says("apply     10 created");
    ended.assert_restored();
}

#[test]
fn narrow_terminal_keeps_each_row_on_one_line() {
    let namespace = Bed::shared().namespace("terminal-narrow");
    for columns in [60, 80] {
        let ended = Terminal::start(namespace.command(&["deploy"]), columns).wait_for_end().exits(0);
        ended.assert_restored();
        let title = ended.lines.iter().position(|line| line.starts_with("deploy")).unwrap();
        let last = ended.lines.iter().position(|line| line.contains("- probe")).unwrap();
        for row in title..=last {
            let wrapped = ended.wrapped[row];
            assert!(!wrapped, "{columns} columns, line {row} is wrapped:\n{}", ended.text());
        }
        // Progress lines are truncated, so that a redraw of the block leaves none behind.
        assert_eq!(ended.count("✓ preflight"), 1, "{}", ended.text());
        assert_eq!(ended.count("oh →"), 1, "{}", ended.text());
        ended.says("https://127.0.0.1:");
        ended.says("from --context");
    }
}

#[test]
fn failing_deploy_shows_error_once_below_block() {
    let namespace = Bed::shared().namespace("terminal-failing");
    let image = "deploy.image=\"registry.example/simulate-image-pull-backoff:0.59\"";
    let ended = Terminal::start(namespace.command(&["deploy", "--set", image]), 120).wait_for_end().exits(9);
    ended.assert_restored();
    let position = |text: &str| ended.lines.iter().position(|line| line.contains(text));
    assert!(position("✗ rollout") < position("error[HC4103]"), "{}", ended.text());
    assert_eq!((ended.count("✗ rollout"), ended.count("HC4103]")), (1, 1), "{}", ended.text());
}

#[test]
fn current_context_is_used_only_after_yes() {
    let namespace = Bed::shared().namespace("terminal-question");
    let question = format!("Use the current context `{}`", namespace.bed.context);
    for answer in ["n\r", "\r", "\u{4}"] {
        let mut terminal = Terminal::start(without_context(&namespace, &["deploy"]), 120);
        terminal.wait_for_text(&question);
        terminal.type_keys(answer);
        let ended = terminal.wait_for_end().exits(3);
        ended.says("error[HC0152]");
        ended.assert_restored();
        let get = namespace.bed.try_kubectl(&["get", "namespace", &namespace.name], "");
        assert!(!get.status.success(), "the namespace was created");
    }
    let mut terminal = Terminal::start(without_context(&namespace, &["deploy"]), 120);
    terminal.wait_for_text(&question);
    terminal.type_keys("y\r");
    let ended = terminal.wait_for_end().exits(0);
    ended.says("✓ apply                10 created");
    assert_eq!(ended.count("[y/N] y"), 1, "progress was drawn over the question:\n{}", ended.text());
    ended.assert_restored();
    // A CI job may have a terminal, but no user.
    let ended = Terminal::start(without_context(&namespace, &["deploy"]).env("CI", "true"), 120)
        .wait_for_end()
        .exits(3);
    assert_eq!(ended.count("[y/N]"), 0, "{}", ended.text());
}

#[test]
fn delete_data_asks_once_and_no_deletes_nothing() {
    let namespace = Bed::shared().namespace("terminal-data");
    namespace.handsctl(&["deploy"]).exits(0);
    let teardown = || Terminal::start(namespace.command(&["teardown", "--delete-data"]), 160);
    let mut terminal = teardown();
    terminal.wait_for_text("Delete the volume of oh");
    terminal.type_keys("n\r");
    terminal.wait_for_end().exits(2).says("not confirmed; nothing was deleted");
    assert!(namespace.has("pvc/oh-state") && namespace.has("deployment/oh"));
    let mut terminal = teardown();
    terminal.wait_for_text("Delete the volume of oh");
    terminal.type_keys("yes\r");
    let ended = terminal.wait_for_end().exits(0);
    assert_eq!(ended.count("[y/N] yes"), 1, "progress was drawn over the question:\n{}", ended.text());
    ended.assert_restored();
    assert!(!namespace.has("pvc/oh-state"));
}

#[test]
fn ctrl_c_at_question_exits_130() {
    let namespace = Bed::shared().namespace("terminal-unanswered");
    let mut terminal = Terminal::start(without_context(&namespace, &["deploy"]), 120);
    terminal.wait_for_text("[y/N]");
    terminal.type_keys("\u{3}");
    let ended = terminal.wait_for_end().exits(130);
    assert!(
        ended.lines.iter().any(|line| line.starts_with("error[HC9002]: interrupted")),
        "{}",
        ended.text()
    );
    assert_eq!(ended.count("done"), 0, "the deploy was started:\n{}", ended.text());
    ended.assert_restored();
}

#[test]
fn ctrl_c_during_rollout_exits_130_and_restores_terminal() {
    let namespace = Bed::shared().namespace("terminal-interrupted");
    let events = namespace.folder.path().join("events");
    let arguments = [&["deploy", "--events", "events"], UNSCHEDULABLE].concat();
    let mut terminal = Terminal::start(namespace.command(&arguments), 120);
    terminal.wait_for_text("0/1");
    terminal.type_keys("\u{3}");
    let ended = terminal.wait_for_end().exits(130);
    ended.says("✗ rollout");
    ended.says("error[HC9002]: interrupted\n");
    ended.says("10 created");
    ended.says("hint: running the command again continues from here");
    ended.assert_restored();
    let last = last_event(&events);
    assert_eq!(
        (&last["type"], &last["exit"], &last["id"]),
        (&"finished".into(), &130.into(), &"HC9002".into())
    );
    // The next run continues.
    namespace.handsctl(&["deploy"]).exits(0);
}

#[test]
fn sigterm_exits_143_and_sighup_exits_129() {
    let namespace = Bed::shared().namespace("terminal-closed");
    let events = namespace.folder.path().join("events");
    let arguments = [&["deploy", "--events", "events"], UNSCHEDULABLE].concat();
    let mut terminal = Terminal::start(namespace.command(&arguments), 120);
    terminal.wait_for_text("0/1");
    terminal.signal(Signal::TERM);
    let ended = terminal.wait_for_end().exits(143);
    ended.assert_restored();
    assert_eq!(last_event(&events)["exit"], 143);

    let mut terminal = Terminal::start(namespace.command(&arguments), 120);
    terminal.wait_for_text("0/1");
    terminal.signal(Signal::HUP);
    terminal.wait_for_end().exits(129);
    assert_eq!(last_event(&events)["exit"], 129);
}

/// Runs a command on a terminal that is closed after `when`; returns the exit code.
fn run_on_closing_terminal(command: CommandLine, when: impl FnOnce()) -> u32 {
    let size = PtySize { rows: 60, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut child = pair.slave.spawn_command(command.into_terminal_command()).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let closing = Arc::new(AtomicBool::new(false));
    let reading = std::thread::spawn({
        let closing = Arc::clone(&closing);
        move || {
            let mut buffer = [0; 4096];
            // A spinner turns all the time, so no read blocks for long.
            while !closing.load(Ordering::Relaxed) && matches!(reader.read(&mut buffer), Ok(1..)) {}
        }
    });
    when();
    closing.store(true, Ordering::Relaxed);
    reading.join().unwrap();
    drop(pair.master);
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > WAIT_LIMIT {
            child.kill().unwrap();
            panic!("the command does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait().unwrap().exit_code()
}

#[test]
fn closed_window_releases_lock_and_exits_129() {
    let namespace = Bed::shared().namespace("terminal-gone");
    let events = namespace.folder.path().join("events");
    let arguments = [&["deploy", "--events", "events"], UNSCHEDULABLE].concat();
    let wait_for_rollout = || {
        let until = Instant::now() + WAIT_LIMIT;
        while !std::fs::read_to_string(&events).unwrap_or_default().contains("\"type\":\"rollout\"") {
            assert!(Instant::now() < until, "the rollout does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(namespace.has("lease/handsctl-oh"));
    };
    assert_eq!(run_on_closing_terminal(namespace.command(&arguments), wait_for_rollout), 129);
    let last = last_event(&events);
    assert_eq!((&last["type"], &last["exit"]), (&"finished".into(), &129.into()));
    assert!(!namespace.has("lease/handsctl-oh"));
    namespace.handsctl(&["deploy"]).exits(0);
}

#[test]
fn control_characters_of_logs_are_removed() {
    let namespace = Bed::shared().namespace("terminal-log");
    namespace.handsctl(&["deploy"]).exits(0);
    let line = format!("{} before\u{1b}[2J\u{1b}]0;title\u{7}after\u{202e}", namespace.name);
    let mut log = std::fs::File::options().append(true).open(&namespace.bed.pod_log).unwrap();
    log.write_all(format!("{:.9} stdout F {line}\n", jiff::Timestamp::now()).as_bytes()).unwrap();
    let ended = Terminal::start(namespace.command(&["logs", "--since", "1m"]), 120).wait_for_end().exits(0);
    ended.says(&format!("{} beforeafter", namespace.name));
    assert!(!ended.raw.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", ended.raw);
}

#[test]
fn config_init_asks_for_model_and_key_name() {
    let home = tempfile::tempdir().unwrap();
    let init = |arguments: &[&str]| {
        let all = [&["config", "init"], arguments].concat();
        Terminal::start(in_home(home.path(), &all), 120)
    };
    let mut asked = init(&[]);
    asked.wait_for_text("Model [anthropic/claude-sonnet-4-20250514]: ");
    asked.type_keys("?\r");
    asked.wait_for_text("a model is a name of litellm");
    asked.type_keys("openai/gpt-5\r");
    asked.wait_for_text("Environment variable with its API key [LLM_API_KEY]: ");
    asked.type_keys("sk-planted\r");
    asked.wait_for_text("the key itself does not belong into the file");
    asked.type_keys("OPENAI_API_KEY\r");
    let ended = asked.wait_for_end().exits(0);
    ended.says("next: export OPENAI_API_KEY=…");
    ended.says("next: handsctl up");
    let file = home.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let expected = "model = \"openai/gpt-5\"\n";
    assert!(text.contains(expected) && text.contains("api_key = { env = \"OPENAI_API_KEY\" }\n"), "{text}");

    let mut defaults = init(&["--force"]);
    defaults.wait_for_text("Model [");
    defaults.type_keys("\r");
    defaults.wait_for_text("API key [");
    defaults.type_keys("\r");
    defaults.wait_for_end().exits(0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("{ env = \"LLM_API_KEY\" }"), "{text}");
    init(&["--yes", "--force"]).wait_for_end().exits(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

/// An editor that makes the same mistake twice: the first answer opens it again, the second keeps the copy.
#[test]
fn config_edit_offers_to_open_the_editor_again() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "[deploy]\nhost = \"localhost\"\n").unwrap();
    let command = in_home(home.path(), &["config", "edit"]).env("EDITOR", "echo opened; sed -i s/host/hots/");
    let mut terminal = Terminal::start(command, 120);
    terminal.wait_for_text("would have 1 error. Open the editor again? [y/N]");
    terminal.type_keys("y\r");
    let until = Instant::now() + WAIT_LIMIT;
    while terminal.screen.screen().contents().matches("editor again?").count() < 2 {
        assert!(Instant::now() < until, "the editor is not opened again");
        terminal.wait_for_bytes();
    }
    terminal.type_keys("n\r");
    let ended = terminal.wait_for_end().exits(3);
    let screen = ended.text();
    assert_eq!(screen.matches("opened").count(), 2, "{screen}");
    let (_, copy) = screen.split_once("your edited copy is ").unwrap();
    std::fs::remove_file(copy.split_whitespace().next().unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[deploy]\nhost = \"localhost\"\n");
}

#[test]
fn watched_status_redraws_its_changed_lines_and_leaves_the_last_screen() {
    let namespace = Bed::shared().namespace("status-screen");
    namespace.handsctl(&["deploy"]).exits(0);
    let mut terminal = Terminal::start(namespace.command(&["status", "-w"]), 140);
    terminal.wait_for_text("oh  healthy (simulated)");
    terminal.wait_for_text("simulated  every object is real");
    terminal.raw.clear();
    namespace.bed.kubectl(&["scale", "deployment/oh", "--replicas=0", "-n", &namespace.name]);
    terminal.wait_for_text("oh  down: app");
    let screen = terminal.screen.screen().contents();
    assert_eq!(screen.matches("oh  down").count(), 1, "{screen}");
    assert!(!screen.contains("oh  healthy"), "{screen}");
    // The volume's line has not changed.
    assert!(!terminal.raw.contains("volume"), "{:?}", terminal.raw);
    terminal.type_keys("\u{3}");
    let ended = terminal.wait_for_end().exits(130);
    ended.says("oh  down: app");
    assert!(!ended.cursor_is_hidden);
}
