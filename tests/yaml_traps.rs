//! A `config.toml` whose values are all texts that an incorrect YAML writer or reader changes.

use std::collections::BTreeMap;

/// Texts that an incorrect YAML writer or reader interprets as another type, or breaks.
pub(crate) const TRAPS: &[&str] = &[
    "on",
    "no",
    "y",
    "1_000",
    "0755",
    "0o17",
    "0x1f",
    "1e3",
    ".5",
    ".inf",
    "1:30",
    "2001-01-01",
    "=",
    "<<",
    "~",
    "null",
    "true",
    "- a",
    "a: b # c",
    "# c",
    "\"quoted\"",
    "it's",
    "'",
    "two\nlines",
    "two\nlines\n",
    "\n\nbegins and ends with breaks\n\n",
    "  leading\n spaces\n   and a tab\t\n",
    " lead",
    "trail ",
    "back\\slash \\n",
    "{{ x }}",
    "{% x %}",
    "${X} $(X) $$",
    "{a: b}",
    "[a]",
    "%YAML 1.1",
    "&a",
    "*a",
    "!!int 3",
    "@x",
    "`x`",
    "| pipe",
    "> fold",
    "? key",
    "---",
    "...",
    "--- a\n...\n",
    "🦀 ünï ✓ 漢字 👩\u{200d}🚀",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}bom",
    "\u{a0}",
    "line\r",
    "\r\n",
    "\u{1}",
    "\u{1b}[31mred",
    "\u{10ffff}",
    "",
    "a very long line, longer than every width at which a writer of YAML would like to fold it: 0123456789 0123456789 0123456789 0123456789 0123456789",
];

/// Such texts that are also valid label values.
const LABELS: &[&str] =
    &["on", "no", "y", "1_000", "0755", "0x1f", "1e3", "1.5", "2001-01-01", "null", "true", ""];

pub(crate) fn environment() -> BTreeMap<String, String> {
    TRAPS.iter().enumerate().map(|(number, text)| (format!("N{number:02}"), (*text).to_owned())).collect()
}

pub(crate) fn selector() -> BTreeMap<String, String> {
    let pairs = LABELS.iter().enumerate();
    let mut selector: BTreeMap<_, _> =
        pairs.map(|(number, text)| (format!("example.io/n{number}"), (*text).to_owned())).collect();
    for key in ["on", "0755", "1e3", "null", "y"] {
        selector.insert(key.to_owned(), key.to_owned());
    }
    selector
}

/// The tables of OpenHands, with the texts in each kind of key that accepts any text.
pub(crate) fn openhands() -> toml::Table {
    let text = |text: &str| toml::Value::from(text);
    let table = |pairs: Vec<(&str, toml::Value)>| {
        toml::Value::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let list = toml::Value::Array(TRAPS.iter().map(|trap| text(trap)).collect());
    let named = TRAPS.iter().enumerate().map(|(number, trap)| {
        (format!("n{number}"), table(vec![("model", text(trap)), ("custom_llm_provider", text("on"))]))
    });
    let mut llm: toml::Table = named.collect();
    llm.extend([("model".to_owned(), text("no")), ("reasoning_effort".to_owned(), text("0755"))]);
    // [extended] accepts any text as a key, too.
    let free: toml::Table = TRAPS.iter().map(|trap| ((*trap).to_owned(), text(trap))).collect();
    let startup: toml::Table =
        environment().into_iter().map(|(name, value)| (name, toml::Value::from(value))).collect();
    toml::Table::from_iter([
        (
            "core".to_owned(),
            table(vec![
                ("default_agent", text("on")),
                ("git_user_name", text("🦀 \"=\"\n'no'")),
                ("file_uploads_allowed_extensions", list),
            ]),
        ),
        ("llm".to_owned(), toml::Value::Table(llm)),
        ("agent".to_owned(), table(vec![("on", table(vec![("classpath", text("1_000"))]))])),
        ("sandbox".to_owned(), table(vec![("runtime_startup_env_vars", toml::Value::Table(startup))])),
        (
            "kubernetes".to_owned(),
            table(vec![
                ("node_selector_key", text("on")),
                ("node_selector_val", text("0755")),
                ("tolerations_yaml", text("- key: \"no\"\n  operator: Exists\n  effect: NoSchedule\n")),
                ("ingress_domain", text("no")),
                ("image_pull_secret", text("1e3")),
            ]),
        ),
        ("extended".to_owned(), toml::Value::Table(free)),
    ])
}

/// A config.toml with the texts in every key that the user sets.
pub(crate) fn trap_config(namespace: &str) -> String {
    let pairs = |map: BTreeMap<String, String>| {
        toml::Value::Table(map.into_iter().map(|(key, value)| (key, toml::Value::from(value))).collect())
    };
    let mut deploy: toml::Table = "
        name = 'on'
        image = 'no:5000/on/1_000:0.59'
        image_pull_secrets = ['on', '0755', '1e3']
        host = 'no'
        ingress_class = '1e3'
        ingress_namespace = 'y'
        tls_secret = '0x1f'
        storage_class = 'null'
        storage_size = '1e9'
        resources = { requests = { cpu = '1000m', memory = '1024Mi' }, limits = { cpu = '1.5', memory = '2e9' } }
    "
    .parse()
    .unwrap();
    deploy.insert("namespace".to_owned(), namespace.into());
    deploy.insert("env".to_owned(), pairs(environment()));
    deploy.insert("node_selector".to_owned(), pairs(selector()));
    let mut config = openhands();
    config.insert("deploy".to_owned(), toml::Value::Table(deploy));
    config.to_string()
}
