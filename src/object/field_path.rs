//! Paths of fields in an object, written as server-side apply writes them.
//!
//! The API server writes `.spec.template.spec.containers[name="openhands"].image`. That text alone is ambiguous,
//! because map keys contain dots (`.metadata.labels.app.kubernetes.io/name`). So it is resolved against an object that
//! has the field.

use std::cmp::Reverse;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::item_selector::ItemSelector;
use super::managed_fields;

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PathStep {
    /// A field of an object, or a key of a map.
    Field(String),
    /// An item of a list.
    Item(ItemSelector),
}

/// The path of a field in an object.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPath(Vec<PathStep>);

/// Another field manager of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldOwner {
    /// The manager's name.
    pub manager: String,
    /// The subresource that it writes through, such as `scale`.
    pub subresource: Option<String>,
    /// The time of its last change to this object; the server does not record one for every subresource.
    pub since: Option<Timestamp>,
}

impl FieldPath {
    /// Finds the field of this name in the object; the leading dot is optional. Returns `None` if the object does not
    /// have the field.
    #[must_use]
    pub fn find(text: &str, object: &Value) -> Option<Self> {
        let mut steps = Vec::new();
        let text = if text.starts_with(['.', '[']) { text.to_owned() } else { format!(".{text}") };
        resolve(&text, object, &mut steps).then_some(Self(steps))
    }

    /// Returns the field's value in an object.
    #[must_use]
    pub fn value_in<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, step| step.value_in(value))
    }

    /// Returns whether this path is `other` or below it.
    #[must_use]
    pub fn is_under(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Returns the fields that a field set (`fieldsV1`) contains as a whole, in its order.
    #[must_use]
    pub fn leaves(fields: &Value) -> Vec<Self> {
        let mut leaves = Vec::new();
        collect_leaves(fields, &mut Vec::new(), &mut leaves);
        leaves
    }

    /// Returns the number of steps.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn from_steps(steps: &[PathStep]) -> Self {
        Self(steps.to_vec())
    }

    pub(crate) fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// Returns all managers of this field of a live object, except handsctl's own apply.
    #[must_use]
    pub fn owners(&self, live: &Value) -> Vec<FieldOwner> {
        managed_fields::entries_of_others(live)
            .filter(|entry| self.is_in(&entry["fieldsV1"]))
            .map(FieldOwner::from_entry)
            .collect()
    }

    /// Returns whether a field set contains this field, or a parent of it as a whole.
    fn is_in(&self, fields: &Value) -> bool {
        let mut node = fields;
        for step in &self.0 {
            match step.node_in(node) {
                Some(child) => node = child,
                None => return false,
            }
            if managed_fields::is_leaf(node) {
                return true;
            }
        }
        true
    }
}

/// Prints the path as the API server does: `.spec.template.spec.containers[name="openhands"].image`.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            PathStep::Field(name) => write!(f, ".{name}"),
            PathStep::Item(ItemSelector::Value(value)) => write!(f, "[={value}]"),
            PathStep::Item(ItemSelector::Keys(keys)) => {
                let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        })
    }
}

impl FieldOwner {
    /// Reads the manager of an entry of `metadata.managedFields`.
    #[must_use]
    pub fn from_entry(entry: &Value) -> Self {
        let text = |key: &str| entry[key].as_str().map(str::to_owned);
        Self {
            manager: text("manager").unwrap_or_default(),
            subresource: text("subresource").filter(|subresource| !subresource.is_empty()),
            since: entry["time"].as_str().and_then(|time| time.parse().ok()),
        }
    }
}

