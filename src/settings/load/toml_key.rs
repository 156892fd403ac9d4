//! Keys and strings in TOML's notation.

use std::fmt::Write as _;

/// Returns a basic string of TOML, which all parsers read alike.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Returns a dotted key of TOML: `deploy.env."a b"`.
pub(crate) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    let is_bare = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let segment = |name: &S| match name.as_ref() {
        name if is_bare(name) => name.to_owned(),
        name => super::toml_key::quoted(name),
    };
    path.iter().map(segment).collect::<Vec<_>>().join(".")
}
