//! `[deploy].extra_manifests`: the user's own objects. Pure; `load/read.rs` reads the files.

use serde_json::Value;

use crate::diagnostic::Location;
use crate::object::manifest_yaml;
use crate::settings::manifest_fields;

/// One of the user's own objects, as in its manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraObject {
    /// The file, such as `extra/pdb.yaml`, followed by `#` and the document's number if there are several.
    pub source: String,
    /// The manifest.
    pub manifest: Value,
    /// Position of the file's name in config.toml.
    pub listed_at: Option<Location>,
}

/// The message about an invalid document.
pub(super) type ManifestMistake = String;

/// Kinds that are not allowed: handsctl creates Namespaces itself, and a revision would contain a Secret's data.
const REJECTED: &[(&str, &str, &str)] = &[
    (
        "v1",
        "Namespace",
        "handsctl creates the installation's namespaces itself and deletes only namespaces that it created",
    ),
    ("v1", "Secret", "its data would be readable in a file: create it by other means and refer to it"),
];

/// The objects of a file, each with its source, and the mistakes of its other documents.
#[derive(Debug, Default)]
pub(super) struct FileObjects {
    pub(super) objects: Vec<(String, Value)>,
    pub(super) mistakes: Vec<ManifestMistake>,
}

impl FileObjects {
    fn add(&mut self, source: String, object: Value) {
        match check(&source, &object) {
            Ok(()) => self.objects.push((source, object)),
            Err(mistake) => self.mistakes.push(mistake),
        }
    }
}

/// Reads the objects of a file; a `List` is replaced by its items. `name` is the file as written in config.toml.
pub(super) fn objects(name: &str, text: &str) -> FileObjects {
    let mut file = FileObjects::default();
    let documents = match manifest_yaml::read_all(text) {
        Ok(documents) => documents.into_iter().filter(|document| !document.is_null()).collect::<Vec<_>>(),
        Err(mistake) => {
            file.mistakes.push(format!("{name} is not a manifest that kubectl reads: {mistake}"));
            return file;
        }
    };
    let several = documents.len() > 1;
    for (at, document) in documents.into_iter().enumerate() {
        let source = if several { format!("{name}#{}", at + 1) } else { name.to_owned() };
        let Some(items) = list_items(&document) else {
            file.add(source, document);
            continue;
        };
        for (at, item) in items.into_iter().enumerate() {
            file.add(format!("{source}, item {}", at + 1), item);
        }
    }
    file
}

/// Returns the items of a list as kubectl reads them; None if the document is no list. `items: null` is an empty one.
fn list_items(document: &Value) -> Option<Vec<Value>> {
    let kind = document["kind"].as_str()?.strip_suffix("List")?;
    let mut items = match document.get("items")? {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        _ => return None,
    };
    // kubectl infers both or neither (`decodeToList` in k8s.io/apimachinery).
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !kind.is_empty()) {
        if !item.contains_key("kind") && !item.contains_key("apiVersion") {
            item.insert("kind".to_owned(), kind.into());
            item.insert("apiVersion".to_owned(), document["apiVersion"].clone());
        }
    }
    Some(items)
}

