//! The part of `deploy` that gives the application its model and key, and says which model it uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::app::client::{AppClient, AppError, AppRequest, AppResponse};
use crate::cluster::client::api::Api;
use crate::event::{Events, Phase, Progress};
use crate::object::kind::SECRET;
use crate::plan::checks::app_settings::{Decision, DesiredAppSettings, KEY, Missing};
use crate::session::cluster_session::Session;
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
pub(crate) async fn seed(session: &Session, application: &AppClient, events: &Events) -> AppSettingsResult {
    let talk = SettingsClient { session, application, session_key: session_key(session) };
    let seed = DesiredAppSettings::from_settings(&session.settings);
    events.begin(Phase::Settings, STEP, "").await;
    match talk.seed(&seed).await {
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
fn session_key(session: &Session) -> Option<Redacted> {
    let settings = &session.settings;
    match settings.secrets.get(SESSION_KEY) {
        Some(SecretSource::Value(value)) => Some(value.clone()),
        _ => settings.env.get(SESSION_KEY).map(|value| Redacted::new(value.clone())),
    }
}

/// A talk with the application.
struct SettingsClient<'a> {
    session: &'a Session,
    application: &'a AppClient,
    session_key: Option<Redacted>,
}

impl SettingsClient<'_> {
    async fn seed(&self, seed: &DesiredAppSettings) -> Result<(String, AppSettingsResult), String> {
        let current = self.current().await?;
        Ok(match seed.decide(current.as_ref()) {
            Decision::Keep { model } => kept(seed, model),
            Decision::Missing(lack) => lacking(lack),
            Decision::Post { mut settings, model } => {
                let key = self.key(seed).await?;
                settings["llm_api_key"] = json!(key.expose());
                self.post(&settings).await?;
                let name = model.as_deref().unwrap_or("its default model");
                (format!("model {name} given"), AppSettingsResult { model, note: None })
            }
        })
    }

    /// What it has; None: nothing yet.
    async fn current(&self) -> Result<Option<Value>, String> {
        let reply = self.request(None).await?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let settings: Value = serde_json::from_slice(&reply.body)
                    .map_err(|error| format!("{SETTINGS} answers no JSON: {error}"))?;
                Ok(Some(settings))
            }
            status => Err(refusal(status)),
        }
    }

    async fn post(&self, settings: &Value) -> Result<(), String> {
        let reply = self.request(Some(settings)).await?;
        if reply.status.is_success() { Ok(()) } else { Err(refusal(reply.status)) }
    }

    async fn request(&self, body: Option<&Value>) -> Result<AppResponse, String> {
        let session_key = self.session_key.as_ref().map(Redacted::expose);
        let question = AppRequest { path: SETTINGS, body, session_key };
        self.application.request(&self.session.connection.api, question).await.map_err(
            |silence| match silence {
                AppError::Forbidden(why) | AppError::Unreachable(why) => why,
            },
        )
    }

    async fn key(&self, seed: &DesiredAppSettings) -> Result<Redacted, String> {
        match &seed.key {
            Some(SecretSource::Value(value)) => Ok(value.clone()),
            Some(SecretSource::Reference { secret, key }) => {
                read(&self.session.connection.api, &self.application.namespace, secret, key).await
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

fn kept(seed: &DesiredAppSettings, model: Option<String>) -> (String, AppSettingsResult) {
    let used = model.as_deref().unwrap_or("none");
    let note = seed.differs_from(model.as_deref()).then(|| {
        format!(
            "the application keeps its own model {used}; config.toml says {}. Its settings page changes it, \
             or [deploy] seed_settings = \"always\"",
            seed.model.as_deref().unwrap_or_default()
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
async fn read(api: &Api, namespace: &str, secret: &str, key: &str) -> Result<Redacted, String> {
    let path = format!("{}/{secret}", SECRET.path(Some(namespace)));
    let found = api
        .get_opt(&path)
        .await
        .map_err(|fault| fault.into_error(&format!("cannot read secret/{secret}")).causes().join(": "))?;
    let found = found.ok_or_else(|| format!("secret/{secret} does not exist"))?;
    let bytes = found["data"][key].as_str().and_then(|text| STANDARD.decode(text).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Redacted::new).ok_or_else(|| format!("secret/{secret} has no text under {key}"))
}
