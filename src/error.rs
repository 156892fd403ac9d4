//! The crate's error type: the failed action and its object, the cause, and the commands to run next.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use crate::catalogue::Id;
use crate::diagnostic::{ConfigKey, Diagnostic, Location};
use crate::reason;

/// The label of the line with the resulting state.
pub(crate) const STATE: &str = "state";

/// The boxed cause of an [`Error`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;
/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error. It alone determines the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The cluster differs from the configuration, and the command reports differences by its exit code.
    Differences,
    /// The command line is wrong, or a confirmation cannot be given.
    Usage,
    /// The configuration is invalid, or the wrong cluster is selected.
    Config,
    /// The API server does not respond.
    Unreachable,
    /// The API server does not accept the credentials.
    Unauthenticated,
    /// The account lacks a permission.
    Forbidden,
    /// A field or an object is owned by someone else.
    Ownership,
    /// The API server rejects an object.
    Rejected,
    /// The rollout failed.
    Rollout,
    /// The command timed out.
    Deadline,
    /// `status`: the set serves, but some objects are not ready.
    Degraded,
    /// `status`: a component does not serve, or nothing is deployed.
    Down,
    /// Another run holds the lock.
    Locked,
    /// A program, an engine or a port is missing on this computer.
    Prerequisite,
    /// An unclassified error.
    Internal,
    /// The command was ended by SIGINT.
    Interrupted,
    /// The command was ended by SIGTERM.
    Terminated,
    /// The command was ended by SIGHUP.
    HungUp,
}

impl Kind {
    /// Returns whether the server has answered that it does not execute the request. After a lost response the object
    /// may have been changed.
    #[must_use]
    pub const fn is_rejection(self) -> bool {
        matches!(self, Kind::Rejected | Kind::Ownership | Kind::Forbidden | Kind::Prerequisite)
    }

    /// All kinds, in the order of their exit codes.
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

    /// Returns the exit code of the process.
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

    /// Returns the meaning of the exit code for `explain exit-code`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Kind::Differences => "differences",
            Kind::Usage => "usage, or a confirmation is needed and there is no terminal to ask on",
            Kind::Config => "configuration, or the wrong cluster",
            Kind::Unreachable => "cluster unreachable",
            Kind::Unauthenticated => "not authenticated",
            Kind::Forbidden => "forbidden",
            Kind::Ownership => "field or object owned by someone else",
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
    /// The label, one word: `object`, `evidence`, `log`, `node`.
    pub label: &'static str,
    /// The text, one or more lines.
    pub text: String,
}

/// A row of a conflict table, for programs: a field of the plan that other managers own.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictingField {
    /// API group of the object; empty for the core group.
    pub group: String,
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object; None if it is cluster-scoped.
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
    /// The field's path with a leading dot: `.spec.replicas`.
    pub field: String,
    /// The managers of the field; none if they released it after the conflict.
    pub managers: Vec<ConflictingManager>,
    /// The value in the cluster and the planned one.
    pub values: ConflictingValues,
}

/// A manager of a conflicting field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictingManager {
    /// The name, such as `kubectl-edit`.
    pub name: String,
    /// The subresource that it wrote through, such as `scale`.
    pub subresource: Option<String>,
    /// The time of its last change, if the server recorded one.
    pub since: Option<Timestamp>,
}

/// The two values of a conflicting field.
#[derive(Debug, Clone, PartialEq)]
pub enum ConflictingValues {
    /// The data of a Secret: no output shows it.
    Hidden,
    /// The value in the cluster and the planned one; None without a value.
    Shown {
        /// The value in the cluster.
        live: Option<Value>,
        /// The planned value.
        planned: Option<Value>,
    },
}

impl ConflictingField {
    fn map_texts(&self, change: &impl Fn(&str) -> String) -> Self {
        let values = match &self.values {
            ConflictingValues::Hidden => ConflictingValues::Hidden,
            ConflictingValues::Shown { live, planned } => ConflictingValues::Shown {
                live: live.as_ref().map(|value| mapped_value(value, change)),
                planned: planned.as_ref().map(|value| mapped_value(value, change)),
            },
        };
        Self { values, ..self.clone() }
    }
}

/// Returns the value with each of its strings changed.
fn mapped_value(value: &Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => items.iter().map(|item| mapped_value(item, change)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), mapped_value(value, change))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// An error: the failed action with its cause, evidence and hints.
pub struct Error(Box<Inner>);

