//! Decides whether and when a failed request is sent again. Pure.
//!
//! client-go repeats a response with `Retry-After`, and a GET whose connection was lost
//! (`k8s.io/client-go/rest/with_retry.go`). Every request of handsctl may be repeated: writes carry a UID or a
//! resourceVersion, are create-only, or are idempotent.

use std::time::Duration;

use http::Method;
use kube::core::Status;

use super::status_error;
use super::transport_error;

/// The time limit of a call with its retries, in a command without a deadline.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(60);
/// The first pause between two attempts; it doubles up to [`MAX_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The time limit of the first attempt to read; it doubles up to [`MAX_ATTEMPT`], because a list may be long.
const READ_ATTEMPT: Duration = Duration::from_secs(10);
/// The time limit of the first attempt to write: an admission webhook may take 30 s
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts>).
const WRITE_ATTEMPT: Duration = Duration::from_secs(35);
/// The API server itself ends a request after this long (`--request-timeout`).
const MAX_ATTEMPT: Duration = Duration::from_secs(60);
/// How long to repeat a request that loses its connection while the server has never responded.
const FIRST_CONTACT: Duration = Duration::from_secs(10);
/// How long to repeat a request that gets 500 or 502 without `Retry-After`: most of these errors are permanent. A load
/// balancer answers 502 while an API server behind it restarts, but a proxy with a wrong server does so for ever.
const INTERNAL_ERROR: Duration = Duration::from_secs(10);

/// A failed attempt of a call, with what is known about the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedAttempt {
    /// The number of the attempt; the first is 1.
    pub(crate) attempt: u32,
    /// The time since the call began.
    pub(crate) elapsed: Duration,
    /// Whether the server has ever responded to this command.
    pub(crate) has_responded: bool,
    /// Whether the server may have been restarted and may still be loading RBAC.
    pub(crate) rbac_may_be_loading: bool,
}

/// The pause before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The client's own backoff.
    Backoff(Duration),
    /// The time that the server requests.
    Requested(Duration),
}

/// Returns the time limit of one attempt.
pub(crate) fn attempt_limit(method: &Method, attempt: u32) -> Duration {
    let first = if method == Method::GET { READ_ATTEMPT } else { WRITE_ATTEMPT };
    (first * (1 << (attempt.clamp(1, 4) - 1))).min(MAX_ATTEMPT)
}

impl FailedAttempt {
    /// Returns the pause after an error response; None if a retry is useless.
    pub(crate) fn after_status(self, status: &Status) -> Option<Pause> {
        let requested = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let is_transient = match status.code {
            429 | 503 | 504 => true,
            500 if status_error::is_type_mismatch(&status.message) => false,
            500 | 502 => requested > 0 || self.elapsed < INTERNAL_ERROR,
            500.. => requested > 0,
            403 => self.rbac_may_be_loading,
            _ => false,
        };
        let backoff = self.backoff();
        let requested = Duration::from_secs(u64::from(requested));
        is_transient
            .then(|| if requested > backoff { Pause::Requested(requested) } else { Pause::Backoff(backoff) })
    }

    /// Returns the pause after a failure of the transport; None if a retry is useless.
    pub(crate) fn after_transport_error(self, error: &kube::Error) -> Option<Pause> {
        let may_be_reached =
            self.has_responded || self.elapsed < FIRST_CONTACT && !transport_error::is_unreachable(error);
        (may_be_reached && transport_error::is_retryable(error)).then(|| Pause::Backoff(self.backoff()))
    }

    /// Returns the pause after an attempt without a response.
    pub(crate) fn after_silence(self) -> Pause {
        Pause::Backoff(self.backoff())
    }

    fn backoff(self) -> Duration {
        (FIRST_BACKOFF * (1 << (self.attempt.clamp(1, 10) - 1))).min(MAX_BACKOFF)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error as IoError, ErrorKind};

    use kube::core::response::StatusDetails;

    use super::*;

    const FIRST: FailedAttempt = FailedAttempt {
        attempt: 1,
        elapsed: Duration::ZERO,
        has_responded: true,
        rbac_may_be_loading: false,
    };

    fn status(code: u16, retry_after_seconds: u32) -> Status {
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds,
        };
        Status { code, details: Some(details), ..Status::default() }
    }

    fn transport(kind: ErrorKind) -> kube::Error {
        kube::Error::Service(Box::new(IoError::from(kind)))
    }

    #[test]
    fn backoff_doubles_up_to_five_seconds() {
        let pauses = [1, 2, 3, 6, 7, 40].map(|attempt| FailedAttempt { attempt, ..FIRST }.after_silence());
        let milliseconds = [100, 200, 400, 3200, 5000, 5000];
        assert_eq!(pauses, milliseconds.map(|time| Pause::Backoff(Duration::from_millis(time))));
    }

    #[test]
    fn only_transient_statuses_are_repeated() {
        for code in [429, 500, 502, 503, 504] {
            assert!(FIRST.after_status(&status(code, 0)).is_some(), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 410, 422, 501, 505] {
            assert_eq!(FIRST.after_status(&status(code, 0)), None, "{code}");
        }
        let restarted = FailedAttempt { rbac_may_be_loading: true, ..FIRST };
        assert!(restarted.after_status(&status(403, 0)).is_some());
        let mismatch = Status { message: "failed to create typed patch object: x".into(), ..status(500, 0) };
        assert_eq!(FIRST.after_status(&mismatch), None);
    }

    #[test]
    fn internal_error_and_bad_gateway_are_repeated_ten_seconds() {
        let late = FailedAttempt { elapsed: Duration::from_secs(10), attempt: 8, ..FIRST };
        assert_eq!(late.after_status(&status(500, 0)), None);
        assert_eq!(late.after_status(&status(502, 0)), None);
        assert!(late.after_status(&status(503, 0)).is_some());
        assert_eq!(late.after_status(&status(500, 9)), Some(Pause::Requested(Duration::from_secs(9))));
    }

    #[test]
    fn requested_pause_is_never_shortened() {
        let third = FailedAttempt { attempt: 6, ..FIRST };
        assert_eq!(third.after_status(&status(429, 60)), Some(Pause::Requested(Duration::from_secs(60))));
        assert_eq!(third.after_status(&status(429, 1)), Some(Pause::Backoff(Duration::from_millis(3200))));
    }

    #[test]
    fn refused_first_connection_is_final_dropped_one_is_not() {
        let new = FailedAttempt { has_responded: false, ..FIRST };
        assert_eq!(new.after_transport_error(&transport(ErrorKind::ConnectionRefused)), None);
        assert!(new.after_transport_error(&transport(ErrorKind::ConnectionReset)).is_some());
        let later = FailedAttempt { elapsed: Duration::from_secs(10), ..new };
        assert_eq!(later.after_transport_error(&transport(ErrorKind::ConnectionReset)), None);
        // A server that responded before is being restarted.
        assert!(FIRST.after_transport_error(&transport(ErrorKind::ConnectionRefused)).is_some());
    }

    #[test]
    fn writes_wait_longer_than_a_webhook_may_take() {
        let seconds =
            |method: Method| [1, 2, 3, 4, 9].map(|attempt| attempt_limit(&method, attempt).as_secs());
        assert_eq!(seconds(Method::GET), [10, 20, 40, 60, 60]);
        assert_eq!(seconds(Method::PATCH), [35, 60, 60, 60, 60]);
    }
}
