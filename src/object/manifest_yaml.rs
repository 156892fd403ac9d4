//! Reads manifests as kubectl reads them: YAML 1.1 by the rules of `sigs.k8s.io/yaml`, which uses `go-yaml` v2
//! (`resolve.go`, `decode.go`). `0440` is 288, `yes` and `on` are booleans, `1:30` and dates are strings, `<<` merges.
//!
//! A text that kubectl would read with a surprise is rejected with its line instead: a key that occurs twice, a key that
//! is a fraction. No message contains a part of the text, which may be a secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::manifest_json::{self, whole_or_fraction};

/// Largest size of a file, with the values that aliases repeat: a small file can repeat a large value often. A value has
/// size 1, and a text one more for each [`BYTES_PER_UNIT`].
const LARGEST: usize = 500_000;
const BYTES_PER_UNIT: usize = 64;
/// Deepest nesting of lists and maps, with those that aliases repeat; that of the JSON parser.
const DEEPEST: usize = 100;
const MARK: char = '\u{feff}';

/// Why a text is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlMistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl YamlMistake {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for YamlMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

type Result<T> = std::result::Result<T, YamlMistake>;

/// Reads all documents of a text; an empty document is null. A text that begins with `{` may also be a sequence of JSON
/// documents.
///
/// # Errors
/// If the text is not YAML, or would not be read as its author means it.
pub fn read_all(text: &str) -> Result<Vec<Value>> {
    let text = &*without_marks(text);
    if text.trim_start().starts_with('{')
        && let Some(documents) = manifest_json::read_all(text)
    {
        return documents.map_err(|duplicate| YamlMistake::new(duplicate.line, "the object has a key twice"));
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| YamlMistake::new(error.marker().line(), error.kind().to_string()))?;
        reader.event(event, span.start.line())?;
    }
    Ok(reader.documents)
}

/// Removes the byte order mark at the beginning of each document: it is there in files that editors of Windows wrote and
/// that were joined.
fn without_marks(text: &str) -> Cow<'_, str> {
    if !text.contains(MARK) {
        return text.into();
    }
    let mut is_first = true;
    let content = |line| {
        let content = if is_first { str::strip_prefix(line, MARK).unwrap_or(line) } else { line };
        is_first = content.starts_with("---");
        content
    };
    text.split_inclusive('\n').map(content).collect()
}

#[derive(Default)]
struct Reader {
    documents: Vec<Value>,
    document: Option<Value>,
    /// The lists and maps around the next value.
    open: Vec<Collection>,
    /// Anchored values of the document.
    anchors: BTreeMap<usize, Anchored>,
    /// Size of the values so far.
    size: usize,
    /// Size of the copies in `anchors`: nested anchors hold a value once for each level.
    anchored_size: usize,
}

/// A value that an alias can repeat.
#[derive(Clone)]
struct Anchored {
    value: Value,
    extent: Extent,
}

/// How much of the limits a value needs.
#[derive(Clone, Copy)]
struct Extent {
    size: usize,
    /// Levels of lists and maps in it; 0 of a scalar.
    depth: usize,
}

struct Collection {
    content: Content,
    anchor: usize,
    /// Size of the values before this one.
    size_before: usize,
    /// Depth of the deepest item.
    inner_depth: usize,
}

enum Content {
    List(Vec<Value>),
    Map { entries: Map<String, Value>, lines: BTreeMap<String, usize>, key: Option<Key> },
}

/// A key whose value follows.
enum Key {
    Name(String),
    /// `<<`: the entries of the value become entries of the map.
    Merge,
}

/// A complete value.
struct Node {
    value: Value,
    is_merge_key: bool,
    /// Whether the number is written as a float; kubectl rounds such a key.
    is_float: bool,
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self { value, is_merge_key: false, is_float: false }
    }
}

