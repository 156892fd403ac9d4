//! Passwords and keys in URLs, wherever a text contains them. Pure.

use std::borrow::Cow;
use std::ops::Range;

use super::mask;
use super::secret_name::is_sensitive;

/// A user name of this length is a token, whatever the scheme: `git@host` is not.
const TOKEN_LENGTH: usize = 16;
/// The same for a URL of the web, where a user without a password is nearly always a token: `https://TOKEN@host`.
const WEB_TOKEN_LENGTH: usize = 6;
/// Schemes of the web, and of its proxies.
const WEB_SCHEMES: &[&str] = &["http", "https", "ws", "wss", "socks5", "socks5h"];
/// User names of the web that everybody has. A token is the password then.
const PUBLIC_USERS: &[&str] = &["anonymous", "gitlab-ci-token", "oauth2", "x-access-token", "x-token-auth"];
/// Passwords that only say that the user name is the token.
const PLACEHOLDERS: &[&str] = &["x-oauth-basic", "x", "api_token"];
/// Query parameters that are secrets, besides those with a sensitive name.
const PARAMETERS: &[&str] =
    &["key", "sig", "signature", "x-amz-signature", "x-amz-credential", "x-goog-signature", "auth"];

/// Masks the password, and each secret parameter, of every URL in a text.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    mask::without(text, ranges(text))
}

/// Whether a text contains a URL with a password or a secret parameter.
#[must_use]
pub fn has_secret(text: &str) -> bool {
    !ranges(text).is_empty()
}

/// Returns the ranges of passwords and secret parameters of every URL in a text.
#[must_use]
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, separator) in text.match_indices("://") {
        if !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
            continue;
        }
        let start = at + separator.len();
        let is_end =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '|');
        let end = text[start..].find(is_end).map_or(text.len(), |length| start + length);
        let is_web = WEB_SCHEMES.iter().any(|scheme| has_scheme(&text[..at], scheme));
        ranges.extend(user_secret(&text[start..end], is_web).map(|range| shifted(range, start)));
        ranges.extend(parameter_secrets(&text[start..end]).map(|range| shifted(range, start)));
        ranges.extend(hook_secret(&text[start..end]).map(|range| shifted(range, start)));
    }
    ranges.extend(password_without_scheme(text));
    ranges
}

/// Hooks and bots whose URL is a secret: what stands before the secret in it.
const HOOKS: &[&str] = &[
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    "api.telegram.org/bot",
];

/// Returns the range of the secret in the URL of a hook. Telegram has a method after it: `/sendMessage`.
fn hook_secret(url: &str) -> Option<Range<usize>> {
    let start = HOOKS.iter().find(|hook| url.starts_with(*hook))?.len();
    let length = url[start..].find(|c: char| matches!(c, '?' | '#' | ')' | ',') || c.is_whitespace());
    let secret = &url[start..length.map_or(url.len(), |length| start + length)];
    let secret = if url.starts_with("api.telegram.org") { secret.split('/').next()? } else { secret };
    (!secret.is_empty() && !secret.starts_with(['$', '<', '{', '('])).then(|| start..start + secret.len())
}

/// Returns the range of the password in a text that is an address without a scheme: `user:password@host`.
fn password_without_scheme(text: &str) -> Option<Range<usize>> {
    if text.contains(char::is_whitespace) || text.contains("://") {
        return None;
    }
    let (before, host) = text.rsplit_once('@')?;
    let (user, password) = before.split_once(':')?;
    // The digest of an image: `openhands:0.59@sha256:…`.
    let is_digest = ["sha256:", "sha512:"].iter().any(|algorithm| host.starts_with(algorithm));
    let is_host = host.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '[' | '_' | '…'));
    let is_user = !user.contains(['/', '"', '\'', '{', '=', '?']);
    let is_password = !password.is_empty() && !password.starts_with(['(', '$', '<', '{', '*']);
    (is_host && is_user && is_password && !is_digest).then(|| user.len() + 1..before.len())
}

