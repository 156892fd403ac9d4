//! What is expected of a set, and what the evaluation answers.

use jiff::Timestamp;

use super::finding::Finding;
use crate::object::ObjectId;

/// An object of the set, as the server confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which.
    pub id: ObjectId,
    /// Its UID: an object of the same name made later is another one.
    pub uid: String,
    /// The generation that our PATCH returned, or that the list showed.
    pub generation: i64,
    /// Our PATCH changed it in this run.
    pub changed: bool,
}

/// What the live objects amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// One for each expected object, in their order.
    pub objects: Vec<ObjectState>,
    /// What is final: the root cause first, one for each cause.
    pub findings: Vec<Finding>,
    /// What will be final when its grace is over.
    pub pending: Vec<Finding>,
    /// What follows.
    pub verdict: Verdict,
}

/// How one object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Which.
    pub id: ObjectId,
    /// Whether it is as it should be.
    pub ready: bool,
    /// The state, and the gap if there is one: `1/1`, `0/1: pulling image`.
    pub message: String,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All objects are as they should be.
    Ready,
    /// Not yet.
    Waiting {
        /// When to judge again although nothing happened: a grace runs out.
        until: Option<Timestamp>,
    },
    /// At least one cause is final.
    Failed,
}
