//! Objects and findings in the form that all JSON outputs share.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnostic::{ConfigKey, Location};
use crate::error::{ConflictingField, RejectedObject};
use crate::object::ObjectId;
use crate::status::Finding;

/// An object's id for programs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ObjectRef<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> ObjectRef<'a> {
    pub(crate) fn new(object: &'a ObjectId) -> Self {
        Self {
            group: &object.group,
            kind: &object.kind,
            namespace: object.namespace.as_deref(),
            name: &object.name,
        }
    }

    pub(crate) fn of_rejected(object: &'a RejectedObject) -> Self {
        Self {
            group: &object.group,
            kind: &object.member_kind,
            namespace: object.namespace.as_deref(),
            name: &object.name,
        }
    }

    pub(crate) fn of_conflict(conflict: &'a ConflictingField) -> Self {
        Self {
            group: &conflict.group,
            kind: &conflict.kind,
            namespace: conflict.namespace.as_deref(),
            name: &conflict.name,
        }
    }
}

/// A location: the file's name, line and column counted from 1.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Position<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Position<'a> {
    pub(crate) fn new(location: &'a Location) -> Self {
        let (line, column) = location.line_column();
        Self { file: &location.source.name, line, column }
    }
}

/// A key of config.toml that causes a failure. Without a location it has its default.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyObject<'a> {
    key: &'a str,
    value: Option<&'a str>,
    location: Option<Position<'a>>,
    /// What set the value if nobody did: `default`, `profile gke`, `set by handsctl`.
    preset: Option<&'a str>,
}

impl<'a> KeyObject<'a> {
    pub(crate) fn new(key: &'a ConfigKey) -> Self {
        Self {
            key: &key.key,
            value: key.value.as_deref(),
            location: key.location.as_ref().map(Position::new),
            preset: key.preset.as_deref(),
        }
    }
}

/// The pods with the same cause, and the desired number of pods.
#[derive(Debug, Serialize, JsonSchema)]
struct AffectedPods {
    pods: usize,
    desired: usize,
}

/// A finding for programs, in the result and in the event stream.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FindingObject<'a> {
    id: &'static str,
    object: ObjectRef<'a>,
    container: Option<&'a str>,
    /// How many of the workload's pods have this cause; None: it has one pod, or the object is no pod.
    affected: Option<AffectedPods>,
    message: &'a str,
    evidence: &'a [String],
    log: &'a [String],
    keys: Vec<KeyObject<'a>>,
    hints: &'a [String],
}

impl<'a> FindingObject<'a> {
    pub(crate) fn new(finding: &'a Finding) -> Self {
        Self {
            id: finding.id.code(),
            object: ObjectRef::new(&finding.object),
            container: finding.container.as_deref(),
            affected: finding.affected.map(|(pods, desired)| AffectedPods { pods, desired }),
            message: &finding.message,
            evidence: &finding.evidence,
            log: &finding.log,
            keys: finding.keys.iter().map(KeyObject::new).collect(),
            hints: &finding.hints,
        }
    }
}
