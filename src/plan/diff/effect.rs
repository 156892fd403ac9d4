//! What follows from a difference, beyond the text of it.

use std::fmt;

use serde_json::Value;

use super::field_change::{Change, FieldChange};
use crate::object::ObjectId;
use crate::object::labels::SECRET_VERSION_PREFIX;
use crate::settings::format::Quantity;

/// What follows from a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The pods are replaced, because of these parts of their template.
    Restarts(Vec<String>),
    /// The old pods are gone before the new ones start.
    NothingServes,
    /// The number of pods.
    Scales {
        /// As it is.
        from: i64,
        /// As it would be.
        to: i64,
    },
    /// This field cannot be changed in an object that exists.
    Recreate(String),
    /// The claim would ask for more.
    ClaimGrows {
        /// As it is.
        from: String,
        /// As it would be.
        to: String,
    },
    /// The claim would ask for less, which no claim can.
    ClaimShrinks {
        /// As it is.
        from: String,
        /// As it would be.
        to: String,
    },
    /// What whoever uses the application notices.
    Clients(String),
    /// Another manager keeps this field: a deploy would stop here.
    Stops {
        /// Who.
        manager: String,
        /// As the server names it.
        field: String,
    },
    /// The server's own words on why what is there cannot become what is asked for.
    Refused(String),
    /// The object is on its way out, since this moment.
    Dying(String),
    /// The set has no key yet, so the end of this name is another one each time until the first deploy.
    NameNotFinal,
}

impl Effect {
    /// The word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Effect::Restarts(_) => "restarts",
            Effect::NothingServes => "nothing-serves",
            Effect::Scales { .. } => "scales",
            Effect::Recreate(_) => "recreate",
            Effect::ClaimGrows { .. } => "claim-grows",
            Effect::ClaimShrinks { .. } => "claim-shrinks",
            Effect::Clients(_) => "clients",
            Effect::Stops { .. } => "stops",
            Effect::Refused(_) => "refused",
            Effect::Dying(_) => "dying",
            Effect::NameNotFinal => "name-not-final",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Restarts(parts) => write!(f, "restarts the pod: {}", parts.join(", ")),
            Effect::NothingServes => f.write_str("nothing serves meanwhile"),
            Effect::Scales { from, to } => write!(f, "scales from {from} to {to}"),
            Effect::Recreate(field) => write!(f, "immutable: recreate needed ({field})"),
            Effect::ClaimGrows { from, to } => {
                write!(f, "claim grows, if its storage class allows it ({from} → {to})")
            }
            Effect::ClaimShrinks { from, to } => write!(f, "claim can only grow ({from} → {to})"),
            Effect::Clients(what) => f.write_str(what),
            Effect::Stops { manager, field } => {
                write!(f, "deploy would stop here: {manager} manages {field}")
            }
            Effect::Refused(message) => write!(f, "the server says: {message}"),
            Effect::Dying(since) => write!(f, "it is being deleted since {since}"),
            Effect::NameNotFinal => f.write_str("the first deploy chooses the end of its name"),
        }
    }
}

/// What follows from these hunks of an object that is there.
pub(super) fn of(id: &ObjectId, live: &Value, after: &Value, hunks: &[FieldChange]) -> Vec<Effect> {
    let mut effects = recreated(id, live, hunks);
    match id.kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => effects.extend(of_workload(live, after, hunks)),
        "PersistentVolumeClaim" => effects.extend(of_claim(live, after)),
        "Service" => effects.extend(of_service(hunks)),
        "Ingress" => effects.extend(of_ingress(hunks)),
        _ => {}
    }
    if let Some(since) = live["metadata"]["deletionTimestamp"].as_str() {
        effects.push(Effect::Dying(since.to_owned()));
    }
    effects
}

fn of_workload(live: &Value, after: &Value, hunks: &[FieldChange]) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    for hunk in hunks.iter().filter(|hunk| hunk.path.is_under(&["spec", "template"])) {
        let part = part(hunk);
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    if !parts.is_empty() {
        effects.push(Effect::Restarts(parts));
        let running = live["spec"]["replicas"].as_i64() != Some(0);
        if running && after["spec"]["strategy"]["type"] == "Recreate" {
            effects.push(Effect::NothingServes);
        }
    }
    let replicas = |object: &Value| object["spec"]["replicas"].as_i64();
    if let (Some(from), Some(to)) = (replicas(live), replicas(after))
        && from != to
    {
        effects.push(Effect::Scales { from, to });
    }
    effects
}

