//! Sends requests to the settings API of an application.

use http::StatusCode;
use serde_json::Value;

use super::not_given::NotGiven;
use crate::cluster::app::client::{AppAction, AppClient, AppRequest, AppResponse};
use crate::cluster::app::keyed_request::{self, KeyedRequestError};
use crate::deploy::app_keys;
use crate::plan::inventory::app_keys::AppKeys;
use crate::reason;
use crate::session::runner::Run;

/// The settings API of an application.
#[derive(Clone, Copy)]
pub(super) struct SettingsApi<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) client: &'a AppClient,
    pub(super) keys: &'a AppKeys,
}

impl SettingsApi<'_> {
    /// Sends a request and returns the JSON of a success.
    ///
    /// # Errors
    /// The application does not accept its key, does not respond, or responds with an error.
    pub(super) async fn send(&self, path: &str, action: AppAction<'_>) -> Result<Value, NotGiven> {
        let AppResponse { status, body, .. } = self.respond(path, action).await?;
        let method = action.method();
        match status {
            status if status.is_success() => Ok(serde_json::from_slice(&body).map_err(|error| {
                format!("{method} {path} does not return JSON: {}", reason::of_json(&error))
            })?),
            StatusCode::UNPROCESSABLE_ENTITY => Err(NotGiven::Failed(format!(
                "{method} {path} returns {status}: a value has another type than the application's field"
            ))),
            status => Err(NotGiven::Failed(format!("{method} {path} returns {status}"))),
        }
    }

    /// Deletes what a path names; false: the application still uses it (409).
    ///
    /// # Errors
    /// As [`SettingsApi::send`].
    pub(super) async fn delete(&self, path: &str) -> Result<bool, NotGiven> {
        match self.respond(path, AppAction::Delete).await?.status {
            StatusCode::CONFLICT => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(NotGiven::Failed(format!("DELETE {path} returns {status}"))),
        }
    }

    async fn respond(&self, path: &str, action: AppAction<'_>) -> Result<AppResponse, NotGiven> {
        let request = AppRequest { action, ..AppRequest::get(path) };
        let response = keyed_request::send(self.run.api(), self.client, self.keys.api(), request).await;
        response.map_err(|error| match error {
            KeyedRequestError::KeyRejected => NotGiven::Rejected(app_keys::rejected(self.run)),
            error => NotGiven::Failed(error.reason()),
        })
    }
}
