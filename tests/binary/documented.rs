//! The command lines of the documentation: handsctl accepts each of them, word for word.
//!
//! bash splits the lines, so that quotes, pipes and redirections mean what they mean to a reader. Its `handsctl` only
//! records its words. `api_server/documented.rs` runs the lines that need no cluster of their own.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use handsctl::catalogue::Id;
use tempfile::TempDir;

use super::screens::{recorded_command, recorded_names};
use crate::bed::in_home;

/// A command line of the documentation.
#[derive(Debug)]
pub(crate) struct Line {
    /// The file, or the command whose `--help` has it as an example.
    pub(crate) origin: String,
    /// The line without its comment.
    pub(crate) text: String,
}

impl Line {
    fn new(origin: &str, text: &str) -> Self {
        let text = text.split_once(" #").map_or(text, |(command, _)| command).trim();
        Self { origin: origin.to_owned(), text: text.to_owned() }
    }
}

/// Programs of others that the lines call. They only read their stdin here.
pub(crate) const FOREIGN_PROGRAMS: &[&str] = &["cargo", "cat", "code", "gh", "jq", "less", "ln", "man"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a document in this language.
pub(crate) fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n"))).map(str::to_owned).collect()
}

/// The lines of the shell blocks of a document.
pub(crate) fn shell_blocks(document: &str) -> Vec<Line> {
    let blocks = blocks(document, "sh");
    let lines = blocks.iter().flat_map(|block| block.lines());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Line::new(document, line)).collect()
}

/// The commands of the screens in a document.
fn screens(document: &str) -> Vec<Line> {
    let blocks = blocks(document, "console");
    let commands = blocks.iter().filter_map(|block| block.lines().next()?.strip_prefix("$ "));
    commands.map(|command| Line::new(document, command)).collect()
}

/// The examples of every command's help.
pub(crate) fn examples() -> Vec<Line> {
    fn collect(command: &clap::Command, path: &str, lines: &mut Vec<Line>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
        let examples = examples.lines().take_while(|line| line.starts_with("  "));
        lines.extend(examples.map(|line| Line::new(&format!("{path} --help"), line)));
        for child in command.get_subcommands() {
            collect(child, &format!("{path} {}", child.get_name()), lines);
        }
    }
    let mut lines = Vec::new();
    collect(&handsctl::cli::definition(), "handsctl", &mut lines);
    lines
}

/// The commands between backquotes in a text. `COMMAND` stands for any command, `…` for any words.
fn inline_commands(origin: &str, text: &str) -> Vec<Line> {
    let text = text.replace('\n', " ");
    let spans = text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("handsctl "));
    let complete = spans.filter(|span| !span.contains('…'));
    complete.map(|span| Line::new(origin, &span.replace("COMMAND", "deploy"))).collect()
}

/// The commands of what `explain` prints: between backquotes, and on indented lines of their own.
fn explained_commands() -> Vec<Line> {
    let of_id = |id: &Id| {
        let (code, guide) = (id.code(), id.guide().unwrap_or_default());
        let lines = guide.lines().filter_map(|line| line.strip_prefix("    "));
        let lines = lines.filter(|line| line.starts_with("handsctl ")).map(|line| Line::new(code, line));
        let inline = [id.entry().explanation, guide].map(|text| inline_commands(code, text));
        lines.chain(inline.into_iter().flatten()).collect::<Vec<_>>()
    };
    Id::ALL.iter().flat_map(of_id).collect()
}

/// The arguments in the head of a file for a pipeline.
fn pipeline_arguments(file: &str) -> Vec<Line> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let arguments =
        text.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix("args: "));
    arguments.map(|arguments| Line::new(file, &format!("handsctl {arguments}"))).collect()
}

/// Makes an executable script. Another process writes it: a child that another test starts meanwhile would keep a file that
/// this process has open for writing, and such a file cannot be executed (ETXTBSY).
pub(crate) fn script(path: &Path, text: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "script"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success(), "{}", path.display());
}

/// bash for documented lines. The folder is their home, and `bin` in it their only PATH.
pub(crate) fn shell(folder: &Path, line: &Line) -> Command {
    // With its path: PATH is that of the lines.
    let mut bash = Command::new("/bin/bash");
    // zsh's search path, as the example of `completion` has it, begins with 1.
    let prelude = "set -o pipefail; fpath=(unused \"$HOME\")";
    bash.args(["--noprofile", "--norc", "-c", &format!("{prelude}\n{}", line.text)]);
    bash.env_clear().env("HOME", folder).env("PATH", folder.join("bin")).current_dir(folder);
    bash
}

