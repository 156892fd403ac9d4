//! Chooses the context from options, configuration and kubeconfig. Pure.

use std::net::IpAddr;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// The inputs of the choice.
#[derive(Debug, Clone, Default)]
pub struct ContextSources {
    /// `--context`.
    pub flag: Option<String>,
    /// `[cluster].context`.
    pub pin: Option<String>,
    /// The context of the local cluster that handsctl created for `[cluster].name`.
    pub local_cluster: Option<String>,
    /// The kubeconfig's current context.
    pub current: Option<String>,
    /// The kubeconfig's contexts.
    pub contexts: Vec<String>,
}

/// Where the choice came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextOrigin {
    /// `--context`.
    Flag,
    /// `[cluster].context`.
    Pin,
    /// The local cluster of `[cluster].name`.
    LocalCluster,
    /// The kubeconfig's current context.
    Current,
    /// The pod's service account.
    InCluster,
}

impl ContextOrigin {
    /// Returns the origin as printed in the first line of every command.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            ContextOrigin::Flag => "--context",
            ContextOrigin::Pin => "[cluster].context",
            ContextOrigin::LocalCluster => "[cluster].name",
            ContextOrigin::Current => "the current context",
            ContextOrigin::InCluster => "the pod's service account",
        }
    }
}

/// A chosen context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenContext {
    /// Its name in the kubeconfig.
    pub context: String,
    /// Where the choice came from.
    pub origin: ContextOrigin,
}

/// Chooses by priority: `--context`, the pin, the local cluster, the current context. The pin excludes another
/// `--context`.
///
/// # Errors
/// Exit 3 if the context does not exist or contradicts the pin, exit 4 if there is no context to choose.
pub fn choose_context(sources: &ContextSources) -> Result<ChosenContext> {
    let choice = match (&sources.flag, &sources.pin, &sources.local_cluster, &sources.current) {
        (Some(flag), Some(pin), ..) if flag != pin => {
            return Err(Error::new(
                Id::ContextPinned,
                Kind::Config,
                format!("--context {flag} contradicts [cluster].context = \"{pin}\""),
            )
            .hint(format!("--set cluster.context={flag} changes it for this run")));
        }
        (_, Some(pin), ..) => ChosenContext { context: pin.clone(), origin: ContextOrigin::Pin },
        (Some(flag), None, ..) => ChosenContext { context: flag.clone(), origin: ContextOrigin::Flag },
        (None, None, Some(made), _) => {
            ChosenContext { context: made.clone(), origin: ContextOrigin::LocalCluster }
        }
        (None, None, None, Some(current)) => {
            ChosenContext { context: current.clone(), origin: ContextOrigin::Current }
        }
        (None, None, None, None) => {
            return Err(Error::new(
                Id::KubeconfigMissing,
                Kind::Unreachable,
                "cannot choose a cluster: there is no kubeconfig with a current context",
            )
            .hint("handsctl up creates a local cluster")
            .hint("--context NAME chooses one of the kubeconfig's contexts"));
        }
    };
    if sources.contexts.contains(&choice.context) {
        return Ok(choice);
    }
    Err(Error::new(
        Id::ContextMissing,
        Kind::Config,
        format!("the kubeconfig has no context `{}` (from {})", choice.context, choice.origin.label()),
    )
    .hint(missing_context_hint(&sources.contexts, choice.origin)))
}

/// Returns what to type instead of a context that does not exist.
fn missing_context_hint(contexts: &[String], origin: ContextOrigin) -> String {
    if contexts.is_empty() {
        return "the kubeconfig has no context: --kubeconfig FILE or KUBECONFIG selects another one"
            .to_owned();
    }
    let change = match origin {
        ContextOrigin::Pin => "--set cluster.context=NAME chooses another one for one run",
        ContextOrigin::Current => "kubectl config use-context NAME changes the current one",
        ContextOrigin::LocalCluster => "handsctl cluster up writes that of the local cluster again",
        ContextOrigin::Flag | ContextOrigin::InCluster => "--context NAME chooses one",
    };
    format!("the kubeconfig has {}; {change}", contexts.join(", "))
}

/// The facts that decide whether a changing command needs a confirmation.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRequest<'a> {
    /// The chosen context.
    pub choice: &'a ChosenContext,
    /// The server's address.
    pub server: &'a str,
    /// Whether a config file was read.
    pub from_file: bool,
    /// Whether both `-n` and `--name` were given.
    pub set_is_named: bool,
}

/// Whether a changing command needs a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// No question is necessary.
    Given,
    /// The user must confirm the current context.
    Ask,
}

