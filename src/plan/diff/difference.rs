//! The result of the comparison of one object.

use super::addition::Addition;
use super::effect::Effect;
use super::field_change::FieldChange;
use crate::error::Error;
use crate::object::ObjectId;

/// The changes that a deploy would make to one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The object's identity.
    pub id: ObjectId,
    /// The overall outcome.
    pub outcome: DiffOutcome,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
    /// The consequences.
    pub effects: Vec<Effect>,
    /// The fields that others added and a deploy keeps. They are not a difference.
    pub additions: Vec<Addition>,
    /// The reason why no server-side dry run confirmed the difference; `None` if one did, or none is needed.
    pub unverified: Option<String>,
}

impl Difference {
    /// Creates a difference without fields and effects.
    #[must_use]
    pub fn new(id: ObjectId, outcome: DiffOutcome) -> Self {
        Self { id, outcome, fields: Vec::new(), effects: Vec::new(), additions: Vec::new(), unverified: None }
    }

    /// Marks the difference as not confirmed by a server-side dry run.
    #[must_use]
    pub fn unverified(mut self, reason: impl Into<String>) -> Self {
        self.unverified = Some(reason.into());
        self
    }

    /// Adds an effect.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// A difference, and the API server's rejection if there was one.
#[derive(Debug)]
pub struct Compared {
    /// The difference, as far as it is known.
    pub difference: Difference,
    /// The error with which a deploy would fail at this object.
    pub deploy_error: Option<Error>,
}

impl Compared {
    /// Creates the result for an object of which only the rejection is known.
    #[must_use]
    pub fn unknown(id: ObjectId, refused: Error) -> Self {
        Self { difference: Difference::new(id, DiffOutcome::Unknown), deploy_error: Some(refused) }
    }
}

impl From<Difference> for Compared {
    fn from(difference: Difference) -> Self {
        Self { difference, deploy_error: None }
    }
}

/// The outcome of a deploy for one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffOutcome {
    /// It does not exist and would be created.
    Created,
    /// Some of its fields would change.
    Changed,
    /// It is no longer planned and would be deleted once the new set is ready.
    Deleted {
        /// Whether its data would be deleted with it.
        data_loss: bool,
    },
    /// It is no longer planned but kept, for this reason.
    Kept(String),
    /// It exists from an earlier revision and would not change, but the pod would use it instead of the object of this
    /// name.
    Reused(String),
    /// It would not change.
    Unchanged,
    /// It was not compared, for this reason: a right or a value is missing.
    NotCompared(String),
    /// The comparison failed; the rejection beside it has the reason.
    Unknown,
}

impl DiffOutcome {
    /// Returns the word for text and JSON output.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            DiffOutcome::Created => "created",
            DiffOutcome::Changed => "changed",
            DiffOutcome::Deleted { .. } => "deleted",
            DiffOutcome::Kept(_) => "kept",
            DiffOutcome::Reused(_) => "reused",
            DiffOutcome::Unchanged => "unchanged",
            DiffOutcome::NotCompared(_) => "not-compared",
            DiffOutcome::Unknown => "unknown",
        }
    }

    /// Returns whether a deploy would change the object.
    #[must_use]
    pub const fn is_difference(&self) -> bool {
        matches!(self, DiffOutcome::Created | DiffOutcome::Changed | DiffOutcome::Deleted { .. })
    }
}
