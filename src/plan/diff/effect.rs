//! The consequences of a difference.

use std::fmt;

use serde_json::Value;

use super::field_change::{FieldChange, ValueChange};
use crate::object::ObjectId;
use crate::object::labels::SECRET_VERSION_PREFIX;
use crate::settings::format::Quantity;

/// A consequence of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The object of another tool becomes a member: the managers whose fields are taken over, and what the tool still
    /// does to it.
    Adopted {
        /// The managers.
        managers: Vec<String>,
        /// What a tool that tracks the object will do.
        warning: Option<String>,
    },
    /// The pods are replaced, because these parts of their template change.
    Restarts(Vec<String>),
    /// The old pods stop before the new ones start.
    Downtime,
    /// The number of pods changes.
    Scales {
        /// The live number.
        from: i64,
        /// The planned number.
        to: i64,
    },
    /// This field is immutable: the object has to be created again.
    Recreate(String),
    /// The claim would request more storage.
    ClaimGrows {
        /// The live size.
        from: String,
        /// The planned size.
        to: String,
    },
    /// The claim would request less storage, which the API server rejects.
    ClaimShrinks {
        /// The live size.
        from: String,
        /// The planned size.
        to: String,
    },
    /// Clients of the application are affected, as this text describes.
    Clients(String),
    /// Another manager owns this field: a deploy would fail with a conflict.
    Stops {
        /// The field manager.
        manager: String,
        /// The field, as the API server writes it.
        field: String,
    },
    /// The object has been terminating since this time.
    Terminating(String),
    /// The claim is being deleted and exists only as long as a pod uses it.
    Held {
        /// Whether the deploy would stop that pod.
        is_at_risk: bool,
    },
    /// The suffix of the object's name is not final. It depends on the set's key, which the first deploy creates.
    NameNotFinal,
}

impl Effect {
    /// Returns the identifier for JSON output.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Effect::Adopted { .. } => "adopted",
            Effect::Restarts(_) => "restarts",
            Effect::Downtime => "nothing-serves",
            Effect::Scales { .. } => "scales",
            Effect::Recreate(_) => "recreate",
            Effect::ClaimGrows { .. } => "claim-grows",
            Effect::ClaimShrinks { .. } => "claim-shrinks",
            Effect::Clients(_) => "clients",
            Effect::Stops { .. } => "stops",
            Effect::Terminating(_) => "dying",
            Effect::Held { .. } => "held",
            Effect::NameNotFinal => "name-not-final",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Adopted { managers, warning } => {
                let from = if managers.is_empty() {
                    String::new()
                } else {
                    format!(" from {}", managers.join(", "))
                };
                let warning = warning.as_ref().map_or_else(String::new, |warning| format!("; {warning}"));
                write!(f, "adopted{from}{warning}")
            }
            Effect::Restarts(parts) => write!(f, "restarts the pod: {}", parts.join(", ")),
            Effect::Downtime => f.write_str("downtime until the new pod is ready"),
            Effect::Scales { from, to } => write!(f, "scales from {from} to {to}"),
            Effect::Recreate(field) => write!(f, "immutable: recreate needed ({field})"),
            Effect::ClaimGrows { from, to } => {
                write!(f, "volume grows, if its storage class allows it ({from} → {to})")
            }
            Effect::ClaimShrinks { from, to } => write!(f, "volume can only grow ({from} → {to})"),
            Effect::Clients(what) => f.write_str(what),
            Effect::Stops { manager, field } => {
                write!(f, "deploy would stop here: {manager} manages {field}")
            }
            Effect::Terminating(since) => write!(f, "it has been terminating since {since}"),
            Effect::Held { is_at_risk: false } => {
                f.write_str("its data exists only as long as its pod runs: copy it first")
            }
            Effect::Held { is_at_risk: true } => f.write_str(
                "deploy would stop here: its data is gone when its pod stops; --delete-data continues",
            ),
            Effect::NameNotFinal => f.write_str("the first deploy chooses the suffix of its name"),
        }
    }
}

