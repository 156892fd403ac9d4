//! Output outside of the event stream: errors, diagnostics about the configuration, questions, results.

use std::io::BufRead as _;

use serde::Serialize;

use super::diagnostic::{self, Style};
use super::error::{self, FailureObject};
use super::github::{self, Checkout};
use super::json_text;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::report::reporter::Output;
use crate::report::streams::{StreamInfo, Streams, Written};
use crate::report::versioned::Versioned;
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
    /// Writes an error to stderr as text, and with `-o json` or `-o yaml` to stdout as `{"v": 1, "error": …}`: the result of a
    /// command that has no other. In a GitHub workflow it adds annotations.
    pub fn failure(&self, error: &Error, output: Output) {
        if output != Output::Human
            && let Err(unwritten) = self.failure_value(error, output)
        {
            self.error(&unwritten);
        }
        self.error(error);
    }

    /// Writes an error to stdout as the value `{"v": 1, "error": …}`.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn failure_value(&self, error: &Error, output: Output) -> Result<Written> {
        self.value(&FailureObject::new(error), output)
    }

    /// Writes an error to stderr as text. In a GitHub workflow it adds annotations.
    pub fn error(&self, error: &Error) {
        let error = &error.map_texts(|text| self.hidden(text));
        let style = style_of(self.settings.err);
        let mut text = error::render(error, style);
        if self.settings.verbose > 0 {
            text += &error::raw_causes(error, style);
        }
        self.err(&self.annotated(&text, |checkout| github::error(error, checkout)));
    }

    /// Writes a diagnostic about the configuration to stderr, outside of the event stream: `config check`.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let diagnostic = &diagnostic.map_texts(|text| self.hidden(text));
        let text = diagnostic::render(diagnostic, style_of(self.settings.err));
        self.err(&self.annotated(&text, |checkout| github::diagnostic(diagnostic, checkout)));
    }

    fn annotated(&self, text: &str, annotation: impl FnOnce(&Checkout) -> String) -> String {
        match &self.settings.github {
            Some(files) => github::escape_commands(text) + &annotation(&files.checkout),
            None => text.to_owned(),
        }
    }

    /// Writes a table to the summary of a GitHub workflow's step: the result of a command that only reads. A failure is
    /// a warning.
    pub fn summary_table(&self, command: &str, target: &str, rows: &[(String, String)]) {
        let hidden: Vec<(String, String)> =
            rows.iter().map(|(label, value)| (label.clone(), self.hidden(value))).collect();
        if let Err(error) = self.step_summary(&github::table(command, &self.hidden(target), &hidden)) {
            self.err(&self.warning_text(&error));
        }
    }

    /// Writes an error of a command that only reads to the summary of a GitHub workflow's step.
    pub fn summary_of_error(&self, command: &str, error: &Error) {
        let mut rows = vec![
            ("result".to_owned(), format!("exit {}, {}", error.kind().exit_code(), error.id())),
            ("message".to_owned(), error.message().to_owned()),
        ];
        rows.extend(github::error_rows(error));
        self.summary_table(command, "", &rows);
    }

    /// Renders an error that does not stop the command as a warning.
    pub(crate) fn warning_text(&self, error: &Error) -> String {
        let error = error.map_texts(|text| self.hidden(text));
        let style = style_of(self.settings.err);
        let (title, _) = diagnostic::parts(Severity::Warning, error.id(), error.message(), None, style);
        error.causes().iter().fold(title, |text, cause| format!("{text}  caused by: {cause}\n"))
    }

    /// Renders a finding in the form of an error, for stdout: part of `status`.
    #[must_use]
    pub fn finding(&self, finding: &Finding, severity: Severity) -> String {
        error::finding(finding, severity, style_of(self.settings.out))
    }

    /// Renders an error for stdout: a problem that `doctor` has found.
    #[must_use]
    pub fn problem(&self, error: &Error, severity: Severity) -> String {
        let error = error.map_texts(|text| self.hidden(text));
        error::problem(&error, severity, style_of(self.settings.out))
    }

    /// Writes a value to stdout as JSON, or as YAML.
    ///
    /// # Errors
    /// Writing fails, or the value cannot be serialized.
    pub fn value(&self, value: &impl Serialize, output: Output) -> Result<Written> {
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| Error::internal("cannot write the result as JSON").caused_by(error))?;
        let safe = self.json(&json);
        let text = match output {
            // JSON is YAML, and only its strings can escape every character.
            Output::Yaml if safe == json => {
                let yaml = serde_saphyr::to_string(value)
                    .map_err(|error| Error::internal("cannot write the result as YAML").caused_by(error))?;
                let has_command = self.settings.github.is_some() && github::escape_commands(&yaml) != yaml;
                if has_command { safe } else { yaml }
            }
            Output::Yaml | Output::Json | Output::Human => safe,
        };
        self.out(&format!("{}\n", text.trim_end_matches('\n')))
    }

    /// Writes the result of a command, an object, with its version.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn result(&self, result: &impl Serialize, output: Output) -> Result<Written> {
        self.value(&Versioned::new(result), output)
    }

    /// Writes the result of a command that is a list of objects, each with its version.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn results(&self, results: &[impl Serialize], output: Output) -> Result<Written> {
        self.value(&results.iter().map(Versioned::new).collect::<Vec<_>>(), output)
    }

    /// Writes one of several results of a command, an object, with its version: as a line of JSON, or as a document of a
    /// YAML stream.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn next_result(&self, result: &impl Serialize, output: Output) -> Result<Written> {
        if output == Output::Yaml {
            return match self.out("---\n")? {
                Written::Yes => self.result(result, output),
                Written::Closed => Ok(Written::Closed),
            };
        }
        let json = serde_json::to_string(&Versioned::new(result))
            .map_err(|error| Error::internal("cannot write the result as JSON").caused_by(error))?;
        self.out(&format!("{}\n", self.json(&json)))
    }

    /// Returns JSON without secrets, and without what a terminal or GitHub's runner would execute.
    pub(crate) fn json(&self, json: &str) -> String {
        json_text::safe(json, |text| self.hidden(text), self.settings.github.is_some())
    }

    /// Asks a yes-or-no question on the terminal and waits for the answer. Another thread reads the line, so that a
    /// signal can end the command while the read blocks.
    ///
    /// # Errors
    /// stdin cannot be read.
    pub async fn prompt(&self, question: &str) -> Result<Answer> {
        Ok(match self.read_answer(&format!("{question} [y/N] ")).await? {
            Some(line) => parse_answer(&line),
            None => Answer::NotAsked,
        })
    }

    /// Asks for a text on the terminal and waits for the answer. An empty answer, or the end of the input, is the default.
    /// None: no question was asked.
    ///
    /// # Errors
    /// stdin cannot be read.
    pub async fn ask(&self, question: &str, default: &str) -> Result<Option<String>> {
        let line = self.read_answer(&format!("{question} [{default}]: ")).await?;
        Ok(line.map(|line| match line.trim() {
            "" => default.to_owned(),
            answer => answer.to_owned(),
        }))
    }

    /// Writes a question and reads a line. None: there is no terminal, or a CI service runs the command.
    async fn read_answer(&self, question: &str) -> Result<Option<String>> {
        if !self.can_ask() {
            return Ok(None);
        }
        self.err(&super::sanitize::sanitize(question));
        let newline_on_drop = NewlineOnDrop(self);
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let line =
            read.await.map_err(|error| Error::internal("the question was aborted").caused_by(error))?;
        std::mem::forget(newline_on_drop);
        line.map(Some).map_err(|error| Error::io("cannot read the answer from standard input", error))
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
    fn failure_is_a_value_on_stdout_and_text_on_stderr() {
        let (streams, out, err) = captured(settings());
        streams.failure(&error(), Output::Human);
        assert_eq!(out.text(), "");
        streams.failure(&error(), Output::Json);
        let text = err.text();
        assert!(
            text.starts_with("error[HC4201]: the container crashes\n  log       ::endgroup::\n"),
            "{text}"
        );
        assert_eq!(text.matches("error[HC4201]").count(), 2, "the same text in both forms: {text}");
        let json: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
        let error = &json["error"];
        assert_eq!((error["id"].as_str(), error["exit"].as_u64()), (Some("HC4201"), Some(9)));
        let (streams, out, _) = captured(settings());
        streams.failure(&self::error(), Output::Yaml);
        assert!(out.text().starts_with("v: 1\nerror:\n  id: HC4201\n"), "{}", out.text());
    }

    #[test]
    fn github_workflow_error_has_annotation() {
        let mut github = settings();
        github.github = Some(GithubFiles::default());
        let (streams, _, err) = captured(github);
        streams.error(&error());
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
    fn value_has_no_secret_command_or_control_character() {
        let mut github = settings();
        github.github = Some(GithubFiles::default());
        let (streams, out, _) = captured(github);
        let mut secrets = crate::object::Mask::default();
        secrets.add("pä\"ss/word");
        streams.hide(secrets);
        let value = serde_json::json!({
            "a": "x\n::stop-commands::y\n##[error]z", "b": "pä\"ss/word!", "c": "\u{9b}2J\u{202e}", "d": 1_234_567,
        });
        for output in [Output::Json, Output::Yaml] {
            let _written = streams.value(&value, output).unwrap();
        }
        let _written = streams.value(&serde_json::json!(["x\n::stop-commands::y"]), Output::Yaml).unwrap();
        let text = out.text();
        assert!(
            !text.contains("ss/word") && !text.contains("##[") && !text.contains(['\u{9b}', '\u{202e}']),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
        let documents: Vec<serde_json::Value> =
            serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
        let mut expected = value;
        expected["b"] = "(redacted)!".into();
        assert_eq!(documents, [expected.clone(), expected, serde_json::json!(["x\n::stop-commands::y"])]);
    }

    #[test]
    fn github_annotation_of_a_secret_is_masked() {
        let mut github = settings();
        github.github = Some(GithubFiles::default());
        let (streams, out, err) = captured(github);
        let mut secrets = crate::object::Mask::default();
        secrets.add("50%:secret,x");
        streams.hide(secrets);
        let error = Error::new(Id::CrashLoop, Kind::Rollout, "a 50%:secret,x").fact("log", "b 50%:secret,x");
        let error = error.caused_by("c 50%:secret,x").hint("d 50%:secret,x");
        streams.failure(&error, Output::Human);
        streams.failure(&error, Output::Json);
        let text = err.text() + &out.text();
        assert_eq!(text.matches("(redacted)").count(), 20, "{text}");
        assert!(!text.contains("secret,x"), "{text}");
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
