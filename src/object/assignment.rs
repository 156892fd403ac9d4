//! Secrets that a text shows by its form: assignments, as programs print their environment and as files and command lines
//! have them (`API_KEY=value`, `password: value`, `--token value`), URLs, and the keys of known services. Pure.

use std::borrow::Cow;
use std::ops::Range;

use super::secret_name::{is_sensitive, words};
use super::secret_value::{is_count, is_reference, is_secret};
use super::{api_key, mask, url_secret};

/// Endings of headers whose value has several words: `Authorization: Bearer value`, `Cookie: a=b; c=d`.
const TWO_WORDS: &[&str] = &["AUTHORIZATION", "AUTH_HEADER", "COOKIE"];
/// Programs with an option of one letter that is a password, and the options.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("curl", &["-u", "--user", "-U", "--proxy-user"]),
    ("sshpass", &["-p"]),
    ("redis-cli", &["-a", "--pass"]),
];
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

/// Values of variables such as `REGISTRY_AUTH` that say how a login works. Another value may be a password: `REDIS_AUTH`.
const MODES: &[&str] = &[
    "0", "1", "basic", "bearer", "digest", "disabled", "enabled", "false", "htpasswd", "iam", "jwt",
    "kerberos", "ldap", "mtls", "no", "none", "ntlm", "oauth", "oauth2", "off", "oidc", "on", "password",
    "saml", "sso", "tls", "token", "true", "yes",
];

/// Whether the value of a variable with a secret name is a number of tokens or the name of a mode: `GPU_TOKENS=4096`,
/// `REGISTRY_AUTH=htpasswd`.
#[must_use]
pub fn is_count_or_mode(name: &str, value: &str) -> bool {
    let is_mode = || words(name).ends_with("_AUTH") && MODES.contains(&value.to_ascii_lowercase().as_str());
    (is_count(name, value) && !is_reference(value)) || is_mode()
}