/// Returns the consequences of these changes of a live object.
pub(super) fn effects_of(id: &ObjectId, live: &Value, after: &Value, hunks: &[FieldChange]) -> Vec<Effect> {
    let mut effects = recreated(id, live, hunks);
    match id.kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => effects.extend(of_workload(live, after, hunks)),
        "PersistentVolumeClaim" => effects.extend(of_claim(live, after)),
        "Service" => effects.extend(of_service(hunks)),
        "Ingress" => effects.extend(of_ingress(hunks)),
        _ => {}
    }
    if let Some(since) = live["metadata"]["deletionTimestamp"].as_str() {
        effects.push(Effect::Terminating(since.to_owned()));
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
            effects.push(Effect::Downtime);
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

/// Names the part of a pod template that a change is in.
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

/// Returns an effect for every change of an immutable field.
fn recreated(id: &ObjectId, live: &Value, hunks: &[FieldChange]) -> Vec<Effect> {
    let fields = hunks.iter().filter(|hunk| is_immutable(&id.kind, live, hunk));
    fields.map(|hunk| Effect::Recreate(hunk.path.to_string())).collect()
}

/// The mutable fields of a StatefulSet's spec (kubernetes/pkg/apis/apps/validation).
const STATEFUL_SET_MUTABLE: &[&str] = &[
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
            path.is_under(&["spec"]) && keys.get(1).is_some_and(|key| !STATEFUL_SET_MUTABLE.contains(key))
        }
        "Job" => path.is_under(&["spec", "template"]) || path.is_under(&["spec", "selector"]),
        // Only the change of an address is forbidden: an address may be assigned and released.
        "Service" => {
            path.is_under(&["spec", "clusterIP"])
                && matches!(hunk.change, ValueChange::Values { before: Some(_), after: Some(_) })
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
    let requested =
        |object: &Value| object["spec"]["resources"]["requests"]["storage"].as_str().map(str::to_owned);
    let (from, to) = (requested(live)?, requested(after)?);
    let (from_size, to_size) = (Quantity::parse(&from).ok()?, Quantity::parse(&to).ok()?);
    match from_size.cmp(&to_size) {
        std::cmp::Ordering::Less => Some(Effect::ClaimGrows { from, to }),
        std::cmp::Ordering::Greater => Some(Effect::ClaimShrinks { from, to }),
        std::cmp::Ordering::Equal => None,
    }
}

fn of_service(hunks: &[FieldChange]) -> Vec<Effect> {
    let describe = |hunk: &FieldChange| {
        let ValueChange::Values { before, after } = &hunk.change else { return None };
        let (before, after) = (before.as_ref().map(plain), after.as_ref().map(plain));
        match (hunk.path.keys().as_slice(), before, after) {
            (["spec", "type"], Some(before), Some(after)) => {
                Some(format!("the service's type changes from {before} to {after}"))
            }
            (["spec", "ports", "nodePort"], Some(before), Some(after)) => {
                Some(format!("clients of node port {before} have to use {after}"))
            }
            (["spec", "ports", "nodePort"], Some(before), None) => {
                Some(format!("clients of node port {before} can no longer connect"))
            }
            (["spec", "ports", "nodePort"], None, Some(after)) => {
                Some(format!("clients can use node port {after}"))
            }
            _ => None,
        }
    };
    hunks.iter().filter_map(describe).map(Effect::Clients).collect()
}

fn of_ingress(hunks: &[FieldChange]) -> Vec<Effect> {
    let describe = |hunk: &FieldChange| {
        let ValueChange::Values { before: Some(before), after: Some(after) } = &hunk.change else {
            return None;
        };
        match hunk.path.keys().as_slice() {
            ["spec", "rules", "host"] => {
                Some(format!("clients of {} have to use {}", plain(before), plain(after)))
            }
            _ => None,
        }
    };
    hunks.iter().filter_map(describe).map(Effect::Clients).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
