//! Grace periods: how long a fault may take to heal by itself before it is final.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

/// The grace periods of `[deploy.tolerate]`, and the start of the run. All times are on the API server's clock; the
/// caller corrects the difference to this computer's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracePeriods {
    /// The pod does not fit on any node.
    pub unschedulable: Duration,
    /// The registry does not respond. Also used for every other fault that the kubelet or a controller retries by
    /// itself: a mount, an unreachable webhook, a provisioner's error.
    pub image_pull: Duration,
    /// The claim has no storage class. It heals when a default class appears.
    pub no_storage_class: Duration,
    /// A quota rejects the pods. It heals when the quota is raised.
    pub quota: Duration,
    /// The number of container restarts after which a crash is final. It also limits the evictions of a workload's
    /// pods.
    pub crash_restarts: u32,
    /// The time when this run began to apply objects, truncated to the second. Kubernetes truncates objects' times as
    /// well, and an object created in the same second must not count as older than the run.
    pub started: Timestamp,
    /// Extra time for faults of objects older than this run, if the run may have fixed them, for example by creating a
    /// missing Secret: the kubelet only notices at its next sync.
    pub fix: Duration,
    /// Whether this run changed a member of the set, watched or not. It may have fixed older faults.
    pub members_changed: bool,
    /// How long a missing Secret or ConfigMap may take to appear: a controller makes it from an object that this run has
    /// applied, such as an `ExternalSecret` or a Certificate. None: no such object was applied.
    pub provided_later: Option<Duration>,
    /// Whether the API server admits the pods that it rejected before `started`. Those rejections prove nothing then.
    pub admits_rejected_pods: bool,
}

impl GracePeriods {
    /// The defaults of `[deploy.tolerate]`.
    #[must_use]
    pub fn starting_at(started: Timestamp) -> Self {
        Self {
            unschedulable: Duration::from_secs(15),
            image_pull: Duration::from_secs(60),
            no_storage_class: Duration::from_secs(15),
            quota: Duration::from_secs(5),
            crash_restarts: 2,
            started,
            fix: Duration::from_secs(30),
            members_changed: false,
            provided_later: None,
            admits_rejected_pods: false,
        }
    }

    /// Returns whether a run is followed. `status` evaluates outside of a run, as if one had started at the epoch.
    pub(super) fn is_of_run(&self) -> bool {
        self.started != Timestamp::UNIX_EPOCH
    }

    /// Returns whether a pod is older than the run that is followed. Its time of creation is cut to the second.
    pub(super) fn is_before_run(&self, pod: &Pod) -> bool {
        let created = pod.metadata.creation_timestamp.as_ref();
        self.is_of_run() && created.is_some_and(|created| created.0.as_second() < self.started.as_second())
    }

    /// Returns a fault's end of grace by its number of restarts: now, or never.
    pub(super) fn restarts(&self, restarts: i32) -> FinalAt {
        if i64::from(restarts) >= i64::from(self.crash_restarts) { FinalAt::Now } else { FinalAt::Never }
    }
}

/// Returns the end of the grace period that began at `since`. A fault whose beginning is unknown is final at once.
pub(super) fn final_after(since: Option<Timestamp>, grace: Duration) -> FinalAt {
    since.map_or(FinalAt::Now, |since| FinalAt::Time(later(since, grace)))
}

/// Adds `span` to a time; the result is at most [`Timestamp::MAX`].
pub(super) fn later(time: Timestamp, span: Duration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// When a fault becomes final if nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinalAt {
    /// The fault cannot heal by itself.
    Now,
    /// The fault is final when its grace period ends.
    Time(Timestamp),
    /// The fault does not become final by time: a count has not reached its limit.
    Never,
}

impl FinalAt {
    /// Postpones the end of grace to `earliest` if it is before that.
    pub(crate) fn not_before(self, earliest: Timestamp) -> Self {
        match self {
            FinalAt::Now => FinalAt::Time(earliest),
            FinalAt::Time(time) => FinalAt::Time(time.max(earliest)),
            FinalAt::Never => FinalAt::Never,
        }
    }

    /// Returns whether the fault is final.
    pub(crate) fn is_final(self, now: Timestamp) -> bool {
        match self {
            FinalAt::Now => true,
            FinalAt::Time(time) => time <= now,
            FinalAt::Never => false,
        }
    }

    /// Returns when to evaluate again even if no object changes until then.
    pub(crate) fn recheck(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            FinalAt::Time(time) if time > now => Some(time),
            _ => None,
        }
    }
}
