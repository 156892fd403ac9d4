//! The schema, the types and the formats agree.

use std::fmt::Write as _;

use super::read_text;
use crate::settings::format::by_name;
use crate::settings::handsctl::{Cluster, Deploy};
use crate::settings::load::schema::{Key, OtherKeys, Shape, TableShape, schema_shape};
use crate::settings::openhands::Kubernetes;

fn shape() -> std::sync::Arc<TableShape> {
    schema_shape().expect("the schema is supported")
}

/// Returns a value that the shape allows, as TOML.
fn sample(shape: &Shape) -> String {
    match shape {
        Shape::Any => "{ a = 1 }".to_owned(),
        Shape::Boolean => "true".to_owned(),
        Shape::Integer { min, max } => 1.clamp(*min, *max).to_string(),
        Shape::Number => "0.5".to_owned(),
        Shape::Text { allowed, .. } if !allowed.is_empty() => format!("{:?}", allowed[0]),
        Shape::Text { format, .. } => match format.as_deref() {
            Some("quantity") => "\"1Gi\"".to_owned(),
            Some("duration") => "\"15m\"".to_owned(),
            Some("image") => "\"example.com/openhands:1.6\"".to_owned(),
            Some("app-version") => "\"1.6\"".to_owned(),
            Some("kubernetes-version") => "\"v1.34.4\"".to_owned(),
            Some("ip-address") => "\"127.0.0.1\"".to_owned(),
            Some("ip-range") => "\"203.0.113.0/24\"".to_owned(),
            Some("http-url" | "server-url") => "\"https://example.com\"".to_owned(),
            _ => "\"text\"".to_owned(),
        },
        Shape::List(inner) => format!("[{}]", sample(inner)),
        Shape::Either(several) => several.last().map(sample).unwrap_or_default(),
        Shape::Reference { .. } => "{ secret = \"name\", key = \"key\" }".to_owned(),
        Shape::Table(table) => {
            let pairs: Vec<String> =
                table.keys.iter().map(|(name, key)| format!("{name} = {}", sample(&key.shape))).collect();
            let named = match &table.other {
                OtherKeys::Each { value, name_format } if table.keys.is_empty() => {
                    let name = match name_format.as_deref() {
                        Some("owned-field") => "\"service/a:spec.type\"",
                        _ => "name",
                    };
                    vec![format!("{name} = {}", sample(value))]
                }
                _ => Vec::new(),
            };
            format!("{{ {} }}", [pairs, named].concat().join(", "))
        }
    }
}

/// Whether a key can be set together with all others.
fn is_compatible(table: &str, name: &str) -> bool {
    !matches!(
        (table, name),
        (
            "deploy",
            "autoscaling"
                | "database"
                | "existing_claim"
                | "extra_manifests"
                | "node_port"
                | "source_ranges"
                | "storage"
                | "strategy"
                | "tolerations"
        ) | ("cluster", "https_port")
            | ("core", "file_store_path")
            | ("agent", "llm_config")
            | (
                "condenser",
                "attention_window"
                    | "condensers"
                    | "keep_first"
                    | "llm_config"
                    | "max_event_length"
                    | "max_events"
                    | "max_size"
            )
    )
}

#[test]
fn every_key_of_the_schema_reaches_its_type() {
    let mut text = String::new();
    for (table, Key { shape, .. }) in &shape().keys {
        let Shape::Table(shape) = shape else { panic!("{table} is not a table") };
        writeln!(text, "[{table}]").expect("text");
        for (name, key) in shape.keys.iter().filter(|(name, _)| is_compatible(table, name)) {
            let value = match (table.as_str(), name.as_str()) {
                ("deploy", "image") => "\"a:1.6\"".to_owned(),
                // The list is passed as one variable, which cannot include a Secret of the cluster.
                ("mcp", _) | ("sandbox", "runtime_startup_env_vars") => {
                    sample(&key.shape).replace("{ secret = \"name\", key = \"key\" }", "\"text\"")
                }
                _ => sample(&key.shape),
            };
            writeln!(text, "{name} = {value}").expect("text");
        }
    }
    let text = text
        .replace("tolerations_yaml = \"text\"", "tolerations_yaml = \"[]\"")
        .replace("expose = \"nodeport\"", "expose = \"ingress\"");
    let loaded = read_text(&text).unwrap_or_else(|error| panic!("{:?}\n{text}", error.diagnostics()));
    let settings = loaded.settings;
    assert_eq!(settings.openhands.kubernetes.tolerations_yaml.as_deref(), Some("[]"));
    assert_eq!(settings.openhands.llm.options.num_retries, Some(1));
    assert_eq!(settings.openhands.core.debug, Some(true));
    assert_eq!(settings.openhands.sandbox.timeout, Some(1));
    assert_eq!(settings.openhands.agent.options.enable_mcp, Some(true));
    assert!(settings.secrets.contains_key("LLM_API_KEY") && settings.secrets.contains_key("JWT_SECRET"));
    // Every key reached its field, and none the map of named tables.
    assert!(settings.openhands.llm.named.is_empty() && settings.openhands.agent.named.is_empty());
}