/// An object that the API server rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedObject {
    /// The kind that the server names fields of: a Pod where it rejects the pods of a workload.
    pub kind: String,
    /// The group of the member of the installation.
    pub group: String,
    /// The kind of the member.
    pub member_kind: String,
    /// The namespace of the member.
    pub namespace: Option<String>,
    /// The name of the member.
    pub name: String,
}

struct Inner {
    id: Id,
    kind: Kind,
    message: String,
    facts: Vec<Fact>,
    hints: Vec<String>,
    conflicts: Vec<ConflictingField>,
    diagnostics: Vec<Diagnostic>,
    location: Option<Location>,
    keys: Vec<ConfigKey>,
    claims: Vec<String>,
    rejected: Option<RejectedObject>,
    source: Option<Source>,
    /// What a library reported, where the source says the same in words: for `-v`.
    raw: Vec<String>,
    /// Further errors of the same check, which found all of them.
    others: Vec<Error>,
}

impl Error {
    /// Creates an error. The message is the failed action: lowercase, no full stop.
    pub fn new(id: Id, kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            id,
            kind,
            message: message.into(),
            facts: Vec::new(),
            hints: Vec::new(),
            conflicts: Vec::new(),
            diagnostics: Vec::new(),
            location: None,
            keys: Vec::new(),
            claims: Vec::new(),
            rejected: None,
            source: None,
            raw: Vec::new(),
            others: Vec::new(),
        }))
    }

    /// Creates an error with all diagnostics about a configuration.
    pub fn config(message: impl Into<String>, diagnostics: Vec<Diagnostic>) -> Self {
        let id = diagnostics.first().map_or(Id::BadValue, |first| first.id);
        let mut error = Self::new(id, Kind::Config, message);
        error.0.diagnostics = diagnostics;
        error
    }

    /// Creates an error about an object of `[deploy].extra_manifests` that cannot be a member of the set.
    pub fn extra_manifest(message: impl Into<String>) -> Self {
        Self::new(Id::ExtraManifest, Kind::Config, message)
    }

    /// Creates an error without a class.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Id::Internal, Kind::Internal, message)
    }

    /// Creates an error about a file or a program on this computer. `action` is "cannot read ~/.kube/config".
    pub fn io(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(Id::Io, Kind::Internal, action).caused_by(source)
    }

    /// Creates an error about a file that the user can repair: it cannot be read, written or created. `action` is "cannot
    /// read ~/.kube/config".
    pub fn file(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(Id::Io, Kind::Prerequisite, action).caused_by(source)
    }

    /// Adds a hint: a command to run next, or a fact that decides what to do. A hint is added only once.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.0.hints.contains(&hint) {
            self.0.hints.push(hint);
        }
        self
    }

    /// Keeps only the hints that still apply.
    #[must_use]
    pub fn retain_hints(mut self, applies: impl Fn(&str) -> bool) -> Self {
        self.0.hints.retain(|hint| applies(hint));
        self
    }

    /// Replaces id and exit code, after a later step has found the cause.
    #[must_use]
    pub fn replace_kind(mut self, id: Id, kind: Kind) -> Self {
        (self.0.id, self.0.kind) = (id, kind);
        self
    }

    /// Replaces all hints by one that is certain.
    #[must_use]
    pub fn replace_hints(mut self, hint: impl Into<String>) -> Self {
        self.0.hints = vec![hint.into()];
        self
    }

    /// Changes each hint, such as to repeat flags in a suggested command.
    #[must_use]
    pub fn map_hints(mut self, change: impl Fn(&str) -> String) -> Self {
        for hint in &mut self.0.hints {
            *hint = change(hint);
        }
        for other in std::mem::take(&mut self.0.others) {
            self.0.others.push(other.map_hints(&change as &dyn Fn(&str) -> String));
        }
        self
    }

    /// Returns the error with each of its texts changed, such as to mask secrets.
    #[must_use]
    pub fn map_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let source = self
            .causes()
            .iter()
            .rev()
            .fold(None, |source, cause| Some(Box::new(TextCause { text: change(cause), source })));
        Self(Box::new(Inner {
            id: self.0.id,
            kind: self.0.kind,
            message: change(&self.0.message),
            facts: self
                .0
                .facts
                .iter()
                .map(|fact| Fact { label: fact.label, text: change(&fact.text) })
                .collect(),
            hints: self.0.hints.iter().map(|hint| change(hint)).collect(),
            conflicts: self.0.conflicts.iter().map(|conflict| conflict.map_texts(&change)).collect(),
            diagnostics: self.0.diagnostics.iter().map(|diagnostic| diagnostic.map_texts(&change)).collect(),
            location: self.0.location.clone(),
            keys: self.0.keys.clone(),
            claims: self.0.claims.clone(),
            rejected: self.0.rejected.clone(),
            source: source.map(|source| source as Source),
            raw: self.0.raw.iter().map(|text| change(text)).collect(),
            // As a trait object: the type of a closure that contains itself has no end.
            others: self
                .0
                .others
                .iter()
                .map(|other| other.map_texts(&change as &dyn Fn(&str) -> String))
                .collect(),
        }))
    }

    /// Adds a labelled line.
    #[must_use]
    pub fn fact(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.0.facts.push(Fact { label, text: text.into() });
        self
    }

    /// Adds rows of the conflict table, for programs. A labelled line shows the table to people.
    #[must_use]
    pub fn conflicting(mut self, fields: impl IntoIterator<Item = ConflictingField>) -> Self {
        self.0.conflicts.extend(fields);
        self
    }

    /// Adds the resulting state: what was changed, and whether the application is serving.
    #[must_use]
    pub fn state(self, text: impl Into<String>) -> Self {
        self.fact(STATE, text)
    }

    /// Whether the error describes the resulting state.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.0.facts.iter().any(|fact| fact.label == STATE)
    }

    /// Replaces the state, after a later step has changed it.
    #[must_use]
    pub fn replace_state(mut self, text: impl Into<String>) -> Self {
        self.0.facts.retain(|fact| fact.label != STATE);
        self.state(text)
    }

    /// Returns the evidence as text to store: id, message, causes, and the labelled lines without the state.
    #[must_use]
    pub fn evidence_text(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.0.id, self.0.message)];
        lines.extend(self.causes().into_iter().map(|cause| format!("caused by: {cause}")));
        let facts = self.0.facts.iter().filter(|fact| fact.label != STATE);
        lines.extend(facts.map(|fact| format!("{}: {}", fact.label, fact.text)));
        lines.extend(self.0.others.iter().map(Self::evidence_text));
        lines.join("\n")
    }

    /// Adds further errors of the same check. Their hints and conflicts follow those of this error, whose exit code stays.
    #[must_use]
    pub fn with_others(self, others: impl IntoIterator<Item = Self>) -> Self {
        others.into_iter().fold(self, |mut first, other| {
            first =
                other.hints().iter().fold(first, Self::hint).conflicting(other.conflicts().iter().cloned());
            first.0.others.push(other);
            first
        })
    }

    /// Returns the further errors of the same check.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.0.others
    }

    /// Changes this error and each further one of the same check.
    #[must_use]
    pub fn map_each(mut self, change: impl Fn(Self) -> Self) -> Self {
        let others = std::mem::take(&mut self.0.others);
        let mut first = change(self);
        first.0.others = others.into_iter().map(change).collect();
        first
    }

    /// Sets the location in the configuration that causes the error.
    #[must_use]
    pub fn at_config(mut self, location: Option<Location>) -> Self {
        self.0.location = location;
        self
    }

    /// Sets the keys of config.toml that cause the error, the most likely one first. The first one that the user set is
    /// the location.
    #[must_use]
    pub fn with_keys(mut self, keys: Vec<ConfigKey>) -> Self {
        if let Some(location) = keys.iter().find_map(|key| key.location.as_ref()) {
            self.0.location = Some(location.clone());
        }
        self.0.keys = keys;
        self
    }

    /// Sets the object that the API server rejected. The cause names fields of its kind.
    #[must_use]
    pub fn of_rejected(mut self, object: RejectedObject) -> Self {
        self.0.rejected = Some(object);
        self
    }

    /// Sets the cause. What the operating system or a library reported is said in words, and kept for `-v`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        let source = source.into();
        if let Some(words) = reason::in_words(&*source) {
            return self.caused_by_in_words(words, source);
        }
        self.0.source = Some(source);
        self
    }

    /// Sets the cause in words. What the library reported is kept for `-v`.
    #[must_use]
    pub fn caused_by_in_words(mut self, text: impl Into<String>, library: impl Into<Source>) -> Self {
        self.0.source = Some(library.into());
        let raw = self.causes();
        let text = text.into();
        if raw != [text.as_str()] {
            self.0.raw = raw;
        }
        self.0.source = Some(text.into());
        self
    }

    /// Replaces the cause by words. What was reported is kept for `-v`.
    #[must_use]
    pub fn cause_in_words(mut self, text: impl Into<String>) -> Self {
        let raw = self.causes();
        self.0.raw.splice(0..0, raw);
        self.0.source = Some(text.into().into());
        self
    }

    /// Returns what a library reported, outermost first; empty where the causes are its report.
    #[must_use]
    pub fn raw_causes(&self) -> &[String] {
        &self.0.raw
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// Returns the class.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the failed action.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the labelled lines under the message.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.0.facts
    }

    /// Returns the hints.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Returns the fields that other managers own.
    #[must_use]
    pub fn conflicts(&self) -> &[ConflictingField] {
        &self.0.conflicts
    }

    /// Returns the diagnostics about the configuration.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// Returns the location in the configuration that causes the error.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// Returns the keys of config.toml that cause the error.
    #[must_use]
    pub fn keys(&self) -> &[ConfigKey] {
        &self.0.keys
    }

    /// Adds the claims that cause it, as `NAMESPACE/NAME`.
    #[must_use]
    pub fn with_claims(mut self, claims: Vec<String>) -> Self {
        self.0.claims = claims;
        self
    }

    /// Returns the claims that cause it.
    #[must_use]
    pub fn claims(&self) -> &[String] {
        &self.0.claims
    }

    /// Returns the object that the API server rejected.
    #[must_use]
    pub fn rejected(&self) -> Option<&RejectedObject> {
        self.0.rejected.as_ref()
    }

    /// Returns the message with its causes on one line, for a warning.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let causes = self.causes();
        std::iter::once(self.message())
            .chain(causes.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(": ")
    }

    /// Returns the causes, outermost first. Libraries often append the text of their source to their own, so the text
    /// of a later cause is cut off from the end of the earlier one.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static));
        while let Some(cause) = next {
            let text = cause.to_string();
            if let Some(previous) = causes.last_mut() {
                if let Some(own_text) = previous.strip_suffix(&text) {
                    *previous = own_text.trim_end_matches([':', ' ']).to_owned();
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

/// A cause of which only the text is left.
#[derive(Debug)]
struct TextCause {
    text: String,
    source: Option<Box<TextCause>>,
}

impl std::fmt::Display for TextCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TextCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
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
        for other in &self.0.others {
            write!(text, "; also: {other:?}")?;
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
    fn mapped_error_keeps_id_and_all_texts() {
        let source = Wrapped("outer", Some(Box::new(Wrapped("inner", None))));
        let conflict = ConflictingField {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: None,
            name: "oh".into(),
            field: ".spec.x".into(),
            managers: Vec::new(),
            values: ConflictingValues::Shown {
                live: Some(serde_json::json!(["live", { "key": "text" }, 1])),
                planned: None,
            },
        };
        let error = Error::internal("message").fact("log", "fact").hint("hint").caused_by(source);
        let error = error.conflicting([conflict]);
        let mapped = error.map_texts(|text| format!("<{text}>"));
        assert_eq!(
            (mapped.id(), mapped.kind(), mapped.message()),
            (Id::Internal, Kind::Internal, "<message>")
        );
        assert_eq!(mapped.causes(), ["<outer>", "<inner>"]);
        assert_eq!((mapped.facts()[0].text.as_str(), mapped.hints()), ("<fact>", &["<hint>".to_owned()][..]));
        let live = Some(serde_json::json!(["<live>", { "key": "<text>" }, 1]));
        assert_eq!(mapped.conflicts()[0].values, ConflictingValues::Shown { live, planned: None });
    }

    #[test]
    fn others_keep_their_cause_and_add_their_hints_once() {
        let error = |name: &str, hint: &str| {
            Error::new(Id::Rejected, Kind::Rejected, format!("cannot apply {name}"))
                .caused_by("why")
                .hint(hint)
        };
        let all = error("a", "same").with_others([error("b", "same"), error("c", "other")]);
        assert_eq!(all.hints(), ["same", "other"]);
        assert_eq!(all.others()[1].causes(), ["why"]);
        let text = all
            .map_hints(|hint| format!("<{hint}>"))
            .map_texts(|text| text.replace("why", "**"))
            .evidence_text();
        assert!(text.contains("cannot apply c\ncaused by: **"), "{text}");
        let located = error("a", "").with_others([error("b", "")]).map_each(|error| error.fact("seen", "x"));
        assert_eq!((located.facts().len(), located.others()[0].facts().len()), (1, 1));
    }

    #[test]
    fn exit_codes_are_unique() {
        let codes: std::collections::BTreeSet<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
    }
}
