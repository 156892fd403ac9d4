//! `config explain`: what a key means, offline.

use clap::Args;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::flags::Format;
use crate::report::{self, Output, Streams};
use crate::session::output::output_form;
use crate::settings::{KeyDoc, KeyReference, UnknownKeys, ValueForm};

/// What a key means: form, default, which field of which object it becomes
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config explain deploy.storage_size\n  handsctl config explain kubernetes\n  handsctl config explain"
)]
pub struct ConfigExplainArgs {
    /// A key or a table, with dots; without it: the tables
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Characters of a line of text.
const WIDTH: usize = 100;

/// Runs `config explain`.
pub(crate) fn run(arguments: &ConfigExplainArgs, streams: &Streams) -> anyhow::Result<u8> {
    let manual = KeyReference::default();
    let key = arguments.key.as_deref().unwrap_or_default();
    let path: Vec<&str> = key.trim_matches(['[', ']']).split('.').filter(|name| !name.is_empty()).collect();
    let article = manual.article(&path).ok_or_else(|| unknown_key(&manual, key))?;
    let output = output_form(Some(arguments.output));
    let _nobody_reads = if output == Output::Human {
        streams.out(&text(&article))?
    } else {
        streams.value(&value(&article), output)?
    };
    Ok(0)
}

fn unknown_key(manual: &KeyReference, key: &str) -> Error {
    let error = Error::new(Id::Usage, Kind::Usage, format!("config.toml has no key `{key}`"));
    match manual.nearest(key) {
        Some(near) => error.hint(format!("did you mean handsctl config explain {near}?")),
        None => error.hint(format!("tables: {}", manual.tables().join(", "))),
    }
}

fn text(article: &KeyDoc) -> String {
    let mut out = String::new();
    if !article.key.is_empty() {
        out.push_str(&format!("{}\n", article.key));
    }
    out.push_str(&format!("{}\n\n", textwrap::fill(&article.description, WIDTH)));
    match &article.value {
        ValueForm::Table(keys) => {
            let rows: Vec<Vec<String>> =
                keys.iter().map(|(name, about)| vec![name.clone(), about.clone()]).collect();
            out.push_str(&report::table(&["KEY", "WHAT IT IS"], &rows));
        }
        ValueForm::OneOf(texts) => {
            let rows: Vec<Vec<String>> =
                texts.iter().map(|(text, about)| vec![format!("{text:?}"), about.clone()]).collect();
            out.push_str(&report::table(&["VALUE", "WHAT IT MEANS"], &rows));
            out.push('\n');
        }
        ValueForm::Plain(_) => {}
    }
    if !article.key.is_empty() {
        for (name, about) in facts(article) {
            out.push_str(&format!("{name:<14} {about}\n"));
        }
    }
    out
}

fn facts(article: &KeyDoc) -> Vec<(&'static str, String)> {
    let is_table = matches!(article.value, ValueForm::Table(_));
    let mut facts = Vec::new();
    if let ValueForm::Plain(form) = &article.value {
        facts.push(("value", form.clone()));
    }
    if !is_table {
        facts.push(("default", article.default.clone().unwrap_or_else(|| "not set".to_owned())));
        facts.push(("set by", set_by(&article.key)));
    }
    for field in &article.fields {
        facts.push(("becomes", field.clone()));
    }
    let is_secret = article.fields.iter().any(|field| field.starts_with("secret "));
    if let Some(variable) = article.variable.as_ref().filter(|_| !is_table && !is_secret) {
        facts
            .push(("OpenHands", format!("reads it from its config.toml; its variable {variable} would win")));
    }
    let others = [
        ("since", article.since.as_ref().map(|since| format!("OpenHands {since}"))),
        ("not used", article.ignored.clone()),
        ("other values", article.otherwise.clone()),
        ("unknown keys", unknown(article.unknown).filter(|_| is_table).map(str::to_owned)),
    ];
    facts.extend(others.into_iter().filter_map(|(name, about)| Some((name, about?))));
    facts
}

/// The other ways to set a key, where it has a name of its own.
fn set_by(key: &str) -> String {
    if key.split('.').any(|name| name == "NAME") {
        return "config.toml".to_owned();
    }
    let variable = key.replace('.', "__").to_uppercase();
    format!("config.toml, HANDSCTL_{variable}, --set {key}=VALUE")
}

const fn unknown(unknown: UnknownKeys) -> Option<&'static str> {
    match unknown {
        UnknownKeys::Nothing => None,
        UnknownKeys::Crash => Some("the application would crash at start: an error here"),
        UnknownKeys::SectionIgnored => Some("the application would ignore the whole table: an error here"),
        UnknownKeys::KeyIgnored => Some("the application would ignore them: a warning here"),
    }
}

fn value(article: &KeyDoc) -> Value {
    let list = |pairs: &[(String, String)], name: &str| -> Vec<Value> {
        pairs.iter().map(|(text, about)| json!({ name: text, "description": about })).collect()
    };
    let (form, allowed, keys) = match &article.value {
        ValueForm::Plain(form) => (Some(form), Vec::new(), Vec::new()),
        ValueForm::OneOf(texts) => (None, list(texts, "value"), Vec::new()),
        ValueForm::Table(keys) => (None, Vec::new(), list(keys, "key")),
    };
    json!({
        "key": article.key,
        "description": article.description,
        "form": form,
        "allowed": allowed,
        "keys": keys,
        "default": article.default,
        "fields": article.fields,
        "variable": article.variable,
        "since": article.since,
        "notUsed": article.ignored,
    })
}
