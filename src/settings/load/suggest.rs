//! "Did you mean": the key that a misspelt one, or one of another program, means.

use std::collections::BTreeMap;

use super::schema::{Key, Shape};

/// Keys of litellm, Helm charts, Docker Compose and earlier releases of OpenHands, with the keys of the same meaning. The
/// first that the table has is suggested.
const SAME_MEANING: &[(&str, &[&str])] = &[
    ("max_tokens", &["max_output_tokens"]),
    ("max_output", &["max_output_tokens"]),
    ("max_input", &["max_input_tokens"]),
    ("max_completion_tokens", &["max_output_tokens"]),
    ("max_new_tokens", &["max_output_tokens"]),
    ("context_window", &["max_input_tokens"]),
    ("num_ctx", &["max_input_tokens"]),
    ("api_base", &["base_url"]),
    ("api_url", &["base_url"]),
    ("endpoint", &["base_url", "endpoint"]),
    ("url", &["base_url", "url"]),
    ("base", &["base_url"]),
    ("key", &["api_key"]),
    ("token", &["api_key"]),
    ("model_name", &["model"]),
    ("name", &["model"]),
    ("provider", &["custom_llm_provider"]),
    ("temp", &["temperature"]),
    ("budget", &["max_budget_per_task"]),
    ("retries", &["num_retries"]),
    ("request_timeout", &["timeout"]),
    ("vision", &["disable_vision"]),
    ("codeact_enable_browsing", &["enable_browsing"]),
    ("codeact_enable_jupyter", &["enable_jupyter"]),
    ("codeact_enable_llm_editor", &["enable_llm_editor"]),
    ("use_microagents", &["enable_prompt_extensions"]),
    ("llm", &["llm_config"]),
    ("container_image", &["base_container_image"]),
    ("image", &["runtime_container_image"]),
    ("env", &["runtime_startup_env_vars"]),
    ("environment", &["runtime_startup_env_vars", "env"]),
    ("env_vars", &["runtime_startup_env_vars", "env"]),
    ("cpu", &["resource_cpu_request"]),
    ("memory", &["resource_memory_limit"]),
    ("storage", &["pvc_storage_size"]),
    ("storage_size", &["pvc_storage_size"]),
    ("size", &["pvc_storage_size", "storage_size"]),
    ("storage_class", &["pvc_storage_class"]),
    ("storage_class_name", &["pvc_storage_class", "storage_class"]),
    ("domain", &["ingress_domain", "host"]),
    ("hostname", &["host"]),
    ("ingress_host", &["host"]),
    ("ingress_class_name", &["ingress_class"]),
    ("node_selector", &["node_selector_key"]),
    ("tolerations", &["tolerations_yaml"]),
    ("pull_policy", &["image_pull_policy"]),
    ("pull_secrets", &["image_pull_secrets"]),
    ("image_pull_secrets", &["image_pull_secret"]),
    ("replica_count", &["replicas"]),
    ("tag", &["version"]),
    ("manifests", &["extra_manifests"]),
    ("extra_objects", &["extra_manifests"]),
    ("service_account_name", &["service_account"]),
    ("tls_secret_name", &["tls_secret"]),
];

/// Endings of keys that name the unit of a number. The keys here have none.
const UNITS: [&str; 6] = ["_seconds", "_secs", "_sec", "_in_seconds", "_usd", "_dollars"];

/// Endings of keys that name the source of a secret, with the form that a reference to it has here.
const SOURCES: &[(&str, &str)] = &[
    ("_env_var", "{ env = \"NAME\" }"),
    ("_env", "{ env = \"NAME\" }"),
    ("_from_env", "{ env = \"NAME\" }"),
    ("_file", "{ file = \"path\" }"),
    ("_path", "{ file = \"path\" }"),
    ("_secret_name", "{ secret = \"name\", key = \"key\" }"),
    ("_secret", "{ secret = \"name\", key = \"key\" }"),
    ("_secret_ref", "{ secret = \"name\", key = \"key\" }"),
];

