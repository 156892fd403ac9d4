//! What the configuration's warnings mean for a deploy. Pure.

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Kind};
use crate::phrase;

/// Reports the configuration: each secret that a deploy could not read fails, and the other warnings are counted.
pub(crate) fn checks(summary: &str, warnings: &[Diagnostic]) -> Vec<Check> {
    let (unreadable, others): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        warnings.iter().partition(|warning| warning.id == Id::SecretNotReadable);
    let mut checks: Vec<Check> = unreadable.into_iter().map(secret).collect();
    let text = match others.len() {
        0 => summary.to_owned(),
        count => format!("{summary}; {}: handsctl config check", phrase::count(count, "warning")),
    };
    checks.insert(0, Check::passed(Category::Configuration, "file", text));
    checks
}

fn secret(warning: &Diagnostic) -> Check {
    let error = Error::new(warning.id, Kind::Prerequisite, warning.message.clone())
        .at_config(warning.location.clone());
    Check::failed(Category::Configuration, "secrets", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Severity;
    use crate::doctor::check::Outcome;

    fn warning(id: Id) -> Diagnostic {
        let message = "LLM_API_KEY is not set".to_owned();
        Diagnostic {
            id,
            severity: Severity::Warning,
            message,
            location: None,
            label: String::new(),
            masked: false,
        }
    }

    #[test]
    fn unreadable_secret_fails_and_other_warnings_are_counted() {
        let checks =
            checks("config.toml  (2 keys set)", &[warning(Id::IgnoredByApp), warning(Id::SecretNotReadable)]);
        let [file, secret] = &checks[..] else { panic!("{checks:?}") };
        assert!(
            matches!(&file.outcome, Outcome::Passed(text) if text.ends_with("1 warning: handsctl config check"))
        );
        assert!(matches!(&secret.outcome, Outcome::Failed(error) if error.id() == Id::SecretNotReadable));
    }
}
