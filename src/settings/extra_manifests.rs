//! `[deploy].extra_manifests`: objects of the user's own. Pure; `read` hands over the texts.

use serde_json::Value;

use crate::diagnostic::Location;

/// An object of the user's own, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraObject {
    /// `extra/pdb.yaml`, and behind `#` the number of the document, where there are several.
    pub source: String,
    /// The manifest.
    pub manifest: Value,
    /// Where the file is named.
    pub named_at: Option<Location>,
}

/// What is wrong with a document: the message.
pub(super) type ManifestMistake = String;

/// Kinds that are made where they are missing, or that would stand in a revision as they are.
const REFUSED: &[(&str, &str, &str)] = &[
    ("v1", "Namespace", "handsctl makes the set's namespaces and deletes none that it did not make"),
    ("v1", "Secret", "its data would stand in a file: make it by other means, and refer to it"),
];

/// The objects of a file's documents; a `List` is its items. `name` is the file as it was written in config.toml.
pub(super) fn objects(name: &str, text: &str) -> Result<Vec<(String, Value)>, ManifestMistake> {
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(
        text,
        serde_saphyr::options! { strict_booleans: true, merge_keys: serde_saphyr::options::MergeKeyPolicy::AsOrdinary },
    )
    .map_err(|error| {
        let text = error.to_string();
        format!("{name} is not YAML: {}", text.lines().next().unwrap_or_default())
    })?;
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let several = documents.len() > 1;
    let mut found = Vec::new();
    for (at, document) in documents.into_iter().enumerate() {
        let source = if several { format!("{name}#{}", at + 1) } else { name.to_owned() };
        let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        if let Some(items) = document["items"].as_array().filter(|_| is_list) {
            for (at, item) in items.iter().enumerate() {
                let source = format!("{source}, item {}", at + 1);
                check(&source, item)?;
                found.push((source, item.clone()));
            }
        } else {
            check(&source, &document)?;
            found.push((source, document));
        }
    }
    Ok(found)
}

fn check(source: &str, object: &Value) -> Result<(), ManifestMistake> {
    if !object.is_object() {
        return Err(format!("{source} is no object of Kubernetes"));
    }
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = text(&object["kind"]).ok_or_else(|| format!("{source} has no `kind`"))?;
    let version = text(&object["apiVersion"]).ok_or_else(|| format!("{source} has no `apiVersion`"))?;
    if text(&object["metadata"]["name"]).is_none() {
        let why = if object["metadata"]["generateName"].is_string() {
            "`generateName` would make another object with every deploy"
        } else {
            "an object is known by its name"
        };
        return Err(format!("{source} ({kind}) has no `metadata.name`: {why}"));
    }
    let refused = REFUSED.iter().find(|(refused, name, _)| *refused == version && *name == kind);
    match refused {
        Some((.., why)) => Err(format!("{source} is a {kind}, which is refused: {why}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let text = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# nothing\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n";
        let objects = objects("x.yaml", text).unwrap();
        let found: Vec<(&str, &str)> = objects
            .iter()
            .map(|(source, object)| (source.as_str(), object["kind"].as_str().unwrap()))
            .collect();
        assert_eq!(found, [("x.yaml#1", "ConfigMap"), ("x.yaml#2, item 1", "Service")]);
    }

    #[test]
    fn what_is_no_object_or_is_refused_says_why() {
        for (text, said) in [
            ("a: [", "is not YAML"),
            ("just text", "is no object"),
            ("apiVersion: v1\nmetadata: {name: a}", "has no `kind`"),
            ("kind: Service\nmetadata: {name: a}", "has no `apiVersion`"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}", "with every deploy"),
            ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}", "refused"),
            ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}", "refused"),
        ] {
            let error = objects("x.yaml", text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }
}