impl PathStep {
    pub(crate) fn value_in<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match self {
            PathStep::Field(name) => value.get(name),
            PathStep::Item(selector) => {
                let items = value.as_array()?;
                items.get(position(selector, items)?)
            }
        }
    }

    pub(crate) fn value_in_mut<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            PathStep::Field(name) => value.get_mut(name),
            PathStep::Item(selector) => {
                let items = value.as_array_mut()?;
                let position = position(selector, items)?;
                items.get_mut(position)
            }
        }
    }

    /// Removes the child that this step selects.
    pub(crate) fn remove(&self, value: &mut Value) {
        match (self, value) {
            (PathStep::Field(name), Value::Object(map)) => {
                map.remove(name);
            }
            (PathStep::Item(selector), Value::Array(items)) => {
                if let Some(position) = position(selector, items) {
                    items.remove(position);
                }
            }
            _ => {}
        }
    }

    /// Returns this step's node in a field set (`fieldsV1`): `f:name`, `k:{"name":"http"}`, `v:"item"`.
    pub(crate) fn node_in<'a>(&self, fields: &'a Value) -> Option<&'a Value> {
        match self {
            PathStep::Field(name) => fields.get(format!("f:{name}")),
            PathStep::Item(selector) => {
                let children = fields.as_object()?;
                children
                    .iter()
                    .find(|(name, _)| selects(name).as_ref() == Some(selector))
                    .map(|(_, node)| node)
            }
        }
    }
}

fn collect_leaves(node: &Value, path: &mut Vec<PathStep>, leaves: &mut Vec<FieldPath>) {
    for (name, child) in node.as_object().into_iter().flatten() {
        let step = match name.strip_prefix("f:") {
            Some(field) => PathStep::Field(field.to_owned()),
            None => match selects(name) {
                Some(selector) => PathStep::Item(selector),
                // The item itself (`.`), whose fields follow.
                None => continue,
            },
        };
        path.push(step);
        if managed_fields::is_leaf(child) {
            leaves.push(FieldPath(path.clone()));
        } else {
            collect_leaves(child, path, leaves);
        }
        path.pop();
    }
}

/// Parses the name of a list item in a field set (`k:…` or `v:…`).
pub(crate) fn selects(name: &str) -> Option<ItemSelector> {
    match name.split_at_checked(2)? {
        ("k:", keys) => serde_json::from_str(keys).ok().map(ItemSelector::Keys),
        ("v:", value) => serde_json::from_str(value).ok().map(ItemSelector::Value),
        _ => None,
    }
}

/// Finds the selected item. Without an exact match it accepts an item that lacks some of the keys, because a key that
/// is left out has a default, such as a port's protocol.
fn position(selector: &ItemSelector, items: &[Value]) -> Option<usize> {
    let keys = match selector {
        ItemSelector::Value(value) => return items.iter().position(|item| item == value),
        ItemSelector::Keys(keys) => keys,
    };
    let exact = |item: &Value| keys.iter().all(|(name, value)| item.get(name) == Some(value));
    let without_defaults = |item: &Value| {
        let mut present = keys.iter().filter_map(|(name, value)| Some((item.get(name)?, value))).peekable();
        present.peek().is_some() && present.all(|(actual, value)| actual == value)
    };
    items.iter().position(exact).or_else(|| items.iter().position(without_defaults))
}

fn resolve(text: &str, object: &Value, steps: &mut Vec<PathStep>) -> bool {
    if text.is_empty() {
        return true;
    }
    match object {
        Value::Object(map) => {
            let Some(rest) = text.strip_prefix('.') else { return false };
            let is_boundary = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
            let mut names: Vec<&String> =
                map.keys().filter(|name| rest.strip_prefix(name.as_str()).is_some_and(is_boundary)).collect();
            names.sort_by_key(|name| Reverse(name.len()));
            names
                .into_iter()
                .any(|name| step_into(PathStep::Field(name.clone()), &rest[name.len()..], object, steps))
        }
        Value::Array(_) => {
            let Ok((selector, rest)) = ItemSelector::read(text) else { return false };
            step_into(PathStep::Item(selector), rest, object, steps)
        }
        _ => false,
    }
}

