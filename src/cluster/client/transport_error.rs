//! What it means that there was no answer: which error, which exit code, which hint. Pure.

use std::error::Error as StdError;
use std::time::Duration;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::phrase;

/// A cluster that does not take a connection within this time does not answer.
pub(crate) const CONNECT: Duration = Duration::from_secs(4);
/// What tokio's timer says when the time for a connection is over.
const NO_CONNECTION_IN_TIME: &str = "deadline has elapsed";

/// The error for a request without an answer.
#[must_use]
pub(crate) fn transport_error(action: &str, error: kube::Error) -> Error {
    let text = chain(&error);
    if text.contains(NO_CONNECTION_IN_TIME) {
        return timeout_error(action, CONNECT);
    }
    if matches!(error, kube::Error::Auth(_)) {
        return Error::new(Id::Unauthenticated, Kind::Unauthenticated, action)
            .caused_by(error)
            .hint("the kubeconfig's user could not get credentials: log in again");
    }
    if is_untrusted(&text) {
        return Error::new(Id::Untrusted, Kind::Unreachable, action)
            .caused_by(cause(error))
            .hint("the cluster may have been made anew: refresh its entry in the kubeconfig");
    }
    Error::new(Id::Unreachable, Kind::Unreachable, action)
        .caused_by(cause(error))
        .hint("is the cluster running, and is this the right context?")
        .hint("handsctl up starts the local cluster")
}

/// The error for a request that was not answered in time.
#[must_use]
pub(crate) fn timeout_error(action: &str, limit: Duration) -> Error {
    Error::new(Id::Unreachable, Kind::Unreachable, action)
        .caused_by(format!("the API server did not answer within {}", phrase::span(limit)))
        .hint("is the cluster running, and is a VPN or proxy needed?")
}

/// Whether the same request may be answered later: the connection broke, rather than never having been possible.
#[must_use]
pub(crate) fn may_come_back(error: &kube::Error) -> bool {
    let transport =
        matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_));
    transport && !is_untrusted(&chain(error))
}

/// Without kube's own wrapper, which says `ServiceError` and nothing else.
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
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
