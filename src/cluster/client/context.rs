//! Which cluster: the choice, made from what is typed, written and there. Pure.

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// What the choice depends on.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
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
pub enum Origin {
    /// `--context`.
    Flag,
    /// `[cluster].context`.
    Pin,
    /// The local cluster of `[cluster].name`.
    Made,
    /// The kubeconfig's current context.
    Current,
    /// The pod's own account.
    InCluster,
}

impl Origin {
    /// For the first line of every command.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Origin::Flag => "--context",
            Origin::Pin => "[cluster].context",
            Origin::Made => "[cluster].name",
            Origin::Current => "the current context",
            Origin::InCluster => "the pod's own account",
        }
    }
}

/// A chosen context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name in the kubeconfig.
    pub context: String,
    /// Where the choice came from.
    pub origin: Origin,
}

/// `--context` > the pin > the local cluster > the current context; the pin refuses another `--context`.
///
/// # Errors
/// Exit 3 for a context that does not exist or contradicts the pin, exit 4 where there is nothing to choose from.
pub fn choose(candidates: &Candidates) -> Result<Choice> {
    let chosen = match (&candidates.flag, &candidates.pin, &candidates.made, &candidates.current) {
        (Some(flag), Some(pin), ..) if flag != pin => {
            return Err(Error::new(
                Id::ContextPinned,
                Kind::Config,
                format!("--context {flag} contradicts the pin [cluster].context = \"{pin}\""),
            )
            .hint(format!("--set cluster.context={flag} changes the pin for this run")));
        }
        (_, Some(pin), ..) => Choice { context: pin.clone(), origin: Origin::Pin },
        (Some(flag), None, ..) => Choice { context: flag.clone(), origin: Origin::Flag },
        (None, None, Some(made), _) => Choice { context: made.clone(), origin: Origin::Made },
        (None, None, None, Some(current)) => Choice { context: current.clone(), origin: Origin::Current },
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
pub struct Intent<'a> {
    /// The chosen context.
    pub choice: &'a Choice,
    /// The server's address.
    pub server: &'a str,
    /// Whether a config file was read.
    pub from_file: bool,
    /// Whether both `-n` and `--name` were typed.
    pub named: bool,
}

/// What a changing command needs before it may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
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
pub fn consent(intent: Intent<'_>) -> Result<Consent> {
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
    Ok(if intent.choice.origin == Origin::Current { Consent::Ask } else { Consent::Given })
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

    fn all() -> Candidates {
        Candidates {
            flag: None,
            pin: None,
            made: some("kwok-local-hands"),
            current: some("prod"),
            known: ["kwok-local-hands", "prod", "stage"].map(str::to_owned).into(),
        }
    }

    #[test]
    fn the_order_of_the_choice() {
        let chosen =
            |candidates: Candidates| choose(&candidates).map(|choice| (choice.context, choice.origin));
        assert_eq!(chosen(all()).unwrap(), ("kwok-local-hands".into(), Origin::Made));
        assert_eq!(chosen(Candidates { made: None, ..all() }).unwrap(), ("prod".into(), Origin::Current));
        assert_eq!(
            chosen(Candidates { flag: some("stage"), ..all() }).unwrap(),
            ("stage".into(), Origin::Flag)
        );
        assert_eq!(
            chosen(Candidates { pin: some("stage"), ..all() }).unwrap(),
            ("stage".into(), Origin::Pin)
        );
        let both = Candidates { pin: some("stage"), flag: some("prod"), ..all() };
        assert_eq!(choose(&both).unwrap_err().id(), Id::ContextPinned);
        let same = Candidates { pin: some("stage"), flag: some("stage"), ..all() };
        assert_eq!(choose(&same).unwrap().origin, Origin::Pin);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let wrong = choose(&Candidates { flag: some("x"), ..all() }).unwrap_err();
        assert_eq!((wrong.id(), wrong.kind()), (Id::ContextMissing, Kind::Config));
        let nothing = choose(&Candidates::default()).unwrap_err();
        assert_eq!((nothing.id(), nothing.kind()), (Id::KubeconfigMissing, Kind::Unreachable));
    }

    #[test]
    fn a_changing_command_does_not_slip_into_a_strange_cluster() {
        let current = Choice { context: "prod".into(), origin: Origin::Current };
        let typed = Choice { context: "prod".into(), origin: Origin::Flag };
        let made = Choice { context: "kwok-local-hands".into(), origin: Origin::Made };
        let intent = |choice, server, from_file, named| consent(Intent { choice, server, from_file, named });
        let (far, near) = ("https://10.0.0.1:6443", "https://127.0.0.1:3000");
        assert_eq!(intent(&current, far, true, false).unwrap(), Consent::Ask);
        assert_eq!(intent(&typed, far, true, false).unwrap(), Consent::Given);
        assert_eq!(intent(&typed, far, false, true).unwrap(), Consent::Given);
        assert_eq!(intent(&typed, far, false, false).unwrap_err().id(), Id::TargetNotNamed);
        assert_eq!(intent(&made, near, false, false).unwrap(), Consent::Given);
        assert_eq!(intent(&typed, near, false, false).unwrap_err().id(), Id::TargetNotNamed);
    }
}