/// The part of a pod template, in a word.
fn part(hunk: &FieldChange) -> String {
    let keys = hunk.path.keys();
    let word = match keys.get(2..).unwrap_or_default() {
        ["metadata", "annotations", key] => match key.strip_prefix(SECRET_VERSION_PREFIX) {
            Some(secret) => return format!("secret {secret} changed"),
            None => "annotations",
        },
        ["metadata", "annotations", ..] => "annotations",
        ["metadata", ..] => "labels",
        ["spec", "volumes", "configMap", ..] => "configuration",
        ["spec", "volumes" | "containers" | "initContainers", rest @ ..]
            if rest.contains(&"secretKeyRef") =>
        {
            "secrets"
        }
        ["spec", "volumes", ..] => "volumes",
        ["spec", "nodeSelector" | "tolerations" | "affinity" | "topologySpreadConstraints", ..] => {
            "scheduling"
        }
        ["spec", "containers" | "initContainers", field, ..] => of_container(field),
        ["spec", "containers" | "initContainers"] => "containers",
        ["spec", field, ..] => field,
        _ => "template",
    };
    word.to_owned()
}

fn of_container(field: &str) -> &str {
    match field {
        "volumeMounts" | "volumeDevices" => "volumes",
        "startupProbe" | "livenessProbe" | "readinessProbe" => "probes",
        "args" => "command",
        field => field,
    }
}

/// Fields that the API server refuses to change, whatever they contain.
fn recreated(id: &ObjectId, live: &Value, hunks: &[FieldChange]) -> Vec<Effect> {
    let fields = hunks.iter().filter(|hunk| is_immutable(&id.kind, live, hunk));
    fields.map(|hunk| Effect::Recreate(hunk.path.to_string())).collect()
}

/// What a StatefulSet lets change of its spec (kubernetes/pkg/apis/apps/validation).
const STATEFUL_SET_MAY: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "revisionHistoryLimit",
];

fn is_immutable(kind: &str, live: &Value, hunk: &FieldChange) -> bool {
    let path = &hunk.path;
    let keys = path.keys();
    match kind {
        "Deployment" | "DaemonSet" => path.is_under(&["spec", "selector"]),
        "StatefulSet" => {
            path.is_under(&["spec"]) && keys.get(1).is_some_and(|key| !STATEFUL_SET_MAY.contains(key))
        }
        "Job" => path.is_under(&["spec", "template"]) || path.is_under(&["spec", "selector"]),
        // An address that is given back, or given out, is no change of one.
        "Service" => {
            path.is_under(&["spec", "clusterIP"])
                && matches!(hunk.change, Change::Values { before: Some(_), after: Some(_) })
        }
        "PersistentVolumeClaim" => {
            path.is_under(&["spec"])
                && !path.is_under(&["spec", "resources", "requests"])
                && !path.is_under(&["spec", "volumeAttributesClassName"])
        }
        "RoleBinding" | "ClusterRoleBinding" => path.is_under(&["roleRef"]),
        "Secret" if path.is_under(&["type"]) => true,
        "ConfigMap" | "Secret" => {
            live["immutable"] == true
                && ["data", "stringData", "binaryData", "immutable"].iter().any(|key| path.is_under(&[key]))
        }
        _ => false,
    }
}

fn of_claim(live: &Value, after: &Value) -> Option<Effect> {
    let asked =
        |object: &Value| object["spec"]["resources"]["requests"]["storage"].as_str().map(str::to_owned);
    let (from, to) = (asked(live)?, asked(after)?);
    let (smaller, larger) = (Quantity::parse(&from).ok()?, Quantity::parse(&to).ok()?);
    match smaller.cmp(&larger) {
        std::cmp::Ordering::Less => Some(Effect::ClaimGrows { from, to }),
        std::cmp::Ordering::Greater => Some(Effect::ClaimShrinks { from, to }),
        std::cmp::Ordering::Equal => None,
    }
}

fn of_service(hunks: &[FieldChange]) -> Vec<Effect> {
    let words = |hunk: &FieldChange| {
        let Change::Values { before, after } = &hunk.change else { return None };
        let (before, after) = (before.as_ref().map(plain), after.as_ref().map(plain));
        match (hunk.path.keys().as_slice(), before, after) {
            (["spec", "type"], Some(before), Some(after)) => {
                Some(format!("the service's type changes from {before} to {after}"))
            }
            (["spec", "ports", "nodePort"], Some(before), Some(after)) => {
                Some(format!("clients of node port {before} find it at {after}"))
            }
            (["spec", "ports", "nodePort"], Some(before), None) => {
                Some(format!("clients of node port {before} find nothing there"))
            }
            (["spec", "ports", "nodePort"], None, Some(after)) => {
                Some(format!("clients find it at node port {after}"))
            }
            _ => None,
        }
    };
    hunks.iter().filter_map(words).map(Effect::Clients).collect()
}

fn of_ingress(hunks: &[FieldChange]) -> Vec<Effect> {
    let words = |hunk: &FieldChange| {
        let Change::Values { before: Some(before), after: Some(after) } = &hunk.change else { return None };
        match hunk.path.keys().as_slice() {
            ["spec", "rules", "host"] => {
                Some(format!("clients of {} find it at {}", plain(before), plain(after)))
            }
            _ => None,
        }
    };
    hunks.iter().filter_map(words).map(Effect::Clients).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
