//! Output outside of the event stream: errors, diagnostics about the configuration, questions, results.

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

/// The answer to a yes-or-no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// Anything else, or the end of the input.
    No,
    /// No question was asked: there is no terminal, or a CI service runs the command.
    NotAsked,
}

impl Streams {
    /// Writes an error to stderr: as text, or as one line of JSON with `-o json`. In a GitHub workflow it adds
    /// annotations.
    pub fn error(&self, error: &Error, output: Output) {
        let text = match output {
            Output::Json => serde_json::to_string(&ErrorObject::new(error)).map_or_else(
                |_| error::render(error, style_of(self.settings.err)),
                |line| format!("{line}\n"),
            ),
            Output::Human | Output::Yaml => error::render(error, style_of(self.settings.err)),
        };
        self.err(&self.annotated(&text, || github::error(error)));
    }

    /// Writes a diagnostic about the configuration to stderr, outside of the event stream: `config check`.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let text = diagnostic::render(diagnostic, style_of(self.settings.err));
        self.err(&self.annotated(&text, || github::diagnostic(diagnostic)));
    }

    fn annotated(&self, text: &str, annotation: impl FnOnce() -> String) -> String {
        if self.settings.github.is_some() {
            github::escape_commands(text) + &annotation()
        } else {
            text.to_owned()
        }
    }

    /// Renders an error that does not stop the command as a warning.
    pub(crate) fn warning_text(&self, error: &Error) -> String {
        let style = style_of(self.settings.err);
        let (title, _) = diagnostic::parts(Severity::Warning, error.id(), error.message(), None, style);
        error.causes().iter().fold(title, |text, cause| format!("{text}  caused by: {cause}\n"))
    }

    /// Renders a finding in the form of an error, for stdout: part of `status`.
    #[must_use]
    pub fn finding(&self, finding: &Finding, severity: Severity) -> String {
        error::finding(finding, severity, style_of(self.settings.out))
    }

    /// Writes a value to stdout as JSON, or as YAML.
    ///
    /// # Errors
    /// Writing fails, or the value cannot be serialized.
    pub fn value(&self, value: &impl Serialize, output: Output) -> Result<Written> {
        let text = match output {
            Output::Yaml => serde_saphyr::to_string(value)
                .map_err(|error| Error::internal("cannot write the result as YAML").caused_by(error))?,
            Output::Json | Output::Human => serde_json::to_string_pretty(value)
                .map_err(|error| Error::internal("cannot write the result as JSON").caused_by(error))?,
        };
        self.out(&format!("{}\n", text.trim_end_matches('\n')))
    }

    /// Asks a yes-or-no question on the terminal and waits for the answer. Another thread reads the line, so that a
    /// signal can end the command while the read blocks.
    ///
    /// # Errors
    /// stdin cannot be read.
    pub async fn prompt(&self, question: &str) -> Result<Answer> {
        if !self.can_ask() {
            return Ok(Answer::NotAsked);
        }
        self.err(&format!("{} [y/N] ", super::sanitize::sanitize(question)));
        let newline_on_drop = NewlineOnDrop(self);
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let line =
            read.await.map_err(|error| Error::internal("the question was aborted").caused_by(error))?;
        std::mem::forget(newline_on_drop);
        line.map(|line| parse_answer(&line))
            .map_err(|error| Error::io("cannot read the answer from standard input", error))
    }
}

/// Writes a newline when dropped. If a signal ends a question, the next output begins on its own line.
struct NewlineOnDrop<'a>(&'a Streams);

impl Drop for NewlineOnDrop<'_> {
    fn drop(&mut self) {
        self.0.err("\n");
    }
}

fn parse_answer(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        _ => Answer::No,
    }
}

fn style_of(stream: StreamInfo) -> Style {
    Style { palette: stream.palette, width: stream.width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::report::streams::GithubFiles;
    use crate::report::streams::tests::{captured, settings};

    fn error() -> Error {
        let log = "::endgroup::\ndone";
        Error::new(Id::CrashLoop, Kind::Rollout, "the container crashes").fact("log", log)
    }

    #[test]
    fn error_on_stderr_has_form_of_output() {
        let (streams, out, err) = captured(settings());
        streams.error(&error(), Output::Human);
        streams.error(&error(), Output::Json);
        assert_eq!(out.text(), "");
        let text = err.text();
        assert!(
            text.starts_with("error[HC4201]: the container crashes\n  log       ::endgroup::\n"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((json["id"].as_str(), json["exit"].as_u64()), (Some("HC4201"), Some(9)));
    }

    #[test]
    fn github_workflow_error_has_annotation() {
        let mut github = settings();
        github.github = Some(GithubFiles::default());
        let (streams, _, err) = captured(github);
        streams.error(&error(), Output::Human);
        let commands: Vec<String> = err
            .text()
            .lines()
            .filter(|line| line.trim_start().starts_with("::"))
            .map(str::to_owned)
            .collect();
        let title = "HC4201 the container crashes in a loop";
        let message = "the container crashes%0Alog: ::endgroup::%0Adone";
        assert_eq!(commands, [format!("::error title={title}::{message}")]);
    }

    #[test]
    fn value_is_written_to_stdout() {
        let (streams, out, _) = captured(settings());
        let value = serde_json::json!({"ready": "on", "count": 1});
        assert_eq!(streams.value(&value, Output::Json).unwrap(), Written::Yes);
        assert_eq!(streams.value(&value, Output::Yaml).unwrap(), Written::Yes);
        assert_eq!(out.text(), "{\n  \"count\": 1,\n  \"ready\": \"on\"\n}\ncount: 1\nready: \"on\"\n");
    }

    #[test]
    fn only_y_and_yes_mean_yes() {
        assert_eq!(
            ["y", "YES\n", "", "no", "yep"].map(parse_answer),
            [Answer::Yes, Answer::Yes, Answer::No, Answer::No, Answer::No]
        );
    }

    #[tokio::test]
    async fn question_without_terminal_is_not_asked() {
        let (streams, _, err) = captured(settings());
        assert_eq!(streams.prompt("really?").await.unwrap(), Answer::NotAsked);
        assert_eq!(err.text(), "");
    }
}
