//! Sets keys in the text of a config file, and keeps its comments, order and blank lines.

use toml_edit::{DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

use super::layer;
use super::schema::{Shape, TableShape, schema_shape};
use super::toml_key::dotted;
use crate::catalogue::Id;
use crate::error::{Error, Kind};

/// Returns the path of a dotted key: `deploy.env."a.b"`; None: the text is not a key.
#[must_use]
pub fn key_path(text: &str) -> Option<Vec<String>> {
    let (path, value_at) = layer::set_key(&format!("{text}="))?;
    (value_at > text.len()).then_some(path)
}

/// Returns the dotted key of a `KEY=VALUE`, without the value, which may be a secret.
#[must_use]
pub fn assigned_key(assignment: &str) -> Option<String> {
    layer::set_key(assignment).map(|(path, _)| dotted(&path))
}

/// Returns the text of a config file after each `KEY=VALUE`. A value is TOML, else a string, as for `--set`. The value of
/// a key that is commented out replaces the comment.
///
/// # Errors
/// `Kind::Config` if the text is not TOML or a part of a key is not a table; `Kind::Usage` for an argument without a key.
pub fn with_keys_set(text: &str, assignments: &[String]) -> Result<String, Error> {
    let schema = schema_shape()?;
    let has_crlf = text.contains("\r\n");
    let mut text = text.replace("\r\n", "\n");
    for assignment in assignments {
        text = with_key_set(&schema, &text, assignment)?;
    }
    Ok(if has_crlf { text.replace('\n', "\r\n") } else { text })
}

fn with_key_set(schema: &TableShape, text: &str, assignment: &str) -> Result<String, Error> {
    let Some((path, value_at)) = layer::set_key(assignment) else {
        return Err(Error::new(Id::Usage, Kind::Usage, "config set takes KEY=VALUE"));
    };
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let (shape, _) = layer::shape_at(schema, &names);
    let value = value(shape, &assignment[value_at..]);
    let mut document: DocumentMut = text.parse().map_err(|_| not_toml())?;
    let is_reference = matches!(shape, Some(Shape::Reference { .. }));
    set(&mut document, &names, &value, is_reference)?;
    let edited = document.to_string();
    let uncommented = uncommented(text, &names, &value).filter(|other| has_same_values(other, &edited));
    Ok(uncommented.unwrap_or(edited))
}

fn not_toml() -> Error {
    Error::new(Id::ConfigSyntax, Kind::Config, "the file is not TOML")
        .hint("handsctl config check shows where")
}

/// Returns a TOML value, else a string. A key that accepts strings takes an unquoted value as a string.
fn value(shape: Option<&Shape>, text: &str) -> Value {
    let accepts_strings = matches!(shape, Some(Shape::Text { .. } | Shape::Reference { .. }));
    match text.trim().parse::<Value>() {
        Ok(mut value)
            if value.is_str() || value.is_array() || value.is_inline_table() || !accepts_strings =>
        {
            value.decor_mut().clear();
            value
        }
        _ => Value::from(text),
    }
}

/// Sets a key. A table is merged into an existing one, like that of `--set`; a secret reference is one value.
fn set(document: &mut DocumentMut, path: &[&str], value: &Value, is_reference: bool) -> Result<(), Error> {
    if let Value::InlineTable(table) = value
        && !is_reference
        && is_table(document.as_table(), path)
    {
        for (name, inner) in table {
            let mut inner = inner.clone();
            inner.decor_mut().clear();
            set(document, &[path, &[name]].concat(), &inner, false)?;
        }
        return Ok(());
    }
    let is_new_table = path.first().is_some_and(|table| !document.contains_key(table)) && path.len() > 1;
    if is_new_table {
        append_table(document, path[0]);
    }
    set_in(document.as_table_mut(), path, value)
}

/// Adds a table behind everything else, also behind the comments at the end of the file.
fn append_table(document: &mut DocumentMut, name: &str) {
    let end = document.trailing().as_str().unwrap_or_default().to_owned();
    let is_empty = document.as_table().is_empty() && end.trim().is_empty();
    let mut table = Table::new();
    table.decor_mut().set_prefix(if is_empty { String::new() } else { format!("{end}\n") });
    document.set_trailing(RawString::default());
    document.insert(name, Item::Table(table));
}

fn is_table(table: &dyn TableLike, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    table.get(first).and_then(Item::as_table_like).is_some_and(|inner| is_table(inner, rest))
}

fn set_in(table: &mut dyn TableLike, path: &[&str], value: &Value) -> Result<(), Error> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        set_value(table, first, value);
        return Ok(());
    }
    if !table.contains_key(first) {
        // A dotted key stays in its table; a header would end the table, and take the commented keys below it along.
        let mut inner = Table::new();
        inner.set_dotted(true);
        table.insert(first, Item::Table(inner));
    }
    let item = table.get_mut(first);
    if let Some(Item::Value(Value::InlineTable(inner))) = item {
        let has_one_line = !inner.to_string().contains('\n');
        set_in(inner, rest, value)?;
        if has_one_line {
            inner.fmt();
        }
        return Ok(());
    }
    let inner = item.and_then(Item::as_table_like_mut).ok_or_else(|| {
        let message = format!("cannot set a key of `{first}`, which is not a table in the file");
        Error::new(Id::WrongType, Kind::Config, message)
    })?;
    set_in(inner, rest, value)
}

