//! A conversation for programs: `sandbox describe -o json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::list::{SandboxObject, text};
use super::read::AppAnswers;
use crate::cluster::app::sandbox_objects::SandboxListing;
use crate::logs::event_line::time_of;
use crate::object::list_items::items;
use crate::status::sandbox::Conversation;

/// Everything that is read about a conversation.
pub(super) struct Described {
    /// The conversation's id.
    pub(super) id: String,
    pub(super) namespace: String,
    pub(super) listing: SandboxListing,
    pub(super) answers: AppAnswers,
    /// The Events of its pod and its claim, oldest first; None if the account may not list them.
    pub(super) events: Option<Vec<Value>>,
    pub(super) now: Timestamp,
}

impl Described {
    /// Whether the account may list pods.
    fn are_pods_listed(&self) -> bool {
        self.listing.objects.pods.is_some()
    }
}

/// The result of `sandbox describe`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SandboxDescription {
    namespace: String,
    /// The conversation as in `sandbox list`.
    #[serde(flatten)]
    conversation: SandboxObject,
    /// The status that the application shows.
    status: Option<String>,
    /// Why it is not known whether the application knows the conversation.
    why_unknown: Option<String>,
    /// The reason that the pod's status names.
    pod_reason: Option<String>,
    conditions: Vec<ConditionObject>,
    containers: Vec<ContainerObject>,
    /// The name of the claim's volume.
    volume: Option<String>,
    /// The Events of the pod and of the claim, oldest first; null if the account may not list them.
    events: Option<Vec<EventObject>>,
}

/// A condition of the pod.
#[derive(Debug, Serialize, JsonSchema)]
struct ConditionObject {
    r#type: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

/// A container of the pod.
#[derive(Debug, Serialize, JsonSchema)]
struct ContainerObject {
    name: String,
    image: Option<String>,
    /// `running`, `waiting` or `terminated`.
    state: Option<String>,
    reason: Option<String>,
    exit_code: Option<i64>,
}

/// An Event.
#[derive(Debug, Serialize, JsonSchema)]
struct EventObject {
    /// When it was last seen.
    time: Option<String>,
    /// `Pod` or `PersistentVolumeClaim`.
    kind: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

/// Returns a conversation for programs.
pub(super) fn description(described: &Described, conversation: &Conversation<'_>) -> SandboxDescription {
    let id = conversation.id;
    let answers = &described.answers;
    let pod = conversation.pod().unwrap_or(&Value::Null);
    let claim = conversation.claim().unwrap_or(&Value::Null);
    let status = &pod["status"];
    SandboxDescription {
        namespace: described.namespace.clone(),
        conversation: SandboxObject::new(conversation, answers, &[id], described.are_pods_listed()),
        status: answers.conversation(id).and_then(|it| text(&it["status"])),
        why_unknown: answers.why_unclear.clone(),
        pod_reason: text(&status["reason"]),
        conditions: items(&status["conditions"]).map(ConditionObject::new).collect(),
        containers: items(&status["containerStatuses"]).map(ContainerObject::new).collect(),
        volume: text(&claim["spec"]["volumeName"]),
        events: described.events.as_ref().map(|events| events.iter().map(EventObject::new).collect()),
    }
}

impl ConditionObject {
    fn new(condition: &Value) -> Self {
        Self {
            r#type: text(&condition["type"]).unwrap_or_default(),
            status: text(&condition["status"]).unwrap_or_default(),
            reason: text(&condition["reason"]),
            message: text(&condition["message"]),
        }
    }
}

impl ContainerObject {
    fn new(container: &Value) -> Self {
        let state = container["state"].as_object().and_then(|state| state.iter().next());
        let details = state.map_or(&Value::Null, |(_, details)| details);
        Self {
            name: text(&container["name"]).unwrap_or_default(),
            image: text(&container["image"]),
            state: state.map(|(name, _)| name.clone()),
            reason: text(&details["reason"]),
            exit_code: details["exitCode"].as_i64(),
        }
    }
}

impl EventObject {
    fn new(event: &Value) -> Self {
        Self {
            time: time_of(event).map(|time| time.to_string()),
            kind: text(&event["involvedObject"]["kind"]),
            reason: text(&event["reason"]),
            message: text(&event["message"]),
        }
    }
}
