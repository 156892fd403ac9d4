//! A fault of one object before the judge decides whether it is final.

use jiff::Timestamp;

use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::finding::{Finding, Lookup};
use crate::status::grace::FinalAt;

/// A fault of one object.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) finding: Finding,
    /// Equal for two objects with one cause.
    pub(crate) cause: String,
    pub(crate) final_at: FinalAt,
    /// The same in few words, for the gap: `image cannot be pulled`.
    pub(crate) reason: String,
    /// When the faulty object was created: what is older than the run may have been mended by it.
    pub(crate) created: Option<Timestamp>,
}

impl Fault {
    /// A fault that is final. Message and container are the cause, unless [`Symptom::caused_by`] names it.
    pub(crate) fn new(id: Id, object: ObjectId, message: impl Into<String>, gap: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            cause: message.clone(),
            final_at: FinalAt::Now,
            reason: gap.into(),
            created: None,
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

    pub(crate) fn final_at(mut self, due: FinalAt) -> Self {
        self.final_at = due;
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

    pub(crate) fn created(mut self, born: Option<Timestamp>) -> Self {
        self.created = born;
        self
    }
}
