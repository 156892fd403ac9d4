//! What is said outside the flow of events: errors, remarks about the configuration, questions, results.

use std::io::BufRead as _;

use serde::Serialize;

use super::diagnostic::{self, Style};
use super::error::{self, ErrorObject};
use super::github;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::report::reporter::Output;
use crate::report::streams::{StreamInfo, Streams, Written};
use crate::status::Finding;

/// What somebody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// Anything else, or the end of the input.
    No,
    /// There is nobody to ask: no terminal, or CI.
    Nobody,
}

impl Streams {
    /// Writes an error to stderr: as text, with annotations in a GitHub workflow, or as one line of JSON with
    /// `-o json`.
    pub fn error(&self, error: &Error, output: Output) {
        let text = match output {
            Output::Json => serde_json::to_string(&ErrorObject::of(error))
                .map_or_else(|_| error::render(error, look(self.setting.err)), |line| format!("{line}\n")),
            Output::Human | Output::Yaml => error::render(error, look(self.setting.err)),
        };
        self.err(&self.annotated(&text, || github::error(error)));
    }

    /// Writes a remark about the configuration to stderr, outside the flow of events: `config check`.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let text = diagnostic::render(diagnostic, look(self.setting.err));
        self.err(&self.annotated(&text, || github::diagnostic(diagnostic)));
    }

    fn annotated(&self, text: &str, annotation: impl FnOnce() -> String) -> String {
        if self.setting.github.is_some() { github::defuse(text) + &annotation() } else { text.to_owned() }
    }

    /// An error that does not stop the command.
    pub(crate) fn warning_text(&self, error: &Error) -> String {
        let look = look(self.setting.err);
        let (title, _) = diagnostic::parts(Severity::Warning, error.id(), error.message(), None, look);
        error.causes().iter().fold(title, |text, cause| format!("{text}  caused by: {cause}\n"))
    }

    /// A finding in the form of an error, for stdout: part of `status`.
    #[must_use]
    pub fn finding(&self, finding: &Finding, severity: Severity) -> String {
        error::finding(finding, severity, look(self.setting.out))
    }

    /// Writes a value to stdout as JSON, or as YAML.
    ///
    /// # Errors
    /// The stream fails, or the value cannot be serialized.
    pub fn value(&self, value: &impl Serialize, output: Output) -> Result<Written> {
        let text = match output {
            Output::Yaml => serde_saphyr::to_string(value)
                .map_err(|error| Error::internal("cannot write the result as YAML").caused_by(error))?,
            Output::Json | Output::Human => serde_json::to_string_pretty(value)
                .map_err(|error| Error::internal("cannot write the result as JSON").caused_by(error))?,
        };
        self.out(&format!("{}\n", text.trim_end_matches('\n')))
    }

    /// Asks a yes-or-no question on the terminal and waits for the answer. The thread that reads is not the one
    /// that asks: a signal ends the command, not the next line.
    ///
    /// # Errors
    /// stdin cannot be read.
    pub async fn ask(&self, question: &str) -> Result<Answer> {
        if !self.can_ask() {
            return Ok(Answer::Nobody);
        }
        self.err(&format!("{} [y/N] ", super::sanitize::sanitize(question)));
        let unanswered = Unanswered(self);
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let line =
            read.await.map_err(|error| Error::internal("the question was given up").caused_by(error))?;
        std::mem::forget(unanswered);
        line.map(|line| answer(&line))
            .map_err(|error| Error::io("cannot read the answer from standard input", error))
    }
}

/// What follows a question that a signal ended begins on a line of its own.
struct Unanswered<'a>(&'a Streams);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.err("\n");
    }
}

fn answer(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        _ => Answer::No,
    }
}

fn look(side: StreamInfo) -> Style {
    Style { paint: side.paint, width: side.width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::report::streams::GithubFiles;
    use crate::report::streams::tests::{captured, setting};

    fn error() -> Error {
        let log = "::endgroup::\ndone";
        Error::new(Id::CrashLoop, Kind::Rollout, "the container starts and dies").fact("log", log)
    }

    #[test]
    fn an_error_goes_to_stderr_in_the_form_of_the_output() {
        let (streams, out, err) = captured(setting());
        streams.error(&error(), Output::Human);
        streams.error(&error(), Output::Json);
        assert_eq!(out.text(), "");
        let text = err.text();
        assert!(
            text.starts_with("error[HC4201]: the container starts and dies\n  log       ::endgroup::\n"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((json["id"].as_str(), json["exit"].as_u64()), (Some("HC4201"), Some(9)));
    }

    #[test]
    fn in_a_github_workflow_it_is_an_annotation_too() {
        let mut github = setting();
        github.github = Some(GithubFiles::default());
        let (streams, _, err) = captured(github);
        streams.error(&error(), Output::Human);
        let commands: Vec<String> = err
            .text()
            .lines()
            .filter(|line| line.trim_start().starts_with("::"))
            .map(str::to_owned)
            .collect();
        let title = "HC4201 the container starts and dies";
        let message = "the container starts and dies%0Alog: ::endgroup::%0Adone";
        assert_eq!(commands, [format!("::error title={title}::{message}")]);
    }

    #[test]
    fn a_value_is_the_result() {
        let (streams, out, _) = captured(setting());
        let value = serde_json::json!({"ready": "on", "count": 1});
        assert_eq!(streams.value(&value, Output::Json).unwrap(), Written::Yes);
        assert_eq!(streams.value(&value, Output::Yaml).unwrap(), Written::Yes);
        assert_eq!(out.text(), "{\n  \"count\": 1,\n  \"ready\": \"on\"\n}\ncount: 1\nready: \"on\"\n");
    }

    #[test]
    fn only_yes_is_yes() {
        assert_eq!(
            ["y", "YES\n", "", "no", "yep"].map(answer),
            [Answer::Yes, Answer::Yes, Answer::No, Answer::No, Answer::No]
        );
    }

    #[tokio::test]
    async fn without_a_terminal_nobody_is_asked() {
        let (streams, _, err) = captured(setting());
        assert_eq!(streams.ask("really?").await.unwrap(), Answer::Nobody);
        assert_eq!(err.text(), "");
    }
}
