//! What all mistakes and warnings together mean.

use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;
use crate::phrase;

/// Warnings where there is no error; else an error with everything. `names` are the config files that were read.
pub(crate) fn into_result(
    mut diagnostics: Vec<Diagnostic>,
    names: &[String],
) -> Result<Vec<Diagnostic>, Error> {
    sort(&mut diagnostics, names);
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    if errors == 0 {
        return Ok(diagnostics);
    }
    let warnings = diagnostics.len() - errors;
    let also = if warnings > 0 { format!(", {}", phrase::count(warnings, "warning")) } else { String::new() };
    let message = format!("{}: {}{also}", subject(&diagnostics), phrase::count(errors, "error"));
    // The error's id is that of its first diagnostic, which should be an error.
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity == Severity::Warning);
    Err(Error::config(message, diagnostics))
}

/// By source in the order in which they were read, then by position; what has no place comes first.
fn sort(diagnostics: &mut [Diagnostic], names: &[String]) {
    diagnostics.sort_by_key(|diagnostic| {
        diagnostic.location.as_ref().map(|location| {
            let file = names.iter().position(|name| *name == location.source.name).unwrap_or(names.len());
            (file, location.source.name.clone(), location.span.start)
        })
    });
}

/// The only source that is spoken about, else `configuration`.
fn subject(diagnostics: &[Diagnostic]) -> String {
    let mut sources = diagnostics.iter().filter_map(|diagnostic| diagnostic.location.as_ref());
    let Some(first) = sources.next() else { return "configuration".to_owned() };
    if sources.all(|other| other.source.name == first.source.name) {
        return first.source.name.clone();
    }
    "configuration".to_owned()
}

/// What was read, for the first line of a command.
pub(crate) fn summary(names: &[String], keys: usize, warnings: usize) -> String {
    let warned =
        if warnings == 0 { String::new() } else { format!(", {}", phrase::count(warnings, "warning")) };
    if names.is_empty() {
        return format!("no config.toml: every key has its default{warned}");
    }
    format!("{}  ({} set{warned})", names.join(", "), phrase::count(keys, "key"))
}
