//! What is wrong with a live object, why, and what to do about it.

use crate::catalogue::Id;
use crate::object::ObjectId;

/// A cause, with its evidence. Several pods with one cause are one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row of the catalogue; its title is the headline and its key the config key.
    pub id: Id,
    /// The object that shows it; of several pods the first by name.
    pub object: ObjectId,
    /// The container, where it is one container's fault.
    pub container: Option<String>,
    /// What the cluster says, in its own words where it has any.
    pub message: String,
    /// More of the same: `exit code 1 · 2 restarts in 14 s`.
    pub evidence: Vec<String>,
    /// The container's last lines; filled in by `cluster` from [`Finding::lookups`].
    pub log: Vec<String>,
    /// How many objects show it, of how many: `5/5 pods`.
    pub affected: Option<(usize, usize)>,
    /// What must be read to complete the evidence.
    pub lookups: Vec<Lookup>,
    /// Commands or facts.
    pub hints: Vec<String>,
}

/// Evidence that the watched objects do not carry: it is read once per finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The last lines of a container.
    Log {
        /// The pod.
        pod: ObjectId,
        /// The container.
        container: String,
        /// Of the run before this one.
        previous: bool,
    },
    /// The taints of the nodes: the scheduler's message does not name their keys.
    NodeTaints,
}