fn step_into(step: PathStep, rest: &str, object: &Value, steps: &mut Vec<PathStep>) -> bool {
    let Some(inner) = step.value_in(object) else { return false };
    steps.push(step);
    let resolved = resolve(rest, inner, steps);
    if !resolved {
        steps.pop();
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Value {
        json!({
            "metadata": {
                "labels": { "app": "a", "app.kubernetes.io/name": "b", "app.kubernetes.io": "c" },
                "finalizers": ["x.io/hold"],
            },
            "spec": { "template": { "spec": { "containers": [
                { "name": "main", "image": "i", "env": [{ "name": "A.b]", "value": "1" }],
                  "ports": [{ "containerPort": 80, "name": "udp", "protocol": "UDP" }, { "containerPort": 80, "name": "tcp" }] },
            ] } } },
        })
    }

    /// The names were copied from conflicts that kube-apiserver 1.34 reported.
    #[test]
    fn find_accepts_the_field_names_of_conflicts() {
        let object = object();
        for (name, value) in [
            (".metadata.labels.app", json!("a")),
            (".metadata.labels.app.kubernetes.io/name", json!("b")),
            ("metadata.labels.app.kubernetes.io", json!("c")),
            (".metadata.finalizers[=\"x.io/hold\"]", json!("x.io/hold")),
            (".spec.template.spec.containers[name=\"main\"].image", json!("i")),
            (".spec.template.spec.containers[name=\"main\"].env[name=\"A.b]\"].value", json!("1")),
            (
                ".spec.template.spec.containers[name=\"main\"].ports[containerPort=80,protocol=\"UDP\"].name",
                json!("udp"),
            ),
            (
                ".spec.template.spec.containers[name=\"main\"].ports[containerPort=80,protocol=\"TCP\"].name",
                json!("tcp"),
            ),
        ] {
            let path = FieldPath::find(name, &object);
            assert_eq!(path.and_then(|path| path.value_in(&object).cloned()), Some(value), "{name}");
        }
        for name in [
            ".spec.replicas",
            ".metadata.labels.ap",
            ".spec.template.spec.containers[name=\"other\"].image",
            ".spec.template.spec.containers.image",
            ".metadata[name=\"a\"]",
        ] {
            assert_eq!(FieldPath::find(name, &object), None, "{name}");
        }
    }

    #[test]
    fn leaves_have_the_names_of_conflicts() {
        let fields = json!({
            "f:metadata": { "f:finalizers": { ".": {}, "v:\"x.io/hold\"": {} } },
            "f:spec": { "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": {
                ".": {}, "f:image": {} } } } } },
        });
        let leaves = FieldPath::leaves(&fields);
        let names: Vec<String> = leaves.iter().map(FieldPath::to_string).collect();
        assert_eq!(
            names,
            [".metadata.finalizers[=\"x.io/hold\"]", ".spec.template.spec.containers[name=\"main\"].image"]
        );
        assert_eq!(FieldPath::find(&names[1], &object()), Some(leaves[1].clone()));
    }

    #[test]
    fn is_under_compares_whole_steps() {
        let object = object();
        let find = |name: &str| FieldPath::find(name, &object).unwrap();
        assert!(find("metadata.labels.app").is_under(&find("metadata.labels")));
        assert!(find("metadata.labels").is_under(&find("metadata.labels")));
        assert!(!find("metadata.labels.app.kubernetes.io/name").is_under(&find("metadata.labels.app")));
    }

    #[test]
    fn owners_come_from_managed_fields() {
        let mut live = object();
        live["metadata"]["managedFields"] = json!([
            { "manager": "handsctl", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": {
                "f:metadata": { "f:labels": { "f:app": {} } } } },
            { "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {
                "f:metadata": { "f:labels": { "f:app": {} }, "f:finalizers": { "v:\"x.io/hold\"": {} } },
                "f:spec": { "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": {
                    ".": {}, "f:ports": { "k:{\"protocol\":\"UDP\",\"containerPort\":80}": { "f:name": {} } } } } } } } } },
            { "manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": {
                "f:metadata": { "f:labels": {} } } },
        ]);
        let owners = |name: &str| {
            let path = FieldPath::find(name, &live).unwrap();
            path.owners(&live).into_iter().map(|owner| owner.manager).collect::<Vec<_>>()
        };
        assert_eq!(
            owners("metadata.labels.app"),
            ["kubectl-edit", "kubectl"],
            "the second owns them as a whole"
        );
        assert_eq!(owners("metadata.finalizers[=\"x.io/hold\"]"), ["kubectl-edit"]);
        let port =
            "spec.template.spec.containers[name=\"main\"].ports[containerPort=80,protocol=\"UDP\"].name";
        assert_eq!(owners(port), ["kubectl-edit"]);
        assert_eq!(owners("spec.template.spec.containers[name=\"main\"].image"), [""; 0]);
        let path = FieldPath::find("metadata.labels.app", &live).unwrap();
        let times: Vec<bool> = path.owners(&live).iter().map(|owner| owner.since.is_some()).collect();
        assert_eq!(times, [true, false]);
    }
}
