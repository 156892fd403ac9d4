//! Explains a failed connection by the state of the local cluster that it was made to.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::catalogue::Id;
use crate::cluster::client::pending_calls::PendingCalls;
use crate::cluster::client::traffic::Traffic;
use crate::error::Error;
use crate::provider::{self, Condition, Environment};
use crate::settings::handsctl::Cluster;

/// If the context is that of the local cluster which handsctl created, replaces the hints of the error by the state of
/// that cluster and the command that mends it.
pub(super) async fn explained(
    error: Error,
    context: &str,
    cluster: &Cluster,
    environment: &Environment,
) -> Error {
    let is_explained = matches!(error.id(), Id::ContextMissing | Id::Unreachable);
    let name = cluster.name.as_str();
    let is_explained = is_explained && error.facts().iter().all(|fact| fact.label != CLUSTER);
    if !is_explained || !is_own(context, cluster, environment) {
        return error;
    }
    let Ok(status) = provider::status(environment, cluster.provider, name).await else { return error };
    match explanation(status.condition, error.id()) {
        Some((state, hint)) => {
            error.fact(CLUSTER, format!("the local cluster {name} {state}")).replace_hints(hint)
        }
        None => error,
    }
}

/// The label of the line with the state of the local cluster.
const CLUSTER: &str = "cluster";
/// The state of the local cluster is read after an outage of this length: a restart of its API server is shorter.
const OUTAGE: Duration = Duration::from_secs(4);
/// How often to check whether an outage has begun.
const CHECK: Duration = Duration::from_millis(500);

/// Waits until the API server has not responded for [`OUTAGE`] and the local cluster which handsctl created for the
/// context does not run. Pending forever for another context.
pub(super) async fn stopped(context: &str, cluster: &Cluster, environment: &Environment, traffic: &Traffic) {
    if !is_own(context, cluster, environment) {
        std::future::pending::<()>().await;
    }
    loop {
        long_silence(&traffic.outage(), traffic.calls()).await;
        let status = provider::status(environment, cluster.provider, cluster.name.as_str()).await;
        if status.is_ok_and(|status| is_stopped(status.condition)) {
            return;
        }
        sleep(OUTAGE).await;
    }
}

/// Waits for an outage of [`OUTAGE`], or for a request that has waited that long: an API server without its store
/// accepts connections and does not respond.
async fn long_silence(outage: &watch::Receiver<Option<Instant>>, calls: &PendingCalls) {
    loop {
        let outage = outage.borrow().map(|since| since.elapsed());
        let waited = calls.oldest().map(|call| call.waited());
        match outage.max(waited).map(|silence| OUTAGE.saturating_sub(silence)) {
            Some(Duration::ZERO) => return,
            Some(left) => sleep(left).await,
            None => sleep(CHECK).await,
        }
    }
}

/// Returns whether only a command starts the cluster again.
const fn is_stopped(condition: Condition) -> bool {
    matches!(condition, Condition::Absent | Condition::Incomplete | Condition::Stopped)
}

/// Returns whether handsctl created the cluster of the context.
pub(crate) fn is_own(context: &str, cluster: &Cluster, environment: &Environment) -> bool {
    let recorded = provider::recorded_context(environment, cluster.name.as_str()).ok().flatten();
    recorded.as_deref() == Some(context)
}

/// Returns the state of the cluster and the hint; None: the state does not explain the error.
fn explanation(condition: Condition, id: Id) -> Option<(&'static str, &'static str)> {
    match condition {
        Condition::Absent => {
            Some(("does not exist any more", "handsctl cluster up creates it again, without its data"))
        }
        Condition::Incomplete => Some(("is incomplete", "handsctl cluster up recreates it")),
        Condition::Stopped => Some(("is stopped", "handsctl cluster up starts it")),
        Condition::Running if id == Id::ContextMissing => {
            Some(("is running", "handsctl cluster up writes its context into the kubeconfig"))
        }
        Condition::Running | Condition::Starting | Condition::Unresponsive => Some((
            "is running, but its API server does not respond",
            "handsctl cluster up waits until it is ready",
        )),
        Condition::Foreign | Condition::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_lasting_outage_reads_the_local_state() {
        let (sender, outage) = watch::channel(None);
        let begin = Instant::now();
        let restart = async {
            sleep(Duration::from_secs(7)).await;
            sender.send_replace(Some(Instant::now()));
            sleep(Duration::from_secs(2)).await;
            sender.send_replace(None);
            sleep(Duration::from_secs(20)).await;
            sender.send_replace(Some(Instant::now()));
        };
        let calls = PendingCalls::default();
        tokio::join!(long_silence(&outage, &calls), restart);
        let waited = begin.elapsed();
        assert!(waited >= Duration::from_secs(33) && waited < Duration::from_secs(35), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn request_without_response_counts_like_an_outage() {
        let (_sender, outage) = watch::channel(None);
        let calls = Arc::new(PendingCalls::default());
        let quick = calls.begin("get /version".to_owned());
        sleep(Duration::from_secs(3)).await;
        drop(quick);
        let begin = Instant::now();
        let _slow = calls.begin("get /api".to_owned());
        long_silence(&outage, &calls).await;
        assert_eq!(begin.elapsed(), OUTAGE);
    }

    #[test]
    fn only_a_stopped_cluster_ends_the_repeats() {
        for condition in [Condition::Absent, Condition::Incomplete, Condition::Stopped] {
            assert!(is_stopped(condition), "{condition:?}");
        }
        for condition in
            [Condition::Running, Condition::Starting, Condition::Unresponsive, Condition::Unknown]
        {
            assert!(!is_stopped(condition), "{condition:?}");
        }
    }

    #[test]
    fn each_known_state_names_the_command_that_mends_it() {
        for condition in [Condition::Absent, Condition::Incomplete, Condition::Stopped, Condition::Running] {
            for id in [Id::ContextMissing, Id::Unreachable] {
                let (_, hint) = explanation(condition, id).unwrap();
                assert!(hint.starts_with("handsctl cluster up "), "{condition:?}: {hint}");
            }
        }
        assert_eq!(explanation(Condition::Unknown, Id::Unreachable), None);
    }
}
