//! The differences between two recorded revisions, for people and for programs.
//!
//! `-o json` and `-o yaml` print the object of [`super::diff`] with three more fields, and without causes:
//!
//! ```text
//! from, to   the numbers of the revisions
//! changed    keys of config.toml, and objects where no key is known to set the difference
//! ```

use serde_json::{Value, json};

use super::diagnostic::Style;
use super::diff::{self, DiffReport};
use crate::error::{Error, Result};
use crate::report::reporter::Output;
use crate::report::streams::{Streams, Written};

/// A comparison of two revisions, ready to print.
#[derive(Debug, Clone, Copy)]
pub struct RecordedDiff<'a> {
    /// The number of the earlier revision.
    pub from: u64,
    /// The number of the other one.
    pub to: u64,
    /// What differs, in words.
    pub changed: &'a [String],
    /// The objects.
    pub report: DiffReport<'a>,
}

impl Streams {
    /// Writes the comparison to stdout, and a message to stderr if the revisions are equal.
    ///
    /// # Errors
    /// Writing fails.
    pub fn recorded_diff(&self, diff: &RecordedDiff<'_>, output: Output) -> Result<Written> {
        let written = match output {
            Output::Human => self.text(&self.recorded_diff_text(diff)?)?,
            output => self.value(&value(diff)?, output)?,
        };
        if diff.report.compared.is_empty() && !self.settings.quiet {
            self.err(&format!("no differences between revisions {} and {}\n", diff.from, diff.to));
        }
        Ok(written)
    }

    /// Returns the comparison as text for stdout; empty if the revisions are equal.
    ///
    /// # Errors
    /// A value cannot be written as YAML.
    pub fn recorded_diff_text(&self, diff: &RecordedDiff<'_>) -> Result<String> {
        let stdout = self.settings.out;
        diff::text(&diff.report, Style { palette: stdout.palette, width: stdout.width })
    }
}

fn value(diff: &RecordedDiff<'_>) -> Result<Value> {
    let written = serde_json::to_value(diff::value(&diff.report));
    let mut value =
        written.map_err(|error| Error::internal("cannot write the differences").caused_by(error))?;
    value["from"] = json!(diff.from);
    value["to"] = json!(diff.to);
    value["changed"] = json!(diff.changed);
    for object in value["objects"].as_array_mut().into_iter().flatten() {
        for hunk in object["hunks"].as_array_mut().into_iter().flatten() {
            hunk["cause"] = Value::Null;
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::object::Mask;
    use crate::object::kind::{CONFIG_MAP, SERVICE};
    use crate::plan::diff::{Compared, DiffOutcome, Difference, changed};
    use crate::report::streams::tests::{captured, settings};
    use crate::report::text::diff::DiffBasis;

    /// A ConfigMap with this model.
    fn config(model: &str) -> Value {
        json!({ "metadata": { "name": "config" }, "data": { "config.toml": format!("[llm]\nmodel = \"{model}\"\n") } })
    }

    /// The change of the model.
    fn changed_model() -> Compared {
        let id = CONFIG_MAP.id("n", "config");
        changed(&id, &config("gpt-5"), &config("gpt-4"), None, &Mask::default()).into()
    }

    /// What `history diff` prints about these objects: stdout and stderr.
    fn printed(compared: &[Compared], output: Output) -> (String, String) {
        let report = DiffReport {
            context: "c",
            namespace: "n",
            name: "oh",
            basis: DiffBasis::Revisions,
            compared,
            now: Timestamp::UNIX_EPOCH,
        };
        let (streams, out, err) = captured(settings());
        let changed = ["llm.model".to_owned()];
        let diff = RecordedDiff { from: 3, to: 5, changed: &changed, report };
        assert_eq!(streams.recorded_diff(&diff, output).unwrap(), Written::Yes);
        (out.text(), err.text())
    }

    #[test]
    fn changed_line_of_config_is_shown_without_a_cause() {
        let (out, err) = printed(&[changed_model()], Output::Human);
        assert_eq!(
            out,
            "configmap/config   changed\n  data[\"config.toml\"]\n    [llm]\n-   model = \"gpt-4\"\n+   model = \
             \"gpt-5\"\n1 changed, 0 added, 0 removed\n"
        );
        assert_eq!(err, "");
    }

    #[test]
    fn added_and_removed_objects_are_one_line_each() {
        let removed = Difference::new(CONFIG_MAP.id("n", "a"), DiffOutcome::Deleted { data_loss: false });
        let added = Difference::new(SERVICE.id("n", "b"), DiffOutcome::Created);
        let (out, _) = printed(&[removed.into(), added.into()], Output::Human);
        assert_eq!(out, "configmap/a   removed\nservice/b   added\n0 changed, 1 added, 1 removed\n");
    }

    #[test]
    fn equal_revisions_are_reported_on_stderr() {
        let (out, err) = printed(&[], Output::Human);
        assert_eq!((out.as_str(), err.as_str()), ("", "no differences between revisions 3 and 5\n"));
    }

    #[test]
    fn json_has_numbers_and_keys_but_no_causes() {
        let (out, _) = printed(&[changed_model()], Output::Json);
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&value["from"], &value["to"]), (&json!(3), &json!(5)));
        assert_eq!(value["changed"], json!(["llm.model"]));
        assert_eq!(value["objects"][0]["hunks"][0]["cause"], Value::Null);
    }
}
