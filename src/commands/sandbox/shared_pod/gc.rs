//! `sandbox gc` of an application whose conversations share its pod: deletes those that nobody has used for long.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::application::SharedPod;
use crate::cluster::app::pod_conversations::PodConversations;
use crate::error::Result;
use crate::event::{Action, Finished, Phase};
use crate::flags::Global;
use crate::object::ObjectId;
use crate::phrase;
use crate::report::Streams;
use crate::session::confirm;
use crate::session::runner::Run;
use crate::status::sandbox::PodConversation;

/// The kind in events: a conversation is no object of Kubernetes.
const KIND: &str = "Conversation";

/// The flags of the command.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands::sandbox) struct CollectOptions {
    /// How long a conversation has been unused at least; None: nothing is deleted.
    pub(in crate::commands::sandbox) older_than: Option<Duration>,
    /// Whether conversations, which are data, are deleted.
    pub(in crate::commands::sandbox) delete_data: bool,
    /// Whether they are only listed.
    pub(in crate::commands::sandbox) dry_run: bool,
}

/// The application whose conversations are deleted.
struct Collector<'a> {
    run: &'a Run<'a>,
    shared: &'a SharedPod,
    application: PodConversations,
    /// A conversation that has an event since then is in use.
    cutoff: Timestamp,
    /// The age in words.
    age: String,
}

/// Deletes the conversations that are at rest and older than the flag says.
///
/// # Errors
/// The application does not answer; exit 2 without a confirmation.
pub(in crate::commands::sandbox) async fn collect(
    run: &Run<'_>,
    global: &Global,
    shared: &SharedPod,
    options: CollectOptions,
    streams: &Streams,
) -> Result<Finished> {
    let Some(older_than) = options.older_than else {
        run.events().target("sandbox gc", run.session.target()).await;
        return Ok(finished(without_age(shared)));
    };
    let application = shared.open(run.session).await?;
    let now = run.api().clock().now();
    let cutoff = now.checked_sub(older_than).unwrap_or(Timestamp::MIN);
    let age = phrase::age(cutoff, now);
    let collector = Collector { run, shared, application, cutoff, age };
    let unused = collector.unused().await?;
    if options.delete_data && !options.dry_run && !unused.is_empty() && !global.yes {
        // Before the first progress output, which would overwrite the question.
        streams.err(&listed(&unused));
        collector.confirm(global, unused.len(), streams).await?;
    }
    run.events().target("sandbox gc", run.session.target()).await;
    let message = match options {
        _ if unused.is_empty() => {
            format!("nothing to delete: no conversation has been at rest for {}", collector.age)
        }
        CollectOptions { delete_data: false, .. } => collector.keep(&unused).await,
        CollectOptions { dry_run: true, .. } => collector.dry_run(&unused).await,
        CollectOptions { .. } => collector.delete_all(&unused).await?,
    };
    Ok(finished(message))
}

fn finished(message: String) -> Finished {
    Finished { message, ..Finished::default() }
}

/// Explains why nothing is deleted without an age: there is nothing but the conversations themselves.
fn without_age(shared: &SharedPod) -> String {
    format!(
        "nothing to delete: the conversations of {} have no objects of their own; --older-than 30d --delete-data deletes \
         those that have been at rest for 30 days",
        shared.product()
    )
}

/// Lists what is to be deleted, a line for each conversation.
fn listed(unused: &[PodConversation]) -> String {
    unused.iter().fold(String::new(), |mut text, conversation| {
        let title = conversation.title.as_deref().map(|title| format!(", {title}")).unwrap_or_default();
        let _infallible =
            writeln!(text, "  conversation/{}: {}{title}", conversation.id, conversation.status);
        text
    })
}