/// Whether the text before `://` ends with a scheme.
fn has_scheme(before: &str, scheme: &str) -> bool {
    let letters = before.len() - before.trim_end_matches(|c: char| c.is_ascii_alphanumeric()).len();
    before[before.len() - letters..].eq_ignore_ascii_case(scheme)
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// Returns the range of the password, or of a token in the place of the user, in a URL without its scheme:
/// `user:password@host/path`.
fn user_secret(url: &str, is_web: bool) -> Option<Range<usize>> {
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
    let at = authority.rfind('@').or_else(|| {
        // A password whose `/`, `?` or `#` is not encoded. A port has only digits.
        let (_, port) = authority.rsplit_once(':')?;
        let is_port = port.chars().all(|c| c.is_ascii_digit()) || authority.ends_with(']');
        if is_port { None } else { url.rfind('@') }
    })?;
    let (user, password) = url[..at].split_once(':').unwrap_or((&url[..at], ""));
    let minimum = if is_web { WEB_TOKEN_LENGTH } else { TOKEN_LENGTH };
    let is_token = user.len() >= minimum && !PUBLIC_USERS.contains(&user) && !user.starts_with('(');
    if is_token && (password.is_empty() || PLACEHOLDERS.contains(&password)) {
        return Some(0..user.len());
    }
    // A variable or a placeholder stands for the password.
    let is_reference = password.starts_with(['$', '<', '{']) || password.starts_with("%(");
    (!password.is_empty() && !is_reference).then(|| user.len() + 1..at)
}

/// Returns everything of a server's URL that may be a secret, whatever its name: no API server and no proxy needs a query,
/// and a user without a password is a token.
#[must_use]
pub fn all_of(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (address, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let authority = address.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let user = user.map(|user| {
        user.split_once(':')
            .filter(|(_, password)| !password.is_empty())
            .map_or(user, |(_, password)| password)
    });
    let parameters =
        query.split(['&', ';', '#', '?']).map(|part| part.split_once('=').map_or(part, |(_, value)| value));
    user.into_iter().chain(parameters).filter(|text| !text.is_empty()).collect()
}

/// Returns the ranges of the secret values in a URL's query and fragment.
fn parameter_secrets(url: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let query = url.find(['?', '#']).map_or(url.len(), |at| at + 1);
    let mut start = query;
    url[query..].split_inclusive(['&', ';', '#', '?']).filter_map(move |part| {
        let at = start;
        start += part.len();
        let part = part.trim_end_matches(['&', ';', '#', '?']);
        let (name, value) = part.split_once('=')?;
        let lower = name.to_ascii_lowercase();
        let is_secret = is_sensitive(name) || PARAMETERS.contains(&lower.as_str());
        (is_secret && !value.is_empty()).then(|| at + name.len() + 1..at + part.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_keys_in_urls_are_masked() {
        for (text, shown) in [
            ("postgres://me:p@ss@db:5432/x", "postgres://me:(redacted)@db:5432/x"),
            ("a 'https://:pass@host' b", "a 'https://:(redacted)@host' b"),
            ("redis://u:pa/ss#wo?rd@host/0", "redis://u:(redacted)@host/0"),
            ("https://ghp_0123456789abcdef@host/r.git", "https://(redacted)@host/r.git"),
            ("https://tok-planted@host/", "https://(redacted)@host/"),
            ("wss://tok-planted:@host/", "wss://(redacted):@host/"),
            ("https://tok-planted:x-oauth-basic@host/", "https://(redacted):x-oauth-basic@host/"),
            ("https://(redacted)@host/", "https://(redacted)@host/"),
            ("ssh://0123456789abcdef@host", "ssh://(redacted)@host"),
            ("https://h/v1?a=b&api_key=sk-1&c=d#e", "https://h/v1?a=b&api_key=(redacted)&c=d#e"),
            ("https://h/v1?key=AIza", "https://h/v1?key=(redacted)"),
            ("https://h/#access_token=abc", "https://h/#access_token=(redacted)"),
            ("https://h/?X-Amz-Signature=00&x=1", "https://h/?X-Amz-Signature=(redacted)&x=1"),
            ("http://a:b@c http://d:e@f", "http://a:(redacted)@c http://d:(redacted)@f"),
            ("me:(redacted)@db", "me:(redacted)@db"),
            ("me:pass@db:5432/x", "me:(redacted)@db:5432/x"),
            (":pa@ss@db", ":(redacted)@db"),
            ("https://me:(redacted)@db", "https://me:(redacted)@db"),
            ("https://hooks.slack.com/services/T0/B0/x1", "https://hooks.slack.com/services/(redacted)"),
            (
                "to https://api.telegram.org/bot1:A-b/send now",
                "to https://api.telegram.org/bot(redacted)/send now",
            ),
            (
                "https://discord.com/api/webhooks/1/abc?wait=1",
                "https://discord.com/api/webhooks/(redacted)?wait=1",
            ),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn every_part_of_a_server_url_may_be_secret() {
        assert_eq!(all_of("https://tok-1@host:6443/a@b?k=sk-1&x&y=#z"), ["tok-1", "sk-1", "x", "z"]);
        assert_eq!(all_of("http://me:pass@proxy:3128/"), ["pass"]);
        assert_eq!(all_of("https://host:6443/k8s"), Vec::<&str>::new());
    }

    #[test]
    fn urls_without_secrets_stay() {
        for text in [
            "https://host:8443/a@b",
            "http://[::1]:80/a@b",
            "ssh://git@host/r.git",
            "https://host/path?model=a&page=2",
            "https://me:@host",
            "https://oauth2@host",
            "postgres://openhands@db/x",
            "openhands:0.59@sha256:0123",
            "registry:5000/openhands@sha256:0123",
            "git@host:me/r.git",
            "me:$(PASSWORD)@db",
            "postgres://$(USER):$(PASSWORD)@db/x",
            "redis://:${PASSWORD}@db",
            "at 10:30@home or later",
            "a://",
            "https://hooks.slack.com/services/",
            "https://hooks.slack.com/services/$HOOK",
            "://x:y@z",
        ] {
            assert!(!has_secret(text), "{text}: {}", masked(text));
        }
    }
}
