//! Combines all diagnostics: one error, or warnings.

use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;
use crate::phrase;
use crate::settings::resolved::KeySources;

/// Returns the warnings if there is no error; else one error with all diagnostics. `names` are the config files.
///
/// # Errors
/// `Kind::Config`.
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
    let and_warnings =
        if warnings > 0 { format!(", {}", phrase::count(warnings, "warning")) } else { String::new() };
    let message = format!("{}: {}{and_warnings}", subject(&diagnostics), phrase::count(errors, "error"));
    // The first diagnostic determines the error's id, so errors come first.
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity == Severity::Warning);
    Err(Error::config(message, diagnostics))
}

/// Returns the diagnostics of a changed text that its earlier text did not have. Positions are not compared, because lines
/// move.
#[must_use]
pub fn added_diagnostics(before: &[Diagnostic], mut after: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut before: Vec<&Diagnostic> = before.iter().collect();
    after.retain(|diagnostic| {
        let same = before.iter().position(|other| {
            (other.id, &other.message, &other.label)
                == (diagnostic.id, &diagnostic.message, &diagnostic.label)
        });
        same.map(|index| before.swap_remove(index)).is_none()
    });
    after
}

/// Sorts by source in reading order, then by position; diagnostics without a location come first.
fn sort(diagnostics: &mut [Diagnostic], names: &[String]) {
    diagnostics.sort_by_key(|diagnostic| {
        diagnostic.location.as_ref().map(|location| {
            let file = names.iter().position(|name| *name == location.source.name).unwrap_or(names.len());
            (file, location.source.name.clone(), location.span.start)
        })
    });
}

/// The name of the only source with diagnostics, else `configuration`.
fn subject(diagnostics: &[Diagnostic]) -> String {
    let mut sources = diagnostics.iter().filter_map(|diagnostic| diagnostic.location.as_ref());
    let Some(first) = sources.next() else { return "configuration".to_owned() };
    if sources.all(|other| other.source.name == first.source.name) {
        return first.source.name.clone();
    }
    "configuration".to_owned()
}

/// Summarizes the sources, for the first line of a command.
pub(crate) fn summary(names: &[String], keys: usize, sources: KeySources, warnings: usize) -> String {
    let warned =
        if warnings == 0 { String::new() } else { format!(", {}", phrase::count(warnings, "warning")) };
    if names.is_empty() {
        let others = [(sources.variables, "HANDSCTL_ variables"), (sources.set, "--set")];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let others: Vec<String> =
            others.map(|(count, source)| format!("{} by {source}", phrase::count(count, "key"))).collect();
        let keys = if others.is_empty() { "every key has its default".to_owned() } else { others.join(", ") };
        return format!("no config.toml: {keys}{warned}");
    }
    format!("{}  ({} set{warned})", names.join(", "), phrase::count(keys, "key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;

    fn diagnostic(message: &str) -> Diagnostic {
        Diagnostic {
            id: Id::UnknownKey,
            severity: Severity::Error,
            message: message.to_owned(),
            location: None,
            label: String::new(),
            masked: false,
        }
    }

    #[test]
    fn added_diagnostics_are_those_that_were_not_there() {
        let of = |messages: &[&str]| messages.iter().map(|message| diagnostic(message)).collect::<Vec<_>>();
        assert_eq!(added_diagnostics(&of(&["a", "b"]), of(&["b", "a"])), []);
        assert_eq!(added_diagnostics(&of(&["a"]), of(&["b", "a", "a"])), of(&["b", "a"]));
    }
}