impl Collector<'_> {
    /// Lists the conversations that nobody uses.
    async fn unused(&self) -> Result<Vec<PodConversation>> {
        let mut unused = Vec::new();
        // One after the other: the application loads each of them to count its events.
        for conversation in self.shared.list(&self.application).await? {
            if self.is_unused(&conversation).await? {
                unused.push(conversation);
            }
        }
        Ok(unused)
    }

    /// Returns whether nobody uses a conversation. The time of its last update alone does not tell: the application stores
    /// it with the title only, and after a KILL an earlier time is known (`conversation_service.py`, `_EventSubscriber`).
    async fn is_unused(&self, conversation: &PodConversation) -> Result<bool> {
        if !conversation.is_unused_since(self.cutoff) {
            return Ok(false);
        }
        let id = &conversation.id;
        let events = self.application.count_events_since(id, self.cutoff).await;
        let action = format!("cannot count the events of conversation {id}");
        Ok(events.map_err(|error| self.shared.error(error, &action))? == 0)
    }

    async fn confirm(&self, global: &Global, count: usize, streams: &Streams) -> Result<()> {
        let conversations = phrase::count(count, "conversation");
        let deploy = &self.run.settings().deploy;
        let context = &self.run.session.connection.choice.context;
        let question = format!(
            "Delete {conversations} of `{}` in namespace {}, in {context}? Their messages are lost; the files in their \
             folders stay.",
            deploy.name, deploy.namespace
        );
        confirm::question(global, streams, &question, &format!("deleting {conversations}")).await
    }

    fn id_of(&self, conversation: &PodConversation) -> ObjectId {
        let namespace = self.run.settings().deploy.namespace.as_str();
        ObjectId::namespaced("", KIND, namespace, &conversation.id)
    }

    fn reason(&self, conversation: &PodConversation) -> String {
        format!("{}, at rest for more than {}", conversation.status, self.age)
    }

    /// Reports the conversations that stay without `--delete-data`.
    async fn keep(&self, unused: &[PodConversation]) -> String {
        for conversation in unused {
            let reason = format!("{}; --delete-data deletes it", self.reason(conversation));
            let id = self.id_of(conversation);
            self.run.events().object(Phase::Prune, id, Action::Kept, Some(reason)).await;
        }
        let conversations = phrase::count(unused.len(), "conversation");
        format!(
            "nothing was deleted: {conversations} at rest for more than {}; --delete-data deletes them with their messages",
            self.age
        )
    }

    async fn dry_run(&self, unused: &[PodConversation]) -> String {
        for conversation in unused {
            let (id, reason) = (self.id_of(conversation), self.reason(conversation));
            self.run.events().dry_run_object(Phase::Prune, id, Action::Deleted, Some(reason)).await;
        }
        let conversations = phrase::count(unused.len(), "conversation");
        format!("{conversations} would be deleted; dry run, nothing was deleted")
    }

    /// Deletes the conversations that are still unused.
    async fn delete_all(&self, unused: &[PodConversation]) -> Result<String> {
        let mut deleted = 0;
        for conversation in unused {
            let outcome = self.delete_unused(conversation).await.map_err(|error| {
                error.state(format!("{} deleted", phrase::count(deleted, "conversation")))
            })?;
            if outcome {
                deleted += 1;
            }
        }
        Ok(format!("{} deleted; the files in their folders stay", phrase::count(deleted, "conversation")))
    }

    /// Deletes a conversation unless somebody has used it since it was listed; a question may have been open for long.
    async fn delete_unused(&self, listed: &PodConversation) -> Result<bool> {
        let (id, events) = (self.id_of(listed), self.run.events());
        let action = format!("cannot delete conversation {}", listed.id);
        let current = self.application.get(&listed.id).await;
        let Some(current) = current.map_err(|error| self.shared.error(error, &action))? else {
            return Ok(false);
        };
        if !self.is_unused(&current).await? {
            let reason = "somebody has used it since it was listed".to_owned();
            events.object(Phase::Prune, id, Action::Kept, Some(reason)).await;
            return Ok(false);
        }
        let result = self.application.delete(&listed.id).await;
        result.map_err(|error| self.shared.error(error, &action))?;
        events.object(Phase::Prune, id, Action::Deleted, Some(self.reason(&current))).await;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn question_lists_status_and_title() {
        let of = |title: serde_json::Value| {
            let answer = json!({ "id": "a", "execution_status": "idle", "title": title });
            PodConversation::from_answer(&answer).unwrap()
        };
        let text = listed(&[of(json!("Fix it")), of(json!(null))]);
        assert_eq!(text, "  conversation/a: idle, Fix it\n  conversation/a: idle\n");
    }
}
