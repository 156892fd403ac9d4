//! The crate's own error: what could not be done, to which object, because of what, and what to type next.

use std::fmt::Write as _;

use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location};

/// Label of the line that says what stands now.
const STATE: &str = "state";

/// The boxed cause of an [`Error`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;
/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error; it decides the exit code and nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something differs and the command was asked to say so.
    Differences,
    /// The command line is wrong, or a confirmation cannot be given.
    Usage,
    /// The configuration, or the choice of the cluster.
    Config,
    /// No answer from the cluster.
    Unreachable,
    /// The cluster does not know who is asking.
    Unauthenticated,
    /// The cluster knows and refuses.
    Forbidden,
    /// Somebody else's field or object.
    Ownership,
    /// The server refuses an object.
    Rejected,
    /// The rollout cannot succeed.
    Rollout,
    /// The command's own deadline passed.
    Deadline,
    /// `status`: works, but not as it should.
    Degraded,
    /// `status`: does not work, or nothing is deployed.
    Down,
    /// Another run holds the lock.
    Locked,
    /// A program, an engine or a port is missing on this computer.
    Prerequisite,
    /// Not classified.
    Internal,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP.
    HungUp,
}

impl Kind {
    /// Every kind, in the order of its exit code.
    pub const ALL: &'static [Kind] = &[
        Kind::Differences,
        Kind::Usage,
        Kind::Config,
        Kind::Unreachable,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::Ownership,
        Kind::Rejected,
        Kind::Rollout,
        Kind::Deadline,
        Kind::Degraded,
        Kind::Down,
        Kind::Locked,
        Kind::Prerequisite,
        Kind::Internal,
        Kind::HungUp,
        Kind::Interrupted,
        Kind::Terminated,
    ];

    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Differences => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::Unreachable => 4,
            Kind::Unauthenticated => 5,
            Kind::Forbidden => 6,
            Kind::Ownership => 7,
            Kind::Rejected => 8,
            Kind::Rollout => 9,
            Kind::Deadline => 10,
            Kind::Degraded => 11,
            Kind::Down => 12,
            Kind::Locked => 13,
            Kind::Prerequisite => 14,
            Kind::Internal => 70,
            Kind::HungUp => 129,
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
        }
    }

    /// What the exit code means, as `explain exit-code` prints it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Kind::Differences => "differences",
            Kind::Usage => "usage, or a confirmation is needed and nobody can give it",
            Kind::Config => "configuration, or the wrong cluster",
            Kind::Unreachable => "cluster unreachable",
            Kind::Unauthenticated => "not authenticated",
            Kind::Forbidden => "forbidden",
            Kind::Ownership => "somebody else's field or object",
            Kind::Rejected => "rejected by the server",
            Kind::Rollout => "rollout failed",
            Kind::Deadline => "deadline passed",
            Kind::Degraded => "degraded",
            Kind::Down => "down or nothing deployed",
            Kind::Locked => "locked by another run",
            Kind::Prerequisite => "a prerequisite is missing",
            Kind::Internal => "internal or unclassified",
            Kind::HungUp => "hung up",
            Kind::Interrupted => "interrupted",
            Kind::Terminated => "terminated",
        }
    }
}

/// A labelled line under the message: `object  pod/openhands-x`, `log  …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// `object`, `evidence`, `log`, `node`: one word.
    pub label: &'static str,
    /// One or more lines.
    pub text: String,
}

/// What could not be done.
pub struct Error(Box<Inner>);

struct Inner {
    id: Id,
    kind: Kind,
    message: String,
    facts: Vec<Fact>,
    hints: Vec<String>,
    diagnostics: Vec<Diagnostic>,
    location: Option<Location>,
    source: Option<Source>,
}

