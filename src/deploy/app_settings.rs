//! The part of `deploy` that gives the application its model and key, and says which model it uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::app::client::{AppClient, AppError, AppRequest, AppResponse};
use crate::cluster::client::api::Api;
use crate::event::{Phase, Progress};
use crate::object::kind::SECRET;
use crate::plan::checks::app_settings::{Decision, DesiredAppSettings, KEY, Missing};
use crate::session::runner::Run;
use crate::settings::Settings;
use crate::settings::secrets::value::{Redacted, SecretSource};

/// The application's own settings.
const SETTINGS: &str = "/api/settings";
/// With this variable the application asks every visitor for a key.
const SESSION_KEY: &str = "SESSION_API_KEY";
/// Name of the step.
const STEP: &str = "settings";

/// What is known of the application's model.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppSettingsResult {
    /// The model that it uses.
    pub(crate) model: Option<String>,
    /// What people have to know.
    pub(crate) note: Option<String>,
}

/// Gives the application what it lacks. That it could not be given is a warning: it runs, and has a page of its own for it.
pub(crate) async fn seed(run: &Run<'_>, client: &AppClient) -> AppSettingsResult {
    let events = run.events();
    let desired = DesiredAppSettings::from_settings(run.settings());
    let client = SettingsClient { api: run.api(), app: client, session_key: session_key(run.settings()) };
    events.begin(Phase::Settings, STEP, "").await;
    match client.seed(&desired).await {
        Ok((message, seeded)) => {
            let progress = if seeded.model.is_some() { Progress::Done } else { Progress::Skipped };
            events.step(Phase::Settings, STEP, progress, message).await;
            seeded
        }
        Err(why) => {
            events.step(Phase::Settings, STEP, Progress::Skipped, "not given").await;
            events
                .warn(Id::SettingsNotGiven, format!("the application was not given its settings: {why}"))
                .await;
            AppSettingsResult::default()
        }
    }
}

/// The key that the configuration gives the application to ask its visitors for.
fn session_key(settings: &Settings) -> Option<Redacted> {
    match settings.secrets.get(SESSION_KEY) {
        Some(SecretSource::Value(value)) => Some(value.clone()),
        _ => settings.env.get(SESSION_KEY).map(|value| Redacted::new(value.clone())),
    }
}

/// The application's settings, over its own interface.
struct SettingsClient<'a> {
    api: &'a Api,
    app: &'a AppClient,
    session_key: Option<Redacted>,
}

impl SettingsClient<'_> {
    async fn seed(&self, desired: &DesiredAppSettings) -> Result<(String, AppSettingsResult), String> {
        let current = self.current().await?;
        Ok(match desired.decide(current.as_ref()) {
            Decision::Keep { model } => kept(desired, model),
            Decision::Missing(lack) => lacking(lack),
            Decision::Post { mut settings, model } => {
                let key = self.key(desired).await?;
                settings["llm_api_key"] = json!(key.expose());
                self.post(&settings).await?;
                let name = model.as_deref().unwrap_or("its default model");
                (format!("model {name} given"), AppSettingsResult { model, note: None })
            }
        })
    }

    /// What it has; None: nothing yet.
    async fn current(&self) -> Result<Option<Value>, String> {
        let response = self.request(None).await?;
        match response.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let settings: Value = serde_json::from_slice(&response.body)
                    .map_err(|error| format!("{SETTINGS} answers no JSON: {error}"))?;
                Ok(Some(settings))
            }
            status => Err(refusal(status)),
        }
    }

    async fn post(&self, settings: &Value) -> Result<(), String> {
        let response = self.request(Some(settings)).await?;
        if response.status.is_success() { Ok(()) } else { Err(refusal(response.status)) }
    }

    async fn request(&self, body: Option<&Value>) -> Result<AppResponse, String> {
        let session_key = self.session_key.as_ref().map(Redacted::expose);
        let request = AppRequest { path: SETTINGS, body, session_key };
        self.app.request(self.api, request).await.map_err(|error| match error {
            AppError::Forbidden(why) | AppError::Unreachable(why) => why,
        })
    }

    async fn key(&self, desired: &DesiredAppSettings) -> Result<Redacted, String> {
        match &desired.key {
            Some(SecretSource::Value(value)) => Ok(value.clone()),
            Some(SecretSource::Reference { secret, key }) => {
                read_secret(self.api, &self.app.namespace, secret, key).await
            }
            Some(source @ SecretSource::NotRead(_)) => Err(format!("the key was not read: {source}")),
            None => Err(format!("the configuration has no {KEY}")),
        }
    }
}

fn refusal(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => {
            format!(
                "{SETTINGS} asks for a session key; [deploy.env] {SESSION_KEY} as a value or {{ env }} has it"
            )
        }
        status => format!("{SETTINGS} answers {status}"),
    }
}

fn kept(desired: &DesiredAppSettings, model: Option<String>) -> (String, AppSettingsResult) {
    let used = model.as_deref().unwrap_or("none");
    let note = desired.differs_from(model.as_deref()).then(|| {
        format!(
            "the application keeps its own model {used}; config.toml says {}. Its settings page changes it, \
             or [deploy] seed_settings = \"always\"",
            desired.model.as_deref().unwrap_or_default()
        )
    });
    (format!("model {used}, its own setting"), AppSettingsResult { model, note })
}

fn lacking(lack: Missing) -> (String, AppSettingsResult) {
    let (message, how) = match lack {
        Missing::NoKey => {
            ("none: [llm] api_key is not set", "[llm] model and api_key, or the application's own page")
        }
        Missing::Never => ("none: seed_settings is \"never\"", "the application's own page"),
    };
    let note = format!("conversations need settings first: {how}");
    (message.to_owned(), AppSettingsResult { model: None, note: Some(note) })
}

/// A value of somebody else's Secret.
async fn read_secret(api: &Api, namespace: &str, secret: &str, key: &str) -> Result<Redacted, String> {
    let found = api
        .get_opt(&SECRET.in_namespace(namespace), secret)
        .await
        .map_err(|fault| fault.into_error(&format!("cannot read secret/{secret}")).causes().join(": "))?;
    let found = found.ok_or_else(|| format!("secret/{secret} does not exist"))?;
    let bytes = found["data"][key].as_str().and_then(|text| STANDARD.decode(text).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Redacted::new).ok_or_else(|| format!("secret/{secret} has no text under {key}"))
}
