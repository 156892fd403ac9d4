//! The set's lock: a Lease that says who changes the set, and until when that is believed. Pure.
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

/// Who holds the lock: one process of one start of one computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who started it, for people.
    pub user: String,
    /// The computer's name, for people.
    pub host: String,
    /// Which start of the computer, and which table of processes: a number of a process means nothing elsewhere.
    pub boot: String,
    /// The process' number.
    pub pid: u32,
    /// When the process was started, in whatever unit the computer counts: numbers are used again.
    pub start: String,
}

impl Holder {
    /// `spec.holderIdentity`.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}@{}/{}/{}/{}", self.user, self.host, self.boot, self.pid, self.start)
    }

    /// The holder that wrote this identity; None where another tool did.
    #[must_use]
    pub fn parse(identity: &str) -> Option<Self> {
        let mut parts = identity.splitn(4, '/');
        let (user, host) = parts.next()?.split_once('@')?;
        Some(Self {
            user: user.to_owned(),
            host: host.to_owned(),
            boot: parts.next()?.to_owned(),
            pid: parts.next()?.parse().ok()?,
            start: parts.next()?.to_owned(),
        })
    }

    /// `ana@laptop`.
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

/// How long a lock is believed after it was last renewed; all its other times follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseDuration(pub Duration);

impl Default for LeaseDuration {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl LeaseDuration {
    /// How often the holder renews it.
    #[must_use]
    pub fn renew_interval(self) -> Duration {
        self.0 / 3
    }

    /// After this long without a renewal the holder itself gives up: well before anybody else may take it.
    #[must_use]
    pub fn renew_deadline(self) -> Duration {
        self.0 / 3 * 2
    }
}

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// The text that stands there.
    pub identity: String,
    /// Since when; None where it does not say.
    pub since: Option<Timestamp>,
    /// Until when it is believed; None where it does not say, so it is not a lock of handsctl.
    pub until: Option<Timestamp>,
}

impl LeaseInfo {
    /// What the Lease says.
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

    /// Whether nobody need believe it any more at this time on the server's clock.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until < now)
    }

    /// The holder as people read it.
    #[must_use]
    pub fn holder(&self) -> String {
        Holder::parse(&self.identity).map_or_else(|| self.identity.clone(), |holder| holder.to_string())
    }
}

/// The Lease of a set for this holder, renewed at `now` on the server's clock.
#[must_use]
pub fn manifest(
    set: &ApplySet,
    holder: &Holder,
    terms: LeaseDuration,
    acquired: Timestamp,
    now: Timestamp,
) -> Value {
    json!({
        "apiVersion": LEASE.api_version(),
        "kind": LEASE.kind,
        "metadata": {
            "name": set.parent_name(),
            "namespace": set.namespace,
            "labels": labels::of_member(&set.name, Component::App),
        },
        "spec": {
            "holderIdentity": holder.identity(),
            "leaseDurationSeconds": terms.0.as_secs().max(1),
            "acquireTime": micro(acquired),
            "renewTime": micro(now),
        },
    })
}

/// `MicroTime` of the API: always six digits.
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
            boot: "b-1.4026531836".into(),
            pid: 4711,
            start: "Sat Nov 21 09:37:02 2026 / 1".into(),
        }
    }

    #[test]
    fn an_identity_is_read_back_as_it_was_written() {
        assert_eq!(Holder::parse(&holder().identity()), Some(holder()));
        assert_eq!(Holder::parse("somebody-else_123"), None);
    }

    #[test]
    fn a_lease_is_believed_for_its_duration_on_the_servers_clock() {
        let set = ApplySet { name: "a".into(), namespace: "n".into(), ..ApplySet::default() };
        let now: Timestamp = "2026-11-21T10:00:00.5Z".parse().unwrap();
        let lease = manifest(&set, &holder(), LeaseDuration::default(), now, now);
        assert_eq!(lease["spec"]["renewTime"], "2026-11-21T10:00:00.500000Z");
        let held = LeaseInfo::read(&lease);
        assert_eq!(held.holder(), "ana@laptop, process 4711");
        assert!(!held.is_expired(now + SignedDuration::from_secs(60)));
        assert!(held.is_expired(now + SignedDuration::from_millis(60_001)));
    }

    #[test]
    fn a_lease_of_another_tool_never_expires() {
        let held = LeaseInfo::read(&json!({ "spec": { "holderIdentity": "x" } }));
        assert!(!held.is_expired(Timestamp::MAX));
        assert_eq!(held.holder(), "x");
    }

    #[test]
    fn the_holder_gives_up_before_anybody_else_may_take_it() {
        let terms = LeaseDuration::default();
        assert_eq!(
            (terms.renew_interval(), terms.renew_deadline()),
            (Duration::from_secs(20), Duration::from_secs(40))
        );
    }
}
