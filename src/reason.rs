//! What the operating system or a library reported, in words. The report itself is for `-v`. Pure.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use serde_json::error::Category;

/// The message of hyper's resolver.
pub(crate) const NAME_NOT_RESOLVED: &str = "dns error";
/// The message of rustls when a server answers without TLS.
pub(crate) const NO_TLS: &str = "InvalidContentType";

/// The message of hyper's tunnel when a proxy answers with 407.
pub(crate) const PROXY_LOGIN: &str = "proxy authorization required";
/// The message of hyper's tunnel when a proxy answers with another status than 200.
pub(crate) const NO_TUNNEL: &str = "tunnel error: unsuccessful";

/// Returns why a file, a program or a connection failed.
#[must_use]
pub fn of_io(error: &io::Error) -> String {
    // A text of handsctl, or the error of a library.
    if let Some(inner) = error.get_ref() {
        return of_connection(inner);
    }
    let words = match error.kind() {
        ErrorKind::NotFound => "there is no such file or folder",
        ErrorKind::PermissionDenied => "this user has no permission for it",
        ErrorKind::AlreadyExists => "it exists already",
        ErrorKind::IsADirectory => "it is a folder, not a file",
        ErrorKind::NotADirectory => "a part of the path is not a folder",
        ErrorKind::DirectoryNotEmpty => "the folder is not empty",
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::QuotaExceeded => "the quota of the disk is used up",
        ErrorKind::FileTooLarge => "it would be too large for the file system",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::InvalidFilename => "the name is not valid for the file system",
        ErrorKind::ArgumentListTooLong => "the command line is too long",
        ErrorKind::ExecutableFileBusy | ErrorKind::ResourceBusy => "another program uses it",
        ErrorKind::BrokenPipe => "its reader has closed it",
        ErrorKind::InvalidData => "it is not text in UTF-8",
        ErrorKind::UnexpectedEof => "it ended too early",
        ErrorKind::TimedOut => "it did not respond in time",
        ErrorKind::ConnectionRefused => "nothing listens there (connection refused)",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => "the other side closed the connection",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no route to the server",
        ErrorKind::NetworkDown => "the network is down",
        ErrorKind::AddrInUse => "another program uses the port",
        ErrorKind::AddrNotAvailable => "this computer does not have the address",
        _ => return without_number(&error.to_string()),
    };
    words.to_owned()
}

/// Removes the number of the operating system: `Too many open files (os error 24)`.
fn without_number(text: &str) -> String {
    text.split(" (os error ").next().unwrap_or(text).to_owned()
}

/// Returns why a text is not the expected JSON, and where. It has no part of the text, which may be a secret.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> String {
    let words = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is not JSON",
        Category::Data => "a value is missing or has another type than expected",
        Category::Eof => "its JSON ends too early",
    };
    match error.line() {
        0 => words.to_owned(),
        line => format!("{words}, at line {line}, column {}", error.column()),
    }
}

/// Returns why a server was not reached, from the first of the errors that is known; else the text of the last one.
#[must_use]
pub fn of_connection(error: &(dyn StdError + 'static)) -> String {
    known_connection(error)
        .unwrap_or_else(|| sources(error).last().map(ToString::to_string).unwrap_or_default())
}

/// The same, but None if no error is known.
#[must_use]
pub fn known_connection(error: &(dyn StdError + 'static)) -> Option<String> {
    let texts = sources(error).find_map(|cause| of_known_text(&cause.to_string()));
    texts.map(str::to_owned).or_else(|| in_words(error))
}

/// Returns the error of the operating system or of the JSON parser in words; None: it is another one, or a text.
#[must_use]
pub fn in_words(error: &(dyn StdError + 'static)) -> Option<String> {
    sources(error).find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return match error.get_ref() {
                None => Some(of_io(error)),
                Some(inner) => in_words(inner),
            };
        }
        cause.downcast_ref().map(of_json)
    })
}

/// Libraries for HTTP and TLS have no type for these.
fn of_known_text(text: &str) -> Option<&'static str> {
    let rows = [
        (NAME_NOT_RESOLVED, "the server's name is not known to the resolver"),
        ("failed to lookup address", "the server's name is not known to the resolver"),
        (NO_TLS, "the server does not answer in TLS"),
        ("not valid for name", "the server's certificate is for other names"),
        ("NotValidForName", "the server's certificate is for other names"),
        ("certificate expired", "the server's certificate has expired"),
        ("not valid yet", "the server's certificate is not valid yet"),
        ("UnknownIssuer", "the server's certificate is signed by an authority that is not trusted"),
        ("invalid peer certificate", "the server's certificate is not trusted"),
        (
            "connection closed before message completed",
            "the server closed the connection before its answer was complete",
        ),
        ("connection closed", "the other side closed the connection"),
        (PROXY_LOGIN, "the proxy requires a login"),
        (NO_TUNNEL, "the proxy did not open a connection to the server"),
        ("SOCKS error: failed to create", "the SOCKS proxy is not reachable"),
        ("SOCKS error", "the SOCKS proxy did not open a connection to the server"),
    ];
    rows.iter().find(|(part, _)| text.contains(part)).map(|(_, words)| *words)
}

/// Returns the error and its causes.
pub(crate) fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn source<'a>(error: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        let error: &'a (dyn StdError + 'static) = *error;
        error.source()
    }
    std::iter::successors(Some(error), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_have_words_and_no_number() {
        for number in 1..=133 {
            let words = of_io(&io::Error::from_raw_os_error(number));
            assert!(!words.contains("os error") && !words.is_empty(), "{number}: {words}");
        }
        assert_eq!(of_io(&io::Error::from(ErrorKind::NotFound)), "there is no such file or folder");
        assert_eq!(
            of_io(&io::Error::other("schema 9; this version reads 1")),
            "schema 9; this version reads 1"
        );
    }

    #[test]
    fn errors_inside_of_others_are_found() {
        let json = serde_json::from_str::<u8>("{\"token\": \"sk-secret\"").unwrap_err();
        let wrapped = io::Error::new(ErrorKind::InvalidData, json);
        let words = in_words(&wrapped).unwrap();
        assert!(words.contains("at line 1, column ") && !words.contains("sk-secret"), "{words}");
        let refused = io::Error::other(io::Error::from_raw_os_error(111));
        assert_eq!(of_connection(&refused), "nothing listens there (connection refused)");
        let tls = io::Error::new(ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        assert_eq!(
            of_connection(&tls),
            "the server's certificate is signed by an authority that is not trusted"
        );
        assert_eq!(in_words(&io::Error::other("a sentence of ours")), None);
    }
}
