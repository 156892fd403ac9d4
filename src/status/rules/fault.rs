//! A fault of one object, before the evaluation decides whether it is final.

use jiff::Timestamp;

use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::finding::{Finding, Lookup};
use crate::status::grace::FinalAt;

/// A fault of one object.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) finding: Finding,
    /// The key of the cause: faults with the same cause become one finding.
    pub(crate) cause: String,
    pub(crate) final_at: FinalAt,
    /// The fault in a few words, for the object's state: `image cannot be pulled`.
    pub(crate) reason: String,
    /// When the faulty object was created. The run may have fixed a fault of an older object.
    pub(crate) created: Option<Timestamp>,
    /// Whether its symptom was observed. A fault of which only time tells, such as a probe that has not failed yet, is
    /// none before it is final.
    pub(crate) is_observed: bool,
}

impl Fault {
    /// Creates a fault that is final at once. Its message is the key of its cause, unless [`Fault::caused_by`] sets
    /// one.
    pub(crate) fn new(
        id: Id,
        object: ObjectId,
        message: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self {
            cause: message.clone(),
            final_at: FinalAt::Now,
            reason: reason.into(),
            created: None,
            is_observed: true,
            finding: Finding::new(id, object, message),
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

    pub(crate) fn final_at(mut self, final_at: FinalAt) -> Self {
        self.final_at = final_at;
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

    pub(crate) fn lookups(mut self, lookups: impl IntoIterator<Item = Lookup>) -> Self {
        self.finding.lookups.extend(lookups);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.finding.hints.push(hint.into());
        self
    }

    pub(crate) fn observed(mut self, is_observed: bool) -> Self {
        self.is_observed = is_observed;
        self
    }

    pub(crate) fn created(mut self, created: Option<Timestamp>) -> Self {
        self.created = created;
        self
    }
}