impl Reader {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<()> {
        match event {
            Event::DocumentStart(..) => {
                self.document = None;
                self.anchors.clear();
                self.anchored_size = 0;
            }
            Event::DocumentEnd => self.documents.push(self.document.take().unwrap_or_default()),
            Event::Scalar(text, style, anchor, tag) => {
                let extent = Extent { size: 1 + text.len() / BYTES_PER_UNIT, depth: 0 };
                self.grow(extent.size, line)?;
                let is_merge_key = &*text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = scalar(&text, style, tag.as_deref(), line)?;
                let is_float = value.is_number() && integer(&text.replace('_', "")).is_none();
                self.complete(Node { value, is_merge_key, is_float }, anchor, extent, line)?;
            }
            Event::Alias(anchor) => {
                let Some(extent) = self.anchors.get(&anchor).map(|anchored| anchored.extent) else {
                    return Err(YamlMistake::new(line, "the alias is inside of the value that it repeats"));
                };
                // Before the copy, which may be too large or too deep.
                self.grow(extent.size, line)?;
                self.ensure_depth(extent.depth, line)?;
                let value = self.anchors.get(&anchor).map(|anchored| anchored.value.clone());
                self.complete(value.unwrap_or_default().into(), 0, extent, line)?;
            }
            Event::SequenceStart(_, anchor, _) => self.start(Content::List(Vec::new()), anchor, line)?,
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Map { entries: Map::new(), lines: BTreeMap::new(), key: None };
                self.start(content, anchor, line)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
            _ => {}
        }
        Ok(())
    }

    fn grow(&mut self, size: usize, line: usize) -> Result<()> {
        self.size += size;
        self.ensure_size(line)
    }

    fn ensure_size(&self, line: usize) -> Result<()> {
        if self.size + self.anchored_size > LARGEST {
            let bytes = LARGEST * BYTES_PER_UNIT / 1_000_000;
            return Err(YamlMistake::new(
                line,
                format!("more than {LARGEST} values or {bytes} MB of text, with aliases repeated"),
            ));
        }
        Ok(())
    }

    /// Whether a value of this depth fits into the open lists and maps.
    fn ensure_depth(&self, depth: usize, line: usize) -> Result<()> {
        if self.open.len() + depth > DEEPEST {
            return Err(YamlMistake::new(
                line,
                format!("nested deeper than {DEEPEST} levels, with aliases repeated"),
            ));
        }
        Ok(())
    }

    fn start(&mut self, content: Content, anchor: usize, line: usize) -> Result<()> {
        self.ensure_depth(1, line)?;
        self.open.push(Collection { content, anchor, size_before: self.size, inner_depth: 0 });
        self.grow(1, line)
    }

    fn end(&mut self, line: usize) -> Result<()> {
        let Some(Collection { content, anchor, size_before, inner_depth }) = self.open.pop() else {
            return Ok(());
        };
        let value = match content {
            Content::List(items) => Value::Array(items),
            Content::Map { entries, .. } => Value::Object(entries),
        };
        let extent = Extent { size: self.size - size_before, depth: inner_depth + 1 };
        self.complete(value.into(), anchor, extent, line)
    }

    fn complete(&mut self, node: Node, anchor: usize, extent: Extent, line: usize) -> Result<()> {
        if anchor > 0 {
            self.anchored_size += extent.size;
            self.ensure_size(line)?;
            self.anchors.insert(anchor, Anchored { value: node.value.clone(), extent });
        }
        if let Some(collection) = self.open.last_mut() {
            collection.inner_depth = collection.inner_depth.max(extent.depth);
        }
        match self.open.last_mut().map(|collection| &mut collection.content) {
            None => self.document = Some(node.value),
            Some(Content::List(items)) => items.push(node.value),
            Some(Content::Map { entries, lines, key }) => match key.take() {
                None if node.is_merge_key => *key = Some(Key::Merge),
                None => {
                    let name = key_name(node, line)?;
                    if let Some(earlier) = lines.insert(name.clone(), line) {
                        return Err(YamlMistake::new(
                            line,
                            format!("the map has this key already on line {earlier}"),
                        ));
                    }
                    *key = Some(Key::Name(name));
                }
                Some(Key::Name(name)) => {
                    entries.insert(name, node.value);
                }
                Some(Key::Merge) => merge(entries, node.value, line)?,
            },
        }
        Ok(())
    }
}

