//! Paths of fields, in the notation of the API server's messages. List items are identified by their keys, because an
//! index may change: `spec.template.spec.containers[name="openhands"].image`.

use std::fmt;

use serde_json::{Map, Value};

/// The path of a field in an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPointer(Vec<PointerStep>);

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PointerStep {
    /// The field, or map entry, with this name.
    Key(String),
    /// The item of a list with these keys.
    Item(Map<String, Value>),
    /// The item of a list without keys, from 0.
    Index(usize),
}

impl FieldPointer {
    /// Returns the path of these keys, from the root.
    #[must_use]
    pub(super) fn from_keys(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| PointerStep::Key((*key).to_owned())).collect())
    }

    /// Appends a step.
    #[must_use]
    pub(super) fn then(&self, step: PointerStep) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Returns the key of the last step; `None` for the root and for list items.
    #[must_use]
    pub(super) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(PointerStep::Key(key)) => Some(key),
            Some(PointerStep::Item(_) | PointerStep::Index(_)) | None => None,
        }
    }

    /// Returns whether the last step is an item of a list with keys.
    #[must_use]
    pub(super) fn is_item(&self) -> bool {
        matches!(self.0.last(), Some(PointerStep::Item(_)))
    }

    /// Returns whether the path begins with these keys.
    #[must_use]
    pub(super) fn is_under(&self, keys: &[&str]) -> bool {
        self.0.len() >= keys.len()
            && keys
                .iter()
                .zip(&self.0)
                .all(|(key, step)| matches!(step, PointerStep::Key(name) if name == key))
    }

    /// Returns the name of the item of this list that the path goes through.
    #[must_use]
    pub(super) fn item_name(&self, list: &str) -> Option<&str> {
        self.0.windows(2).find_map(|steps| match steps {
            [PointerStep::Key(key), PointerStep::Item(keys)] if key == list => keys.get("name")?.as_str(),
            _ => None,
        })
    }

    /// Returns the keys of the path, without its list items.
    #[must_use]
    pub(super) fn keys(&self) -> Vec<&str> {
        let keys = self.0.iter().filter_map(|step| match step {
            PointerStep::Key(key) => Some(key.as_str()),
            PointerStep::Item(_) | PointerStep::Index(_) => None,
        });
        keys.collect()
    }
}

impl fmt::Display for FieldPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                PointerStep::Key(key) if is_plain(key) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                PointerStep::Key(key) => write!(f, "[{}]", Value::from(key.as_str()))?,
                PointerStep::Item(keys) => {
                    let pairs: Vec<String> =
                        keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    write!(f, "[{}]", pairs.join(","))?;
                }
                PointerStep::Index(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// Returns whether a key needs no quotes; `app.kubernetes.io/name` and `config.toml` need them.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn display_quotes_dotted_keys_and_lists_item_keys() {
        let item = json!({ "containerPort": 80, "protocol": "TCP" });
        let path = FieldPointer::from_keys(&["spec", "ports"])
            .then(PointerStep::Item(item.as_object().unwrap().clone()))
            .then(PointerStep::Key("a.b/c".to_owned()))
            .then(PointerStep::Index(2));
        assert_eq!(path.to_string(), r#"spec.ports[containerPort=80,protocol="TCP"]["a.b/c"][2]"#);
        assert!(path.is_under(&["spec", "ports"]) && !path.is_under(&["spec", "port"]));
    }
}
