//! The Secret that a rendering names and does not contain. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::entry_commands::creating_command;
use crate::object::list_items::items;
use crate::plan::Plan;
use crate::plan::build::placeholder_name;

/// Returns the line about the installation's Secret, with the command that creates its variables; None if no object
/// reads it.
pub(super) fn commands(plan: &Plan) -> Option<String> {
    let name = placeholder_name(&plan.set.name);
    let mut keys = BTreeSet::new();
    for member in &plan.members {
        collect_keys(&member.manifest, &name, &mut keys);
    }
    // A key with a dot is a file. The user's own config.toml is another one: handsctl renders the application's, with the
    // secrets filled in.
    let (files, variables): (Vec<&str>, Vec<&str>) =
        keys.iter().map(String::as_str).partition(|key| key.contains('.'));
    let creation = (!variables.is_empty()).then(|| {
        format!("create it: {}", creating_command("secret", &name, &plan.set.namespace, &variables))
    });
    let limit = (!files.is_empty()).then(|| format!("only handsctl deploy writes its {}", files.join(", ")));
    let line = format!("not there: secret/{name}");
    let parts: Vec<String> = std::iter::once(line).chain(creation).chain(limit).collect();
    (!keys.is_empty()).then(|| parts.join("; "))
}

/// Collects the keys of a Secret that variables and volumes read.
fn collect_keys(value: &Value, secret: &str, keys: &mut BTreeSet<String>) {
    let reference = &value["secretKeyRef"];
    if reference["name"] == secret {
        keys.extend(reference["key"].as_str().map(str::to_owned));
    }
    if value["secretName"] == secret {
        keys.extend(items(&value["items"]).filter_map(|item| item["key"].as_str()).map(str::to_owned));
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| collect_keys(field, secret, keys)),
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, secret, keys)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{SecretNaming, build};
    use crate::settings::tests::settings_of;

    fn line(config: &str) -> Option<String> {
        let settings = settings_of(config);
        commands(&build(&settings, SecretNaming::Placeholder, &[]).unwrap())
    }

    #[test]
    fn command_has_every_variable_and_no_file() {
        let config =
            "[llm]\napi_key = { env = \"K\" }\n[llm.eval]\nmodel = \"m\"\napi_key = { env = \"E\" }\n";
        let expected = "not there: secret/openhands-env-rendered; create it: kubectl create secret generic \
                        openhands-env-rendered -n openhands --from-literal=LLM_API_KEY=VALUE; only handsctl deploy \
                        writes its config.toml";
        assert_eq!(line(config).as_deref(), Some(expected));
        assert_eq!(line("[llm]\napi_key = { secret = \"theirs\", key = \"k\" }\n"), None);
    }
}