impl Error {
    /// An error with its id, its class and what could not be done (lowercase, no full stop).
    pub fn new(id: Id, kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            id,
            kind,
            message: message.into(),
            facts: Vec::new(),
            hints: Vec::new(),
            diagnostics: Vec::new(),
            location: None,
            source: None,
        }))
    }

    /// Mistakes in the configuration, all of them.
    pub fn config(message: impl Into<String>, diagnostics: Vec<Diagnostic>) -> Self {
        let id = diagnostics.first().map_or(Id::BadValue, |first| first.id);
        let mut error = Self::new(id, Kind::Config, message);
        error.0.diagnostics = diagnostics;
        error
    }

    /// An object of `[deploy].extra_manifests` that cannot be a member of the set.
    pub fn extra_manifest(message: impl Into<String>) -> Self {
        Self::new(Id::ExtraManifest, Kind::Config, message)
    }

    /// Something that handsctl does not know how to classify.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Id::Internal, Kind::Internal, message)
    }

    /// A file or a program on this computer failed; `action` is "cannot read ~/.kube/config".
    pub fn io(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(Id::Io, Kind::Internal, action).caused_by(source)
    }

    /// Adds a command to type next, or a fact that decides what to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.0.hints.contains(&hint) {
            self.0.hints.push(hint);
        }
        self
    }

    /// Adds a labelled line.
    #[must_use]
    pub fn fact(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.0.facts.push(Fact { label, text: text.into() });
        self
    }

    /// Says what stands now: what was changed, and whether anything is serving.
    #[must_use]
    pub fn state(self, text: impl Into<String>) -> Self {
        self.fact(STATE, text)
    }

    /// The same after more has happened: what was said before does not hold any more.
    #[must_use]
    pub fn replace_state(mut self, text: impl Into<String>) -> Self {
        self.0.facts.retain(|fact| fact.label != STATE);
        self.state(text)
    }

    /// What is known of its cause, as text to be kept: id, message, causes, and the labelled lines but for the state.
    #[must_use]
    pub fn evidence_text(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.0.id, self.0.message)];
        lines.extend(self.causes().into_iter().map(|cause| format!("caused by: {cause}")));
        let facts = self.0.facts.iter().filter(|fact| fact.label != STATE);
        lines.extend(facts.map(|fact| format!("{}: {}", fact.label, fact.text)));
        lines.join("\n")
    }

    /// Adds the place in the configuration that decides it.
    #[must_use]
    pub fn at_config(mut self, location: Option<Location>) -> Self {
        self.0.location = location;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// The class.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What could not be done.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Labelled lines under the message.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.0.facts
    }

    /// What to type next.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Mistakes in the configuration.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// The place in the configuration that decides it.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// The causes, outermost first. Libraries repeat their source in their own text,
    /// so what a later cause says again is cut off the earlier one.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static));
        while let Some(cause) = next {
            let text = cause.to_string();
            if let Some(previous) = causes.last_mut() {
                if let Some(own) = previous.strip_suffix(&text) {
                    *previous = own.trim_end_matches([':', ' ']).to_owned();
                }
                if previous.is_empty() {
                    causes.pop();
                }
            }
            if !text.is_empty() && causes.last() != Some(&text) && text != self.0.message {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("{} ({:?}): {}", self.0.id, self.0.kind, self.0.message);
        for cause in self.causes() {
            write!(text, "; caused by: {cause}")?;
        }
        for fact in &self.0.facts {
            write!(text, "; {}: {}", fact.label, fact.text)?;
        }
        for hint in &self.0.hints {
            write!(text, "; hint: {hint}")?;
        }
        f.write_str(&text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(&'static str, Option<Box<Wrapped>>);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|inner| inner as _)
        }
    }

    #[test]
    fn causes_do_not_repeat_each_other() {
        let inner = Wrapped("connection refused", None);
        let middle = Wrapped("tcp connect error: connection refused", Some(Box::new(inner)));
        let outer = Wrapped("ServiceError: tcp connect error: connection refused", Some(Box::new(middle)));
        let error = Error::internal("cannot reach the cluster").caused_by(outer);
        assert_eq!(error.causes(), ["ServiceError", "tcp connect error", "connection refused"]);
    }

    #[test]
    fn every_kind_has_its_own_exit_code() {
        let codes: std::collections::BTreeSet<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
    }
}
