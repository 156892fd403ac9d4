//! Which cluster: the choice, made from what is typed, written and there. Pure.

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// What the choice depends on.
#[derive(Debug, Clone, Default)]
pub struct ContextSources {
    /// `--context`.
    pub flag: Option<String>,
    /// `[cluster].context`.
    pub pin: Option<String>,
    /// The context of the local cluster that handsctl made under `[cluster].name`.
    pub made: Option<String>,
    /// The kubeconfig's current context.
    pub current: Option<String>,
    /// The kubeconfig's contexts.
    pub known: Vec<String>,
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
    /// The pod's own account.
    InCluster,
}

impl ContextOrigin {
    /// For the first line of every command.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            ContextOrigin::Flag => "--context",
            ContextOrigin::Pin => "[cluster].context",
            ContextOrigin::LocalCluster => "[cluster].name",
            ContextOrigin::Current => "the current context",
            ContextOrigin::InCluster => "the pod's own account",
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

/// `--context` > the pin > the local cluster > the current context; the pin refuses another `--context`.
///
/// # Errors
/// Exit 3 for a context that does not exist or contradicts the pin, exit 4 where there is nothing to choose from.
pub fn choose_context(candidates: &ContextSources) -> Result<ChosenContext> {
    let chosen = match (&candidates.flag, &candidates.pin, &candidates.made, &candidates.current) {
        (Some(flag), Some(pin), ..) if flag != pin => {
            return Err(Error::new(
                Id::ContextPinned,
                Kind::Config,
                format!("--context {flag} contradicts the pin [cluster].context = \"{pin}\""),
            )
            .hint(format!("--set cluster.context={flag} changes the pin for this run")));
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
                "there is no cluster to work with: no kubeconfig with a current context",
            )
            .hint("handsctl up makes a local cluster")
            .hint("--context NAME chooses one of the kubeconfig's contexts"));
        }
    };
    if candidates.known.contains(&chosen.context) {
        return Ok(chosen);
    }
    let known = if candidates.known.is_empty() { "none".to_owned() } else { candidates.known.join(", ") };
    Err(Error::new(
        Id::ContextMissing,
        Kind::Config,
        format!("the kubeconfig has no context `{}` (from {})", chosen.context, chosen.origin.words()),
    )
    .hint(format!("contexts there: {known}")))
}

/// What a changing command must be told before it may go on.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRequest<'a> {
    /// The chosen context.
    pub choice: &'a ChosenContext,
    /// The server's address.
    pub server: &'a str,
    /// Whether a config file was read.
    pub from_file: bool,
    /// Whether both `-n` and `--name` were typed.
    pub named: bool,
}

/// What a changing command needs before it may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Nothing.
    Given,
    /// Somebody has to say that the current context is meant.
    Ask,
}

/// Whether a changing command may go on with this choice.
///
/// # Errors
/// Exit 3 outside local clusters where the set is not named: nobody tears down the default set from the
/// wrong folder.
pub fn required_confirmation(intent: ChangeRequest<'_>) -> Result<Confirmation> {
    let local = is_local(&intent.choice.context, intent.server);
    if !local && !intent.from_file && !intent.named {
        return Err(Error::new(
            Id::TargetNotNamed,
            Kind::Config,
            format!(
                "nothing says which set is meant in `{}`, which is no local cluster",
                intent.choice.context
            ),
        )
        .hint("give a config file with --config, or both -n NAMESPACE and --name NAME"));
    }
    Ok(if intent.choice.origin == ContextOrigin::Current { Confirmation::Ask } else { Confirmation::Given })
}

/// A cluster of kind or kwok on this computer. Loopback alone says nothing: it may be a tunnel.
#[must_use]
pub fn is_local(context: &str, server: &str) -> bool {
    let by_name = context.starts_with("kind-") || context.starts_with("kwok-");
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let loopback = ["127.", "localhost", "[::1]"].iter().any(|prefix| host.starts_with(prefix));
    by_name && loopback
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
            made: some("kwok-local-hands"),
            current: some("prod"),
            known: ["kwok-local-hands", "prod", "stage"].map(str::to_owned).into(),
        }
    }

    #[test]
    fn the_order_of_the_choice() {
        let chosen = |candidates: ContextSources| {
            choose_context(&candidates).map(|choice| (choice.context, choice.origin))
        };
        assert_eq!(chosen(all()).unwrap(), ("kwok-local-hands".into(), ContextOrigin::LocalCluster));
        assert_eq!(
            chosen(ContextSources { made: None, ..all() }).unwrap(),
            ("prod".into(), ContextOrigin::Current)
        );
        assert_eq!(
            chosen(ContextSources { flag: some("stage"), ..all() }).unwrap(),
            ("stage".into(), ContextOrigin::Flag)
        );
        assert_eq!(
            chosen(ContextSources { pin: some("stage"), ..all() }).unwrap(),
            ("stage".into(), ContextOrigin::Pin)
        );
        let both = ContextSources { pin: some("stage"), flag: some("prod"), ..all() };
        assert_eq!(choose_context(&both).unwrap_err().id(), Id::ContextPinned);
        let same = ContextSources { pin: some("stage"), flag: some("stage"), ..all() };
        assert_eq!(choose_context(&same).unwrap().origin, ContextOrigin::Pin);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let wrong = choose_context(&ContextSources { flag: some("x"), ..all() }).unwrap_err();
        assert_eq!((wrong.id(), wrong.kind()), (Id::ContextMissing, Kind::Config));
        let nothing = choose_context(&ContextSources::default()).unwrap_err();
        assert_eq!((nothing.id(), nothing.kind()), (Id::KubeconfigMissing, Kind::Unreachable));
    }

    #[test]
    fn a_changing_command_does_not_slip_into_a_strange_cluster() {
        let current = ChosenContext { context: "prod".into(), origin: ContextOrigin::Current };
        let typed = ChosenContext { context: "prod".into(), origin: ContextOrigin::Flag };
        let made = ChosenContext { context: "kwok-local-hands".into(), origin: ContextOrigin::LocalCluster };
        let intent = |choice, server, from_file, named| {
            required_confirmation(ChangeRequest { choice, server, from_file, named })
        };
        let (far, near) = ("https://10.0.0.1:6443", "https://127.0.0.1:3000");
        assert_eq!(intent(&current, far, true, false).unwrap(), Confirmation::Ask);
        assert_eq!(intent(&typed, far, true, false).unwrap(), Confirmation::Given);
        assert_eq!(intent(&typed, far, false, true).unwrap(), Confirmation::Given);
        assert_eq!(intent(&typed, far, false, false).unwrap_err().id(), Id::TargetNotNamed);
        assert_eq!(intent(&made, near, false, false).unwrap(), Confirmation::Given);
        assert_eq!(intent(&typed, near, false, false).unwrap_err().id(), Id::TargetNotNamed);
    }
}
