//! A fault of one object before the judge decides whether it is final.

use jiff::Timestamp;

use super::finding::{Finding, Lookup};
use crate::catalogue::Id;
use crate::object::ObjectId;

/// When a fault becomes final if nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It cannot heal without a change.
    Now,
    /// Its grace ends then.
    At(Timestamp),
    /// Not by time: a number is not reached yet.
    Never,
}

impl Due {
    /// Not before `earliest`.
    pub(super) fn not_before(self, earliest: Timestamp) -> Self {
        match self {
            Due::Now => Due::At(earliest),
            Due::At(time) => Due::At(time.max(earliest)),
            Due::Never => Due::Never,
        }
    }

    /// Whether the fault is final.
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        match self {
            Due::Now => true,
            Due::At(time) => time <= now,
            Due::Never => false,
        }
    }

    /// When to judge again although nothing happened.
    pub(super) fn recheck(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Due::At(time) if time > now => Some(time),
            _ => None,
        }
    }
}

/// A fault of one object.
#[derive(Debug, Clone)]
pub(super) struct Symptom {
    pub(super) finding: Finding,
    /// Equal for two objects with one cause.
    pub(super) cause: String,
    pub(super) due: Due,
    /// The same in few words, for the gap: `image cannot be pulled`.
    pub(super) gap: String,
    /// When the faulty object was created: what is older than the run may have been mended by it.
    pub(super) born: Option<Timestamp>,
}

impl Symptom {
    /// A fault that is final. Message and container are the cause, unless [`Symptom::caused_by`] names it.
    pub(super) fn new(id: Id, object: ObjectId, message: impl Into<String>, gap: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            cause: message.clone(),
            due: Due::Now,
            gap: gap.into(),
            born: None,
            finding: Finding {
                id,
                object,
                container: None,
                message,
                evidence: Vec::new(),
                log: Vec::new(),
                affected: None,
                lookups: Vec::new(),
                hints: Vec::new(),
            },
        }
    }

    pub(super) fn container(mut self, container: &str) -> Self {
        self.finding.container = Some(container.to_owned());
        self
    }

    pub(super) fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    pub(super) fn due(mut self, due: Due) -> Self {
        self.due = due;
        self
    }

    pub(super) fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.finding.evidence.extend(evidence);
        self
    }

    pub(super) fn lookup(mut self, lookup: Lookup) -> Self {
        self.finding.lookups.push(lookup);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.finding.hints.push(hint.into());
        self
    }

    pub(super) fn born(mut self, born: Option<Timestamp>) -> Self {
        self.born = born;
        self
    }
}
