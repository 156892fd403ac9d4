//! The key reference and the template agree with the types.

use super::{folder, read_text};
use crate::settings::docs::reference::{KeyReference, ValueForm};
use crate::settings::load::read::{Request, read_without_secrets};

#[test]
fn article_matches_the_types() {
    let reference = KeyReference::default();
    let doc = reference.doc(&["deploy", "storage_size"]).expect("an article");
    assert_eq!(doc.default.as_deref(), Some("\"5Gi\""));
    assert_eq!(doc.value, ValueForm::Plain("a quantity, as a string".to_owned()));
    let doc = reference.doc(&["deploy", "expose"]).expect("an article");
    let ValueForm::OneOf(texts) = &doc.value else { panic!("{doc:?}") };
    assert_eq!(texts[0].0, "ingress");
    let doc = reference.doc(&["core", "max_iterations"]).expect("an article");
    assert_eq!((doc.default.as_deref(), doc.variable.as_deref()), (Some("500"), Some("MAX_ITERATIONS")));
    let named = reference.doc(&["llm", "fast", "model"]).expect("an article");
    assert_eq!(named.key, "llm.NAME.model");
    assert_eq!(reference.doc(&["deploy", "nothing"]), None);
    assert_eq!(reference.doc(&["llm", "api_kei"]), None, "a misspelt key, not the name of a model");
    assert_eq!(reference.closest_keys("storage_size"), ["deploy.storage_size"]);
    assert_eq!(reference.closest_keys("deploy.replica"), ["deploy.replicas"]);
    assert_eq!(reference.closest_keys("pvc_storage_sise"), ["kubernetes.pvc_storage_size"]);
    let hosts = reference.closest_keys("host");
    assert_eq!(hosts[0], "deploy.host", "the shortest first: {hosts:?}");
    assert!(hosts.contains(&"deploy.database.host".to_owned()), "{hosts:?}");
}

#[test]
fn no_two_keys_of_handsctl_share_a_description() {
    let reference = KeyReference::default();
    let mut by_description = std::collections::BTreeMap::<String, String>::new();
    for key in
        reference.keys().into_iter().filter(|key| key.starts_with("deploy.") || key.starts_with("cluster."))
    {
        let doc = reference.doc(&key.split('.').collect::<Vec<_>>()).unwrap();
        let other = by_description.insert(doc.description.clone(), key.clone());
        assert_eq!(other, None, "and {key}: {}", doc.description);
    }
    let cpu = reference.doc(&["deploy", "resources", "requests", "cpu"]).unwrap();
    assert!(
        cpu.description.starts_with("Cpu that the application's container requests"),
        "{}",
        cpu.description
    );
}

#[test]
fn word_finds_keys_with_the_shortest_path_first() {
    let reference = KeyReference::default();
    let keys = |word: &str| reference.matching(word).into_iter().map(|doc| doc.key).collect::<Vec<_>>();
    let memory = keys("memory");
    let first = ["kubernetes.resource_memory_limit", "kubernetes.resource_memory_request"];
    assert_eq!(memory[..2], first, "{memory:?}");
    assert!(memory.contains(&"deploy.resources.limits.memory".to_owned()), "{memory:?}");
    assert_eq!(keys("host")[..2], ["deploy.host", "core.mcp_host"]);
    assert_eq!(keys("CPU")[0], "kubernetes.resource_cpu_request");
    let api_keys = keys("api-key");
    assert_eq!(api_keys.first().map(String::as_str), Some("llm.api_key"));
    assert_eq!(api_keys.last().map(String::as_str), Some("sandbox.api_key"), "it is not used");
    assert!(keys("key").contains(&"llm.api_key".to_owned()));
    assert_eq!(keys("postgresql")[0], "deploy.database.host", "of the description");
    assert_eq!(keys("colour"), Vec::<String>::new());
    assert_eq!(keys(""), Vec::<String>::new());
}

/// Every description in a schema, also of values and of tables in lists.
fn descriptions<'a>(schema: &'a serde_json::Value, all: &mut Vec<&'a str>) {
    match schema {
        serde_json::Value::Object(keys) => {
            all.extend(keys.get("description").and_then(serde_json::Value::as_str));
            keys.values().for_each(|inner| descriptions(inner, all));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| descriptions(item, all)),
        _ => {}
    }
}

/// Whether a description needs its neighbour: `Its port.`, `Those headers.`, `Name.`
fn needs_its_neighbour(description: &str) -> bool {
    const POINTING: &[&str] =
        &["Its", "Their", "It", "They", "This", "That", "These", "Those", "Same", "Such", "Likewise", "Also"];
    let words: Vec<&str> = description.split_whitespace().collect();
    let first = match words[..] {
        ["The", second, ..] => second,
        [first, ..] => first,
        [] => "",
    };
    let is_pointing =
        POINTING.iter().any(|word| word.eq_ignore_ascii_case(first.trim_end_matches([',', ':', ';', '.'])));
    is_pointing || words.len() < 2
}

