//! A problem of a live object, its cause, and how to fix it.

use serde_json::Value;

use crate::catalogue::Id;
use crate::diagnostic::ConfigKey;
use crate::object::ObjectId;
use crate::object::references::map_strings;

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
    /// The member of the installation that it belongs to: the workload of a pod.
    pub member: Option<ObjectId>,
    /// The keys of config.toml that cause it, the most likely one first. `cluster` fills them in.
    pub keys: Vec<ConfigKey>,
    /// The claims that cause it, as `NAMESPACE/NAME`: it affects every revision that mounts one of them. `cluster` fills
    /// them in.
    pub claims: Vec<String>,
    /// The keys of the taints that repel its pod. `cluster` fills them in.
    pub taints: Vec<String>,
    /// The objects that were observed around it, for `--evidence`. `cluster` fills them in.
    pub exhibits: Vec<Exhibit>,
}

impl Finding {
    /// Builds a finding about an object; `message` is its cause.
    #[must_use]
    pub fn new(id: Id, object: ObjectId, message: impl Into<String>) -> Self {
        Self {
            id,
            object,
            container: None,
            message: message.into(),
            evidence: Vec::new(),
            log: Vec::new(),
            affected: None,
            lookups: Vec::new(),
            hints: Vec::new(),
            member: None,
            keys: Vec::new(),
            claims: Vec::new(),
            taints: Vec::new(),
            exhibits: Vec::new(),
        }
    }

    /// Returns the finding with each of the cluster's texts changed, such as to mask secrets.
    #[must_use]
    pub fn map_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let all = |texts: &[String]| texts.iter().map(|text| change(text)).collect();
        Self {
            message: change(&self.message),
            evidence: all(&self.evidence),
            log: all(&self.log),
            hints: all(&self.hints),
            exhibits: self.exhibits.iter().map(|exhibit| exhibit.map_texts(&change)).collect(),
            ..self.clone()
        }
    }

    /// Returns the finding with each of its hints changed, such as to repeat flags in a suggested command.
    #[must_use]
    pub fn map_hints(&self, change: impl Fn(&str) -> String) -> Self {
        Self { hints: self.hints.iter().map(|hint| change(hint)).collect(), ..self.clone() }
    }

    /// Adds a command to copy, or a fact.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds further evidence.
    #[must_use]
    pub fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }
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
        /// The node of the pod, if it has one.
        node: Option<String>,
        /// The runs of the container whose log to read.
        run: LogRun,
    },
    /// What the scheduler's message leaves out about the nodes.
    Nodes(NodeQuestion),
    /// What is wrong with a node.
    NodeFaults(String),
    /// The platform of the node on which a container ends with `exec format error`.
    NodePlatform(String),
    /// The nodes that reach the volumes of a pod's claims.
    VolumeReach(PodClaims),
    /// The other pods that mount a pod's claims.
    ClaimUsers(PodClaims),
    /// The server of the webhook of this name, which the API server cannot call.
    Webhook(String),
    /// The class, the controller and the certificate of an Ingress whose URL does not respond.
    Route(ObjectId),
    /// What keeps a namespace that is being deleted: it deletes the objects in it.
    Namespace(String),
}

/// The runs of a container whose log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRun {
    /// The latest run.
    Latest,
    /// The latest run, and the one before if the latest one has logged little.
    LatestAndPrevious,
    /// The run before the latest one.
    Previous,
}

impl LogRun {
    /// Returns the runs to read of a container that runs and has restarted this often.
    pub(super) const fn of_running(restarts: i32) -> Self {
        if restarts > 0 { Self::LatestAndPrevious } else { Self::Latest }
    }
}

/// An object as it was observed, with its Events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// The object, without its managed fields.
    pub object: Value,
    /// The Events about it, the latest last.
    pub events: Vec<String>,
}

impl Exhibit {
    fn map_texts(&self, change: &impl Fn(&str) -> String) -> Self {
        let events = self.events.iter().map(|event| change(event)).collect();
        Self { object: map_strings(&self.object, change), events }
    }
}

/// What keeps a pod from the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeQuestion {
    /// The pod's node selector.
    pub node_selector: Value,
    /// The pod's tolerations.
    pub tolerations: Vec<Value>,
    /// Whether taints repel it. The message does not name their keys.
    pub has_untolerated_taint: bool,
    /// The resources, such as `cpu`, of which the nodes have too little. The message does not name the nodes' size.
    pub resources: Vec<String>,
}

/// The claims that a pod mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodClaims {
    /// The pod.
    pub pod: ObjectId,
    /// The names of the claims, in the pod's namespace.
    pub names: Vec<String>,
}

impl PodClaims {
    /// Returns the claims as `NAMESPACE/NAME`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let namespace = self.pod.namespace.as_deref().unwrap_or_default();
        self.names.iter().map(|name| format!("{namespace}/{name}")).collect()
    }
}
