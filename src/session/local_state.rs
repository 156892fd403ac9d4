//! Explains a failed connection by the state of the local cluster that it was made to.

use crate::catalogue::Id;
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
    let recorded = provider::recorded_context(environment, name).ok().flatten();
    if !is_explained || recorded.as_deref() != Some(context) {
        return error;
    }
    let Ok(status) = provider::status(environment, cluster.provider, name).await else { return error };
    match explanation(status.condition, error.id()) {
        Some((state, hint)) => {
            error.fact("cluster", format!("the local cluster {name} {state}")).replace_hints(hint)
        }
        None => error,
    }
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
    use super::*;

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
