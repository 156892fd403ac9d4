//! The running application of an edition with a login, with its keys.

use super::cluster_session::Session;
use super::hidden_keys;
use crate::cluster::app::app_pods;
use crate::cluster::app::client::AppClient;
use crate::cluster::apply::app_keys;
use crate::error::Error;
use crate::plan::inventory::app_keys::{AppKeys, StoredAppKeys};
use crate::settings::edition::Edition;

/// An application that answers to its key.
pub(crate) struct KeyedApplication {
    /// The client for its ready pod.
    pub(crate) client: AppClient,
    /// Its keys, which are hidden in every output.
    pub(crate) keys: AppKeys,
}

/// Why no request can be sent to an application with its key.
pub(crate) enum Unavailable {
    /// Its pod is on a simulated node, where no container runs.
    Simulated,
    /// No pod is ready.
    NotReady,
    /// Its Secret does not exist, or lacks a key.
    NoKeys,
    /// The account may not read it, or the server does not respond.
    Unreadable(Error),
}

impl From<Error> for Unavailable {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Finds the ready pod of the deployed application and its keys. `edition` is that of its Deployment.
///
/// # Errors
/// Why there is none.
pub(crate) async fn open(
    session: &Session,
    edition: &'static Edition,
) -> Result<KeyedApplication, Unavailable> {
    let (api, set) = (&session.connection.api, session.set());
    if session.is_simulation {
        return Err(Unavailable::Simulated);
    }
    let pod = app_pods::find_ready(api, &set).await?.ok_or(Unavailable::NotReady)?;
    if session.is_simulated(&pod).await {
        return Err(Unavailable::Simulated);
    }
    let StoredAppKeys::Keys(keys) = app_keys::read(api, &set).await? else {
        return Err(Unavailable::NoKeys);
    };
    hidden_keys::hide(session, &keys);
    let pod = pod["metadata"]["name"].as_str().map(str::to_owned);
    let client = AppClient::new(&session.settings.deploy, pod, edition);
    Ok(KeyedApplication { client, keys })
}
