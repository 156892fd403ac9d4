//! Server-side apply conflicts, and the table that shows them. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::policy::Ownership;
use super::value_pair;
use crate::error::{ConflictingField, ConflictingManager, ConflictingValues};
use crate::object::field_path::{FieldOwner, FieldPath};
use crate::object::kind::SECRET;
use crate::object::{ObjectId, literal_secret};
use crate::phrase;
use crate::plan::desired::Member;
use crate::settings::handsctl::OwnershipRule;

/// The maximum length of a value in the table, in characters.
const MAX_VALUE_CHARS: usize = 32;
/// Replaces the data of a Secret in the table.
const HIDDEN: &str = "(hidden)";

/// A field that another manager owns with a value other than ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The field's path, as the API server writes it, with a leading dot.
    pub field: String,
    /// Its managers: one or more, or none if they released it after the conflict.
    pub owners: Vec<FieldOwner>,
    /// The rule of `[deploy.ownership]` that applies to it.
    pub rule: Option<OwnershipRule>,
    live_value: Option<Value>,
    planned_value: Option<Value>,
}

/// The name of a manager that the API server has not recorded.
const UNKNOWN_MANAGER: &str = "unknown";

impl Conflict {
    /// A field of ours that somebody changed without becoming its manager. `live` and `planned` are without secrets.
    pub(super) fn without_manager(
        path: &FieldPath,
        live: &Value,
        planned: &Value,
        rule: Option<OwnershipRule>,
    ) -> Self {
        let manager = FieldOwner { manager: UNKNOWN_MANAGER.to_owned(), subresource: None, since: None };
        Self {
            field: path.to_string(),
            owners: vec![manager],
            rule,
            live_value: path.value_in(live).cloned(),
            planned_value: path.value_in(planned).cloned(),
        }
    }
}

/// Returns an object without the secrets that it has in clear text.
pub(super) fn shown(member: &Member, object: &Value) -> Value {
    literal_secret::masked(&member.id.kind, object)
}

/// One cause of the API server's conflict response.
#[derive(Debug, Clone, Copy)]
pub struct ConflictCause<'a> {
    /// The field, such as `.spec.replicas`.
    pub field: &'a str,
    /// The message, such as `conflict with "kubectl" with subresource "scale" using apps/v1`.
    pub message: &'a str,
}

/// Reads the conflicts of a response, in the order of their fields. `sent` is the rejected manifest; `live` is the current object, or `None` without
/// the right to read it.
#[must_use]
pub fn conflicts<'a>(
    causes: impl Iterator<Item = ConflictCause<'a>>,
    member: &Member,
    sent: &Value,
    live: Option<&Value>,
    ownership: &Ownership,
) -> Vec<Conflict> {
    let mut conflicts: Vec<Conflict> = Vec::new();
    let (shown_live, shown_sent) = (live.map(|live| shown(member, live)), shown(member, sent));
    for cause in causes {
        // The server reports a field once for each manager.
        if let Some(conflict) = conflicts.iter_mut().find(|conflict| conflict.field == cause.field) {
            if live.is_none() {
                conflict.owners.extend(owner_in(cause.message));
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
            live_value: shown_live.as_ref().and_then(value),
            planned_value: value(&shown_sent),
        });
    }
    // The server reports the managers in no order (its `managedfields` iterates over a map).
    conflicts.sort_by(|one, other| one.field.cmp(&other.field));
    conflicts
}

/// Parses the manager in the server's message.
fn owner_in(message: &str) -> Option<FieldOwner> {
    let quoted = |text: &str| Some(text.split_once('"')?.1.split_once('"')?.0.to_owned());
    let subresource = message.split_once("with subresource ").and_then(|(_, rest)| quoted(rest));
    Some(FieldOwner { manager: quoted(message)?, subresource, since: None })
}

/// Formats the table: a header, then a line for each field and manager, without a newline at the end. `now` is the
/// server's time.
#[must_use]
pub fn table(id: &ObjectId, conflicts: &[Conflict], now: Timestamp) -> String {
    let mut rows = vec![["field", "changed by", "since", "live", "planned"].map(str::to_owned)];
    for conflict in conflicts {
        let (live_value, planned_value) = if is_secret(id, &conflict.field) {
            (HIDDEN.to_owned(), HIDDEN.to_owned())
        } else {
            let (live, planned) = (text(conflict.live_value.as_ref()), text(conflict.planned_value.as_ref()));
            value_pair::pair(&live, &planned, MAX_VALUE_CHARS)
        };
        let mut owners = conflict.owners.iter();
        let first = owners.next();
        rows.push([
            conflict.field.clone(),
            first.map_or_else(none, name),
            since(first, now),
            live_value,
            planned_value,
        ]);
        rows.extend(owners.map(|owner| {
            [String::new(), name(owner), since(Some(owner), now), String::new(), String::new()]
        }));
    }
    aligned(&rows)
}

