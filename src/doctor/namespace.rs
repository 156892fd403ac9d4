//! Whether objects can be created in a namespace. Pure.

use serde_json::Value;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::deletion;

/// Checks a namespace of the installation. One that does not exist is created by a deploy.
pub(super) fn check(namespace: &str, live: &Result<Option<Value>, String>) -> Check {
    let (category, name) = (Category::App, "namespace");
    match live {
        Err(reason) => Check::unknown(category, name, reason.as_str()),
        Ok(None) => Check::passed(category, name, format!("a deploy creates {namespace}")),
        Ok(Some(live)) if is_terminating(live) => Check::failed(category, name, terminating(namespace, live)),
        Ok(Some(_)) => Check::passed(category, name, format!("{namespace} exists")),
    }
}

/// Returns whether a namespace is being deleted.
pub(super) fn is_terminating(live: &Value) -> bool {
    live["status"]["phase"] == "Terminating" || deletion::deleted_since(live).is_some()
}

fn terminating(namespace: &str, live: &Value) -> Error {
    let since = deletion::deleted_since(live).map_or_else(String::new, |since| format!(" since {since}"));
    let message = format!("namespace {namespace} has been terminating{since}: everything in it is deleted");
    let error = Error::new(Id::NamespaceTerminating, Kind::Prerequisite, message);
    let blockers = deletion::namespace_blockers(live).into_iter();
    blockers
        .fold(error, |error, blocker| error.fact("evidence", blocker))
        .hint("handsctl deploy waits until it is gone, as long as --timeout allows, and creates it anew")
        .hint("-n NAME deploys into another namespace")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use serde_json::json;

    #[test]
    fn terminating_namespace_fails_with_what_holds_it() {
        let condition =
            json!({ "type": "NamespaceContentRemaining", "status": "True", "message": "1 pod remains" });
        let live = json!({
            "metadata": { "deletionTimestamp": "2026-01-02T03:04:05Z" },
            "status": { "phase": "Terminating", "conditions": [condition] },
        });
        let Outcome::Failed(error) = check("n", &Ok(Some(live))).outcome else {
            panic!("it is being deleted")
        };
        assert_eq!(error.id(), Id::NamespaceTerminating);
        assert!(error.evidence_text().contains("1 pod remains"), "{}", error.evidence_text());
        let active = json!({ "metadata": {}, "status": { "phase": "Active" } });
        assert!(matches!(check("n", &Ok(Some(active))).outcome, Outcome::Passed(_)));
        assert!(
            matches!(check("n", &Ok(None)).outcome, Outcome::Passed(text) if text == "a deploy creates n")
        );
    }
}