/// Makes the home of documented lines: folders that they write to, and the programs of others.
pub(crate) fn home() -> TempDir {
    let home = TempDir::new().unwrap();
    for folder in ["bin", ".local/bin", ".config/fish/completions"] {
        fs::create_dir_all(home.path().join(folder)).unwrap();
    }
    for program in FOREIGN_PROGRAMS {
        script(&home.path().join("bin").join(program), "#!/bin/sh\nwhile read -r _; do :; done\n");
    }
    home
}

/// The words of each call of handsctl in a line.
fn calls(line: &Line) -> Vec<Vec<String>> {
    let home = home();
    let record = home.path().join("record");
    fs::write(&record, "").unwrap();
    let recording = "#!/bin/sh\nfor word in handsctl \"$@\"; do printf '%s\\037' \"$word\"; done >>\"$RECORD\"\nprintf '\\036' >>\"$RECORD\"\nwhile read -r _; do :; done\n";
    script(&home.path().join("bin/handsctl"), recording);
    script(&home.path().join("bin/kubectl"), "#!/bin/sh\nwhile read -r _; do :; done\n");
    let output = shell(home.path(), line).env("RECORD", &record).stdin(Stdio::null()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    let recorded = fs::read_to_string(record).unwrap();
    let words = |call: &str| call.split_terminator('\u{1f}').map(str::to_owned).collect();
    recorded.split_terminator('\u{1e}').map(words).collect()
}

/// Why handsctl does not accept the words.
fn rejection(words: &[String]) -> Option<String> {
    match handsctl::cli::parse(words.iter().map(Into::into)) {
        Ok(cli) => cli.check_flags().err().map(|error| error.to_string()),
        Err(error) if error.exit_code() == 0 => None,
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn documented_command_lines_are_accepted() {
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/diagnosis.md",
        "docs/diagnosis-kind.md",
        "docs/performance.md",
        "docs/security.md",
        "docs/seeds.md",
    ];
    let mut lines = examples();
    assert!(lines.len() > 60, "{lines:?}");
    lines.extend(documents.iter().flat_map(|document| shell_blocks(document)));
    let text = |document: &str| fs::read_to_string(root().join(document)).unwrap();
    let inline = documents.iter().flat_map(|document| inline_commands(document, &text(document)));
    let inline: Vec<Line> = inline.collect();
    assert!(inline.len() > 15, "{inline:?}");
    lines.extend(inline);
    let arguments: Vec<Line> =
        ["action.yml", ".gitlab/handsctl.yml"].iter().flat_map(|file| pipeline_arguments(file)).collect();
    assert_eq!(arguments.len(), 2, "{arguments:?}");
    lines.extend(arguments);
    let screens = screens("docs/screens/kind.md");
    assert!(screens.len() > 6, "{screens:?}");
    lines.extend(screens);
    lines.extend(recorded_names().iter().map(|name| Line::new(name, &recorded_command(name))));
    let explained = explained_commands();
    assert!(explained.len() > 100, "{explained:?}");
    lines.extend(explained);
    let mut rejected = Vec::new();
    let mut accepted = 0;
    for line in &lines {
        for words in calls(line) {
            match rejection(&words) {
                None => accepted += 1,
                Some(why) => rejected.push(format!("{}: {}\n  {why}", line.origin, line.text)),
            }
        }
    }
    assert!(rejected.is_empty(), "{}", rejected.join("\n"));
    assert!(accepted > 220, "{accepted}");
}

#[test]
fn wrong_command_lines_are_rejected() {
    for text in ["handsctl deploy --cntext prod", "handsctl explain HC4103 -n two", "true && handsctl deplyo"]
    {
        let calls = calls(&Line::new("a test", text));
        assert!(rejection(&calls[0]).is_some(), "{text}");
    }
    let quoted = calls(&Line::new("a test", "handsctl up --set 'a={ b = \"c d\" }' | less  # why"));
    assert_eq!(quoted, [["handsctl", "up", "--set", "a={ b = \"c d\" }"]]);
}

#[test]
fn configurations_of_the_readme_have_no_errors() {
    let blocks = blocks("README.md", "toml");
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    for block in blocks {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join("config.toml"), &block).unwrap();
        fs::create_dir(home.path().join("extra")).unwrap();
        let object = r#"{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "mine" } }"#;
        fs::write(home.path().join("extra/mine.json"), object).unwrap();
        let check = ["LLM_API_KEY", "S3_ID", "S3_SECRET"]
            .iter()
            .fold(in_home(home.path(), &["config", "check"]), |check, name| check.env(name, "x"));
        let run = check.run();
        assert_eq!(run.code, Some(0), "{block}\n{}", run.stderr);
    }
}