/// Merges the value of `<<` at its place: it replaces earlier entries, and later ones replace it.
fn merge(entries: &mut Map<String, Value>, value: Value, line: usize) -> Result<()> {
    let maps = match value {
        Value::Object(map) => vec![Value::Object(map)],
        Value::Array(maps) => maps,
        _ => Vec::from([Value::Null]),
    };
    // Of several maps, an earlier one wins.
    for map in maps.into_iter().rev() {
        let Value::Object(map) = map else {
            return Err(YamlMistake::new(line, "`<<` takes a map or a list of maps"));
        };
        entries.extend(map);
    }
    Ok(())
}

/// Returns the name of a key, which kubectl converts to a string.
fn key_name(node: Node, line: usize) -> Result<String> {
    let what = match node.value {
        Value::String(name) => return Ok(name),
        Value::Bool(value) => return Ok(value.to_string()),
        Value::Number(number) if number.is_i64() && !node.is_float => return Ok(number.to_string()),
        Value::Number(_) => "a fraction or a very large number",
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    Err(YamlMistake::new(line, format!("a key is {what}; write it in quotes")))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Value> {
    let string = || Value::String(text.to_owned());
    let mistake = |what: &str| YamlMistake::new(line, format!("the value is not {what}, as its tag says"));
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text, line) } else { Ok(string()) };
    };
    let suffix = tag.suffix_in_namespace("tag:yaml.org,2002:");
    let value = match suffix.as_deref() {
        // kubectl ignores tags that are not of YAML, and reads the value as a string.
        Some("str") | None => return Ok(string()),
        Some("binary") => {
            // Go ignores line breaks, and `base64` and `kubectl` write them.
            let lines: String = text.split(['\r', '\n']).collect();
            let bytes = STANDARD.decode(lines).map_err(|_| mistake("base64"))?;
            return String::from_utf8(bytes).map(Value::String).map_err(|_| mistake("the base64 of a text"));
        }
        Some("null" | "bool" | "int" | "float") => plain(text, line)?,
        Some(_) => return Err(YamlMistake::new(line, "no manifest needs this tag")),
    };
    let (fits, what) = match suffix.as_deref() {
        Some("null") => (value.is_null(), "null"),
        Some("bool") => (value.is_boolean(), "a boolean"),
        Some("int") => (value.is_i64() || value.is_u64(), "an integer"),
        _ => (value.is_number(), "a number"),
    };
    if fits { Ok(value) } else { Err(mistake(what)) }
}

/// Returns the value of a scalar without quotes and tag.
fn plain(text: &str, line: usize) -> Result<Value> {
    Ok(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => {
            return Err(YamlMistake::new(line, "JSON has no infinity and no NaN; write a string in quotes"));
        }
        text => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    })
}

fn number(text: &str) -> Option<Value> {
    match text.bytes().next()? {
        b'.' => float(&without_separators(text)?),
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        _ => None,
    }
}

/// Removes underscores between digits; None if one is elsewhere.
fn without_separators(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let is_separator = |at: usize| is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1));
    text.match_indices('_').all(|(at, _)| is_separator(at)).then(|| text.replace('_', ""))
}

/// Parses an integer as Go's `strconv.ParseInt` with base 0: `0x`, `0o` and `0b` in either case, and `0` for octal.
fn integer(text: &str) -> Option<Value> {
    let (is_negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((radix, lower.strip_prefix(prefix)?)))
        .or_else(|| Some((8, lower.strip_prefix('0').filter(|rest| !rest.is_empty())?)))
        .unwrap_or((10, lower.as_str()));
    // `from_str_radix` would accept a second sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if is_negative { -magnitude } else { magnitude };
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Some(value.into()),
        (Err(_), Ok(value)) => Some(value.into()),
        (Err(_), Err(_)) => None,
    }
}