/// Sets a value and keeps the comment behind an earlier one. An equal value keeps its notation.
fn set_value(table: &mut dyn TableLike, name: &str, value: &Value) {
    match table.get_mut(name) {
        Some(Item::Value(earlier)) => {
            if !are_equal(earlier, value) {
                let decor = earlier.decor().clone();
                *earlier = value.clone();
                *earlier.decor_mut() = decor;
            }
        }
        Some(item) => *item = Item::Value(value.clone()),
        None => {
            table.insert(name, Item::Value(value.clone()));
        }
    }
}

fn are_equal(one: &Value, other: &Value) -> bool {
    let document = |value: &Value| {
        let mut table = InlineTable::new();
        let mut value = value.clone();
        value.decor_mut().clear();
        table.insert("v", value);
        format!("t = {table}").parse::<toml::Table>().ok()
    };
    document(one).is_some_and(|value| Some(value) == document(other))
}

/// Returns the text with the commented line of the key replaced: `#host = "localhost"` below `[deploy]`.
fn uncommented(text: &str, path: &[&str], value: &Value) -> Option<String> {
    let (key, table) = path.split_last()?;
    let header = format!("[{}]", dotted(table));
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let begin = lines.iter().position(|line| line.trim() == header)? + 1;
    let length = lines[begin..].iter().position(|line| line.trim_start().starts_with('['));
    let end = length.map_or(lines.len(), |length| begin + length);
    let at = (begin..end).find(|at| is_commented_key(lines[*at], key))?;
    let line = format!("{} = {}\n", dotted(&[key]), value.to_string().trim());
    lines[at] = &line;
    Some(lines.concat())
}

