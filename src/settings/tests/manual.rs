//! The manual and the file to begin with say what the types say.

use super::{folder, read_text};
use crate::settings::docs::reference::{KeyReference, ValueForm};
use crate::settings::load::read::{Request, read_without_secrets};

#[test]
fn an_article_says_what_the_types_say() {
    let manual = KeyReference::default();
    let article = manual.article(&["deploy", "storage_size"]).expect("an article");
    assert_eq!(article.default.as_deref(), Some("\"5Gi\""));
    assert_eq!(article.value, ValueForm::Plain("a quantity, as a string".to_owned()));
    let article = manual.article(&["deploy", "expose"]).expect("an article");
    let ValueForm::OneOf(texts) = &article.value else { panic!("{article:?}") };
    assert_eq!(texts[0].0, "ingress");
    let article = manual.article(&["core", "max_iterations"]).expect("an article");
    assert_eq!(
        (article.default.as_deref(), article.variable.as_deref()),
        (Some("500"), Some("MAX_ITERATIONS"))
    );
    let named = manual.article(&["llm", "fast", "model"]).expect("an article");
    assert_eq!(named.key, "llm.NAME.model");
    assert_eq!(manual.article(&["deploy", "nothing"]), None);
    assert_eq!(manual.article(&["llm", "api_kei"]), None, "no name of a model, but a misspelt key");
    assert_eq!(manual.nearest("storage_size").as_deref(), Some("deploy.storage_size"));
    assert_eq!(manual.nearest("deploy.replica").as_deref(), Some("deploy.replicas"));
}

#[test]
fn every_article_has_a_text_and_a_form() {
    let manual = KeyReference::default();
    let keys = manual.keys();
    assert!(keys.len() > 200, "only {} keys", keys.len());
    for key in keys {
        let path: Vec<&str> = key.split('.').collect();
        let article = manual.article(&path).unwrap_or_else(|| panic!("{key}"));
        assert!(!article.description.is_empty(), "{key}");
        if let ValueForm::Plain(form) = article.value {
            assert!(form != "any value", "{key}");
        }
    }
}

#[test]
fn the_file_to_begin_with_changes_nothing() {
    let text = KeyReference::default().file(None);
    let loaded = read_text(&text).unwrap_or_else(|error| panic!("{:?}\n{text}", error.diagnostics()));
    assert_eq!(loaded.warnings, [], "{text}");
    let empty = read_text("").expect("settings").settings;
    let shown = |settings: &crate::settings::resolved::Settings| {
        let settings = settings.origins().into_iter();
        settings.map(|setting| (setting.key, setting.value)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&loaded.settings), shown(&empty));
    assert!(!text.contains("[condenser]\n\n") && text.contains("\n#[condenser]\n"), "{text}");
}

/// Whoever takes a `#` away gets a key that is understood.
#[test]
fn every_line_of_the_file_to_begin_with_works_without_its_mark() {
    let text = KeyReference::default().file(None);
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
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
        tried += 1;
        // By itself: examples of two ways to do a thing contradict each other.
        let key = format!("{table}.{name}={value}");
        let set = [&["deploy.image=acme/openhands:1.6"], companions(table, name), &[key.as_str()]].concat();
        let request =
            Request { set: set.iter().map(|set| (*set).to_owned()).collect(), ..Request::default() };
        let loaded = read_without_secrets(&request, &[], folder("").path());
        let mistakes = loaded.map_err(|error| format!("{:?}", error.diagnostics()));
        assert!(mistakes.is_ok(), "line {}: {set:?}: {mistakes:?}", at + 1);
    }
    assert!(tried > 120, "only {tried} keys");
}

/// What a key does not work without.
fn companions(table: &str, name: &str) -> &'static [&'static str] {
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