/// Returns the key of the same meaning, if the table has one.
pub(crate) fn by_meaning<'a>(written: &str, mut keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = snake_case(written);
    let keys: Vec<&str> = keys.by_ref().collect();
    let key = |name: &str| keys.iter().copied().find(|key| *key == name);
    let meanings = SAME_MEANING.iter().find(|(other, _)| *other == name).map(|(_, meanings)| *meanings);
    let by_word = meanings.unwrap_or_default().iter().find_map(|meaning| key(meaning));
    by_word.or_else(|| UNITS.iter().find_map(|unit| key(name.strip_suffix(unit)?)))
}

/// Returns the key that begins with the written words, if there is no second one: `max_budget_per_task` for `max_budget`.
pub(crate) fn by_first_words<'a>(written: &str, keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let words = snake_case(written);
    let mut longer =
        keys.filter(|key| key.strip_prefix(words.as_str()).is_some_and(|rest| rest.starts_with('_')));
    longer.next().filter(|_| longer.next().is_none())
}

/// Returns the reference that a key such as `api_key_env` means: `` `api_key = { env = "NAME" }` ``.
pub(crate) fn reference(written: &str, keys: &BTreeMap<String, Key>) -> Option<String> {
    let name = snake_case(written);
    let is_secret =
        |key: &str| keys.get(key).is_some_and(|key| matches!(key.shape, Shape::Reference { secret: true }));
    let source = |(ending, form): &(&str, &str)| {
        let key = name.strip_suffix(ending).filter(|key| is_secret(key))?;
        Some(format!("`{key} = {form}`"))
    };
    SOURCES.iter().find_map(source)
}

/// Returns a name in the spelling of config.toml: `storageClassName` and `storage-class-name` as `storage_class_name`.
fn snake_case(written: &str) -> String {
    let mut name = String::new();
    let mut after_lowercase = false;
    for letter in written.chars() {
        if letter.is_ascii_uppercase() && after_lowercase {
            name.push('_');
        }
        after_lowercase = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        name.push(if letter == '-' { '_' } else { letter.to_ascii_lowercase() });
    }
    name
}

/// Returns the closest candidate, if it is close enough to be meant.
pub(crate) fn closest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let normalize = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let normalized = normalize(written);
    let limit = (normalized.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&normalized, &normalize(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::{by_first_words, by_meaning, closest, snake_case};

    #[test]
    fn words_of_same_meaning_are_suggested_in_every_spelling() {
        let keys = ["max_input_tokens", "max_output_tokens", "pvc_storage_class", "base_url"];
        assert_eq!(by_meaning("max_tokens", keys.into_iter()), Some("max_output_tokens"));
        assert_eq!(by_meaning("maxTokens", keys.into_iter()), Some("max_output_tokens"));
        assert_eq!(by_meaning("storageClassName", keys.into_iter()), Some("pvc_storage_class"));
        assert_eq!(by_meaning("api-base", keys.into_iter()), Some("base_url"));
        assert_eq!(by_meaning("max_tokens", ["temperature"].into_iter()), None);
        assert_eq!(by_meaning("base", keys.into_iter()), Some("base_url"));
        assert_eq!(by_meaning("timeout_seconds", ["timeout"].into_iter()), Some("timeout"));
        assert_eq!(by_meaning("max_budget_usd", ["max_budget"].into_iter()), Some("max_budget"));
        assert_eq!(snake_case("APIKey"), "apikey");
    }

    #[test]
    fn only_key_with_the_first_words_is_suggested() {
        let keys = ["max_budget_per_task", "max_input_tokens", "max_input_chars"];
        assert_eq!(by_first_words("maxBudget", keys.into_iter()), Some("max_budget_per_task"));
        assert_eq!(by_first_words("max_input", keys.into_iter()), None, "two keys begin with it");
        assert_eq!(by_first_words("max_bud", keys.into_iter()), None, "not a whole word");
    }

    #[test]
    fn closest_ignores_case_and_distant_words() {
        let keys = ["pvc_storage_size", "pvc_storage_class", "privileged"];
        assert_eq!(closest("pvc_storage_sise", keys.into_iter()), Some("pvc_storage_size"));
        assert_eq!(closest("PVC-Storage-Class", keys.into_iter()), Some("pvc_storage_class"));
        assert_eq!(closest("colour", keys.into_iter()), None);
    }
}
