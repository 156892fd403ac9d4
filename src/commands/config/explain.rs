//! `config explain`: prints the documentation of a key, offline.

use clap::Args;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind};
use crate::flags::{Format, Global};
use crate::report::{self, Output, Streams};
use crate::session::output::output_form;
use crate::settings::{self, KeyDoc, KeyReference, UnknownKeys, UnsetValue, ValueForm};

/// Explain a key: its form, its default, and the object field that it sets
///
/// A table lists its keys. The explanation is that of this version of handsctl; no cluster is contacted.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config explain deploy.storage_size\n  handsctl config explain kubernetes\n  handsctl config explain memory      # keys with this word in their name\n  handsctl config explain"
)]
pub struct ConfigExplainArgs {
    /// A key or a table, with dots, or a word of its name; without KEY the tables are listed
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// The column of the facts about a key.
const FACT_COLUMN: usize = 15;
/// Maximum characters of a line of text.
const WIDTH: usize = 100;

/// Runs `config explain`.
pub(crate) fn run(global: &Global, arguments: &ConfigExplainArgs, streams: &Streams) -> anyhow::Result<u8> {
    let reference = KeyReference::default();
    let key = arguments.key.as_deref().unwrap_or_default();
    let path: Vec<&str> = key.trim_matches(['[', ']']).split('.').filter(|name| !name.is_empty()).collect();
    let output = output_form(Some(arguments.output));
    let doc = match reference.doc(&path) {
        Some(doc) => doc,
        None => match &matching(&reference, &path)[..] {
            [] => return Err(unknown_key(&reference, key, "config explain").into()),
            [only] => only.clone(),
            several => return list(global, several, output, streams),
        },
    };
    let unset = settings::unset_values(&doc.key)?;
    let _written = if output == Output::Human {
        streams.out(&text(&doc, &unset, streams.width()))?
    } else {
        streams.result(&value(&doc, &unset), output)?
    };
    Ok(0)
}

/// Returns the keys that a single word names. A path with dots is a misspelt key instead.
fn matching(reference: &KeyReference, path: &[&str]) -> Vec<KeyDoc> {
    match path {
        [word] => reference.matching(word),
        _ => Vec::new(),
    }
}

fn list(global: &Global, docs: &[KeyDoc], output: Output, streams: &Streams) -> anyhow::Result<u8> {
    let width = streams.width();
    let _written = if output == Output::Human {
        let rows: Vec<Vec<String>> = docs.iter().map(|doc| vec![doc.key.clone(), doc.summary()]).collect();
        let keys = report::table(&["KEY", "DESCRIPTION"], &rows, width);
        let hint =
            RepeatedFlags::new(global).insert_into("handsctl config explain KEY describes one of them");
        streams.out(&format!("{keys}\n{hint}\n"))?
    } else {
        let keys: Vec<Value> =
            docs.iter().map(|doc| json!({ "key": doc.key, "description": doc.description })).collect();
        streams.results(&keys, output)?
    };
    Ok(0)
}

/// The most keys that an error proposes instead of an unknown one.
const MOST_PROPOSED: usize = 3;

/// Returns the error about a key that does not exist, with the commands that describe or print similar ones.
pub(super) fn unknown_key(reference: &KeyReference, key: &str, command: &str) -> Error {
    let error = Error::new(Id::Usage, Kind::Usage, format!("config.toml has no key `{key}`"));
    let near = reference.closest_keys(key);
    let Some((first, others)) = near.split_first() else {
        return error.hint(format!("tables: {}", reference.tables().join(", ")));
    };
    let error = error.hint(format!("did you mean handsctl {command} {first}?"));
    let others = others.iter().take(MOST_PROPOSED - 1);
    others.fold(error, |error, other| error.hint(format!("or handsctl {command} {other}")))
}

fn text(doc: &KeyDoc, unset: &[UnsetValue], width: usize) -> String {
    let mut out = String::new();
    if !doc.key.is_empty() {
        out.push_str(&format!("{}\n", doc.key));
    }
    out.push_str(&format!("{}\n\n", textwrap::fill(&doc.description, WIDTH.min(width))));
    match &doc.value {
        ValueForm::Table(keys) => {
            let rows: Vec<Vec<String>> =
                keys.iter().map(|(name, about)| vec![name.clone(), about.clone()]).collect();
            out.push_str(&report::table(&["KEY", "DESCRIPTION"], &rows, width));
        }
        ValueForm::OneOf(texts) => {
            let rows: Vec<Vec<String>> =
                texts.iter().map(|(text, about)| vec![format!("{text:?}"), about.clone()]).collect();
            out.push_str(&report::table(&["VALUE", "DESCRIPTION"], &rows, width));
            out.push('\n');
        }
        ValueForm::Plain(_) => {}
    }
    if !doc.key.is_empty() {
        for (name, about) in facts(doc, unset) {
            out.push_str(&format!(
                "{name:<14} {}\n",
                report::wrapped(&about, FACT_COLUMN, FACT_COLUMN, width)
            ));
        }
    }
    out
}

fn facts(doc: &KeyDoc, unset: &[UnsetValue]) -> Vec<(&'static str, String)> {
    let is_table = matches!(doc.value, ValueForm::Table(_));
    let mut facts = Vec::new();
    if let ValueForm::Plain(form) = &doc.value {
        facts.push(("value", form.clone()));
    }
    if !is_table {
        facts.push(("default", default(doc, unset)));
        facts.push(("set by", set_by(&doc.key)));
    }
    for field in &doc.fields {
        facts.push(("becomes", field.clone()));
    }
    let is_secret = doc.fields.iter().any(|field| field.starts_with("secret "));
    if let Some(variable) = doc.variable.as_ref().filter(|_| !is_table && !is_secret) {
        facts.push((
            "OpenHands",
            format!("reads it from its config.toml; its variable {variable} overrides it"),
        ));
    }
    let others = [
        ("since", doc.since.as_ref().map(|since| format!("OpenHands {since}"))),
        ("not used", doc.ignored.clone()),
        ("other values", doc.invalid_value_effect.clone()),
        ("unknown keys", unknown_keys(doc.unknown_key_effect).filter(|_| is_table).map(str::to_owned)),
    ];
    facts.extend(others.into_iter().filter_map(|(name, about)| Some((name, about?))));
    facts
}

/// Describes the value of a key that nobody sets: `"500m"; on local clusters "250m"`.
fn default(doc: &KeyDoc, unset: &[UnsetValue]) -> String {
    let usual = |value: &UnsetValue| match &value.condition {
        None => value.value.clone(),
        Some(condition) => format!("{condition} {}", value.value),
    };
    match unset {
        [] => doc.default.clone().unwrap_or_else(|| "not set".to_owned()),
        values => values.iter().map(usual).collect::<Vec<_>>().join("; "),
    }
}

/// Returns the ways to set a key. A key below a user-defined name (`NAME`) can only be set in config.toml.
fn set_by(key: &str) -> String {
    if key.split('.').any(|name| name == "NAME") {
        return "config.toml".to_owned();
    }
    let variable = key.replace('.', "__").to_uppercase();
    format!("config.toml, HANDSCTL_{variable}, --set {key}=VALUE")
}

const fn unknown_keys(unknown: UnknownKeys) -> Option<&'static str> {
    match unknown {
        UnknownKeys::NotApplicable => None,
        UnknownKeys::Crash => Some("the application would crash at start: an error here"),
        UnknownKeys::SectionIgnored => Some("the application would ignore the whole table: an error here"),
        UnknownKeys::KeyIgnored => Some("the application would ignore them: a warning here"),
    }
}

fn value(doc: &KeyDoc, unset: &[UnsetValue]) -> Value {
    let list = |pairs: &[(String, String)], name: &str| -> Vec<Value> {
        pairs.iter().map(|(text, about)| json!({ name: text, "description": about })).collect()
    };
    let (form, allowed, keys) = match &doc.value {
        ValueForm::Plain(form) => (Some(form), Vec::new(), Vec::new()),
        ValueForm::OneOf(texts) => (None, list(texts, "value"), Vec::new()),
        ValueForm::Table(keys) => (None, Vec::new(), list(keys, "key")),
    };
    json!({
        "key": doc.key,
        "description": doc.description,
        "form": form,
        "allowed": allowed,
        "keys": keys,
        "default": doc.default,
        "unset": unset.iter().map(|it| json!({ "condition": it.condition, "value": it.value })).collect::<Vec<_>>(),
        "fields": doc.fields,
        "variable": doc.variable,
        "since": doc.since,
        "notUsed": doc.ignored,
    })
}
