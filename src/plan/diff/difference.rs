//! What a deploy would change about one object.

use super::effect::Effect;
use super::field_change::FieldChange;
use crate::error::Error;
use crate::object::ObjectId;

/// What a deploy would make different about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Which.
    pub id: ObjectId,
    /// What would become of it.
    pub outcome: DiffOutcome,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
    /// What follows from it.
    pub effects: Vec<Effect>,
    /// Why the server's word is missing; None where it was asked or need not be.
    pub unverified: Option<String>,
}

impl Difference {
    /// An object without anything more to say of it.
    #[must_use]
    pub fn new(id: ObjectId, outcome: DiffOutcome) -> Self {
        Self { id, outcome, fields: Vec::new(), effects: Vec::new(), unverified: None }
    }

    /// The same, without the server's word.
    #[must_use]
    pub fn unverified(mut self, why: impl Into<String>) -> Self {
        self.unverified = Some(why.into());
        self
    }

    /// The same, with something more that follows from it.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// A difference, and the server's refusal to say more.
#[derive(Debug)]
pub struct Compared {
    /// What is known.
    pub difference: Difference,
    /// Why a deploy would fail at this object.
    pub refused: Option<Error>,
}

impl Compared {
    /// An object of which only the refusal is known.
    #[must_use]
    pub fn unknown(id: ObjectId, refused: Error) -> Self {
        Self { difference: Difference::new(id, DiffOutcome::Unknown), refused: Some(refused) }
    }
}

impl From<Difference> for Compared {
    fn from(difference: Difference) -> Self {
        Self { difference, refused: None }
    }
}

/// What a deploy would do with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffOutcome {
    /// It is not there, and would be made.
    Created,
    /// Some of its fields would be others.
    Changed,
    /// It is no longer planned, and would be deleted once the rest works.
    Deleted {
        /// Whether data would go with it.
        data_loss: bool,
    },
    /// It is no longer planned, and stays: why.
    Kept(String),
    /// It is as it should be.
    Unchanged,
    /// Nobody can tell; the refusal beside it says why.
    Unknown,
}

impl DiffOutcome {
    /// The word for people and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            DiffOutcome::Created => "created",
            DiffOutcome::Changed => "changed",
            DiffOutcome::Deleted { .. } => "deleted",
            DiffOutcome::Kept(_) => "kept",
            DiffOutcome::Unchanged => "unchanged",
            DiffOutcome::Unknown => "unknown",
        }
    }

    /// Whether a deploy would change something.
    #[must_use]
    pub const fn is_difference(&self) -> bool {
        matches!(self, DiffOutcome::Created | DiffOutcome::Changed | DiffOutcome::Deleted { .. })
    }
}
