//! A request without a response → error, exit code and hint. Pure.

use std::error::Error as StdError;
use std::time::Duration;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::phrase;

/// The time limit for opening a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(4);
/// The message of tokio's timer when the time limit for a connection has passed.
const CONNECT_TIMED_OUT: &str = "deadline has elapsed";

/// Returns the error for a request that got no response.
#[must_use]
pub(crate) fn transport_error(action: &str, error: kube::Error) -> Error {
    let text = chain(&error);
    if text.contains(CONNECT_TIMED_OUT) {
        return timeout_error(action, CONNECT);
    }
    if matches!(error, kube::Error::Auth(_)) {
        return Error::new(Id::Unauthenticated, Kind::Unauthenticated, action)
            .caused_by(error)
            .hint("the user of the kubeconfig got no credentials: log in again");
    }
    if is_untrusted(&text) {
        return Error::new(Id::Untrusted, Kind::Unreachable, action)
            .caused_by(cause(error))
            .hint("the cluster may have been recreated: refresh its entry in the kubeconfig");
    }
    Error::new(Id::Unreachable, Kind::Unreachable, action)
        .caused_by(cause(error))
        .hint("is the cluster running, and is this the right context?")
        .hint("handsctl up starts the local cluster")
}

/// Returns the error for a request that timed out.
#[must_use]
pub(crate) fn timeout_error(action: &str, limit: Duration) -> Error {
    Error::new(Id::Unreachable, Kind::Unreachable, action)
        .caused_by(format!("the API server did not respond within {}", phrase::span(limit)))
        .hint("is the cluster running, and is a VPN or proxy needed?")
}

/// Whether a retry may succeed: the transport failed, and not because of an untrusted certificate.
#[must_use]
pub(crate) fn is_retryable(error: &kube::Error) -> bool {
    let transport =
        matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_));
    transport && !is_untrusted(&chain(error))
}

/// Removes kube's wrapper, whose message is only `ServiceError`.
fn cause(error: kube::Error) -> Box<dyn StdError + Send + Sync> {
    match error {
        kube::Error::Service(inner) => inner,
        other => other.into(),
    }
}

fn is_untrusted(text: &str) -> bool {
    ["certificate", "UnknownIssuer", "CertExpired", "NotValidForName"].iter().any(|word| text.contains(word))
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
