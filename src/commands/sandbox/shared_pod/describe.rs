//! `sandbox describe` of a conversation that shares the application's pod.

use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::application::SharedPod;
use super::list::PodConversationObject;
use crate::error::Result;
use crate::phrase;
use crate::report::one_line;
use crate::session::cluster_session::Session;
use crate::status::sandbox::PodConversation;

/// The width of the labels.
const LABEL: usize = 14;

/// The result of `sandbox describe` for a conversation that shares the application's pod.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PodConversationDescription {
    namespace: String,
    /// The application's pod, in which its commands run.
    pod: Option<String>,
    /// The conversation as in `sandbox list`.
    #[serde(flatten)]
    conversation: PodConversationObject,
}

/// A conversation that shares the application's pod, as it was read.
pub(in crate::commands::sandbox) struct DescribedPodConversation {
    namespace: String,
    pod: Option<String>,
    product: &'static str,
    conversation: PodConversation,
    now: Timestamp,
}

/// Reads the typed conversation.
///
/// # Errors
/// Exit 2 if there is none, or more than one. The application does not answer.
pub(in crate::commands::sandbox) async fn read(
    session: &Session,
    shared: &SharedPod,
    typed: &str,
) -> Result<DescribedPodConversation> {
    let application = shared.open(session).await?;
    let conversation = shared.conversation(&application, typed).await?;
    let (namespace, product) = (application.client.namespace, shared.product());
    let (pod, now) = (application.client.pod, session.connection.api.clock().now());
    Ok(DescribedPodConversation { namespace, pod, product, conversation, now })
}

impl DescribedPodConversation {
    /// Returns the conversation for programs.
    pub(in crate::commands::sandbox) fn into_description(self) -> PodConversationDescription {
        let Self { namespace, pod, conversation, .. } = self;
        let id = conversation.id.clone();
        let conversation = PodConversationObject::new(conversation, &[&id]);
        PodConversationDescription { namespace, pod, conversation }
    }

    /// Returns the conversation for people, a line for each known field.
    pub(in crate::commands::sandbox) fn text(&self) -> String {
        let Self { namespace, pod, product, conversation, now } = self;
        let ago = |time: Option<Timestamp>| time.map(|time| format!("{} ago", phrase::age(time, *now)));
        let pod = pod.as_ref().map(|pod| format!("{pod}, which all conversations of {product} share"));
        let cost = conversation.cost.map(|cost| format!("{cost:.4} US dollars"));
        let lines = [
            ("conversation", Some(conversation.id.clone())),
            ("title", conversation.title.clone()),
            ("status", Some(conversation.status.clone())),
            ("namespace", Some(namespace.clone())),
            ("pod", pod),
            ("folder", conversation.folder.clone()),
            ("started", ago(conversation.created)),
            ("last event", ago(conversation.updated)),
            ("model", conversation.model.clone()),
            ("cost", cost),
            ("started by", conversation.parent.clone()),
        ];
        let known = lines.into_iter().filter_map(|(label, value)| Some((label, value?)));
        known.fold(String::new(), |mut text, (label, value)| {
            // A title may have line breaks, which would look like further fields.
            let _infallible = writeln!(text, "{label:<LABEL$}{}", one_line(&value));
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn described(answer: &Value) -> DescribedPodConversation {
        DescribedPodConversation {
            namespace: "n".to_owned(),
            pod: Some("oh-1".to_owned()),
            product: "Agent Canvas",
            conversation: PodConversation::from_answer(answer).unwrap(),
            now: "2026-11-30T02:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn text_has_a_line_for_each_known_field() {
        let answer = json!({
            "id": "7f26", "execution_status": "paused", "title": "Fix\nstatus running", "updated_at": "2026-11-30T01:00:00Z",
            "workspace": { "working_dir": "/w" }, "agent": { "llm": { "model": "a/m" } },
            "stats": { "usage_to_metrics": { "a": { "accumulated_cost": 0.5 } } },
        });
        let expected = "conversation  7f26\ntitle         Fix status running\nstatus        paused\nnamespace     n\n\
                        pod           oh-1, which all conversations of Agent Canvas share\nfolder        /w\n\
                        last event    1 h ago\nmodel         a/m\ncost          0.5000 US dollars\n";
        assert_eq!(described(&answer).text(), expected);
    }

    #[test]
    fn description_has_the_fields_of_the_list() {
        let answer = json!({ "id": "7f26ff04-7111", "execution_status": "idle" });
        let value = serde_json::to_value(described(&answer).into_description()).unwrap();
        assert_eq!(
            (&value["pod"], &value["short"], &value["status"]),
            (&json!("oh-1"), &json!("7f26ff04"), &json!("idle"))
        );
    }
}
