//! The set's lock: a Lease that names the process that changes the set, and expires if it is not renewed. Pure.
//!
//! `coordination.k8s.io/v1 Lease`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>).

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::apply_set::ApplySet;
use crate::object::kind::LEASE;
use crate::object::labels::{self, Component};

/// The holder of a lock: one process on one computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user who started the process; for display.
    pub user: String,
    /// The computer's name; for display.
    pub host: String,
    /// The computer, its boot and the PID namespace: several computers may have the same name, and a process id is only
    /// meaningful within all three.
    pub computer: String,
    /// The process id.
    pub pid: u32,
    /// The process's start time, in a unit of the operating system, without `/`. It distinguishes processes that reuse
    /// an id.
    pub start: String,
    /// A random number of the process; empty if the identity has none. It distinguishes processes whose other fields
    /// are equal or unknown.
    pub nonce: String,
}

impl Holder {
    /// Returns the value of `spec.holderIdentity`.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { user, host, computer, pid, start, nonce } = self;
        format!("{user}@{host}/{computer}/{pid}/{start}/{nonce}")
    }

    /// Parses an identity; `None` if another tool wrote it.
    #[must_use]
    pub fn parse(identity: &str) -> Option<Self> {
        let mut parts = identity.splitn(5, '/');
        let (user, host) = parts.next()?.split_once('@')?;
        Some(Self {
            user: user.to_owned(),
            host: host.to_owned(),
            computer: parts.next()?.to_owned(),
            pid: parts.next()?.parse().ok()?,
            start: parts.next()?.to_owned(),
            nonce: parts.next().unwrap_or_default().to_owned(),
        })
    }

    /// Returns `ana@laptop`.
    #[must_use]
    pub fn user_host(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}, process {}", self.user, self.host, self.pid)
    }
}

/// The time after the last renewal until a lock expires; the lock's other times are fractions of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseDuration(pub Duration);

impl Default for LeaseDuration {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl LeaseDuration {
    /// Returns the interval between two renewals.
    #[must_use]
    pub fn renew_interval(self) -> Duration {
        self.0 / 3
    }

    /// Returns the time without a renewal after which the holder gives up, well before another process may acquire
    /// the lock.
    #[must_use]
    pub fn renew_deadline(self) -> Duration {
        self.0 / 3 * 2
    }
}

/// A Lease as last read from the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// The value of `spec.holderIdentity`.
    pub identity: String,
    /// The time at which the lock was acquired, if the Lease has one.
    pub since: Option<Timestamp>,
    /// The time at which the lock expires; `None` if the Lease has none, which means that handsctl did not write it.
    pub until: Option<Timestamp>,
}

impl LeaseInfo {
    /// Reads a Lease.
    #[must_use]
    pub fn read(lease: &Value) -> Self {
        let spec = &lease["spec"];
        let time = |name: &str| spec[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let seconds = spec["leaseDurationSeconds"].as_i64();
        let until = time("renewTime")
            .zip(seconds)
            .and_then(|(renewed, seconds)| renewed.checked_add(SignedDuration::from_secs(seconds)).ok());
        Self {
            identity: spec["holderIdentity"].as_str().unwrap_or_default().to_owned(),
            since: time("acquireTime"),
            until,
        }
    }

    /// Returns whether the lock has expired; `now` is the server's time.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until < now)
    }

    /// Returns the holder for display.
    #[must_use]
    pub fn holder(&self) -> String {
        Holder::parse(&self.identity).map_or_else(|| self.identity.clone(), |holder| holder.to_string())
    }
}

/// Builds the Lease of a set for a holder; `acquired` and `now`, the renewal, are the server's time.
#[must_use]
pub fn manifest(
    set: &ApplySet,
    holder: &Holder,
    duration: LeaseDuration,
    acquired: Timestamp,
    now: Timestamp,
) -> Value {
    json!({
        "apiVersion": LEASE.api_version(),
        "kind": LEASE.kind,
        "metadata": {
            "name": set.parent_name(),
            "namespace": set.namespace,
            "labels": labels::member_labels(&set.name, Component::App),
        },
        "spec": {
            "holderIdentity": holder.identity(),
            "leaseDurationSeconds": duration.0.as_secs().max(1),
            "acquireTime": micro(acquired),
            "renewTime": micro(now),
        },
    })
}

/// Formats a time as the API's `MicroTime`, which has six decimals.
#[must_use]
pub fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder {
            user: "ana".into(),
            host: "laptop".into(),
            computer: "m-1.b-1.4026531836".into(),
            pid: 4711,
            start: "Sat Nov 21 09:37:02 2026".into(),
            nonce: "5eed".into(),
        }
    }

    #[test]
    fn identity_survives_a_round_trip() {
        assert_eq!(Holder::parse(&holder().identity()), Some(holder()));
        assert_eq!(Holder::parse("somebody-else_123"), None);
        let without_nonce = Holder::parse("ana@laptop/m.b.1/4711/1").unwrap();
        assert_eq!((without_nonce.pid, without_nonce.start.as_str()), (4711, "1"));
    }

    #[test]
    fn lease_expires_after_its_duration() {
        let set = ApplySet { name: "a".into(), namespace: "n".into(), ..ApplySet::default() };
        let now: Timestamp = "2026-11-21T10:00:00.5Z".parse().unwrap();
        let lease = manifest(&set, &holder(), LeaseDuration::default(), now, now);
        assert_eq!(lease["spec"]["renewTime"], "2026-11-21T10:00:00.500000Z");
        let info = LeaseInfo::read(&lease);
        assert_eq!(info.holder(), "ana@laptop, process 4711");
        assert!(!info.is_expired(now + SignedDuration::from_secs(60)));
        assert!(info.is_expired(now + SignedDuration::from_millis(60_001)));
    }

    #[test]
    fn lease_of_another_tool_never_expires() {
        let info = LeaseInfo::read(&json!({ "spec": { "holderIdentity": "x" } }));
        assert!(!info.is_expired(Timestamp::MAX));
        assert_eq!(info.holder(), "x");
    }

    #[test]
    fn renew_deadline_precedes_expiry() {
        let duration = LeaseDuration::default();
        assert!(duration.renew_deadline() < duration.0);
        assert_eq!(
            (duration.renew_interval(), duration.renew_deadline()),
            (Duration::from_secs(20), Duration::from_secs(40))
        );
    }
}
