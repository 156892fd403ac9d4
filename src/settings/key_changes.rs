//! Which keys differ between two texts of config.toml.

use std::collections::BTreeMap;

use toml::Value;

use super::load::toml_key::dotted;

/// Returns the dotted keys whose values differ, in alphabetical order. None if a text is not TOML.
#[must_use]
pub fn changed_keys(before: &str, after: &str) -> Option<Vec<String>> {
    let (before, after) = (values(before)?, values(after)?);
    let mut keys: Vec<&Vec<String>> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    Some(keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).map(|key| dotted(key)).collect())
}

fn values(text: &str) -> Option<BTreeMap<Vec<String>, Value>> {
    let mut values = BTreeMap::new();
    let table: toml::Table = text.parse().ok()?;
    collect(&[], table, &mut values);
    Some(values)
}

fn collect(path: &[String], table: toml::Table, values: &mut BTreeMap<Vec<String>, Value>) {
    for (name, value) in table {
        let path = [path, &[name]].concat();
        match value {
            Value::Table(table) => collect(&path, table, values),
            value => {
                values.insert(path, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_added_and_removed_keys_are_listed() {
        let before = "[llm]\nmodel = \"a\"\nseed = 1\n[security]\nconfirmation_mode = true\n";
        let after = "# another text\n[llm]\nmodel = \"b\"\n[security]\nconfirmation_mode = true\n[core]\n\"a b\" = 1\n";
        assert_eq!(changed_keys(before, after).unwrap(), ["core.\"a b\"", "llm.model", "llm.seed"]);
        assert_eq!(changed_keys(before, before).unwrap(), [""; 0]);
        assert_eq!(changed_keys(before, "[llm"), None);
    }
}
