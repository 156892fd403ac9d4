//! Asks the running application whether its page keeps its key, and whether its API accepts the one of the Secret.

use super::check::{Category, Check};
use super::{login_answers, reading};
use crate::cluster::app::{keyed_request, login};
use crate::cluster::apply::app_keys;
use crate::error::Kind;
use crate::object::kind::DEPLOYMENT;
use crate::session::cluster_session::Session;
use crate::session::keyed_application::{self, KeyedApplication, Unavailable};
use crate::settings::edition::Edition;

/// Checks the login of the deployed application. No check without one: what is not deployed, not ready or simulated has its
/// own check.
pub(super) async fn checks(session: &Session) -> Vec<Check> {
    let api = &session.connection.api;
    let deploy = &session.settings.deploy;
    let (namespace, name) = (deploy.namespace.as_str(), deploy.name.as_str());
    let Ok(Some(live)) = reading::get(api, DEPLOYMENT, Some(namespace), name).await else {
        return Vec::new();
    };
    let edition = Edition::of_deployment(&live);
    if !edition.has_keys() {
        return Vec::new();
    }
    let secret = app_keys::secret_id(&session.set());
    let KeyedApplication { client, keys } = match keyed_application::open(session, edition).await {
        Ok(application) => application,
        Err(Unavailable::Simulated | Unavailable::NotReady) => return Vec::new(),
        Err(Unavailable::NoKeys) => return vec![login_answers::without_keys(&secret)],
        Err(Unavailable::Unreadable(error)) if error.kind() == Kind::Forbidden => {
            return vec![Check::unknown(Category::App, login_answers::KEY, error.with_causes())];
        }
        Err(Unavailable::Unreadable(error)) => {
            return vec![Check::failed(Category::App, login_answers::KEY, error)];
        }
    };
    let (page, answer) = tokio::join!(
        login::page_contains_key(api, &client, &keys),
        keyed_request::get_json(api, &client, keys.api(), edition.settings)
    );
    vec![
        login_answers::page(page, edition.page, name, &session.settings),
        login_answers::key(answer, &secret, &session.settings),
    ]
}
