//! The part of `deploy` that posts the model and its key to the application, and reports which model it uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::app::client::{AppAction, AppClient, AppError, AppRequest, AppResponse};
use crate::cluster::client::api::Api;
use crate::event::{Phase, Progress};
use crate::object::kind::SECRET;
use crate::plan::checks::app_settings::{Decision, DesiredAppSettings, KEY, Missing};
use crate::reason;
use crate::session::runner::Run;
use crate::settings::secrets::value::{Redacted, SecretSource};
use crate::settings::{SESSION_KEY, Settings};

/// Name of the step.
const STEP: &str = "settings";

/// The application's model after seeding.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppSettingsResult {
    /// The model that the application uses; None if it has none or it is unknown.
    pub(crate) model: Option<String>,
    /// A note for the summary.
    pub(crate) note: Option<String>,
}

/// Posts the settings that the application lacks. A failure is only a warning: the application runs, and its own
/// settings page can set them.
pub(crate) async fn seed(run: &Run<'_>, client: &AppClient) -> AppSettingsResult {
    let events = run.events();
    let desired = DesiredAppSettings::from_settings(run.settings());
    let client = SettingsClient {
        api: run.api(),
        app: client,
        session_key: session_key(run.settings()),
        has_file: run.settings().key_sources.has_file,
    };
    events.begin(Phase::Settings, STEP, "").await;
    match client.seed(&desired).await {
        Ok((message, result)) => {
            let progress = if result.model.is_some() { Progress::Done } else { Progress::Skipped };
            events.step(Phase::Settings, STEP, progress, message).await;
            result
        }
        Err(why) => {
            events.step(Phase::Settings, STEP, Progress::Skipped, "not posted").await;
            events
                .warn(Id::SettingsNotSaved, format!("the application's settings were not posted: {why}"))
                .await;
            AppSettingsResult::default()
        }
    }
}

/// Returns the configured session key.
pub(crate) fn session_key(settings: &Settings) -> Option<Redacted> {
    match settings.secrets.get(SESSION_KEY) {
        Some(SecretSource::Value(value)) => Some(value.clone()),
        _ => settings.env.get(SESSION_KEY).map(|value| Redacted::new(value.clone())),
    }
}

/// A client of the application's settings API.
struct SettingsClient<'a> {
    api: &'a Api,
    app: &'a AppClient,
    session_key: Option<Redacted>,
    /// Whether there is a config.toml, which can get the model and the key.
    has_file: bool,
}

impl SettingsClient<'_> {
    async fn seed(&self, desired: &DesiredAppSettings) -> Result<(String, AppSettingsResult), String> {
        let current = self.current().await?;
        Ok(match desired.decide(current.as_ref()) {
            Decision::Keep { model } => kept(desired, model),
            Decision::Missing(reason) => missing(reason, self.has_file),
            Decision::Post { mut settings, model } => {
                let key = self.key(desired).await?;
                settings["llm_api_key"] = json!(key.expose());
                self.post(&settings).await?;
                let name = model.as_deref().unwrap_or("its default model");
                (format!("model {name} posted"), AppSettingsResult { model, note: None })
            }
        })
    }

    /// The path of the application's settings.
    fn path(&self) -> &'static str {
        self.app.edition.settings
    }

    /// Returns the application's current settings; None if it has none yet.
    async fn current(&self) -> Result<Option<Value>, String> {
        let response = self.request(None).await?;
        match response.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let settings: Value = serde_json::from_slice(&response.body).map_err(|error| {
                    format!("{} does not return JSON: {}", self.path(), reason::of_json(&error))
                })?;
                Ok(Some(settings))
            }
            status => Err(status_error(self.path(), status)),
        }
    }

    async fn post(&self, settings: &Value) -> Result<(), String> {
        let response = self.request(Some(settings)).await?;
        if response.status.is_success() { Ok(()) } else { Err(status_error(self.path(), response.status)) }
    }

    async fn request(&self, body: Option<&Value>) -> Result<AppResponse, String> {
        let session_key = self.session_key.as_ref().map(Redacted::expose);
        let action = body.map_or(AppAction::Get, AppAction::Post);
        let request = AppRequest { path: self.path(), action, session_key };
        self.app.request(self.api, request).await.map_err(AppError::reason)
    }

    async fn key(&self, desired: &DesiredAppSettings) -> Result<Redacted, String> {
        match &desired.key {
            Some(SecretSource::Value(value)) => Ok(value.clone()),
            Some(SecretSource::Reference { secret, key }) => {
                read_secret(self.api, &self.app.namespace, secret, key).await
            }
            Some(source @ SecretSource::NotRead(_)) => Err(format!("the key was not read: {source}")),
            Some(SecretSource::Placeholder) => Err("a simulated cluster has no key".to_owned()),
            None => Err(format!("the configuration has no {KEY}")),
        }
    }
}