#[test]
fn every_condenser_type_accepts_its_own_keys() {
    let condensers = [
        "type = \"noop\"",
        "type = \"observation_masking\"\nattention_window = 5",
        "type = \"browser_output_masking\"\nattention_window = 5",
        "type = \"recent\"\nkeep_first = 0\nmax_events = 10",
        "type = \"llm\"\nllm_config = \"fast\"\nkeep_first = 1\nmax_size = 10\nmax_event_length = 100",
        "type = \"amortized\"\nkeep_first = 1\nmax_size = 10",
        "type = \"llm_attention\"\nllm_config = \"llm\"\nmax_size = 10",
        "type = \"structured\"\nllm_config = { model = \"m\" }",
        "type = \"pipeline\"\ncondensers = [{ type = \"noop\" }]",
        "type = \"conversation_window\"",
    ];
    for condenser in condensers {
        let text = format!("[llm.fast]\nmodel = \"f\"\n[condenser]\n{condenser}\n");
        let loaded = read_text(&text).unwrap_or_else(|error| panic!("{:?}\n{text}", error.diagnostics()));
        assert_eq!(loaded.warnings, [], "{text}");
        let condenser_type = loaded.settings.openhands.condenser.condenser_type.expect("a type");
        let written = toml::to_string(&loaded.settings.openhands.condenser).expect("toml");
        let written: toml::Table = written.parse().expect("toml");
        let others: Vec<&str> = written.keys().map(String::as_str).filter(|key| *key != "type").collect();
        assert!(
            others.iter().all(|key| condenser_type.keys().contains(key)),
            "{condenser_type:?}: {others:?}"
        );
    }
}

#[test]
fn defaults_pass_the_checks() {
    let tables = [
        ("cluster", toml::Value::try_from(Cluster::default())),
        ("deploy", toml::Value::try_from(Deploy::default())),
        ("kubernetes", toml::Value::try_from(Kubernetes::default())),
    ];
    let tables = tables.map(|(name, table)| (name.to_owned(), table.expect("toml")));
    let text = toml::to_string(&toml::Table::from_iter(tables)).expect("toml");
    let loaded = read_text(&text).unwrap_or_else(|error| panic!("{:?}", error.diagnostics()));
    assert_eq!(loaded.warnings, []);
}

fn keys<'a>(table: &'a TableShape, visit: &mut dyn FnMut(&'a str, &'a Key)) {
    for (name, key) in &table.keys {
        visit(name, key);
        if let Shape::Table(inner) = &key.shape {
            keys(inner, visit);
        }
    }
}

fn formats<'a>(shape: &'a Shape, names: &mut Vec<&'a str>) {
    match shape {
        Shape::Text { format: Some(format), .. } => names.push(format),
        Shape::List(inner) => formats(inner, names),
        Shape::Table(TableShape { other: OtherKeys::Each { value, name_format }, .. }) => {
            names.extend(name_format.as_deref());
            formats(value, names);
        }
        _ => {}
    }
}

#[test]
fn schema_formats_are_known_and_aliases_allowed() {
    let shape = shape();
    let mut count = 0;
    keys(&shape, &mut |name, key| {
        let mut names = Vec::new();
        formats(&key.shape, &mut names);
        for format in names {
            assert!(by_name::noun(format).is_some(), "{name}: {format}");
            count += 1;
        }
        if let Shape::Text { allowed, .. } = &key.shape {
            assert!(key.aliases.values().all(|to| allowed.contains(to)), "{name}");
        }
    });
    assert!(count > 20, "only {count} formats");
}

/// The numbers of keys in the application's source, none of which the schema may lose.
#[test]
fn application_tables_have_every_key() {
    let shape = shape();
    let count = |table: &str| match shape.inner(table) {
        Some(Shape::Table(table)) => table.keys.len(),
        _ => 0,
    };
    assert_eq!((count("kubernetes"), count("sandbox"), count("security")), (13, 34, 2));
    assert_eq!((count("llm"), count("core"), count("agent")), (39, 35, 20));
    assert_eq!((count("condenser"), count("mcp"), count("model_routing")), (8, 3, 2));
}

#[test]
fn every_key_has_a_description() {
    fn walk(schema: &serde_json::Value, path: &str, missing: &mut Vec<String>) {
        for (name, key) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if key["description"].as_str().is_none_or(str::is_empty) && !path.contains("anyOf") {
                missing.push(path.clone());
            }
            walk(key, &path, missing);
        }
    }
    let schema = crate::settings::load::schema::json_schema();
    let mut missing = Vec::new();
    walk(&schema, "", &mut missing);
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        walk(definition, name, &mut missing);
    }
    assert!(missing.is_empty(), "{missing:?}");
}