fn is_commented_key(line: &str, key: &str) -> bool {
    let rest = line.trim_start().strip_prefix('#').and_then(|rest| rest.trim_start().strip_prefix(key));
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn has_same_values(one: &str, other: &str) -> bool {
    one.parse::<toml::Table>().is_ok_and(|table| Ok(table) == other.parse::<toml::Table>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::docs::reference::KeyReference;

    fn edited(text: &str, assignments: &[&str]) -> String {
        let assignments: Vec<String> = assignments.iter().map(|text| (*text).to_owned()).collect();
        with_keys_set(text, &assignments).expect("an edited text")
    }

    const FILE: &str = "# Ours.\n\n[deploy]   # everything\nhost = 'a'  # the name\n\n# Nodes.\n\
                        node_selector = { disk = \"ssd\" }\n\n[llm]\nmodel = \"m\"\n# at the end\n#timeout = 5\n";

    #[test]
    fn changed_value_keeps_comments_and_blank_lines() {
        assert_eq!(edited(FILE, &["deploy.host=b.example.org"]), FILE.replace("'a'", "\"b.example.org\""));
        assert_eq!(edited(FILE, &["deploy.host=a"]), FILE, "an equal value keeps its quotes");
        assert_eq!(edited(FILE, &["llm.model=\"x\""]), FILE.replace("\"m\"", "\"x\""));
    }

    #[test]
    fn commented_key_is_uncommented_in_its_place() {
        assert_eq!(edited(FILE, &["llm.timeout=60"]), FILE.replace("#timeout = 5", "timeout = 60"));
        let reference = KeyReference::default();
        let short = reference.short_file(&reference.first_values(), None);
        let set = edited(&short, &["deploy.storage_size=9Gi"]);
        assert_eq!(set, short.replace("#storage_size = \"5Gi\"", "storage_size = \"9Gi\""));
        let all = reference.file(None);
        assert_eq!(edited(&all, &["core.debug=true"]), all.replace("#debug = false", "debug = true"));
    }

    #[test]
    fn new_key_is_added_to_its_table() {
        let text = edited(FILE, &["deploy.replicas=1", "deploy.resources.requests.cpu=1"]);
        assert!(text.contains("replicas = 1\nresources.requests.cpu = \"1\"\n"), "{text}");
        assert!(text.find("replicas") < text.find("[llm]"), "{text}");
        let text = edited(FILE, &["deploy.node_selector.zone=z"]);
        assert!(text.contains("node_selector = { disk = \"ssd\", zone = \"z\" }\n"), "{text}");
        let text = edited(FILE, &["deploy.node_selector={ disk = \"hdd\" }"]);
        assert!(text.contains("node_selector = { disk = \"hdd\" }\n"), "{text}");
    }

    #[test]
    fn new_table_follows_the_comments_at_the_end() {
        let text = edited(FILE, &["core.debug=true", "core.max_iterations=7"]);
        assert_eq!(text, format!("{FILE}\n[core]\ndebug = true\nmax_iterations = 7\n"));
        assert_eq!(edited("", &["core.debug=true"]), "[core]\ndebug = true\n");
    }

    #[test]
    fn table_is_merged_and_secret_reference_replaced() {
        let text = "[deploy.resources.requests]\nmemory = \"1Gi\"\n\n[llm.api_key]\nenv = \"A\"\n";
        let set = edited(text, &["deploy.resources.requests={ cpu = \"1\" }"]);
        assert!(set.contains("memory = \"1Gi\"\ncpu = \"1\"\n"), "{set}");
        let set = edited(text, &["llm.api_key={ secret = \"s\", key = \"k\" }"]);
        let parsed: toml::Table = set.parse().expect("TOML");
        let key = &parsed["llm"]["api_key"];
        assert_eq!((key["secret"].as_str(), key.get("env")), (Some("s"), None), "{set}");
    }

    #[test]
    fn value_is_toml_or_a_string() {
        for (assignment, line) in [
            ("deploy.version=0.59", "version = \"0.59\""),
            ("deploy.network_policy=false", "network_policy = false"),
            ("deploy.env.EQUATION=a=b", "env.EQUATION = \"a=b\""),
            ("deploy.env.\"a.b\"=c", "env.\"a.b\" = \"c\""),
            ("deploy.image_pull_secrets=[\"a\"]", "image_pull_secrets = [\"a\"]"),
        ] {
            assert_eq!(edited("[deploy]\n", &[assignment]), format!("[deploy]\n{line}\n"));
        }
    }

    #[test]
    fn windows_line_ends_are_kept() {
        let text = "[llm]\r\nmodel = \"m\"\r\n# x\r\n";
        assert_eq!(edited(text, &["llm.model=n"]), text.replace("\"m\"", "\"n\""));
    }

    #[test]
    fn text_that_is_not_toml_is_an_error() {
        let set = |text: &str, assignment: &str| {
            with_keys_set(text, &[assignment.to_owned()]).map_err(|error| error.kind())
        };
        assert_eq!(set("[llm\n", "llm.model=m"), Err(Kind::Config));
        assert_eq!(set("", "llm.model"), Err(Kind::Usage));
        assert_eq!(set("[deploy]\nenv = 1\n", "deploy.env.A=b"), Err(Kind::Config));
    }

    #[test]
    fn key_path_reads_quoted_names() {
        assert_eq!(key_path("deploy.env.\"a.b\""), Some(vec!["deploy".into(), "env".into(), "a.b".into()]));
        assert_eq!(key_path("deploy..x"), None);
        assert_eq!(key_path("a=b"), None);
    }
}