fn status_error(path: &str, status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => {
            format!("{path} requires a session key; set [deploy.env] {SESSION_KEY} to a value or {{ env }}")
        }
        status => format!("{path} returns {status}"),
    }
}

fn kept(desired: &DesiredAppSettings, model: Option<String>) -> (String, AppSettingsResult) {
    let current = model.as_deref().unwrap_or("none");
    let configured = desired.model.as_deref().unwrap_or_default();
    let note = desired.differs_from(model.as_deref()).then(|| note_of_own_model(current, configured));
    (format!("model {current}, its own setting"), AppSettingsResult { model, note })
}

fn missing(reason: Missing, has_file: bool) -> (String, AppSettingsResult) {
    let (message, note) = match reason {
        Missing::NoKey => ("none: [llm] api_key is not set", note_of_missing_key(has_file)),
        Missing::Never => (
            "none: seed_settings is \"never\"",
            "conversations need settings first: use the application's settings page",
        ),
    };
    (message.to_owned(), AppSettingsResult { model: None, note: Some(note.to_owned()) })
}

/// Returns the way to the configured model for an application that keeps another one.
pub(super) fn note_of_own_model(current: &str, configured: &str) -> String {
    format!(
        "the application keeps its own model {current}; config.toml has {configured}. To change it, use the application's \
         settings page or [deploy] seed_settings = \"always\""
    )
}

/// Returns the way to a model and its key. `has_file`: whether there is a config.toml.
pub(super) const fn note_of_missing_key(has_file: bool) -> &'static str {
    if has_file {
        "conversations need a model and its key: handsctl config set llm.model=MODEL 'llm.api_key={ env = \"VARIABLE\" }', \
         then handsctl deploy; or the application's settings page"
    } else {
        "conversations need a model and its key: handsctl config init, then handsctl up; or the application's settings page"
    }
}

/// Reads a value of a Secret that handsctl does not manage.
///
/// # Errors
/// The reason: it cannot be read, or has no text under that key.
pub(super) async fn read_secret(
    api: &Api,
    namespace: &str,
    secret: &str,
    key: &str,
) -> Result<Redacted, String> {
    let object = api
        .get_opt(&SECRET.in_namespace(namespace), secret)
        .await
        .map_err(|error| error.into_error(&format!("cannot read secret/{secret}")).causes().join(": "))?;
    let object = object.ok_or_else(|| format!("secret/{secret} does not exist"))?;
    let bytes = object["data"][key].as_str().and_then(|text| STANDARD.decode(text).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Redacted::new).ok_or_else(|| format!("secret/{secret} has no text under key {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_key_leads_to_commands() {
        let note = |reason, has_file| missing(reason, has_file).1.note.expect("a note");
        assert!(note(Missing::NoKey, false).contains(": handsctl config init, then handsctl up; or "));
        assert!(note(Missing::NoKey, true).contains(": handsctl config set llm.model=MODEL "));
        assert!(!note(Missing::Never, true).contains("handsctl"));
    }
}