/// Returns whether a changing command needs a confirmation for this choice.
///
/// # Errors
/// Exit 3 outside of local clusters if the set is not named, so that a command in the wrong folder does not change the
/// default set.
pub fn required_confirmation(request: ChangeRequest<'_>) -> Result<Confirmation> {
    let is_local_cluster = is_local(&request.choice.context, request.server);
    if !is_local_cluster && !request.from_file && !request.set_is_named {
        return Err(Error::new(
            Id::TargetNotNamed,
            Kind::Config,
            format!("no installation is named, and `{}` is not a local cluster", request.choice.context),
        )
        .hint("name the installation with --config FILE, or with both -n NAMESPACE and --name NAME"));
    }
    Ok(if request.choice.origin == ContextOrigin::Current { Confirmation::Ask } else { Confirmation::Given })
}

/// Whether this is a kind or kwok cluster on this computer. A loopback address alone is no proof: it may be a tunnel.
#[must_use]
pub fn is_local(context: &str, server: &str) -> bool {
    has_local_name(context) && is_loopback(server)
}

/// Whether the host of a URL is this computer: `localhost` or a loopback address.
fn is_loopback(server: &str) -> bool {
    let Ok(server) = server.parse::<http::Uri>() else { return false };
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Returns whether a context has a name that kind or handsctl gives to a local cluster.
#[must_use]
pub fn has_local_name(context: &str) -> bool {
    context.starts_with("kind-") || context.starts_with("kwok-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "every candidate is an option")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn all() -> ContextSources {
        ContextSources {
            flag: None,
            pin: None,
            local_cluster: some("kwok-local-hands"),
            current: some("prod"),
            contexts: ["kwok-local-hands", "prod", "stage"].map(str::to_owned).into(),
        }
    }

    #[test]
    fn context_is_chosen_by_priority() {
        let choice =
            |sources: ContextSources| choose_context(&sources).map(|choice| (choice.context, choice.origin));
        assert_eq!(choice(all()).unwrap(), ("kwok-local-hands".into(), ContextOrigin::LocalCluster));
        assert_eq!(
            choice(ContextSources { local_cluster: None, ..all() }).unwrap(),
            ("prod".into(), ContextOrigin::Current)
        );
        assert_eq!(
            choice(ContextSources { flag: some("stage"), ..all() }).unwrap(),
            ("stage".into(), ContextOrigin::Flag)
        );
        assert_eq!(
            choice(ContextSources { pin: some("stage"), ..all() }).unwrap(),
            ("stage".into(), ContextOrigin::Pin)
        );
        let both = ContextSources { pin: some("stage"), flag: some("prod"), ..all() };
        assert_eq!(choose_context(&both).unwrap_err().id(), Id::ContextPinned);
        let same = ContextSources { pin: some("stage"), flag: some("stage"), ..all() };
        assert_eq!(choose_context(&same).unwrap().origin, ContextOrigin::Pin);
    }

    #[test]
    fn only_a_loopback_host_is_local() {
        for server in
            ["https://127.0.0.1:6443", "https://localhost", "https://LOCALHOST:1", "https://[::1]:6443/k8s"]
        {
            assert!(is_local("kind-x", server), "{server}");
            assert!(!is_local("prod", server), "{server}");
        }
        for server in [
            "https://localhost.corp:6443",
            "https://127.corp",
            "https://127.0.0.1.nip.example:6443",
            "https://localhost@corp:6443",
            "https://10.0.0.1:6443",
            "https://[::1:6443",
            "",
        ] {
            assert!(!is_local("kind-x", server), "{server}");
        }
    }

    #[test]
    fn missing_context_and_missing_kubeconfig_are_errors() {
        let missing = choose_context(&ContextSources { flag: some("x"), ..all() }).unwrap_err();
        assert_eq!((missing.id(), missing.kind()), (Id::ContextMissing, Kind::Config));
        let empty = choose_context(&ContextSources::default()).unwrap_err();
        assert_eq!((empty.id(), empty.kind()), (Id::KubeconfigMissing, Kind::Unreachable));
    }

    #[test]
    fn changing_command_outside_local_clusters_needs_confirmation_or_name() {
        let current = ChosenContext { context: "prod".into(), origin: ContextOrigin::Current };
        let by_flag = ChosenContext { context: "prod".into(), origin: ContextOrigin::Flag };
        let made = ChosenContext { context: "kwok-local-hands".into(), origin: ContextOrigin::LocalCluster };
        let request = |choice, server, from_file, named| {
            required_confirmation(ChangeRequest { choice, server, from_file, set_is_named: named })
        };
        let (remote, loopback) = ("https://10.0.0.1:6443", "https://127.0.0.1:3000");
        assert_eq!(request(&current, remote, true, false).unwrap(), Confirmation::Ask);
        assert_eq!(request(&by_flag, remote, true, false).unwrap(), Confirmation::Given);
        assert_eq!(request(&by_flag, remote, false, true).unwrap(), Confirmation::Given);
        assert_eq!(request(&by_flag, remote, false, false).unwrap_err().id(), Id::TargetNotNamed);
        assert_eq!(request(&made, loopback, false, false).unwrap(), Confirmation::Given);
        assert_eq!(request(&by_flag, loopback, false, false).unwrap_err().id(), Id::TargetNotNamed);
    }
}
