//! Whether the defaults of local clusters apply. One rule for `render`, `config show`, `diff` and `deploy`, so it uses
//! nothing that only a connection knows: not the kubeconfig's current context and not the server's address. Pure.

use crate::cluster::client::context::{ChosenContext, ContextOrigin, has_local_name};
use crate::settings::handsctl::Provider;

/// How a command chooses its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClusterChoice<'a> {
    /// `--context` or `[cluster].context` names it.
    Context(&'a str),
    /// `--in-cluster`.
    Pod,
    /// The cluster of `[cluster].name` that handsctl created; there is a record of it.
    Recorded,
    /// Only the kubeconfig's current context is left.
    Current,
}

impl<'a> From<&'a ChosenContext> for ClusterChoice<'a> {
    fn from(choice: &'a ChosenContext) -> Self {
        match choice.origin {
            ContextOrigin::Flag | ContextOrigin::Pin => Self::Context(&choice.context),
            ContextOrigin::LocalCluster => Self::Recorded,
            ContextOrigin::Current => Self::Current,
            ContextOrigin::InCluster => Self::Pod,
        }
    }
}

/// Returns whether the defaults of local clusters apply.
pub(super) fn apply(provider: Provider, choice: ClusterChoice<'_>) -> bool {
    match (provider, choice) {
        (Provider::Existing, _) | (_, ClusterChoice::Pod) => false,
        (_, ClusterChoice::Context(context)) => has_local_name(context),
        (Provider::Kind | Provider::Kwok, _) => true,
        (Provider::Auto, choice) => choice == ClusterChoice::Recorded,
    }
}