fn check(source: &str, object: &Value) -> Result<(), ManifestMistake> {
    if !object.is_object() {
        return Err(format!("{source} is not a Kubernetes object"));
    }
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = text(&object["kind"]).ok_or_else(|| format!("{source} has no `kind`"))?;
    let version = text(&object["apiVersion"]).ok_or_else(|| format!("{source} has no `apiVersion`"))?;
    if text(&object["metadata"]["name"]).is_none() {
        let reason = if object["metadata"]["generateName"].is_string() {
            "`generateName` would create another object at every deploy"
        } else {
            "handsctl identifies an object by its name"
        };
        return Err(format!("{source} ({kind}) has no `metadata.name`: {reason}"));
    }
    let rejected = REJECTED.iter().find(|(api_version, name, _)| *api_version == version && *name == kind);
    match rejected {
        Some((.., reason)) => Err(format!("{source} is a {kind}, which is not allowed: {reason}")),
        None => manifest_fields::check(object).map_err(|mistake| format!("{source} ({kind}) {mistake}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let text = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# nothing\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n";
        let objects = objects("x.yaml", text).objects;
        let sources: Vec<(&str, &str)> = objects
            .iter()
            .map(|(source, object)| (source.as_str(), object["kind"].as_str().unwrap()))
            .collect();
        assert_eq!(sources, [("x.yaml#1", "ConfigMap"), ("x.yaml#2, item 1", "Service")]);
    }

    #[test]
    fn item_of_typed_list_has_its_kind() {
        let text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n- {apiVersion: apps/v1, metadata: {name: b}}\n";
        let file = objects("x.yaml", text);
        let (source, object) = &file.objects[0];
        assert_eq!((source.as_str(), &object["kind"]), ("x.yaml, item 1", &Value::from("ConfigMap")));
        assert_eq!(object["apiVersion"], "v1");
        assert_eq!(file.mistakes, ["x.yaml, item 2 has no `kind`"]);
        let untyped = objects("x.yaml", "apiVersion: v1\nkind: List\nitems: [{metadata: {name: a}}]\n");
        assert_eq!(untyped.mistakes, ["x.yaml, item 1 has no `kind`"]);
    }

    #[test]
    fn list_without_items_has_nothing_to_apply() {
        for items in ["null", "[]"] {
            let file = objects("x.yaml", &format!("apiVersion: v1\nkind: List\nitems: {items}\n"));
            assert!(file.objects.is_empty() && file.mistakes.is_empty(), "{file:?}");
        }
        assert_eq!(objects("x.yaml", "apiVersion: v1\nkind: List\n").mistakes.len(), 1);
    }

    #[test]
    fn invalid_document_error_names_reason() {
        for (text, reason) in [
            ("a: [", "line 1: unclosed bracket"),
            ("apiVersion: v1\nkind: Pod\nkind: Pod", "line 3: the map has this key already on line 2"),
            ("just text", "is not a Kubernetes object"),
            ("apiVersion: v1\nmetadata: {name: a}", "has no `kind`"),
            ("kind: Service\nmetadata: {name: a}", "has no `apiVersion`"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}", "at every deploy"),
            ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}", "not allowed"),
            ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}", "not allowed"),
        ] {
            let mistakes = objects("x.yaml", text).mistakes;
            assert!(mistakes.len() == 1 && mistakes[0].contains(reason), "{mistakes:?}");
        }
    }

    #[test]
    fn octal_modes_and_yaml_booleans_are_read() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  automountServiceAccountToken: no\n  volumes:\n  \
                    - name: a\n    secret: {secretName: b, defaultMode: 0440}\n  - &extra {name: c, secret: {defaultMode: 0o400}}\n";
        let file = objects("x.yaml", text);
        let spec = &file.objects[0].1["spec"];
        assert_eq!(spec["volumes"][0]["secret"]["defaultMode"], 0o440);
        assert_eq!(spec["volumes"][1]["secret"]["defaultMode"], 0o400);
        assert_eq!(spec["automountServiceAccountToken"], false);
    }

    #[test]
    fn every_faulty_document_is_reported() {
        let text = "kind: Service\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\n---\n\
                    apiVersion: v1\nkind: Secret\nmetadata: {name: c}\n---\napiVersion: v1\nkind: Pod\n";
        let file = objects("x.yaml", text);
        assert_eq!(file.objects.len(), 1);
        let expected = ["x.yaml#1 has no `apiVersion`", "x.yaml#3 is a Secret", "x.yaml#4 (Pod) has no"];
        for (mistake, expected) in file.mistakes.iter().zip(expected) {
            assert!(mistake.starts_with(expected), "{mistake}");
        }
        assert_eq!(file.mistakes.len(), expected.len());
    }
}
