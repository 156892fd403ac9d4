//! Thousands of damaged files: no panic, no difference between schema and types, a report for every unknown key, every
//! position inside the text.

use super::fixtures;
use crate::damage::{Damage, Xorshift, rounds};
use crate::diagnostic::Diagnostic;
use crate::settings::edition::Configuration;
use crate::settings::load::schema::{OtherKeys, Shape, TableShape, schema_shape};
use crate::settings::load::tree::{Data, Node, Table};
use crate::settings::load::{check, layer};
use crate::settings::resolved::{ResolvedSecrets, Settings};
use crate::settings::rules::checker;
use crate::settings::secrets::extract;

/// What is inserted into a file.
const DAMAGE: Damage = Damage { pieces: PIECES, changes: 4, part: 12 };

const PIECES: &[&str] = &[
    "\"",
    "'",
    "=",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    "\n",
    "#",
    "\\",
    " ",
    "0",
    "-1",
    "1e400",
    "true",
    "ß",
    "😀",
    "\u{0}",
    "99999999999999999999",
    "[deploy]",
    "[[core]]",
    "\"\"\"",
    "inf",
    "1979-05-27",
    "{ env = \"A\" }",
    "api_key = \"x\"",
];

/// Collects the spans of keys that the schema does not list.
fn unknown_keys(shape: &TableShape, table: &Table, spans: &mut Vec<std::ops::Range<usize>>) {
    for (name, entry) in table {
        match (shape.keys.get(name).map(|key| &key.shape), &shape.other) {
            (Some(inner), _) => unknown_under(inner, &entry.node, spans),
            (None, OtherKeys::Rejected) => spans.push(entry.key.location.span.clone()),
            (None, OtherKeys::Each { value, .. }) => {
                let named = matches!(**value, Shape::Table(_)) && !shape.keys.is_empty();
                if named && !matches!(entry.node.data, Data::Table(_)) {
                    spans.push(entry.key.location.span.clone());
                } else {
                    unknown_under(value, &entry.node, spans);
                }
            }
            (None, OtherKeys::Free) => {}
        }
    }
}

fn unknown_under(shape: &Shape, node: &Node, spans: &mut Vec<std::ops::Range<usize>>) {
    match (shape, &node.data) {
        (Shape::Table(inner), Data::Table(table)) => unknown_keys(inner, table, spans),
        (Shape::List(inner), Data::List(items)) => {
            for item in items {
                unknown_under(inner, item, spans);
            }
        }
        // A value of another type is reported as a whole.
        _ => {}
    }
}

fn run_all_steps(schema: &std::sync::Arc<TableShape>, text: &str) -> Vec<Diagnostic> {
    let mut parsed = layer::file(schema, "config.toml", text);
    let mut diagnostics = parsed.diagnostics;
    let mut unknown = Vec::new();
    unknown_keys(schema, &parsed.table, &mut unknown);
    let checked = check::check(schema, &mut parsed.table);
    diagnostics.extend(checked.diagnostics);
    for span in unknown {
        let is_at_span =
            |diagnostic: &Diagnostic| diagnostic.location.as_ref().is_some_and(|at| at.span == span);
        assert!(diagnostics.iter().any(is_at_span), "no diagnostic for the key at {span:?}\n{text}");
    }
    let extracted = extract::extract(schema, &mut parsed.table, Configuration::File);
    diagnostics.extend(extracted.diagnostics);
    let settings = Settings::assemble(schema, parsed.table, ResolvedSecrets::default(), extracted.plain)
        .unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    diagnostics.extend(checker::check_all(schema, &settings, &checked.wrong));
    // The application's config.toml is valid TOML.
    let written = settings.for_local_cluster(true).app_config_toml();
    assert!(written.parse::<toml::Table>().is_ok(), "{written}\n--- from\n{text}");
    diagnostics
}

#[test]
fn damaged_files_are_diagnosed() {
    let schema = schema_shape().expect("schema");
    let mut seeds: Vec<String> = std::fs::read_dir(fixtures())
        .expect("fixtures")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| std::fs::read_to_string(path).expect("text"))
        .collect();
    seeds.sort();
    let mut random = Xorshift::from_environment();
    for round in 0..rounds(10_000) {
        let text = DAMAGE.damaged(&seeds[round % seeds.len()], &mut random);
        for diagnostic in run_all_steps(&schema, &text) {
            let Some(location) = diagnostic.location else { continue };
            let inside = location.source.text.get(location.span.clone());
            assert!(inside.is_some(), "{:?} of {text:?}", location.span);
            assert_eq!(location.source.text.len(), text.len(), "masking keeps positions");
        }
    }
}

#[test]
fn damaged_sets_and_variables_are_diagnosed() {
    let schema = schema_shape().expect("schema");
    let mut random = Xorshift::new(0x2545_F491_4F6C_DD1D);
    let seeds = [
        "deploy.replicas=1",
        "deploy.env.A={ env = \"B\" }",
        "llm.api_key=sk",
        "a.\"b=c\".d=[1, 2]",
        "kubernetes.resource_cpu_request=1",
        "sandbox.runtime_startup_env_vars={ A = \"b\" }",
    ];
    for round in 0..3000 {
        let text = DAMAGE.damaged(seeds[round % seeds.len()], &mut random);
        let mut layers = vec![layer::set(&schema, &text)];
        // Searching a similar name is slow in a debug build.
        if round % 20 == 0 {
            let name = text.split('=').next().unwrap_or_default().replace('.', "__").to_uppercase();
            layers.push(layer::environment(&schema, &[(format!("HANDSCTL_{name}"), text.clone())]));
        }
        for mut parsed in layers {
            let mut diagnostics = parsed.diagnostics;
            diagnostics.extend(check::check(&schema, &mut parsed.table).diagnostics);
            for location in diagnostics.into_iter().filter_map(|diagnostic| diagnostic.location) {
                assert!(
                    location.source.text.get(location.span.clone()).is_some(),
                    "{:?} of {text:?}",
                    location.span
                );
            }
        }
    }
}
