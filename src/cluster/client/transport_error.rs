//! A request without a response → error, exit code and hint. Pure.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use super::credential_error::credential_error;
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::phrase;
use crate::reason::{self, NAME_NOT_RESOLVED, NO_TLS, NO_TUNNEL, PROXY_LOGIN, sources};

/// The time limit for opening a connection without `--timeout`: resolving the name, TCP and TLS.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// The message of tokio's timer when the time limit for a connection has passed.
const CONNECT_TIMED_OUT: &str = "deadline has elapsed";

/// The hint for a proxy that requires a login.
pub(super) const PROXY_CREDENTIALS_HINT: &str =
    "the proxy's URL may have credentials: http://USER:PASSWORD@HOST:PORT";

/// Returns the error for a request that got no response.
#[must_use]
pub(crate) fn transport_error(action: &str, error: kube::Error) -> Error {
    let text = chain(&error);
    if text.contains(CONNECT_TIMED_OUT) {
        return timeout_error(action, CONNECT).hint("--timeout DURATION waits longer for the connection");
    }
    // A token is also renewed between two requests; kube wraps that error differently.
    if let Some(error) = sources(&error).find_map(|source| source.downcast_ref()) {
        return credential_error(action, error, None);
    }
    if is_untrusted(&text) {
        return Error::new(Id::Untrusted, Kind::Unreachable, action)
            .caused_by_in_words(reason::of_connection(&error), cause(error))
            .hint(untrusted_hint(&text));
    }
    if text.contains(NO_TLS) {
        return Error::new(Id::Unreachable, Kind::Unreachable, action)
            .caused_by_in_words(reason::of_connection(&error), cause(error))
            .hint("the server's URL in the kubeconfig begins with https, but the server may not use TLS");
    }
    let unreachable = Error::new(Id::Unreachable, Kind::Unreachable, action);
    let unreachable = match reason::known_connection(&error) {
        Some(words) => unreachable.caused_by_in_words(words, cause(error)),
        None => unreachable.caused_by(cause(error)),
    };
    unreachable.hint(match text {
        text if text.contains(PROXY_LOGIN) => PROXY_CREDENTIALS_HINT,
        text if text.contains(NO_TUNNEL) => {
            "does the proxy permit the server's port, and is a login to the network or the proxy needed?"
        }
        _ => "is the cluster running, and is this the right context?",
    })
}

/// Returns the error for a request that timed out.
#[must_use]
pub(crate) fn timeout_error(action: &str, limit: Duration) -> Error {
    Error::new(Id::Unreachable, Kind::Unreachable, action)
        .caused_by(format!("the API server did not respond within {}", phrase::span(limit)))
        .hint("is the cluster running, and is a VPN or proxy needed?")
}

/// Whether a retry may succeed: the transport failed, and not because of an untrusted certificate or a missing login.
#[must_use]
pub(crate) fn is_retryable(error: &kube::Error) -> bool {
    let transport =
        matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_));
    let text = chain(error);
    transport && !is_untrusted(&text) && !text.contains(NO_TLS) && !text.contains(PROXY_LOGIN)
}

/// Whether no connection can be opened to the server: nothing listens, there is no route, or the name does not resolve.
#[must_use]
pub(crate) fn is_unreachable(error: &kube::Error) -> bool {
    let text = chain(error);
    let is_definite = |error: &std::io::Error| {
        matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        )
    };
    text.contains(CONNECT_TIMED_OUT)
        || text.contains(NAME_NOT_RESOLVED)
        || sources(error).any(|source| source.downcast_ref().is_some_and(is_definite))
}

/// Returns the server's message, or in words why there was no response.
#[must_use]
pub(crate) fn message_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => reason::of_connection(error),
    }
}

/// Removes kube's wrapper, whose message is only `ServiceError`.
fn cause(error: kube::Error) -> Box<dyn StdError + Send + Sync> {
    match error {
        kube::Error::Service(inner) => inner,
        other => other.into(),
    }
}

/// Returns the hint that fits rustls' reason.
fn untrusted_hint(text: &str) -> &'static str {
    if text.contains("not valid for name") {
        "the certificate has other names: use one of them as `server`, or set `tls-server-name` in the kubeconfig"
    } else if text.contains("expired") || text.contains("not valid yet") {
        "renew the server's certificate, or correct the clock of this computer"
    } else {
        "the cluster may have been recreated: refresh its entry in the kubeconfig"
    }
}

fn is_untrusted(text: &str) -> bool {
    ["certificate", "UnknownIssuer", "CertExpired", "NotValidForName"].iter().any(|word| text.contains(word))
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_told_in_words_and_raw() {
        let tls = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let error = transport_error("cannot read", kube::Error::Service(Box::new(tls)));
        assert_eq!(error.id(), Id::Untrusted);
        let words = "the server's certificate is signed by an authority that is not trusted";
        assert_eq!(error.causes(), [words]);
        assert_eq!(error.raw_causes(), ["invalid peer certificate: UnknownIssuer"]);
    }

    #[test]
    fn proxy_without_tunnel_has_its_own_hint() {
        let error = |text: &'static str| kube::Error::Service(Box::new(std::io::Error::other(text)));
        let login = || error("tunnel error: proxy authorization required");
        let told = transport_error("cannot read", login());
        assert_eq!(
            (told.id(), told.causes()),
            (Id::Unreachable, vec!["the proxy requires a login".to_owned()])
        );
        assert_eq!(told.hints(), [PROXY_CREDENTIALS_HINT]);
        assert!(!is_retryable(&login()), "it asks for the same login again");
        let told = transport_error("cannot read", error("tunnel error: unsuccessful"));
        assert_eq!(told.causes(), ["the proxy did not open a connection to the server"]);
        assert!(told.hints()[0].starts_with("does the proxy permit"), "{told:?}");
    }

    #[test]
    fn refused_connection_is_told_in_words_and_raw() {
        let refused = || kube::Error::Service(Box::new(std::io::Error::from(ErrorKind::ConnectionRefused)));
        let error = transport_error("cannot read", refused()).map_texts(str::to_uppercase);
        assert_eq!(error.causes(), ["NOTHING LISTENS THERE (CONNECTION REFUSED)"]);
        assert_eq!(error.raw_causes(), ["CONNECTION REFUSED"]);
        let other = kube::Error::Service(Box::new(std::io::Error::other("of the library")));
        let error = transport_error("cannot read", other);
        assert_eq!((error.causes().len(), error.raw_causes().len()), (1, 0));
    }
}
