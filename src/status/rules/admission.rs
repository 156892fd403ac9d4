//! Pods that a controller creates and the API server rejects (`FailedCreate`).

use std::time::Duration;

use jiff::Timestamp;

use super::fault::Fault;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::object::webhook::failed_webhook;
use crate::status::finding::Lookup;
use crate::status::grace::{FinalAt, GracePeriods, final_after};

/// The reason for a rejection, recognized in the server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejection {
    /// A quota is used up. It heals when the quota is raised or other pods are deleted.
    Quota,
    /// A quota requires requests or limits that the pods do not set.
    QuotaNeedsResources,
    /// The `ServiceAccount` `default` is missing. The controller manager creates it shortly after the namespace.
    DefaultAccount,
    /// A webhook does not respond, or the server has an internal error. The controller retries.
    Transient,
    /// Pod Security, a webhook or a policy denies the pod, a `ServiceAccount` or `PriorityClass` is missing, or the pod
    /// is invalid.
    Final,
}

impl Rejection {
    fn from_message(message: &str) -> Self {
        let contains = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
        if contains(&["exceeded quota"]) {
            Self::Quota
        } else if contains(&["failed quota"]) {
            Self::QuotaNeedsResources
        } else if contains(&["serviceaccount \"default\" not found"]) {
            Self::DefaultAccount
        } else if contains(&["denied the request", "denied request"]) {
            Self::Final
        } else if contains(&[
            "failed calling webhook",
            "Internal error",
            "etcdserver",
            "timeout",
            "timed out",
            "deadline",
        ]) {
            Self::Transient
        } else {
            Self::Final
        }
    }

    fn grace(self, grace: &GracePeriods) -> Option<Duration> {
        match self {
            Self::Quota | Self::DefaultAccount => Some(grace.quota),
            Self::Transient => Some(grace.image_pull),
            Self::QuotaNeedsResources | Self::Final => None,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Quota | Self::QuotaNeedsResources => "a quota rejects its pods",
            Self::DefaultAccount | Self::Transient | Self::Final => "its pods are rejected",
        }
    }
}

/// Returns the fault of a workload whose pods have been rejected since `since`.
pub(crate) fn rejection_fault(
    workload: ObjectId,
    message: &str,
    since: Option<Timestamp>,
    created: Option<Timestamp>,
    grace: &GracePeriods,
) -> Fault {
    let message = without_pod_name(message);
    let rejection = Rejection::from_message(message);
    let id = match rejection {
        Rejection::Quota | Rejection::QuotaNeedsResources => Id::QuotaExceeded,
        _ => Id::PodsRejected,
    };
    let final_at = rejection.grace(grace).map_or(FinalAt::Now, |period| final_after(since, period));
    Fault::new(id, workload, message, rejection.reason())
        .final_at(final_at)
        .created(created)
        .lookups(failed_webhook(message).map(|name| Lookup::Webhook(name.to_owned())))
}

/// Removes the generated name of the rejected pod: returns the text after
/// `pods "openhands-d4b99c79d-xt9nx" is forbidden: `, else the text after the controller's `Error creating: `.
fn without_pod_name(message: &str) -> &str {
    match message.split_once("\" is forbidden: ") {
        Some((before, cause)) if before.contains("pods \"") => cause,
        _ => message.split_once("Error creating: ").map_or(message, |(_, message)| message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_recognized_by_message() {
        let rejection = |text: &str| Rejection::from_message(text);
        assert_eq!(rejection("exceeded quota: team, requested: pods=1, used: pods=0"), Rejection::Quota);
        assert_eq!(rejection("failed quota: team: must specify limits.cpu"), Rejection::QuotaNeedsResources);
        assert_eq!(
            rejection("error looking up service account a/default: serviceaccount \"default\" not found"),
            Rejection::DefaultAccount
        );
        assert_eq!(
            rejection("error looking up service account a/b: serviceaccount \"b\" not found"),
            Rejection::Final
        );
        assert_eq!(
            rejection("admission webhook \"x\" denied the request: timeout is too long"),
            Rejection::Final
        );
        assert_eq!(
            rejection("Internal error occurred: failed calling webhook \"x\": EOF"),
            Rejection::Transient
        );
        assert_eq!(
            rejection("violates PodSecurity \"restricted:latest\": runAsNonRoot != true"),
            Rejection::Final
        );
    }

    #[test]
    fn names_of_rejected_pods_are_removed() {
        assert_eq!(without_pod_name("Error creating: pods \"a-1-x\" is forbidden: no"), "no");
        assert_eq!(
            without_pod_name("(combined from similar events): Error creating: pods \"a\" is forbidden: no"),
            "no"
        );
        assert_eq!(
            without_pod_name("create Pod a in StatefulSet a failed error: pods \"a\" is forbidden: no"),
            "no"
        );
        assert_eq!(without_pod_name("Pod \"a\" is invalid: no"), "Pod \"a\" is invalid: no");
    }
}
