//! Servers that the application calls, and programs that it starts, by the rules of
//! `openhands/core/config/mcp_config.py`.

use super::error::FormatError;
use super::name::name;
use super::newtype::formatted;

name!(
    /// `http://HOST…` or `https://HOST…`.
    HttpUrl, "http-url", http_url
);
name!(
    /// URL of an MCP server: `http`, `https`, `ws` or `wss`.
    ServerUrl, "server-url", server_url
);
name!(
    /// Name of an MCP server: letters, digits, `-` and `_`.
    ServerName, "server-name", server_name
);
name!(
    /// A program without its arguments.
    Program, "program", program
);

fn http_url(text: &str) -> Result<(), FormatError> {
    url(text, &["http", "https"])
}

fn server_url(text: &str) -> Result<(), FormatError> {
    url(text, &["http", "https", "ws", "wss"])
}

fn url(text: &str, schemes: &[&str]) -> Result<(), FormatError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(FormatError::new(0, format!("must begin with {}", prefixes(schemes))));
    };
    if !schemes.contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(FormatError::new(0, format!("must begin with {}", prefixes(schemes))));
    }
    let start = scheme.len() + "://".len();
    if let Some((at, c)) = rest.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control()) {
        return Err(FormatError::new(start + at, format!("{c:?} is not allowed in a URL")));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    host(&authority[host_at..])
        .map_err(|error| FormatError { offset: start + host_at + error.offset, ..error })
}

/// Returns the host of a URL, without user and port; None if the text is not a URL. An IPv6 address keeps its brackets.
#[must_use]
pub fn host_of_url(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let after = host.rfind(']').map_or(0, |at| at + 1);
    Some(host[after..].find(':').map_or(host, |colon| &host[..after + colon]))
}

fn prefixes(schemes: &[&str]) -> String {
    schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ")
}

/// Checks a host with an optional port; an IPv6 address is in brackets.
fn host(text: &str) -> Result<(), FormatError> {
    let after = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after..].rfind(':') {
        Some(colon) => (&text[..after + colon], Some(&text[after + colon + 1..])),
        None => (text, None),
    };
    if host.is_empty() {
        return Err(FormatError::new(0, "a host is expected"));
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() => {
            Err(FormatError::new(host.len() + 1, "a port is a number up to 65535"))
        }
        _ => Ok(()),
    }
}

fn server_name(text: &str) -> Result<(), FormatError> {
    let is_invalid = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    match text.char_indices().find(|(_, c)| is_invalid(*c)) {
        Some((at, c)) => {
            Err(FormatError::new(at, format!("`{c}` is not allowed: letters, digits, `-` and `_` only")))
        }
        None if text.is_empty() => Err(FormatError::new(0, "the name may not be empty")),
        None => Ok(()),
    }
}

fn program(text: &str) -> Result<(), FormatError> {
    match text.find(char::is_whitespace) {
        Some(at) => Err(FormatError::new(at, "arguments belong in `args`")),
        None if text.is_empty() => Err(FormatError::new(0, "the program may not be empty")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_error_offset_is_offending_character() {
        let offset = |text: &str| ServerUrl::parse(text).err().map(|error| error.offset);
        for valid in ["http://a", "https://u:p@example.com:8443/mcp?x=1", "wss://[::1]:80/", "HTTP://a"] {
            assert_eq!(offset(valid), None, "{valid}");
        }
        for (invalid, at) in [
            ("", 0),
            ("example.com", 0),
            ("ftp://a", 0),
            ("http://", 7),
            ("http:///path", 7),
            ("http://a b", 8),
            ("http://a:port", 9),
            ("http://u@:80", 9),
        ] {
            assert_eq!(offset(invalid), Some(at), "{invalid}");
        }
        assert!(HttpUrl::parse("ws://a").is_err() && HttpUrl::parse("http://a").is_ok());
    }

    #[test]
    fn checks_server_names_and_programs() {
        assert!(ServerName::parse("my-server_1").is_ok());
        assert_eq!(ServerName::parse("a b").map_err(|error| error.offset), Err(1));
        assert_eq!(Program::parse("npx -y").map_err(|error| error.offset), Err(3));
        assert!(Program::parse("/usr/bin/npx").is_ok() && Program::parse("").is_err());
    }
}
