//! Where in an object: the notation of the API server's own sentences, which tells items of a list apart by their key
//! and not by a place that moves: `spec.template.spec.containers[name="openhands"].image`.

use std::fmt;

use serde_json::{Map, Value};

/// A field of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key.
    Key(String),
    /// The item of a list with these keys.
    Item(Map<String, Value>),
    /// The item of a list without keys, from 0.
    Index(usize),
}

impl Path {
    /// The path of a step further down.
    #[must_use]
    pub(super) fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The key of the last step; None at the root and for items.
    #[must_use]
    pub(super) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Step::Key(key)) => Some(key),
            Some(Step::Item(_) | Step::Index(_)) | None => None,
        }
    }

    /// Whether the last step is an item of a list with keys.
    #[must_use]
    pub(super) fn is_item(&self) -> bool {
        matches!(self.0.last(), Some(Step::Item(_)))
    }

    /// Whether it is this field or lies below it; `keys` are the first steps.
    #[must_use]
    pub(super) fn is_under(&self, keys: &[&str]) -> bool {
        self.0.len() >= keys.len()
            && keys.iter().zip(&self.0).all(|(key, step)| matches!(step, Step::Key(name) if name == key))
    }

    /// The names of the keys on the way, without the items of lists.
    #[must_use]
    pub(super) fn keys(&self) -> Vec<&str> {
        let keys = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) | Step::Index(_) => None,
        });
        keys.collect()
    }
}

#[cfg(test)]
impl Path {
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if is_plain(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                Step::Key(key) => write!(f, "[{}]", Value::from(key.as_str()))?,
                Step::Item(keys) => {
                    let pairs: Vec<String> =
                        keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    write!(f, "[{}]", pairs.join(","))?;
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Whether the key needs no quotes: `app.kubernetes.io/name` and `config.toml` do.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_with_dots_are_quoted_and_items_are_named_by_their_keys() {
        let item = json!({ "containerPort": 80, "protocol": "TCP" });
        let path = Path::of(&["spec", "ports"])
            .then(Step::Item(item.as_object().unwrap().clone()))
            .then(Step::Key("a.b/c".to_owned()))
            .then(Step::Index(2));
        assert_eq!(path.to_string(), r#"spec.ports[containerPort=80,protocol="TCP"]["a.b/c"][2]"#);
        assert!(path.is_under(&["spec", "ports"]) && !path.is_under(&["spec", "port"]));
    }
}
