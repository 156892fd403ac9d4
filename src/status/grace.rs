//! How long a fault that may heal by itself is waited for.

use std::time::Duration;

use jiff::Timestamp;

/// `[deploy.tolerate]`, and the start of the run. All times are the API server's: where this computer's clock
/// differs, the caller corrects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracePeriods {
    /// No node takes the pod.
    pub unschedulable: Duration,
    /// The registry does not answer; also any other fault that the kubelet or a controller retries by itself
    /// (a mount, a webhook that cannot be reached, a provisioner's error).
    pub image_pull: Duration,
    /// The claim has no storage class: a default one may appear.
    pub no_storage_class: Duration,
    /// A quota refuses the pods: it heals when the quota is raised.
    pub quota: Duration,
    /// Restarts of a container before its crashes are final; evictions of a workload's pods likewise.
    pub crash_restarts: u32,
    /// When this run began applying, cut to the second: objects' times are, and one that is made in the same
    /// second is not older than the run.
    pub started: Timestamp,
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
        }
    }

    /// Final once a number of restarts is reached.
    pub(super) fn restarts(&self, restarts: i32) -> FinalAt {
        if i64::from(restarts) >= i64::from(self.crash_restarts) { FinalAt::Now } else { FinalAt::Never }
    }
}

/// Final when the grace that began then has passed; a fault of unknown beginning is final at once.
pub(super) fn final_after(since: Option<Timestamp>, grace: Duration) -> FinalAt {
    since.map_or(FinalAt::Now, |since| FinalAt::Time(later(since, grace)))
}

/// A time later by `span`, at most the end of time.
pub(super) fn later(time: Timestamp, span: Duration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// When a fault becomes final if nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinalAt {
    /// It cannot heal without a change.
    Now,
    /// Its grace ends then.
    Time(Timestamp),
    /// Not by time: a number is not reached yet.
    Never,
}

impl FinalAt {
    /// Not before `earliest`.
    pub(crate) fn not_before(self, earliest: Timestamp) -> Self {
        match self {
            FinalAt::Now => FinalAt::Time(earliest),
            FinalAt::Time(time) => FinalAt::Time(time.max(earliest)),
            FinalAt::Never => FinalAt::Never,
        }
    }

    /// Whether the fault is final.
    pub(crate) fn is_final(self, now: Timestamp) -> bool {
        match self {
            FinalAt::Now => true,
            FinalAt::Time(time) => time <= now,
            FinalAt::Never => false,
        }
    }

    /// When to judge again although nothing happened.
    pub(crate) fn recheck(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            FinalAt::Time(time) if time > now => Some(time),
            _ => None,
        }
    }
}
