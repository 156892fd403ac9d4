//! Whether the conversations share the application's pod, and the way to them.

use super::errors;
use crate::cluster::app::keyed_request::KeyedRequestError;
use crate::cluster::app::pod_conversations::PodConversations;
use crate::cluster::app::probe;
use crate::cluster::apply::app_keys;
use crate::commands::sandbox::typed;
use crate::deploy::missing_application;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::object::kind::DEPLOYMENT;
use crate::session::cluster_session::Session;
use crate::session::keyed_application::{self, KeyedApplication, Unavailable};
use crate::settings::edition::Edition;
use crate::status::sandbox::PodConversation;

/// An application whose conversations share its pod.
pub(in crate::commands::sandbox) struct SharedPod {
    /// The name of the installation.
    name: String,
    /// The Secret with the key of its API.
    keys: ObjectId,
    edition: &'static Edition,
    /// Whether its Deployment exists, as far as the account may read it.
    is_deployed: bool,
}

/// Finds out where the conversations run; None if each has a pod of its own. A configuration with another edition than the
/// deployed one is not applied yet, or was rolled back.
///
/// # Errors
/// The server does not respond.
pub(in crate::commands::sandbox) async fn find(session: &Session) -> Result<Option<SharedPod>> {
    let configured = session.settings.edition();
    if configured.has_sandbox_pods() {
        return Ok(None);
    }
    session.server_version().await?;
    let deploy = &session.settings.deploy;
    let deployments = DEPLOYMENT.in_namespace(deploy.namespace.as_str());
    let live = session.connection.api.get_opt(&deployments, deploy.name.as_str()).await;
    let is_deployed = !matches!(live, Ok(None));
    let edition = live.ok().flatten().map_or(configured, |live| Edition::of_deployment(&live));
    let has_own_pods = edition.has_sandbox_pods();
    let (name, keys) = (deploy.name.to_string(), app_keys::secret_id(&session.set()));
    Ok((!has_own_pods).then_some(SharedPod { name, keys, edition, is_deployed }))
}

impl SharedPod {
    /// The name of the product, for messages.
    pub(super) const fn product(&self) -> &'static str {
        self.edition.product
    }

    /// Finds the application's ready pod and its key. From now on its keys are hidden in every output.
    ///
    /// # Errors
    /// Exit 12 if no pod is ready, exit 14 if nodes are simulated or the key is missing, exit 6 if the account may not read
    /// it.
    pub(super) async fn open(&self, session: &Session) -> Result<PodConversations> {
        if !self.is_deployed {
            return Err(missing_application::error(session, "there are no conversations").await);
        }
        let set = session.set();
        let opened = keyed_application::open(session, self.edition).await;
        let KeyedApplication { client, keys } = opened.map_err(|why| match why {
            Unavailable::Simulated => probe::simulated_error("there are no conversations"),
            Unavailable::NotReady => errors::no_ready_pod(&set.name, &set.namespace),
            Unavailable::NoKeys => errors::no_keys(&self.keys),
            Unavailable::Unreadable(error) => error,
        })?;
        Ok(PodConversations { api: session.connection.api.clone(), client, key: keys.api().clone() })
    }

    /// Returns the error of a request to the application. `action` is what could not be done.
    pub(super) fn error(&self, error: KeyedRequestError, action: &str) -> Error {
        errors::of_request(error, action, &self.keys)
    }

    /// Lists the conversations.
    ///
    /// # Errors
    /// The application does not list them.
    pub(super) async fn list(&self, application: &PodConversations) -> Result<Vec<PodConversation>> {
        application.list().await.map_err(|error| self.error(error, "cannot list the conversations"))
    }

    /// Finds the typed conversation.
    ///
    /// # Errors
    /// Exit 2 if there is none, or more than one. The application does not list them.
    pub(super) async fn conversation(
        &self,
        application: &PodConversations,
        typed: &str,
    ) -> Result<PodConversation> {
        let conversations = self.list(application).await?;
        resolve(conversations, typed, &self.name)
    }
}

/// Returns the conversation that is typed: its id, or the beginning of one.
fn resolve(conversations: Vec<PodConversation>, typed: &str, name: &str) -> Result<PodConversation> {
    let matching = conversations.into_iter().filter(|conversation| conversation.is_meant_by(typed)).collect();
    typed::only_one(matching, typed, &format!("`{name}`"), |conversation: &PodConversation| &conversation.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conversation(id: &str) -> PodConversation {
        PodConversation::from_answer(&json!({ "id": id, "execution_status": "idle" })).unwrap()
    }

    #[test]
    fn conversation_is_found_by_a_unique_beginning() {
        let all = ["0f1c-2d", "0f1d-00", "77aa-11"].map(conversation);
        let resolved = |typed: &str| resolve(all.to_vec(), typed, "oh").map(|found| found.id);
        assert_eq!(resolved("77").unwrap(), "77aa-11");
        assert_eq!(resolved("0f1c2").unwrap(), "0f1c-2d");
        let two = resolved("0f1").unwrap_err();
        assert_eq!(two.message(), "2 conversations begin with `0f1`");
        assert_eq!(resolved("x").unwrap_err().message(), "no conversation of `oh` begins with `x`");
    }
}
