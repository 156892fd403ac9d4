//! A fault of one object before the judge decides whether it is final.

use jiff::Timestamp;

use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::finding::{Finding, Lookup};
use crate::status::grace::Due;

/// A fault of one object.
#[derive(Debug, Clone)]
pub(crate) struct Symptom {
    pub(crate) finding: Finding,
    /// Equal for two objects with one cause.
    pub(crate) cause: String,
    pub(crate) due: Due,
    /// The same in few words, for the gap: `image cannot be pulled`.
    pub(crate) gap: String,
    /// When the faulty object was created: what is older than the run may have been mended by it.
    pub(crate) born: Option<Timestamp>,
}

impl Symptom {
    /// A fault that is final. Message and container are the cause, unless [`Symptom::caused_by`] names it.
    pub(crate) fn new(id: Id, object: ObjectId, message: impl Into<String>, gap: impl Into<String>) -> Self {
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

    pub(crate) fn container(mut self, container: &str) -> Self {
        self.finding.container = Some(container.to_owned());
        self
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    pub(crate) fn due(mut self, due: Due) -> Self {
        self.due = due;
        self
    }

    pub(crate) fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.finding.evidence.extend(evidence);
        self
    }

    pub(crate) fn lookup(mut self, lookup: Lookup) -> Self {
        self.finding.lookups.push(lookup);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.finding.hints.push(hint.into());
        self
    }

    pub(crate) fn born(mut self, born: Option<Timestamp>) -> Self {
        self.born = born;
        self
    }
}
