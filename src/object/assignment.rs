//! Secrets that a text shows by its form: assignments, as programs print their environment and as files and command lines
//! have them (`API_KEY=value`, `password: value`, `--token value`), URLs, and the keys of known services. Pure.

use std::borrow::Cow;
use std::ops::Range;

use super::secret_name::is_sensitive;
use super::secret_value::{is_reference, is_secret};
use super::{api_key, mask, url_secret};

/// Endings of the header whose value has two words: `Authorization: Bearer value`.
const TWO_WORDS: &[&str] = &["AUTHORIZATION", "AUTH_HEADER"];
/// The first of them.
const SCHEMES: &[&str] = &["Bearer", "bearer", "Basic", "basic", "Token", "token", "Digest"];
/// Types of a program's variables.
const TYPES: &[&str] = &["str", "string", "String", "SecretStr", "bytes", "int", "bool", "None"];
/// The length of the longest first line of a block in YAML: `|2-`.
const LONGEST_BLOCK_HEADER: usize = 3;
/// The length of the longest word that is taken for prose.
const LONGEST_WORD: usize = 8;

/// Masks the values of secret names, and the secrets that have a form of their own.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    mask::without(text, ranges(text))
}

/// Masks the secrets that have a form of their own, whatever the text is about: passwords in URLs, and the keys of known
/// services.
#[must_use]
pub fn without_keys(text: &str) -> Cow<'_, str> {
    mask::without(text, key_ranges(text))
}

/// Whether a text contains a secret.
#[must_use]
pub fn has_secret(text: &str) -> bool {
    !ranges(text).is_empty()
}

/// Whether a word of a command line is a flag whose value, the next word, is a secret: `--token`, `abc`.
#[must_use]
pub fn is_flag_with_secret(flag: &str, value: &str) -> bool {
    let Some(name) = flag.strip_prefix('-').map(|rest| rest.trim_start_matches('-')) else { return false };
    !name.contains(['=', ' ']) && !value.starts_with('-') && is_secret(name, value)
}

/// Returns the ranges of every secret in a text.
#[must_use]
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = key_ranges(text);
    ranges.extend(values(text));
    ranges.extend(flag_values(text));
    ranges
}

/// Returns the ranges of the secrets that have a form of their own.
#[must_use]
pub fn key_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = url_secret::ranges(text);
    ranges.extend(api_key::ranges(text));
    ranges
}

fn values(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, separator) in text.match_indices(['=', ':']) {
        let Some((name, is_spaced)) = name_before(&text[..at], separator) else { continue };
        if !is_sensitive(name) {
            continue;
        }
        let rest = &text[at + separator.len()..];
        let blanks = match separator {
            ":" => rest.len() - rest.trim_start_matches([' ', '\t']).len(),
            _ if is_spaced => rest.len() - rest.trim_start_matches(' ').len(),
            _ => 0,
        };
        let start = at + separator.len() + blanks;
        if let Some(lines) = lines_at(text, start) {
            ranges.extend((!lines.is_empty()).then_some(lines));
            continue;
        }
        let value = value_at(text, start, name);
        let shown = &text[value.clone()];
        // A file or a flag may name a Secret, a variable has one.
        let is_variable = separator == "=" && !is_spaced && !name.starts_with('-');
        let is_value = if is_variable { !is_reference(shown) } else { is_secret(name, shown) };
        let is_prose = separator == ":" && is_prose(shown, &text[value.end..]);
        let is_variable_of_shell = shown.starts_with(['$', '<']);
        if is_value && !is_code(shown) && !is_prose && !is_variable_of_shell {
            ranges.push(value);
        }
    }
    ranges
}

/// Returns the range of a value of several lines that begins here: a block of YAML (`password: |`), or a text between three
/// quotation marks in TOML. None if there is none.
fn lines_at(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = &text[start..];
    if let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(*quotes)) {
        let begin = start + quotes.len();
        let end = text[begin..].find(quotes).map_or(text.len(), |length| begin + length);
        return Some(begin..end);
    }
    let (header, _) = rest.split_once('\n')?;
    let is_block = header.starts_with(['|', '>']) && header.trim_end().len() <= LONGEST_BLOCK_HEADER;
    is_block.then(|| {
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let line = text[..start].rsplit('\n').next().unwrap_or_default();
        let begin = start + header.len() + 1;
        let lines = text[begin..].split_inclusive('\n');
        let inner = lines.take_while(|inner| inner.trim().is_empty() || indent(inner) > indent(line));
        let end = begin + inner.map(str::len).sum::<usize>();
        let block = &text[begin..end];
        begin + indent(block)..begin + block.trim_end().len().max(indent(block))
    })
}

/// Returns the name before a separator, and whether blanks are between them: `name = value` in a line of its own.
fn name_before<'a>(before: &'a str, separator: &str) -> Option<(&'a str, bool)> {
    let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let close = before.trim_end_matches(['"', '\'', '\\']);
    let trimmed = close.trim_end_matches(' ');
    let is_spaced = separator == "=" && trimmed.len() < close.len();
    let quoted = trimmed.trim_end_matches(['"', '\'']);
    let start = quoted.trim_end_matches(is_part_of_name).len();
    let name = &quoted[start..];
    if is_spaced {
        let line = &quoted[..start];
        let line = line.rsplit('\n').next().unwrap_or_default().trim();
        let is_whole_line =
            line.chars().all(|c| matches!(c, '"' | '\'' | '.')) || line.ends_with(['{', ',', '.']);
        return is_whole_line.then_some((name, true));
    }
    (!name.is_empty()).then_some((name, false))
}

