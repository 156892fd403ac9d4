//! An object of a kind without a type of its own: its metadata, and what its controller reports.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object of a kind without a type of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UntypedObject {
    /// The items of a list carry neither of the two.
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) metadata: ObjectMeta,
    /// Everything else.
    #[serde(flatten)]
    content: Map<String, Value>,
}

/// A condition of the API conventions
/// (<https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties>).
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportedCondition<'a> {
    pub(crate) name: &'a str,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    reason: &'a str,
    message: &'a str,
    /// When the status changed last.
    pub(crate) since: Option<Timestamp>,
    /// The generation of the object that the condition is about, if the controller reports it.
    pub(crate) observed_generation: Option<i64>,
}

/// Returns the generation that a status or a condition is about. Some controllers report it as a string.
pub(crate) fn observed_generation(reported: &Value) -> Option<i64> {
    let generation = &reported["observedGeneration"];
    generation.as_i64().or_else(|| generation.as_str()?.parse().ok())
}

impl UntypedObject {
    pub(crate) fn spec(&self) -> &Value {
        self.content.get("spec").unwrap_or(&Value::Null)
    }

    pub(crate) fn status(&self) -> &Value {
        self.content.get("status").unwrap_or(&Value::Null)
    }

    pub(crate) fn conditions(&self) -> impl Iterator<Item = ReportedCondition<'_>> {
        let conditions = self.status()["conditions"].as_array();
        conditions.into_iter().flatten().filter_map(ReportedCondition::read)
    }

    pub(crate) fn condition(&self, name: &str) -> Option<ReportedCondition<'_>> {
        self.conditions().find(|condition| condition.name == name)
    }

    /// Returns a time in the status.
    pub(crate) fn time(&self, field: &str) -> Option<Timestamp> {
        self.status()[field].as_str()?.parse().ok()
    }
}

impl<'a> ReportedCondition<'a> {
    fn read(condition: &'a Value) -> Option<Self> {
        Some(Self {
            name: condition["type"].as_str()?,
            status: condition["status"].as_str()?,
            reason: condition["reason"].as_str().unwrap_or_default(),
            message: condition["message"].as_str().unwrap_or_default().trim(),
            since: condition["lastTransitionTime"].as_str().and_then(|time| time.parse().ok()),
            observed_generation: observed_generation(condition),
        })
    }

    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(crate) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Returns the reason, else the condition with its status.
    pub(crate) fn reason(&self) -> String {
        if self.reason.is_empty() {
            format!("{} is {}", self.name, self.status)
        } else {
            self.reason.to_owned()
        }
    }

    /// Returns whether the condition has a message of its own.
    pub(crate) fn has_message(&self) -> bool {
        !self.message.is_empty()
    }

    /// Returns reason and message.
    pub(crate) fn text(&self) -> String {
        if self.message.is_empty() { self.reason() } else { format!("{}: {}", self.reason(), self.message) }
    }
}
