//! A problem of a live object, its cause, and how to fix it.

use crate::catalogue::Id;
use crate::object::ObjectId;

/// A cause, with its evidence. Several pods with one cause are one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The id in the catalogue, which has the title and the config key.
    pub id: Id,
    /// The affected object. Of several pods it is the first by name.
    pub object: ObjectId,
    /// The container, if the fault belongs to one container.
    pub container: Option<String>,
    /// The cause, in the cluster's own words if it reports any.
    pub message: String,
    /// Further evidence: `exit code 1 · 2 restarts in 14 s`.
    pub evidence: Vec<String>,
    /// The container's last log lines. `cluster` fills them in from [`Finding::lookups`].
    pub log: Vec<String>,
    /// The number of affected objects and of all objects: `5/5 pods`.
    pub affected: Option<(usize, usize)>,
    /// Data to read from the cluster to complete the evidence.
    pub lookups: Vec<Lookup>,
    /// Commands to copy, or facts.
    pub hints: Vec<String>,
}

/// Evidence that the watched objects do not contain. It is read once per finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The last log lines of a container.
    Log {
        /// The pod.
        pod: ObjectId,
        /// The container.
        container: String,
        /// Whether to read the log of the previous run of the container.
        previous: bool,
    },
    /// The taints of the nodes, because the scheduler's message does not name their keys.
    NodeTaints,
}