/// Returns the ranges of every secret in a text.
#[must_use]
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = key_ranges(text);
    ranges.extend(values(text));
    ranges.extend(flag_values(text));
    ranges.extend(program_values(text));
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
        // The registry's login in a docker config has a name that many other values have.
        if !is_sensitive(name) && !name.eq_ignore_ascii_case("auth") {
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
        if let Some(items) = items_at(text, start, name) {
            ranges.extend(items);
            continue;
        }
        let value = value_at(text, start, name);
        let shown = &text[value.clone()];
        // A file or a flag may name a Secret, a variable has one.
        let is_variable = separator == "=" && !is_spaced && !name.starts_with('-');
        let is_value = if is_variable {
            !is_reference(shown) && !is_count_or_mode(name, shown)
        } else {
            is_secret(name, shown)
        };
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

/// Returns the ranges of the secrets in a list that begins here, in JSON (`"tokens": ["a", "b"]`) or YAML (`- a`). None if
/// there is no list.
fn items_at(text: &str, start: usize, name: &str) -> Option<Vec<Range<usize>>> {
    let is_item =
        |range: &Range<usize>| is_secret(name, &text[range.clone()]) && !is_code(&text[range.clone()]);
    if let Some(list) = text[start..].strip_prefix('[') {
        let end = list.find(']').filter(|end| !list[..*end].contains(['{', '[', '(']))?;
        let mut at = start + 1;
        let items = list[..end].split_inclusive(',').map(|item| {
            let from = at;
            at += item.len();
            unquoted(text, from..from + item.trim_end_matches(',').len())
        });
        return Some(items.filter(is_item).collect());
    }
    let rest = text[start..].trim_start_matches([' ', '\t', '\r']).strip_prefix('\n')?;
    let mut at = text.len() - rest.len();
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let line = text[..start].rsplit('\n').next().unwrap_or_default();
    let mut items = Vec::new();
    for item in rest.split_inclusive('\n') {
        let from = at;
        at += item.len();
        let Some(value) = item.trim_start_matches(' ').strip_prefix("- ") else { break };
        if indent(item) < indent(line) {
            break;
        }
        // An object: `- name: regcred`.
        if value.contains(": ") || value.trim_end().ends_with(':') {
            return None;
        }
        items.push(unquoted(text, from + item.len() - value.len()..from + item.len()));
    }
    (!items.is_empty()).then(|| items.into_iter().filter(is_item).collect())
}

/// Returns the range without the white space and the quotation marks at its ends.
fn unquoted(text: &str, range: Range<usize>) -> Range<usize> {
    let is_outside = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\');
    let inner = text[range.clone()].trim_matches(is_outside);
    let start = range.start + text[range].find(inner).unwrap_or_default();
    start..start + inner.len()
}

/// Returns the ranges of passwords after an option of one letter: `curl -u me:pass`, `sshpass -p pass`.
fn program_values(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (program, options) in PROGRAMS {
        // The end of the last command: another occurrence in it has no other options.
        let mut scanned = 0;
        for (at, _) in text.match_indices(program) {
            let is_word =
                !text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
            let start = at + program.len();
            if at < scanned || !is_word || !text[start..].starts_with(' ') {
                continue;
            }
            let end = text[start..].find(['\n', '|', ';', '&']).map_or(text.len(), |length| start + length);
            scanned = end;
            ranges.extend(options.iter().flat_map(|option| option_values(text, start..end, option)));
        }
    }
    ranges
}

/// Returns the ranges of the passwords that an option has in one command. `curl` has the user before it.
fn option_values(text: &str, command: Range<usize>, option: &str) -> Vec<Range<usize>> {
    let found = text[command.clone()].match_indices(option);
    let values = found.filter_map(|(at, _)| {
        let at = command.start + at;
        let after = at + option.len();
        let blanks =
            text[after..command.end].len() - text[after..command.end].trim_start_matches([' ', '=']).len();
        // `-pPASSWORD`
        let is_joined = blanks == 0 && option == "-p";
        if !text[..at].ends_with(' ') || (blanks == 0 && !is_joined) {
            return None;
        }
        let value = value_at(text, after + blanks, "");
        let shown = &text[value.clone()];
        let user = if option.to_ascii_lowercase().ends_with('u') || option.ends_with("user") {
            shown.find(':')? + 1
        } else {
            0
        };
        let secret = value.start + user..value.end.min(command.end);
        let is_reference = secret.is_empty() || shown[user..].starts_with(['$', '<', '-']);
        (!is_reference).then_some(secret)
    });
    values.collect()
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
            ("X-Auth: v\nb: c", "X-Auth: (redacted)\nb: c"),
            ("-H 'Cookie: a=b; c=d' x", "-H 'Cookie: (redacted)' x"),
            ("Set-Cookie: id=abc; Path=/\nx", "Set-Cookie: (redacted)\nx"),
            ("curl -s -u me:pass https://a; b -u c:d", "curl -s -u me:(redacted) https://a; b -u c:d"),
            ("curl --user 'me:a b' x", "curl --user 'me:(redacted)' x"),
            ("curl --proxy-user=me:pass x", "curl --proxy-user=me:(redacted) x"),
            ("sshpass -p hunter2 ssh a", "sshpass -p (redacted) ssh a"),
            ("sshpass -phunter2 ssh a", "sshpass -p(redacted) ssh a"),
            ("redis-cli -h a -a hunter2 ping", "redis-cli -h a -a (redacted) ping"),
            ("passwords:\n- one\n- 'two'\nuser: c", "passwords:\n- (redacted)\n- '(redacted)'\nuser: c"),
            ("a:\n  api_keys:\n    - one\n  b: c", "a:\n  api_keys:\n    - (redacted)\n  b: c"),
            (r#"{"tokens": ["one", "two"], "b": 1}"#, r#"{"tokens": ["(redacted)", "(redacted)"], "b": 1}"#),
            ("api_keys = ['one']", "api_keys = ['(redacted)']"),
            (r#""auths": {"a": {"auth": "bWU6cGFzcw=="}}"#, r#""auths": {"a": {"auth": "(redacted)"}}"#),
            ("BOT_TOKENS=one,two", "BOT_TOKENS=(redacted)"),
            ("REGISTRY_AUTH=me:pass", "REGISTRY_AUTH=(redacted)"),
            ("REDIS_AUTH=planted", "REDIS_AUTH=(redacted)"),
            ("BASIC_AUTH=planted", "BASIC_AUTH=(redacted)"),
            ("curl -u a:b x; curl -u c:d x", "curl -u a:(redacted) x; curl -u c:(redacted) x"),
            ("client-key-data: cGxhbnRlZA==", "client-key-data: (redacted)"),
            (
                "slack https://hooks.slack.com/services/T0/B0/x1",
                "slack https://hooks.slack.com/services/(redacted)",
            ),
            ("use hvs.CAESIJ0123456789abcdef and", "use (redacted) and"),
            ("use glrt-0123456789abcdefghij and", "use (redacted) and"),
            ("use whsec_0123456789abcdefghij and", "use (redacted) and"),
            ("use SG.aB3dE6gH9jK1mN4pQ7sT0u.x0 and", "use (redacted) and"),
            ("use AGE-SECRET-KEY-1QQPQRZXYJ0123456789 and", "use (redacted) and"),
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
    fn a_long_line_with_a_program_many_times_is_masked() {
        let line = "curl ".repeat((256 << 10) / "curl ".len());
        let text = format!("{line}-u me:pass https://a");
        assert_eq!(masked(&text), format!("{line}-u me:(redacted) https://a"));
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
            "max_output_tokens: 4096, max_tokens=5",
            "usage: prompt_tokens=10 completion_tokens: 20 tokens: 30",
            "max_num_batched_tokens=8192, gpu_tokens=8192",
            "REGISTRY_AUTH=htpasswd\nUSE_JWT=1\nENABLE_OTP=0",
            "{\"total_tokens\": 5, \"tokens\": [1, 22, 333]}",
            "imagePullSecrets:\n- name: regcred\n",
            "secrets:\n  - db-password\n",
            "docker run --user 1000:1000 a",
            "curl -u $USER:$PASSWORD https://a",
            "curl --unix-socket /x http://a",
            "auth: basic\nauthor: me\ncertificate-authority-data: QUJD",
            "ssh_key = /home/me/.ssh/id_rsa\nsession: 3",
            "passwords: []",
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
