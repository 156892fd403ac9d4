//! Pods that a controller wants and the API server refuses (`FailedCreate`).

use std::time::Duration;

use jiff::Timestamp;

use super::fault::Fault;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::grace::{FinalAt, GracePeriods, final_after};

/// What a refusal is, by the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// A quota is used up: heals when it is raised or others leave.
    Quota,
    /// A quota asks for a number that the pods do not have.
    QuotaNeedsNumbers,
    /// The controller manager makes the account `default` a moment after the namespace.
    DefaultAccount,
    /// A webhook does not answer, or the server is in trouble: retried.
    InTrouble,
    /// Pod Security, a webhook's or policy's no, a missing `ServiceAccount` or `PriorityClass`, an invalid pod.
    Final,
}

impl Refusal {
    fn of(message: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["exceeded quota"]) {
            Self::Quota
        } else if says(&["failed quota"]) {
            Self::QuotaNeedsNumbers
        } else if says(&["serviceaccount \"default\" not found"]) {
            Self::DefaultAccount
        } else if says(&["denied the request", "denied request"]) {
            Self::Final
        } else if says(&[
            "failed calling webhook",
            "Internal error",
            "etcdserver",
            "timeout",
            "timed out",
            "deadline",
        ]) {
            Self::InTrouble
        } else {
            Self::Final
        }
    }

    fn grace(self, tolerance: &GracePeriods) -> Option<Duration> {
        match self {
            Self::Quota | Self::DefaultAccount => Some(tolerance.quota),
            Self::InTrouble => Some(tolerance.image_pull),
            Self::QuotaNeedsNumbers | Self::Final => None,
        }
    }

    const fn gap(self) -> &'static str {
        match self {
            Self::Quota | Self::QuotaNeedsNumbers => "a quota refuses its pods",
            Self::DefaultAccount | Self::InTrouble | Self::Final => "its pods are refused",
        }
    }
}

/// The fault of a workload whose pods are refused since then.
pub(crate) fn symptom(
    workload: ObjectId,
    message: &str,
    since: Option<Timestamp>,
    born: Option<Timestamp>,
    tolerance: &GracePeriods,
) -> Fault {
    let message = nameless(message);
    let refusal = Refusal::of(message);
    let id = match refusal {
        Refusal::Quota | Refusal::QuotaNeedsNumbers => Id::QuotaExceeded,
        _ => Id::PodsRefused,
    };
    let due = refusal.grace(tolerance).map_or(FinalAt::Now, |grace| final_after(since, grace));
    Fault::new(id, workload, message, refusal.gap()).final_at(due).created(born)
}

/// The message without the generated name of a pod that never was: what stands behind
/// `pods "openhands-d4b99c79d-xt9nx" is forbidden: `, else behind the controller's `Error creating: `.
fn nameless(message: &str) -> &str {
    match message.split_once("\" is forbidden: ") {
        Some((before, cause)) if before.contains("pods \"") => cause,
        _ => message.split_once("Error creating: ").map_or(message, |(_, message)| message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_by_the_servers_words() {
        let refusal = |text: &str| Refusal::of(text);
        assert_eq!(refusal("exceeded quota: team, requested: pods=1, used: pods=0"), Refusal::Quota);
        assert_eq!(refusal("failed quota: team: must specify limits.cpu"), Refusal::QuotaNeedsNumbers);
        assert_eq!(
            refusal("error looking up service account a/default: serviceaccount \"default\" not found"),
            Refusal::DefaultAccount
        );
        assert_eq!(
            refusal("error looking up service account a/b: serviceaccount \"b\" not found"),
            Refusal::Final
        );
        assert_eq!(
            refusal("admission webhook \"x\" denied the request: timeout is too long"),
            Refusal::Final
        );
        assert_eq!(refusal("Internal error occurred: failed calling webhook \"x\": EOF"), Refusal::InTrouble);
        assert_eq!(
            refusal("violates PodSecurity \"restricted:latest\": runAsNonRoot != true"),
            Refusal::Final
        );
    }

    #[test]
    fn names_of_pods_that_never_were_are_left_out() {
        assert_eq!(nameless("Error creating: pods \"a-1-x\" is forbidden: no"), "no");
        assert_eq!(
            nameless("(combined from similar events): Error creating: pods \"a\" is forbidden: no"),
            "no"
        );
        assert_eq!(nameless("create Pod a in StatefulSet a failed error: pods \"a\" is forbidden: no"), "no");
        assert_eq!(nameless("Pod \"a\" is invalid: no"), "Pod \"a\" is invalid: no");
    }
}