/// Returns the range of the value that begins here, without its quotation marks.
fn value_at(text: &str, start: usize, name: &str) -> Range<usize> {
    let rest = &text[start..];
    let escape = rest.len() - rest.trim_start_matches('\\').len();
    let (quote, closing) = match rest[escape..].chars().next() {
        Some(quote @ ('"' | '\'')) => (escape + 1, quote),
        _ => (0, '"'),
    };
    let value = &rest[quote..];
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let is_line = TWO_WORDS.iter().any(|ending| upper.ends_with(ending));
    let is_end = |c: char| c == closing || c == '\n' || c == '\r';
    let word_end = |from: usize| {
        value[from..].find(|c: char| is_end(c) || c.is_whitespace()).map_or(value.len(), |at| from + at)
    };
    let line_end = || value.find(|c: char| is_end(c) || (quote == 0 && c == '\'')).unwrap_or(value.len());
    let mut end = if quote > 0 || is_line { line_end() } else { word_end(0) };
    if quote == 0 && SCHEMES.contains(&&value[..end]) && value[end..].starts_with(' ') {
        end = word_end(end + 1);
    }
    let end = value[..end].trim_end_matches('\\').len();
    start + quote..start + quote + end
}

/// Whether a value is the first of several short words: `DB_PASSWORD: not set`.
fn is_prose(value: &str, rest: &str) -> bool {
    let is_word = value.len() <= LONGEST_WORD && value.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word && rest.starts_with(' ') && rest.trim_start_matches(' ').starts_with(char::is_alphabetic)
}

/// Whether a value is code: `get_token()`, `os.environ["TOKEN"]`, `self.token`, `str`.
fn is_code(value: &str) -> bool {
    let word = value.trim_end_matches([',', ';', ')']);
    let is_path = word.contains('.')
        && word.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
    if is_path || TYPES.contains(&word) {
        return true;
    }
    let name = value.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    name.len() < value.len() && name.starts_with(['(', '[']) && name.ends_with(['(', ')', '[', ']', ';', ','])
}

/// Returns the ranges of the values of flags: `--token value`.
fn flag_values(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, dashes) in text.match_indices("--") {
        let is_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let rest = &text[at + dashes.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(rest.len());
        let blanks = rest[end..].len() - rest[end..].trim_start_matches(' ').len();
        if !is_word || blanks == 0 || !is_sensitive(&rest[..end]) {
            continue;
        }
        let value = value_at(text, at + dashes.len() + end + blanks, &rest[..end]);
        if !text[value.clone()].starts_with(['-', '$', '<']) && is_secret(&rest[..end], &text[value.clone()])
        {
            ranges.push(value);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_names_are_masked() {
        for (text, shown) in [
            (r#""Env": ["GITHUB_TOKEN=abc", "A=b"]"#, r#""Env": ["GITHUB_TOKEN=(redacted)", "A=b"]"#),
            (
                "HTTPS_PROXY=http://me:secret@proxy:3128\nX=y",
                "HTTPS_PROXY=http://me:(redacted)@proxy:3128\nX=y",
            ),
            ("password: \"a b\", user: c", "password: \"(redacted)\", user: c"),
            (r#"{"api_key": "a", "b": 1}"#, r#"{"api_key": "(redacted)", "b": 1}"#),
            ("API_KEY='a b' c", "API_KEY='(redacted)' c"),
            ("max_tokens=5 key=1 TOKEN= x", "max_tokens=5 key=1 TOKEN= x"),
            ("- 'Authorization: Bearer a.b'", "- 'Authorization: (redacted)'"),
            ("authorization: Token abc d", "authorization: (redacted)"),
            ("X_TOKEN=Bearer abc d", "X_TOKEN=(redacted) d"),
            ("run --db-password=a --token b -v", "run --db-password=(redacted) --token (redacted) -v"),
            ("[db]\npassword = \"a b\"\nuser = c", "[db]\npassword = \"(redacted)\"\nuser = c"),
            ("db.password = a", "db.password = (redacted)"),
            (r#"{\"password\":\"abc\"}"#, r#"{\"password\":\"(redacted)\"}"#),
            ("/w?token=abc:/x", "/w?token=(redacted)"),
            ("apiToken: 'a'", "apiToken: '(redacted)'"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn values_of_several_lines_are_masked_as_a_whole() {
        for (text, shown) in [
            ("a:\n  password: |\n    one\n    two\n  b: c\n", "a:\n  password: |\n    (redacted)\n  b: c\n"),
            ("privateKey: >-\n  one\n\n  two", "privateKey: >-\n  (redacted)"),
            (
                "password = \"\"\"\none\ntwo\"\"\"\nuser = 'c'",
                "password = \"\"\"(redacted)\"\"\"\nuser = 'c'",
            ),
            ("password: |\nuser: c", "password: |\nuser: c"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn references_and_code_stay() {
        for text in [
            "password: ${DB_PASSWORD}",
            "--token $(cat /run/token)",
            "token = get_token()",
            "api_key = os.environ[\"API_KEY\"]",
            "automountServiceAccountToken: false",
            "topologyKey: kubernetes.io/hostname",
            "tls_secret = \"my-tls\"",
            "api_key = { env = \"LLM_API_KEY\" }",
            "- secretRef:\n    name: a\npassword:\n  a: b",
            "--token-file /x --verbose",
            "proxy_pass: http://a:80",
            "DB_PASSWORD: not set",
            "def f(password: str, token: Optional[str] = None)",
            "f(api_key=settings.api_key, password=self.password)",
            "--tls-secret=ns/tls --key=a",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn texts_of_others_lose_only_keys() {
        let text = "password: a, https://me:pass@h, ghp_0123456789abcdef";
        assert_eq!(without_keys(text), "password: a, https://me:(redacted)@h, (redacted)");
    }
}
