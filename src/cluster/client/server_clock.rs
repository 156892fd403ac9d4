//! The API server's clock, from the `Date` headers of its responses: the times in objects are on that clock.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::boot_instant::BootInstant;

/// Smaller differences are ignored: they come from the resolution of the `Date` header and from latency.
const SAME_TIME: SignedDuration = SignedDuration::from_secs(2);

/// The server's clock, estimated from this computer's and the last `Date` header.
#[derive(Debug)]
pub struct ServerClock {
    /// This computer's time when the estimate began. From then on it advances with tokio's clock, so that tests can
    /// pause it, and by the computer's suspends.
    began: (Timestamp, BootInstant),
    last: Mutex<Option<Reading>>,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self { began: (Timestamp::now(), BootInstant::now()), last: Mutex::default() }
    }
}

/// One `Date` header, as received.
#[derive(Debug, Clone, Copy)]
struct Reading {
    date: Timestamp,
    received: BootInstant,
    /// How far the server's clock is ahead of this computer's.
    ahead: SignedDuration,
}

impl ServerClock {
    /// Records the `Date` header of a response of the API server itself, see [`is_own_path`].
    pub(crate) fn on_date(&self, date: Timestamp) {
        let ahead = date.duration_since(self.local());
        let ahead = if ahead.abs() < SAME_TIME { SignedDuration::ZERO } else { ahead };
        if let Ok(mut reading) = self.last.lock() {
            *reading = Some(Reading { date, received: BootInstant::now(), ahead });
        }
    }

    fn reading(&self) -> Option<Reading> {
        self.last.lock().ok().and_then(|reading| *reading)
    }

    /// This computer's time.
    fn local(&self) -> Timestamp {
        let (time, instant) = self.began;
        SignedDuration::try_from(instant.elapsed())
            .ok()
            .and_then(|elapsed| time.checked_add(elapsed).ok())
            .unwrap_or(time)
    }

    /// Returns the server's current time, accurate to a second or two.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.local();
        now.saturating_add(self.ahead()).unwrap_or(now)
    }

    /// Returns how far the server's clock is ahead of this computer's; negative if it is behind, zero within 2 s.
    #[must_use]
    pub fn ahead(&self) -> SignedDuration {
        self.reading().map_or(SignedDuration::ZERO, |reading| reading.ahead)
    }

    /// Returns the `Date` of the last response. It is truncated to the second like the times of objects, so an object
    /// that is created later never has an earlier time.
    #[must_use]
    pub fn floor(&self) -> Timestamp {
        let date = self.reading().map_or_else(|| self.now(), |reading| reading.date);
        Timestamp::from_second(date.as_second()).unwrap_or(date)
    }

    /// Returns the server's time for locks: the `Date` of the last response plus the time elapsed since. It does not
    /// depend on this computer's clock, which may be adjusted meanwhile.
    #[must_use]
    pub fn monotonic(&self) -> Timestamp {
        let advanced = self.reading().and_then(|reading| {
            let elapsed = SignedDuration::try_from(reading.received.elapsed()).ok()?;
            reading.date.checked_add(elapsed).ok()
        });
        advanced.unwrap_or_else(|| self.now())
    }
}

/// The API groups that every API server serves itself. Another group may belong to an extension server, whose headers
/// the API server forwards (<https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/>).
const OWN_GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether the API server itself answers requests to this path. It forwards others, with all headers of the response:
/// to the application, to a kubelet, to an extension server. Their clocks are not its own.
pub(crate) fn is_own_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api", _, "namespaces", _, _, _, subresource, ..] | ["api", _, "nodes", _, subresource, ..] => {
            !is_forwarded(subresource)
        }
        ["version" | "apis"] | ["api", ..] => true,
        ["apis", group, ..] => OWN_GROUPS.contains(group),
        _ => false,
    }
}

fn is_forwarded(subresource: &str) -> bool {
    matches!(subresource, "proxy" | "log" | "exec" | "attach" | "portforward")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::client::boot_instant::simulated::suspend;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn monotonic_advances_from_the_last_date() {
        let clock = ServerClock::default();
        clock.on_date(at(1_000));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!((clock.floor(), clock.monotonic()), (at(1_000), at(1_061)));
        clock.on_date(at(2_000));
        assert_eq!((clock.floor(), clock.monotonic()), (at(2_000), at(2_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn servers_clock_advances_while_this_computer_is_suspended() {
        let clock = ServerClock::default();
        clock.on_date(at(1_000));
        suspend(Duration::from_secs(3600));
        assert_eq!(clock.monotonic(), at(4_600));
    }

    #[test]
    fn only_the_servers_own_paths_have_its_date() {
        for own in [
            "/version",
            "/api/v1/namespaces",
            "/api/v1/namespaces/proxy",
            "/api/v1/namespaces/proxy/services/proxy",
            "/api/v1/namespaces/n/pods/p/status",
            "/api/v1/nodes/n",
            "/apis/coordination.k8s.io/v1/namespaces/n/leases/handsctl-oh",
            "/apis/apps/v1/namespaces/n/deployments/oh",
        ] {
            assert!(is_own_path(own), "{own}");
        }
        for forwarded in [
            "/api/v1/namespaces/n/services/oh:http/proxy/alive",
            "/api/v1/namespaces/n/services/oh:http/proxy",
            "/api/v1/namespaces/n/pods/p/log",
            "/api/v1/namespaces/n/pods/p:3000/proxy/",
            "/api/v1/nodes/n/proxy/stats/summary",
            "/apis/metrics.k8s.io/v1beta1/namespaces/n/pods",
            "/apis/custom.example.com/v1/things",
            "/oauth/authorize",
        ] {
            assert!(!is_own_path(forwarded), "{forwarded}");
        }
    }

    #[test]
    fn now_follows_server_if_clocks_differ() {
        let clock = ServerClock::default();
        let local_now = Timestamp::now();
        let distance = |clock: &ServerClock| clock.now().duration_since(local_now).as_secs();
        clock.on_date(local_now.checked_add(SignedDuration::from_secs(1)).unwrap());
        assert!(distance(&clock) < 2, "a second is the header's resolution");
        clock.on_date(local_now.checked_add(SignedDuration::from_hours(2)).unwrap());
        assert!((7190..7210).contains(&distance(&clock)), "{}", distance(&clock));
    }

    #[test]
    fn local_clock_is_used_before_first_response() {
        let clock = ServerClock::default();
        let local_now = Timestamp::now();
        for time in [clock.now(), clock.floor(), clock.monotonic()] {
            assert!(time.duration_since(local_now).as_secs().abs() < 5);
        }
    }
}