#[test]
fn every_description_stands_alone() {
    let schema = crate::settings::json_schema();
    let mut all = Vec::new();
    descriptions(&schema, &mut all);
    assert!(all.len() > 300, "only {} descriptions", all.len());
    all.retain(|description| needs_its_neighbour(description));
    assert_eq!(all, Vec::<&str>::new());
    for wrong in ["Its port.", "Those file types.", "The same for the sandbox.", "Port.", "That volume.", ""]
    {
        assert!(needs_its_neighbour(wrong), "{wrong}");
    }
    assert!(!needs_its_neighbour("Port of the `PostgreSQL` server."));
}

#[test]
fn every_key_has_description_and_value_form() {
    let reference = KeyReference::default();
    let keys = reference.keys();
    assert!(keys.len() > 200, "only {} keys", keys.len());
    for key in keys {
        let path: Vec<&str> = key.split('.').collect();
        let doc = reference.doc(&path).unwrap_or_else(|| panic!("{key}"));
        assert!(!doc.description.is_empty(), "{key}");
        if let ValueForm::Plain(form) = doc.value {
            assert!(form != "any value", "{key}");
        }
    }
}

#[test]
fn template_without_changes_equals_defaults() {
    let text = KeyReference::default().file(None);
    let loaded = read_text(&text).unwrap_or_else(|error| panic!("{:?}\n{text}", error.diagnostics()));
    assert_eq!(loaded.warnings, [], "{text}");
    let empty = read_text("").expect("settings").settings;
    let values = |settings: &crate::settings::resolved::Settings| {
        let settings = settings.origins().into_iter();
        settings.map(|setting| (setting.key, setting.value)).collect::<Vec<_>>()
    };
    assert_eq!(values(&loaded.settings), values(&empty));
    assert!(!text.contains("[condenser]\n\n") && text.contains("\n#[condenser]\n"), "{text}");
}

/// A key is valid after its `#` is removed.
#[test]
fn every_commented_template_key_is_valid() {
    let text = KeyReference::default().file(None);
    let lines: Vec<&str> = text.lines().collect();
    let mut count = 0;
    let mut table = "";
    for (at, line) in lines.iter().enumerate() {
        if let Some(header) = line.strip_prefix("#[").or_else(|| line.strip_prefix('[')) {
            table = header.trim_end_matches(']');
        }
        let is_key = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let Some((name, value)) = line.strip_prefix('#').and_then(|rest| rest.split_once(" = ")) else {
            continue;
        };
        if !is_key(name) {
            continue;
        }
        count += 1;
        // One key at a time, because some examples contradict each other.
        let key = format!("{table}.{name}={value}");
        let set =
            [&["deploy.image=acme/openhands:1.6"], required_keys(table, name), &[key.as_str()]].concat();
        let request =
            Request { set: set.iter().map(|set| (*set).to_owned()).collect(), ..Request::default() };
        let loaded = read_without_secrets(&request, &[], folder("").path());
        let result = loaded.map_err(|error| format!("{:?}", error.diagnostics()));
        assert!(result.is_ok(), "line {}: {set:?}: {result:?}", at + 1);
    }
    assert!(count > 120, "only {count} keys");
}

/// Other keys that a key requires.
fn required_keys(table: &str, name: &str) -> &'static [&'static str] {
    match (table, name) {
        ("condenser", "attention_window") => &["condenser.type=observation_masking"],
        ("condenser", "condensers") => &["condenser.type=pipeline"],
        ("condenser", "max_events") => &["condenser.type=recent"],
        ("condenser", "keep_first" | "llm_config" | "max_event_length" | "max_size") => {
            &["condenser.type=llm", "condenser.llm_config=llm"]
        }
        ("deploy.autoscaling", _) => &[
            "deploy.storage={ kind = \"s3\", bucket = \"b\" }",
            "deploy.database.host=db",
            "deploy.autoscaling.max=2",
        ],
        ("deploy.database", _) => &["deploy.database.host=db"],
        ("deploy.storage.credentials", "key_json") => {
            &["deploy.storage={ kind = \"google_cloud\", bucket = \"b\" }"]
        }
        ("deploy.storage.credentials", _) => &[
            "deploy.storage={ kind = \"s3\", bucket = \"b\" }",
            "deploy.storage.credentials.access_key_id={ env = \"A\" }",
            "deploy.storage.credentials.secret_access_key={ env = \"B\" }",
        ],
        _ => &[],
    }
}
