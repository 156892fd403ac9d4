//! The guides of `explain`: their keys, their defaults, their configurations and their words. `documented.rs` checks
//! their commands.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use handsctl::catalogue::Id;
use tempfile::TempDir;

use super::words;
use crate::bed::run_in_home;

/// Tables whose keys a guide names.
const TABLES: &[&str] = &["deploy", "cluster", "kubernetes"];
/// Names of Kubernetes itself, which look like keys of `[kubernetes]`.
const NOT_KEYS: &[&str] = &["kubernetes.io", "kubernetes.default.svc"];

fn guides() -> impl Iterator<Item = (&'static str, &'static str)> {
    Id::ALL.iter().filter_map(|id| Some((id.code(), id.guide()?)))
}

/// The keys that a text names, as `deploy.host` or `[deploy].host`.
fn keys(text: &str) -> BTreeSet<String> {
    let is_of_key = |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter == '.';
    let text = TABLES.iter().fold(text.to_owned(), |text, table| {
        text.replace(&format!("[{table}]."), &format!("{table}."))
            .replace(&format!("[{table}."), &format!("{table}."))
    });
    let words = text.split(|letter| !is_of_key(letter)).map(|word| word.trim_end_matches('.'));
    let is_key = |word: &&str| {
        let is_of_table = word.split_once('.').is_some_and(|(table, _)| TABLES.contains(&table));
        is_of_table && !NOT_KEYS.contains(word)
    };
    words.filter(is_key).map(str::to_owned).collect()
}

/// The indented blocks of a guide that begin with a table's header.
fn configurations(guide: &str) -> Vec<String> {
    let blocks = guide.split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().filter_map(|line| line.strip_prefix("    "));
        lines.flat_map(|line| [line, "\n"]).collect::<String>()
    });
    blocks.filter(|block| block.starts_with('[')).collect()
}

/// The keys with the default that a guide names: `deploy.tolerate.image_pull` (default 1m).
fn defaults(guide: &str) -> Vec<(String, String)> {
    let text = guide.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = text.match_indices("` (default ").map(|(at, separator)| {
        let key = text[..at].rsplit('`').next().unwrap_or_default();
        let value = text[at + separator.len()..].split(')').next().unwrap_or_default();
        (key.to_owned(), value.to_owned())
    });
    named.collect()
}

#[test]
fn keys_of_guides_exist() {
    let home = TempDir::new().unwrap();
    let keys: BTreeSet<String> = guides().flat_map(|(_, guide)| keys(guide)).collect();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        run_in_home(home.path(), &["config", "explain", &key]).exits(0).prints(&key);
    }
}

#[test]
fn defaults_of_guides_are_those_of_the_keys() {
    let home = TempDir::new().unwrap();
    let defaults: BTreeSet<(String, String)> = guides().flat_map(|(_, guide)| defaults(guide)).collect();
    assert!(defaults.len() >= 5, "{defaults:?}");
    for (key, value) in defaults {
        let text = run_in_home(home.path(), &["config", "explain", &key]).exits(0).stdout;
        let printed = text.lines().find_map(|line| line.strip_prefix("default")).unwrap_or_default();
        assert_eq!(printed.trim().trim_matches('"'), value, "{key}");
    }
}

#[test]
fn configurations_of_guides_have_no_errors() {
    let mut count = 0;
    for (code, guide) in guides() {
        for configuration in configurations(guide) {
            let home = TempDir::new().unwrap();
            fs::write(home.path().join("config.toml"), &configuration).unwrap();
            let run = run_in_home(home.path(), &["config", "check"]);
            assert_eq!(run.code, Some(0), "{code}\n{configuration}\n{}", run.stderr);
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn guides_use_no_banned_words() {
    for (code, guide) in guides() {
        assert_eq!(words::offences(guide), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn every_file_of_a_guide_is_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue/guides");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = names.collect();
    let printed: BTreeSet<String> = guides().map(|(code, _)| format!("{code}.md")).collect();
    assert_eq!(files, printed);
}

#[test]
fn keys_and_configurations_are_found_in_a_text() {
    let text = "a `deploy.host`, [deploy].image. Or [deploy.storage], and deployment.apps/x:\n\n    [deploy]\n    host = \"a\"\n\n    kubectl get x";
    assert_eq!(keys(text).into_iter().collect::<Vec<_>>(), ["deploy.host", "deploy.image", "deploy.storage"]);
    assert_eq!(configurations(text), ["[deploy]\nhost = \"a\"\n"]);
    assert_eq!(defaults("`a.b`\n(default 1m)"), [("a.b".to_owned(), "1m".to_owned())]);
}
