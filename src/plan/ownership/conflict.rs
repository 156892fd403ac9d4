//! Fields that others manage and that we want to be different, and the table that shows them. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::policy::Ownership;
use crate::object::ObjectId;
use crate::object::field_path::{FieldOwner, FieldPath};
use crate::object::kind::SECRET;
use crate::phrase;
use crate::plan::desired::Member;
use crate::settings::handsctl::OwnershipRule;

/// A value in the table is at most this many characters long.
const LONGEST: usize = 32;
/// What is shown of a Secret's data.
const HIDDEN: &str = "(hidden)";

/// A field that somebody else manages and that we want to be different.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// As the API server names it, with the dot at the beginning.
    pub field: String,
    /// Who manages it; more than one may, and nobody may any more.
    pub owners: Vec<FieldOwner>,
    /// The rule of `[deploy.ownership]` for it.
    pub rule: Option<OwnershipRule>,
    there: Option<Value>,
    here: Option<Value>,
}

/// What the API server says of a conflict: a cause of its answer.
#[derive(Debug, Clone, Copy)]
pub struct ConflictCause<'a> {
    /// `.spec.replicas`.
    pub field: &'a str,
    /// `conflict with "kubectl" with subresource "scale" using apps/v1`.
    pub message: &'a str,
}

/// The conflicts of an answer. `sent` is the manifest that was refused; `live` is the object as it is now, or None
/// where it may not be read.
#[must_use]
pub fn conflicts<'a>(
    causes: impl Iterator<Item = ConflictCause<'a>>,
    member: &Member,
    sent: &Value,
    live: Option<&Value>,
    ownership: &Ownership,
) -> Vec<Conflict> {
    let mut conflicts: Vec<Conflict> = Vec::new();
    for cause in causes {
        // The server names a field once for each manager.
        if let Some(known) = conflicts.iter_mut().find(|known| known.field == cause.field) {
            if live.is_none() {
                known.owners.extend(owner_in(cause.message));
            }
            continue;
        }
        let path = FieldPath::find(cause.field, sent);
        let value = |object: &Value| path.as_ref().and_then(|path| path.value_in(object)).cloned();
        let owners = match (&path, live) {
            (Some(path), Some(live)) => path.owners(live),
            _ => owner_in(cause.message).into_iter().collect(),
        };
        conflicts.push(Conflict {
            field: cause.field.to_owned(),
            owners,
            rule: path.as_ref().and_then(|path| ownership.rule_for(member, path)),
            there: live.and_then(value),
            here: value(sent),
        });
    }
    conflicts
}

/// The manager in the server's sentence.
fn owner_in(message: &str) -> Option<FieldOwner> {
    let quoted = |text: &str| Some(text.split_once('"')?.1.split_once('"')?.0.to_owned());
    let subresource = message.split_once("with subresource ").and_then(|(_, rest)| quoted(rest));
    Some(FieldOwner { manager: quoted(message)?, subresource, since: None })
}

/// The table: a header, then a line for each field and manager, without an end of line behind the last. `now` is
/// the time on the server's clock.
#[must_use]
pub fn table(id: &ObjectId, conflicts: &[Conflict], now: Timestamp) -> String {
    let mut rows = vec![["field", "manager", "since", "there", "here"].map(str::to_owned)];
    for conflict in conflicts {
        let (there, here) = if is_secret(id, &conflict.field) {
            (HIDDEN.to_owned(), HIDDEN.to_owned())
        } else {
            pair(&text(conflict.there.as_ref()), &text(conflict.here.as_ref()))
        };
        let mut owners = conflict.owners.iter();
        let first = owners.next();
        rows.push([conflict.field.clone(), first.map_or_else(none, name), since(first, now), there, here]);
        rows.extend(owners.map(|owner| {
            [String::new(), name(owner), since(Some(owner), now), String::new(), String::new()]
        }));
    }
    aligned(&rows)
}

/// The line of config.toml, under `[deploy.ownership]`, that leaves a field to others.
#[must_use]
pub fn yield_line(id: &ObjectId, conflict: &Conflict) -> String {
    let key =
        format!("{}/{}:{}", id.kind.to_ascii_lowercase(), id.name, conflict.field.trim_start_matches('.'));
    let key = if key.contains(['"', '\\']) && !key.contains('\'') {
        format!("'{key}'")
    } else {
        Value::from(key).to_string()
    };
    format!("{key} = \"yield\"")
}

fn is_secret(id: &ObjectId, field: &str) -> bool {
    let is_secret = id.group == SECRET.group && id.kind == SECRET.kind;
    is_secret && (field.starts_with(".data") || field.starts_with(".stringData"))
}

fn none() -> String {
    "-".to_owned()
}

/// `kubectl-edit`, `kubectl (scale)`.
fn name(owner: &FieldOwner) -> String {
    match &owner.subresource {
        Some(subresource) => format!("{} ({subresource})", owner.manager),
        None => owner.manager.clone(),
    }
}

/// `4 h`.
fn since(owner: Option<&FieldOwner>, now: Timestamp) -> String {
    owner.and_then(|owner| owner.since).map_or_else(none, |since| phrase::age(since, now))
}

