//! The keys of config.toml that the application's settings have a field for.

/// The keys of `[llm]` that the application has under the same name (`GET /api/settings` of agent-server 1.49.1).
pub(super) const LLM: &[&str] = &[
    "model",
    "base_url",
    "api_version",
    "aws_region_name",
    "openrouter_site_url",
    "openrouter_app_name",
    "num_retries",
    "retry_multiplier",
    "retry_min_wait",
    "retry_max_wait",
    "timeout",
    "max_message_chars",
    "temperature",
    "top_p",
    "top_k",
    "max_input_tokens",
    "max_output_tokens",
    "input_cost_per_token",
    "output_cost_per_token",
    "ollama_base_url",
    "drop_params",
    "disable_vision",
    "disable_stop_word",
    "caching_prompt",
    "log_completions",
    "log_completions_folder",
    "custom_tokenizer",
    "native_tool_calling",
    "reasoning_effort",
    "seed",
];
/// The secret keys of `[llm]` that it has, and the variables under which the settings keep them.
pub(super) const LLM_SECRETS: &[(&str, &str)] = &[
    ("api_key", "LLM_API_KEY"),
    ("aws_access_key_id", "LLM_AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "LLM_AWS_SECRET_ACCESS_KEY"),
];
/// The keys of other tables that its conversations have under the same name.
pub(super) const CONVERSATION: &[(&str, &str)] =
    &[("core", "max_iterations"), ("security", "confirmation_mode"), ("security", "security_analyzer")];

/// The keys of `[core]` that its page keeps under the same name in `misc_settings.app_preferences`, and shows as the author of
/// commits (`app-settings` of Agent Canvas 1.20.0). Nothing else there or in agent-server 1.49.1 reads them.
pub(super) const PREFERENCES: &[&str] = &["git_user_name", "git_user_email"];
/// The fields that shorten long conversations; `[condenser]` has `type` instead of the first.
pub(super) const CONDENSER: &[&str] = &["enabled", "max_size", "keep_first"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::golden;
    use crate::settings::openhands::LlmOptions;

    #[test]
    fn every_field_of_a_model_is_a_key_of_ours() {
        let schema = serde_json::to_value(schemars::schema_for!(LlmOptions)).unwrap();
        let secrets = LLM_SECRETS.iter().map(|(key, _)| *key);
        for key in LLM.iter().copied().chain(secrets) {
            assert!(schema["properties"][key].is_object(), "{key}");
        }
    }

    /// The table of docs/editions.md, made from the lists of this file.
    #[test]
    fn documented_table_has_every_key_that_is_carried() {
        let quoted = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let secrets: Vec<&str> = LLM_SECRETS.iter().map(|(key, _)| *key).collect();
        let of = |name: &str| -> Vec<&str> {
            CONVERSATION.iter().filter(|(table, _)| *table == name).map(|(_, key)| *key).collect()
        };
        let rows = [
            ("llm", quoted(LLM), "the model's field of the same name"),
            (
                "llm",
                quoted(&secrets),
                "the model's secret field of the same name, of which the API only tells that it is set",
            ),
            (
                "llm.NAME",
                "the same".to_owned(),
                "the profile NAME, with the options of `[llm]` that it lacks; `[llm]` itself is the profile `default`",
            ),
            (
                "condenser",
                "`type = \"llm\"`, `max_size` of 20 and more, `keep_first` below half of it".to_owned(),
                "the condenser of the agent, which is the same; other types are not there",
            ),
            (
                "core",
                "`enable_default_condenser`, without `[condenser]`".to_owned(),
                "whether the condenser is enabled",
            ),
            (
                "core",
                quoted(PREFERENCES),
                "the fields on the page's settings of the application, which sets no author by them in 1.20.0: \
                 `GIT_AUTHOR_NAME` and others in `[deploy.env]` do",
            ),
            ("core", quoted(&of("core")), "the field of conversations of the same name"),
            ("security", quoted(&of("security")), "the field of conversations of the same name"),
        ];
        let carried = rows.map(|(table, keys, place)| format!("| `[{table}]` {keys} | {place} |\n")).concat();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/editions.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("| key | place in Agent Canvas |\n|---|---|\n").unwrap();
        let (_, after) = rest.split_once("| `[deploy.env]` |").unwrap();
        let written =
            format!("{before}| key | place in Agent Canvas |\n|---|---|\n{carried}| `[deploy.env]` |{after}");
        golden::assert_matches(&path, &written);
    }
}
