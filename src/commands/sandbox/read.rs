//! What the commands of sandboxes read: the objects, and what the application answers about their conversations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::typed;
use crate::catalogue::Id;
use crate::cluster::access::rules::as_rules;
use crate::cluster::app::app_pods;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::conversations::AppConversations;
use crate::cluster::app::sandbox_objects::{self, SandboxListing};
use crate::deploy::app_settings;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::session::cluster_session::Session;
use crate::status::sandbox::{self, AppKnowledge, Conversation, NAME_PREFIX};

/// What the application answers about conversations.
#[derive(Debug, Default)]
pub(in crate::commands) struct AppAnswers {
    /// Its own description of the conversations that it knows.
    conversations: BTreeMap<String, Value>,
    /// Those of which it has answered that they do not exist.
    absent: BTreeSet<String>,
    /// Why it is not known of some; None if the application has answered about all.
    pub(in crate::commands) why_unclear: Option<String>,
}

impl AppAnswers {
    /// Whether the application knows this conversation.
    pub(in crate::commands) fn knowledge(&self, id: &str) -> AppKnowledge {
        if self.conversations.contains_key(id) {
            AppKnowledge::Yes
        } else if self.absent.contains(id) {
            AppKnowledge::No
        } else {
            AppKnowledge::Unclear
        }
    }

    /// Returns the application's description of a conversation.
    pub(super) fn conversation(&self, id: &str) -> Option<&Value> {
        self.conversations.get(id)
    }
}

/// Lists the objects of the sandboxes' namespace, and reports which of them the account may not list.
pub(super) async fn objects(session: &Session, events: &Events) -> Result<SandboxListing> {
    session.server_version().await?;
    let namespace = session.settings.runtime_namespace();
    let listing = sandbox_objects::list(&session.connection.api, namespace).await?;
    if !listing.missing.is_empty() {
        let kinds: Vec<&str> = listing.missing.iter().map(|missing| missing.resource.as_str()).collect();
        let rules = as_rules(&listing.missing).join("; ");
        let message = format!("{} were not listed: the account needs the rule {rules}", kinds.join(", "));
        events.warn(Id::Forbidden, message).await;
    }
    Ok(listing)
}

/// Returns the error of a listing that lacks too much, with the rules that the account needs.
pub(super) fn forbidden(message: String, listing: &SandboxListing) -> Error {
    let rules = as_rules(&listing.missing);
    rules.into_iter().fold(Error::new(Id::Forbidden, Kind::Forbidden, message), |error, rule| {
        error.hint(format!("the account needs the rule {rule}"))
    })
}

/// Asks the application about these conversations. Its list leaves out old ones, so it is asked about each one that is
/// missing there, but about no more than `most`: it allows ten requests per second.
pub(in crate::commands) async fn ask(session: &Session, ids: &[&str], most: usize) -> AppAnswers {
    let mut answers = AppAnswers::default();
    if ids.is_empty() {
        return answers;
    }
    let listed = match application(session).await {
        Ok(application) => application.list().await.map(|listed| (application, listed)),
        Err(why) => Err(why),
    };
    let (application, listed) = match listed {
        Ok(listed) => listed,
        Err(why) => return AppAnswers { why_unclear: Some(why), ..answers },
    };
    answers.conversations = listed;
    let unlisted: Vec<&&str> = ids.iter().filter(|id| !answers.conversations.contains_key(**id)).collect();
    for id in unlisted.iter().take(most) {
        match application.get(id).await {
            Ok(None) => {
                answers.absent.insert((**id).to_string());
            }
            Ok(Some(conversation)) => {
                answers.conversations.insert((**id).to_string(), conversation);
            }
            Err(why) => answers.why_unclear = Some(why),
        }
    }
    if unlisted.len() > most {
        let why = "its list leaves out old conversations; handsctl sandbox describe asks about one";
        answers.why_unclear = Some(why.to_owned());
    }
    answers
}

/// Finds the application. The error is the reason why it cannot be asked.
async fn application(session: &Session) -> Result<AppConversations<'_>, String> {
    const SIMULATED: &str = "no container runs on simulated nodes";
    if session.is_simulation {
        return Err(SIMULATED.to_owned());
    }
    let deploy = &session.settings.deploy;
    let api = &session.connection.api;
    let pod = app_pods::find_ready(api, &session.set()).await.map_err(|error| error.with_causes())?;
    let pod =
        pod.ok_or_else(|| format!("no pod of `{}` in namespace {} is ready", deploy.name, deploy.namespace))?;
    if session.is_simulated(&pod).await {
        return Err(SIMULATED.to_owned());
    }
    let pod = pod["metadata"]["name"].as_str().map(str::to_owned);
    let client = AppClient::new(deploy, pod, session.settings.edition());
    Ok(AppConversations { api, client, session_key: app_settings::session_key(&session.settings) })
}

/// Returns the pod of the conversation that is typed. `hint` is for one without a pod.
///
/// # Errors
/// Exit 2 if there is no such conversation; exit 12 if it has no pod.
pub(super) async fn find_pod(session: &Session, typed: &str, hint: &str) -> Result<Value> {
    let namespace = session.settings.runtime_namespace();
    let listing = sandbox_objects::list(&session.connection.api, namespace).await?;
    let conversations = sandbox::conversations(&listing.objects);
    let conversation = resolve(&conversations, typed, namespace)?;
    conversation.pod().cloned().ok_or_else(|| {
        let message = format!("conversation {} has no pod in namespace {namespace}", conversation.id);
        Error::new(Id::NotReady, Kind::Down, message).hint(hint)
    })
}

/// Returns the conversation that is typed: its id, the beginning of one, or the name of its pod.
///
/// # Errors
/// Exit 2 if there is none, or more than one.
pub(super) fn resolve<'a, 'b>(
    conversations: &'b [Conversation<'a>],
    typed: &str,
    namespace: &str,
) -> Result<&'b Conversation<'a>> {
    let id = typed.strip_prefix("pod/").unwrap_or(typed);
    let id = id.strip_prefix(NAME_PREFIX).unwrap_or(id);
    let matching: Vec<&Conversation<'a>> =
        conversations.iter().filter(|conversation| conversation.id.starts_with(id)).collect();
    typed::only_one(matching, typed, &format!("namespace {namespace}"), |conversation| conversation.id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn conversation(id: &str) -> Conversation<'_> {
        Conversation { id, objects: BTreeMap::new(), is_claim_in_use: false }
    }

    #[test]
    fn conversation_is_found_by_a_unique_beginning() {
        let all = [conversation("0f1c2d"), conversation("0f1d"), conversation("77aa")];
        let resolved = |typed: &str| resolve(&all, typed, "n").map(|found| found.id.to_owned());
        assert_eq!(resolved("77").unwrap(), "77aa");
        assert_eq!(resolved("openhands-runtime-0f1c").unwrap(), "0f1c2d");
        assert_eq!(resolved("pod/openhands-runtime-0f1d").unwrap(), "0f1d");
        assert_eq!(resolved("0f1").unwrap_err().message(), "2 conversations begin with `0f1`");
        assert!(resolved("x").unwrap_err().message().starts_with("no conversation of namespace n"));
    }
}