/// One line, whatever the value is.
fn text(value: Option<&Value>) -> String {
    match value {
        None => none(),
        Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// Two values next to each other. Where one is too long, what both begin with goes first, up to the last word that
/// they share: `…:0.58` beside `…:0.59`.
fn pair(there: &str, here: &str) -> (String, String) {
    if length(there) <= LONGEST && length(here) <= LONGEST {
        return (there.to_owned(), here.to_owned());
    }
    let mut shared = 0;
    for ((at, a), b) in there.char_indices().zip(here.chars()) {
        if a != b {
            break;
        }
        if !(a.is_alphanumeric() || matches!(a, '.' | '-' | '_')) {
            shared = at;
        }
    }
    let cut = |text: &str| match shared {
        0 => shortened(text),
        _ => truncated(&format!("…{}", &text[shared..])),
    };
    (cut(there), cut(here))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// With `…` in the middle.
fn shortened(text: &str) -> String {
    let length = length(text);
    if length <= LONGEST {
        return text.to_owned();
    }
    let (head, tail) = (LONGEST / 2 - 1, LONGEST / 2);
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(length - tail).collect();
    format!("{first}…{last}")
}

/// With `…` at the end: the values differ at the beginning.
fn truncated(text: &str) -> String {
    if length(text) <= LONGEST {
        return text.to_owned();
    }
    let first: String = text.chars().take(LONGEST - 1).collect();
    format!("{first}…")
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| length(&row[column])).max().unwrap_or_default());
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{DEPLOYMENT, KindInfo};
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-03T00:00:00Z".parse().unwrap()
    }

    fn found(
        kind: KindInfo,
        sent: &Value,
        live: Option<&Value>,
        causes: &[(&str, &str)],
    ) -> (ObjectId, Vec<Conflict>) {
        let member = Member { id: kind.id("n", "openhands"), kind, manifest: sent.clone() };
        let causes = causes.iter().map(|(field, message)| ConflictCause { field, message });
        let found = conflicts(causes, &member, sent, live, &Ownership::default());
        (member.id, found)
    }

    #[test]
    fn the_table_says_who_and_since_when_and_both_values() {
        let image = |tag: &str| format!("docker.all-hands.dev/all-hands-ai/openhands:{tag}");
        let spec = |replicas: u32, tag: &str| json!({ "replicas": replicas, "template": { "spec": { "containers": [{ "name": "a", "image": image(tag) }] } } });
        let container = json!({ "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"a\"}": { "f:image": {} } } } } });
        let live = json!({ "spec": spec(3, "0.58"), "metadata": { "managedFields": [
            { "manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
            { "manager": "kubectl-set", "operation": "Update", "time": "2026-01-02T20:00:00Z", "fieldsV1": { "f:spec": container } },
            { "manager": "ci", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": container } },
        ] } });
        let image = ".spec.template.spec.containers[name=\"a\"].image";
        let causes = [
            (".spec.replicas", "conflict with \"kubectl\" with subresource \"scale\" using apps/v1"),
            (image, "conflict with \"ci\""),
            (image, "conflict with \"kubectl-set\" using apps/v1"),
        ];
        let sent = json!({ "spec": spec(1, "0.59") });
        let (id, conflicts) = found(DEPLOYMENT, &sent, Some(&live), &causes);
        let expected = [
            "field                                           manager          since  there   here",
            ".spec.replicas                                  kubectl (scale)  -      3       1",
            r#".spec.template.spec.containers[name="a"].image  kubectl-set      4 h    …:0.58  …:0.59"#,
            "                                                ci               2 d",
        ];
        assert_eq!(table(&id, &conflicts, now()), expected.join("\n"));
        // What may not be read is not shown; the server's sentence names the managers.
        let (id, conflicts) = found(DEPLOYMENT, &sent, None, &causes[..1]);
        assert_eq!(
            table(&id, &conflicts, now()),
            "field           manager          since  there  here\n.spec.replicas  kubectl (scale)  -      -      1"
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let (sent, live) = (json!({ "data": { "K": "aGVyZQ==" } }), json!({ "data": { "K": "dGhlcmU=" } }));
        let (id, conflicts) = found(SECRET, &sent, Some(&live), &[(".data.K", "conflict with \"a\"")]);
        let table = table(&id, &conflicts, now());
        assert!(table.ends_with("(hidden)  (hidden)"), "{table}");
        assert!(!table.contains('='), "{table}");
    }

    #[test]
    fn long_values_are_shortened_where_they_are_the_same() {
        let long = "a".repeat(40);
        assert_eq!(pair("1", "2"), ("1".to_owned(), "2".to_owned()));
        let (there, here) = pair(&format!("{long}/b:1"), &format!("{long}/b:2"));
        assert_eq!((there.as_str(), here.as_str()), ("…:1", "…:2"));
        let (there, here) = pair(&format!("[\"{long}\"]"), &format!("[\"b{long}\"]"));
        assert_eq!((there.as_str(), length(&here)), ("…\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa…", LONGEST));
        let (there, here) = pair(&long, "b");
        assert_eq!((length(&there), there.contains('…'), here.as_str()), (LONGEST, true, "b"));
        assert_eq!(text(Some(&json!("a\nb"))), "\"a\\nb\"");
        assert_eq!(text(Some(&json!(["a"]))), "[\"a\"]");
    }

    #[test]
    fn the_line_of_the_configuration_is_one_that_is_understood() {
        let conflict = |field: &str| Conflict {
            field: field.to_owned(),
            owners: Vec::new(),
            rule: None,
            there: None,
            here: None,
        };
        let id = DEPLOYMENT.id("n", "openhands");
        for field in
            [".spec.replicas", ".spec.template.spec.containers[name=\"a\"].image", ".a[name=\"it's\"]"]
        {
            let line = yield_line(&id, &conflict(field));
            let parsed: toml::Table = line.parse().unwrap();
            let key = crate::settings::format::OwnedField::parse(parsed.keys().next().unwrap()).unwrap();
            assert_eq!((key.kind(), key.name(), key.field()), ("deployment", "openhands", &field[1..]));
        }
        assert_eq!(
            yield_line(&id, &conflict(".spec.replicas")),
            "\"deployment/openhands:spec.replicas\" = \"yield\""
        );
    }
}
