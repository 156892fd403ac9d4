//! Candidates that need no cluster: the keys of config.toml, and the ids and exit codes of the catalogue. Pure.

use super::answer::Candidate;
use crate::catalogue::Id;
use crate::error::Kind;
use crate::settings::{KeyReference, ValueForm};

/// Returns the keys and tables one level below the typed table. `end` follows a key, and a dot follows a table.
pub(super) fn keys(reference: &KeyReference, typed: &str, end: &str) -> Vec<Candidate> {
    let table = typed.rsplit_once('.').map_or("", |(table, _)| table);
    let path: Vec<&str> = table.split('.').filter(|name| !name.is_empty()).collect();
    let Some(ValueForm::Table(entries)) = reference.doc(&path).map(|doc| doc.value) else {
        return Vec::new();
    };
    let candidates = entries.into_iter().map(|(name, about)| {
        let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
        let is_table = reference.doc(&path).is_some_and(|doc| matches!(doc.value, ValueForm::Table(_)));
        Candidate::new(format!("{}{}", path.join("."), if is_table { "." } else { end }), about)
    });
    candidates.filter(|candidate| candidate.value.starts_with(typed)).collect()
}

/// Returns the candidates for `--set KEY=VALUE`: the keys, and behind a key the values that it allows.
pub(super) fn assignments(reference: &KeyReference, typed: &str) -> Vec<Candidate> {
    let Some((key, _)) = typed.split_once('=') else { return keys(reference, typed, "=") };
    let path: Vec<&str> = key.split('.').collect();
    let values = match reference.doc(&path).map(|doc| doc.value) {
        Some(ValueForm::OneOf(values)) => values,
        Some(ValueForm::Plain(form)) if form == "true or false" => {
            ["true", "false"].map(|value| (value.to_owned(), String::new())).into()
        }
        Some(ValueForm::Plain(_) | ValueForm::Table(_)) | None => Vec::new(),
    };
    let candidates = values.into_iter().map(|(value, about)| Candidate::new(format!("{key}={value}"), about));
    candidates.filter(|candidate| candidate.value.starts_with(typed)).collect()
}

/// Returns the subjects of `explain`: the ids, `exit-code`, and the exit codes.
pub(super) fn subjects(typed: &str) -> Vec<Candidate> {
    let ids = Id::ALL.iter().map(|id| Candidate::new(id.entry().code, id.entry().title));
    let word = Candidate::new("exit-code", "the meaning of an exit code");
    let all = ids.chain([word]).chain(all_exit_codes());
    all.filter(|candidate| candidate.value.starts_with(typed)).collect()
}

/// Returns the exit codes with their meanings.
pub(super) fn exit_codes(typed: &str) -> Vec<Candidate> {
    all_exit_codes().filter(|candidate| candidate.value.starts_with(typed)).collect()
}

fn all_exit_codes() -> impl Iterator<Item = Candidate> {
    let failures = Kind::ALL.iter().map(|kind| Candidate::new(kind.exit_code().to_string(), kind.meaning()));
    std::iter::once(Candidate::new("0", "done, or healthy")).chain(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(candidates: &[Candidate]) -> Vec<&str> {
        candidates.iter().map(|candidate| candidate.value.as_str()).collect()
    }

    #[test]
    fn keys_are_completed_table_by_table() {
        let reference = KeyReference::default();
        let tables = keys(&reference, "", "=");
        assert!(values(&tables).contains(&"deploy.") && values(&tables).contains(&"llm."), "{tables:?}");
        assert!(tables.len() < 40, "only the tables: {tables:?}");
        assert_eq!(values(&keys(&reference, "deploy.host", "=")), ["deploy.host="]);
        let nested = keys(&reference, "deploy.resources.re", "=");
        assert_eq!(values(&nested), ["deploy.resources.requests."]);
        assert_eq!(values(&keys(&reference, "deploy.hos", "")), ["deploy.host"]);
        assert_eq!(keys(&reference, "nowhere.", ""), []);
    }

    #[test]
    fn every_key_is_reached_through_its_tables() {
        let reference = KeyReference::default();
        for key in reference.keys() {
            let offered = keys(&reference, &key, "");
            let is_offered = |candidate: &Candidate| candidate.value.trim_end_matches('.') == key;
            assert!(offered.iter().any(is_offered), "{key}: {offered:?}");
        }
    }

    #[test]
    fn assignment_offers_allowed_values_behind_the_key() {
        let reference = KeyReference::default();
        assert_eq!(
            values(&assignments(&reference, "cluster.provider=k")),
            ["cluster.provider=kind", "cluster.provider=kwok"]
        );
        assert_eq!(values(&assignments(&reference, "security.confirmation_mode=")).len(), 2);
        assert_eq!(assignments(&reference, "llm.api_key="), []);
        assert_eq!(assignments(&reference, "nowhere.key="), []);
    }

    #[test]
    fn ids_and_exit_codes_have_their_meaning() {
        let offered = subjects("HC410");
        assert!(offered.iter().any(|id| id.value == "HC4103" && !id.meaning.is_empty()), "{offered:?}");
        assert_eq!(values(&subjects("exit")), ["exit-code"]);
        let codes = exit_codes("1");
        assert!(values(&codes).contains(&"130") && !values(&codes).contains(&"9"), "{codes:?}");
    }
}
