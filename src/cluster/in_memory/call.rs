//! The parts of a request to the API server.

use http::Method;
use http::request::Parts;
use serde_json::Value;

use crate::object::kind::CLAIM;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Create,
    Apply,
    MergePatch,
    Replace,
    Delete,
}

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    /// The path of the object's collection: `/api/v1/namespaces/n/pods`.
    pub(super) collection: String,
    /// The object's name; empty for the collection.
    pub(super) name: String,
    /// `log`, `proxy/alive`; empty for the object itself.
    pub(super) subresource: String,
    query: Vec<(String, String)>,
    /// The body; null without one.
    pub(super) body: Value,
}

impl Call {
    /// Reads a request. Panics if its body is not JSON.
    pub(super) fn new(head: &Parts, body: &[u8]) -> Self {
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        let is_apply =
            content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/apply-patch"));
        let verb = match head.method {
            Method::GET => Verb::Get,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Replace,
            Method::DELETE => Verb::Delete,
            Method::PATCH if is_apply => Verb::Apply,
            Method::PATCH => Verb::MergePatch,
            _ => panic!("unexpected {}", head.method),
        };
        let (collection, rest) = split_path(head.uri.path());
        let mut rest = rest.splitn(2, '/').map(str::to_owned);
        Self {
            verb,
            collection,
            name: rest.next().unwrap_or_default(),
            subresource: rest.next().unwrap_or_default(),
            query: head.uri.query().unwrap_or_default().split('&').filter_map(parameter).collect(),
            body: if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() },
        }
    }

    /// Returns a parameter of the query; empty if it is absent.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns whether the server stores nothing.
    pub(super) fn is_dry_run(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    /// Returns whether it is the apply of an object other than a set's parent.
    pub(super) fn applies_member(&self) -> bool {
        self.verb == Verb::Apply && !self.name.starts_with("handsctl-")
    }

    /// Returns whether it reads one claim, as a run does right before it applies the workloads that mount it.
    pub(super) fn reads_claim(&self) -> bool {
        self.verb == Verb::Get && self.collection.ends_with(CLAIM.plural) && !self.name.is_empty()
    }
}

/// Splits a path into that of the collection and the rest, which begins with the object's name.
fn split_path(path: &str) -> (String, &str) {
    let root = if path.starts_with("/apis/") { 3 } else { 2 };
    let plural = match path.split('/').skip(root + 1).collect::<Vec<_>>().as_slice() {
        ["namespaces", _, _, ..] => root + 3,
        _ => root + 1,
    };
    let end = path.match_indices('/').nth(plural).map_or(path.len(), |(index, _)| index);
    (path[..end].to_owned(), path[end..].trim_start_matches('/'))
}

fn parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.to_owned(), decoded(value)))
}

/// Decodes percent escapes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next().unwrap()).to_digit(16).unwrap();
        bytes.push(if byte == b'%' { u8::try_from(digit() * 16 + digit()).unwrap() } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_split_after_the_collection() {
        for (path, collection, rest) in [
            ("/api/v1/namespaces/n/pods/p/log", "/api/v1/namespaces/n/pods", "p/log"),
            ("/apis/apps/v1/namespaces/n/deployments", "/apis/apps/v1/namespaces/n/deployments", ""),
            ("/api/v1/namespaces/n", "/api/v1/namespaces", "n"),
            ("/api/v1/nodes", "/api/v1/nodes", ""),
        ] {
            assert_eq!(split_path(path), (collection.to_owned(), rest));
        }
        assert_eq!(decoded("a%3Db%2Cc"), "a=b,c");
    }
}
