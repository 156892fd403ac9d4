//! Tests from text to settings.

mod agreement;
mod application;
mod layers;
mod manual;
mod mutation;
mod templates;
mod wrong_files;

use std::path::PathBuf;

use super::Settings;
use super::load::read::{Loaded, Request};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;

/// Creates a folder with one config.toml.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("config.toml"), text).expect("config.toml");
    folder
}

fn variables(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reads one text as config.toml.
pub(super) fn read_text(text: &str) -> Result<Loaded, Error> {
    super::load::read::read(&Request::default(), &[], folder(text).path())
}

/// Returns the settings of one text as config.toml, for a test of another module.
pub(crate) fn settings_of(text: &str) -> Settings {
    let loaded = super::load::read::read_without_secrets(&Request::default(), &[], folder(text).path());
    loaded.unwrap_or_else(|error| panic!("{:?}", error.diagnostics())).settings
}

fn read_set(text: &str, set: &[&str]) -> Result<Loaded, Error> {
    let set = set.iter().map(|text| (*text).to_owned()).collect();
    super::load::read::read(&Request { set, ..Request::default() }, &[], folder(text).path())
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config")
}

/// Renders a diagnostic as plain text: `error[HC0105]: message`, the location, the marked characters, the label.
fn rendered(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let location = diagnostic.location.as_ref().map_or_else(String::new, |location| {
        let marked = &location.source.text[location.span.clone()];
        format!("  --> {location}: {marked:?}\n")
    });
    let label =
        if diagnostic.label.is_empty() { String::new() } else { format!("      {}\n", diagnostic.label) };
    format!("{severity}[{}]: {}\n{location}{label}", diagnostic.id, diagnostic.message)
}

fn all_rendered(result: &Result<Loaded, Error>) -> String {
    match result {
        Ok(loaded) => {
            let warnings: String = loaded.warnings.iter().map(rendered).collect();
            format!("{warnings}{}\n", loaded.summary)
        }
        Err(error) => {
            let diagnostics: String = error.diagnostics().iter().map(rendered).collect();
            format!("{diagnostics}{}\n", error.message())
        }
    }
}