/// Returns the rows of the table for programs: with whole values, and times instead of ages.
pub fn rows<'a>(
    id: &'a ObjectId,
    conflicts: &'a [Conflict],
) -> impl Iterator<Item = ConflictingField> + use<'a> {
    conflicts.iter().map(|conflict| {
        let manager = |owner: &FieldOwner| ConflictingManager {
            name: owner.manager.clone(),
            subresource: owner.subresource.clone(),
            since: owner.since,
        };
        let values = if is_secret(id, &conflict.field) {
            ConflictingValues::Hidden
        } else {
            let (live, planned) = (conflict.live_value.clone(), conflict.planned_value.clone());
            ConflictingValues::Shown { live, planned }
        };
        ConflictingField {
            group: id.group.clone(),
            kind: id.kind.clone(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            field: conflict.field.clone(),
            managers: conflict.owners.iter().map(manager).collect(),
            values,
        }
    })
}

/// Returns the line for `[deploy.ownership]` in config.toml that yields a field to its managers.
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

/// Formats an owner: `kubectl-edit`, `kubectl (scale)`.
fn name(owner: &FieldOwner) -> String {
    match &owner.subresource {
        Some(subresource) => format!("{} ({subresource})", owner.manager),
        None => owner.manager.clone(),
    }
}

/// Formats the age of an owner's last change: `4 h`.
fn since(owner: Option<&FieldOwner>, now: Timestamp) -> String {
    owner.and_then(|owner| owner.since).map_or_else(none, |since| phrase::age(since, now))
}

/// Formats a value on one line.
fn text(value: Option<&Value>) -> String {
    match value {
        None => none(),
        Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
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

    fn conflicts_of(
        kind: KindInfo,
        sent: &Value,
        live: Option<&Value>,
        causes: &[(&str, &str)],
    ) -> (ObjectId, Vec<Conflict>) {
        let member = Member { id: kind.id("n", "openhands"), kind, manifest: sent.clone() };
        let causes = causes.iter().map(|(field, message)| ConflictCause { field, message });
        let conflicts = conflicts(causes, &member, sent, live, &Ownership::default());
        (member.id, conflicts)
    }

    #[test]
    fn table_shows_managers_ages_and_both_values() {
        let image = |tag: &str| format!("docker.all-hands.dev/all-hands-ai/openhands:{tag}");
        let spec = |replicas: u32, tag: &str| json!({ "replicas": replicas, "template": { "spec": { "containers": [{ "name": "a", "image": image(tag) }] } } });
        let container = json!({ "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"a\"}": { "f:image": {} } } } } });
        let live = json!({ "spec": spec(3, "0.58"), "metadata": { "managedFields": [
            { "manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
            { "manager": "kubectl-set", "operation": "Update", "time": "2026-01-02T20:00:00Z", "fieldsV1": { "f:spec": container } },
            { "manager": "ci", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": container } },
        ] } });
        let image = ".spec.template.spec.containers[name=\"a\"].image";
        // In the order of a response, which follows nothing.
        let causes = [
            (image, "conflict with \"ci\""),
            (".spec.replicas", "conflict with \"kubectl\" with subresource \"scale\" using apps/v1"),
            (image, "conflict with \"kubectl-set\" using apps/v1"),
        ];
        let sent = json!({ "spec": spec(1, "0.59") });
        let (id, conflicts) = conflicts_of(DEPLOYMENT, &sent, Some(&live), &causes);
        let expected = [
            "field                                           changed by       since  live    planned",
            ".spec.replicas                                  kubectl (scale)  -      3       1",
            r#".spec.template.spec.containers[name="a"].image  kubectl-set      4 h    …:0.58  …:0.59"#,
            "                                                ci               2 d",
        ];
        assert_eq!(table(&id, &conflicts, now()), expected.join("\n"));
        // Without the right to read the object, the managers come from the server's message.
        let (id, conflicts) = conflicts_of(DEPLOYMENT, &sent, None, &causes[1..2]);
        assert_eq!(
            table(&id, &conflicts, now()),
            "field           changed by       since  live  planned\n.spec.replicas  kubectl (scale)  -      -     1"
        );
    }

    #[test]
    fn secret_data_is_hidden() {
        let (sent, live) = (json!({ "data": { "K": "aGVyZQ==" } }), json!({ "data": { "K": "dGhlcmU=" } }));
        let (id, conflicts) = conflicts_of(SECRET, &sent, Some(&live), &[(".data.K", "conflict with \"a\"")]);
        let table = table(&id, &conflicts, now());
        assert!(table.ends_with("(hidden)  (hidden)"), "{table}");
        assert!(!table.contains('='), "{table}");
    }

    #[test]
    fn values_are_one_line() {
        assert_eq!(text(Some(&json!("a\nb"))), "\"a\\nb\"");
        assert_eq!(text(Some(&json!(["a"]))), "[\"a\"]");
    }

    #[test]
    fn yield_line_is_valid_configuration() {
        let conflict = |field: &str| Conflict {
            field: field.to_owned(),
            owners: Vec::new(),
            rule: None,
            live_value: None,
            planned_value: None,
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
