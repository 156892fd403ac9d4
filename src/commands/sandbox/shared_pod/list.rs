//! `sandbox list` of an application whose conversations share its pod.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::application::SharedPod;
use crate::error::Result;
use crate::phrase;
use crate::report::Streams;
use crate::session::cluster_session::Session;
use crate::status::sandbox::{self, PodConversation};

/// The headers of the table.
pub(in crate::commands::sandbox) const HEADERS: [&str; 6] =
    ["conversation", "status", "age", "updated", "folder", "title"];

/// A conversation that shares the application's pod.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PodConversationObject {
    /// The conversation's id.
    conversation: String,
    /// The beginning of the id that no other conversation of the list has.
    short: String,
    /// The title that the application shows.
    title: Option<String>,
    /// `idle`, `running`, `paused`, `waiting_for_confirmation`, `finished`, `error`, `stuck` or `deleting`.
    status: String,
    /// The folder in the application's pod in which its commands run. Conversations may share it.
    folder: Option<String>,
    /// When it was started.
    created: Option<String>,
    /// When its last event was recorded. After a KILL of the application it is the time of an earlier event.
    updated: Option<String>,
    /// The model of its agent.
    model: Option<String>,
    /// What its models have cost in US dollars, as the application reports it; null before the first request.
    cost: Option<f64>,
    /// The conversation that started this one.
    parent: Option<String>,
}

impl PodConversationObject {
    /// `ids` are those of all conversations, sorted.
    pub(super) fn new(conversation: PodConversation, ids: &[&str]) -> Self {
        let PodConversation { id, title, status, folder, created, updated, model, cost, parent } =
            conversation;
        let short = sandbox::short_id(&id, ids).to_owned();
        let [created, updated] = [created, updated].map(|time| time.map(|time| time.to_string()));
        Self { conversation: id, short, title, status, folder, created, updated, model, cost, parent }
    }

    /// Returns the row of the table.
    pub(in crate::commands::sandbox) fn row(&self, now: Timestamp) -> Vec<String> {
        let age = |time: &Option<String>| {
            let time = time.as_ref()?.parse().ok()?;
            Some(phrase::age(time, now))
        };
        vec![
            self.short.clone(),
            self.status.clone(),
            age(&self.created).unwrap_or_default(),
            age(&self.updated).map(|age| format!("{age} ago")).unwrap_or_default(),
            self.folder.clone().unwrap_or_default(),
            self.title.clone().unwrap_or_default(),
        ]
    }
}

/// Lists the conversations, and tells on stderr where they run.
///
/// # Errors
/// The application does not list them.
pub(in crate::commands::sandbox) async fn list(
    session: &Session,
    shared: &SharedPod,
    streams: &Streams,
) -> Result<Vec<PodConversationObject>> {
    let application = shared.open(session).await?;
    let conversations = shared.list(&application).await?;
    if !conversations.is_empty() {
        streams.err(&format!("the conversations of {} share the application's pod\n", shared.product()));
    }
    Ok(objects(conversations))
}

/// Returns the conversations for programs, the one first that was used last.
fn objects(mut conversations: Vec<PodConversation>) -> Vec<PodConversationObject> {
    let ids: Vec<String> = conversations.iter().map(|conversation| conversation.id.clone()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    conversations.sort_by_key(|conversation| std::cmp::Reverse(conversation.updated));
    conversations.into_iter().map(|conversation| PodConversationObject::new(conversation, &ids)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conversation(id: &str, updated: &str) -> PodConversation {
        let answer = json!({
            "id": id, "execution_status": "idle", "title": "Fix it", "created_at": "2026-11-30T00:00:00Z",
            "updated_at": updated, "workspace": { "working_dir": "/w" },
        });
        PodConversation::from_answer(&answer).unwrap()
    }

    #[test]
    fn row_has_the_ages_and_the_folder() {
        let listed = objects(vec![
            conversation("0f1c2d3e-0000", "2026-11-30T01:00:00Z"),
            conversation("0f1c2d3e-1000", "2026-11-30T02:00:00Z"),
        ]);
        let now = "2026-11-30T02:05:00Z".parse().unwrap();
        let rows: Vec<Vec<String>> = listed.iter().map(|item| item.row(now)).collect();
        assert_eq!(rows[0], ["0f1c2d3e-1", "idle", "2 h", "5 m ago", "/w", "Fix it"]);
        assert_eq!(rows[1][3], "1 h ago");
    }

    #[test]
    fn missing_fields_are_empty_cells() {
        let bare = PodConversation::from_answer(&json!({ "id": "a", "execution_status": "idle" })).unwrap();
        let listed = objects(vec![bare]);
        assert_eq!(listed[0].row(Timestamp::UNIX_EPOCH), ["a", "idle", "", "", "", ""]);
    }
}
