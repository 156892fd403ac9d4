//! The expected objects of a set, and the result of their evaluation.

use jiff::Timestamp;

use super::finding::Finding;
use crate::object::ObjectId;

/// An object of the set, as the server confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The object.
    pub id: ObjectId,
    /// Its UID. A later object of the same name is a different object.
    pub uid: String,
    /// The generation that the PATCH or the list returned.
    pub generation: i64,
    /// Whether this run's PATCH changed the object.
    pub changed: bool,
}

/// The result of evaluating the live objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// One state for each expected object, in the same order.
    pub objects: Vec<ObjectState>,
    /// The final findings: one for each cause, the root cause first.
    pub findings: Vec<Finding>,
    /// Findings that are not final: their grace period has not ended, or a count has not reached its limit. Root cause
    /// first.
    pub pending: Vec<Finding>,
    /// Those of `pending` whose symptom was observed, of objects without a final finding: why they are not ready now. Empty
    /// while a run waits for them.
    pub symptoms: Vec<Finding>,
    /// The verdict of the whole set.
    pub verdict: Verdict,
}

/// The state of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// The object.
    pub id: ObjectId,
    /// Whether the object is ready.
    pub ready: bool,
    /// The state, and what an unready object waits for: `1/1`, `0/1: pulling image`.
    pub message: String,
    /// When the object's fault becomes final if nothing changes; None: it has no fault, or time does not decide.
    pub fails_at: Option<Timestamp>,
}

/// Whether the set is ready, may become ready, or has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All objects are ready.
    Ready,
    /// Some objects are not ready, and no fault is final.
    Waiting {
        /// When to evaluate again even if no object changes, because a grace period ends.
        until: Option<Timestamp>,
    },
    /// At least one fault is final.
    Failed,
}