/// Parses a float that matches `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn float(text: &str) -> Option<Value> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let value = text.chars().all(is_part).then(|| text.parse::<f64>().ok()).flatten()?;
    value.is_finite().then(|| whole_or_fraction(value))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::damage::{Damage, Xorshift, rounds};
    use crate::object::yaml;

    /// What `kubectl` reads, or `None` if it rejects the text: `tests/fixtures/yaml/record` writes the file.
    #[derive(Deserialize)]
    struct Vector {
        yaml: String,
        object: Option<Value>,
    }

    /// What is rejected although kubectl reads it: it uses the last of two values, rounds a key, and
    /// normalizes an infinite one.
    const SURPRISES: &[&str] = &["has this key already", "a key is a fraction", "no infinity"];
    /// What only YAML 1.2 has, with one possible meaning.
    const YAML_1_2: &[&str] = &["\\/", "\\ud83d", "%YAML"];

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../tests/fixtures/yaml/kubectl.json")).unwrap()
    }

    /// Whether two values are equal, with numbers compared by value.
    fn is_equal(one: &Value, other: &Value) -> bool {
        match (one, other) {
            // The JSON of the vectors is read with an error of the last digit.
            (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => (one - other).abs() <= one.abs() * 1e-15,
                _ => false,
            },
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(key, value)| other.get(key).is_some_and(|other| is_equal(value, other)))
            }
            (one, other) => one == other,
        }
    }

    #[test]
    fn manifests_are_read_as_kubectl_reads_them() {
        let mut differences = Vec::new();
        let vectors = vectors();
        for Vector { yaml, object } in &vectors {
            let is_same = match (&read_all(yaml), object) {
                (Ok(documents), Some(object)) => documents.len() == 1 && is_equal(&documents[0], object),
                (Err(_), None) => true,
                (Err(mistake), Some(_)) => {
                    SURPRISES.iter().any(|surprise| mistake.message.contains(surprise))
                }
                (Ok(_), None) => YAML_1_2.iter().any(|text| yaml.contains(text)),
            };
            if !is_same {
                differences.push(format!("{yaml:?}: {:?}, kubectl {object:?}", read_all(yaml)));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert!(vectors.len() > 300, "only {}", vectors.len());
    }

    /// A value that no message may show.
    const CANARY: &str = "sk-CANARY";
    const PIECES: &[&str] = &[
        ": ",
        "- ",
        "\n",
        "\n  ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!!int ",
        "!x ",
        "\"",
        "'",
        "|",
        ">",
        "#",
        "?",
        "---\n",
        "...\n",
        "\t",
        "0440",
        "yes",
        "~",
        "1e400",
        ".inf",
        "\u{feff}",
        "\u{0}",
        "😀",
        "%TAG ! x\n",
        "\\",
        "sk-CANARY",
        "\r\n",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "{a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: ",
        "}}}}}}}}}}}}",
        "*a0",
        "&a0 ",
    ];

    #[test]
    fn damaged_manifests_give_no_panic_and_no_secret() {
        const DAMAGE: Damage = Damage { pieces: PIECES, changes: 5, part: 10 };
        let mut random = Xorshift::from_environment();
        let secret = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  token: sk-CANARY\n  other: &x 'sk-CANARY'\n  \
                      again: *x\nbinaryData: {key: !!binary c2stQ0FOQVJZ}\nlist: [sk-CANARY, {sk-CANARY: sk-CANARY}]\n";
        let json = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}, \"data\": {\"token\": \"sk-CANARY\"}}";
        let mut seeds: Vec<String> = vectors().into_iter().map(|vector| vector.yaml).collect();
        seeds.extend(std::iter::repeat_n(secret.to_owned(), 200));
        seeds.extend(std::iter::repeat_n(json.to_owned(), 100));
        seeds.extend((0..50).map(|width| deep_aliases(width, 40)));
        let (mut read, mut rejected) = (0, 0);
        for _ in 0..rounds(20_000) {
            let text = DAMAGE.damaged(&seeds[random.below(seeds.len())], &mut random);
            match read_all(&text) {
                Ok(documents) => {
                    read += 1;
                    // What handsctl writes has the same meaning when kubectl reads it.
                    for document in documents {
                        let written = yaml::write(&document).unwrap();
                        let again = read_all(&yaml::printable(&written));
                        let is_same = again
                            .as_ref()
                            .is_ok_and(|again| again.len() == 1 && is_equal(&again[0], &document));
                        assert!(is_same, "{text:?}\n{written:?}\n{again:?}");
                    }
                }
                Err(mistake) => {
                    rejected += 1;
                    assert!(!mistake.to_string().contains(CANARY), "{mistake}\n{text:?}");
                    assert!(
                        mistake.line >= 1 && mistake.line <= text.lines().count() + 1,
                        "{mistake}\n{text:?}"
                    );
                }
            }
        }
        assert!(read > 1000 && rejected > 1000, "{read} read, {rejected} rejected");
    }

    #[test]
    fn repeated_aliases_are_limited() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let mistake = read_all(&text).unwrap_err();
        assert!(mistake.message.starts_with("more than 500000 values"), "{mistake}");
        assert!(read_all(&"[".repeat(5000)).unwrap_err().line == 1);
    }

    /// Lines of lists that are `width` deep, each around an alias to the one before.
    fn deep_aliases(width: usize, lines: usize) -> String {
        let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(width), "]".repeat(width));
        let mut text = format!("a0: &a0 {}\n", nested("x"));
        for line in 1..lines {
            text += &format!("a{line}: &a{line} {}\n", nested(&format!("*a{}", line - 1)));
        }
        text
    }

    #[test]
    fn aliases_nest_no_deeper_than_limit() {
        let mistake = read_all(&deep_aliases(95, 40)).unwrap_err();
        assert_eq!(mistake.to_string(), "line 2: nested deeper than 100 levels, with aliases repeated");
        let mistake = read_all(&deep_aliases(33, 4)).unwrap_err();
        assert_eq!(mistake.line, 4, "{mistake}");
        assert!(read_all(&deep_aliases(33, 3)).is_ok(), "1 map and 99 lists");
        let maps = "a: &a {b: &b {c: {d: 1}}}\nb: ".to_owned() + &"[".repeat(97);
        assert_eq!(read_all(&format!("{maps}*a{}", "]".repeat(97))).unwrap_err().line, 2);
        assert!(read_all(&format!("{maps}*b{}", "]".repeat(97))).is_ok());
    }

    #[test]
    fn repeated_long_texts_are_limited() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 20_000].join(", "));
        let mistake = read_all(&text).unwrap_err();
        assert!(mistake.line == 2 && mistake.message.contains("32 MB of text"), "{mistake}");
        // An anchor on each level keeps the text once more.
        let levels: Vec<String> = (0..90).map(|level| format!("&a{level} [")).collect();
        let text = format!("{}{}{}", levels.concat(), "x".repeat(1_000_000), "]".repeat(90));
        assert!(read_all(&text).unwrap_err().message.contains("32 MB of text"));
        assert!(read_all(&format!("a: {}", "x".repeat(20_000_000))).is_ok());
    }

    #[test]
    fn base64_of_several_lines_is_read() {
        for text in ["a: !!binary |\n  aGFu\n  ZHM=\n", "a: !!binary \"aGFu\\r\\nZHM=\"\n"] {
            assert_eq!(read_all(text), Ok(vec![json!({"a": "hands"})]), "{text:?}");
        }
        assert!(read_all("a: !!binary \"aGFu ZHM=\"").is_err());
    }

    #[test]
    fn byte_order_mark_begins_every_document() {
        let text =
            "\u{feff}a: 1\n---\n\u{feff}a: '\u{feff}2'\n--- # of another file\r\n\u{feff}{\"a\": 3}\r\n";
        let expected = vec![json!({"a": 1}), json!({"a": "\u{feff}2"}), json!({"a": 3})];
        assert_eq!(read_all(text), Ok(expected));
    }
}
