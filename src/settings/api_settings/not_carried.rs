//! Why keys of config.toml have no field in the application's settings.

use super::carried::{CONVERSATION, LLM, LLM_SECRETS, PREFERENCES};
use super::condenser::{self, DEFAULT_CONDENSER};
use crate::settings::resolved::Settings;

/// Returns why a key of a table has no place in the application's settings; None if it has one.
#[must_use]
pub(crate) fn why_not_carried(settings: &Settings, table: &str, key: &str) -> Option<&'static str> {
    if table == "condenser" || (table, key) == ("core", DEFAULT_CONDENSER) {
        return condenser::why_not_carried(settings, table, key);
    }
    let is_carried = match table {
        "llm" => LLM.contains(&key) || LLM_SECRETS.iter().any(|(name, _)| *name == key),
        _ => CONVERSATION.contains(&(table, key)) || (table == "core" && PREFERENCES.contains(&key)),
    };
    if is_carried {
        return None;
    }
    Some(match table {
        "llm" => "its models have no such field",
        "core" => "it has no such setting; a variable of its own goes into [deploy.env]",
        "kubernetes" => {
            "its agent works in the application's own pod: [deploy].resources, node_selector and tolerations apply"
        }
        "sandbox" => "its agent works in the application's own pod: variables go into [deploy.env]",
        "mcp" => "its settings page has the servers",
        _ => "its settings page has what there is of it",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings_of;

    #[test]
    fn only_keys_without_a_field_have_a_reason() {
        let settings = settings_of("[deploy]\nedition = \"canvas\"\n");
        let has_reason = |table, key| why_not_carried(&settings, table, key).is_some();
        assert!(has_reason("llm", "correct_num") && has_reason("core", "model") && has_reason("mcp", "x"));
        assert!(!has_reason("llm", "model") && !has_reason("llm", "api_key"));
        assert!(!has_reason("core", "git_user_name") && has_reason("llm", "git_user_name"));
        assert!(!has_reason("core", "max_iterations") && !has_reason("core", "enable_default_condenser"));
    }
}
