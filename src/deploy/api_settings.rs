//! The part of `deploy` that gives an application which keeps its settings itself what config.toml says about it.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::app_settings::{AppSettingsResult, note_of_missing_key, note_of_own_model, read_secret};
use crate::catalogue::Id;
use crate::cluster::app::client::{AppAction, AppClient, AppError, AppRequest, AppResponse};
use crate::cluster::apply::app_keys;
use crate::error::{Error, Kind, Result};
use crate::event::{Phase, Progress};
use crate::object::ObjectId;
use crate::plan::checks::api_settings::{self, KnownSettings};
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::app_keys::AppKeys;
use crate::reason;
use crate::session::runner::Run;
use crate::settings::api_settings::ApiSettings;
use crate::settings::secrets::value::SecretSource;

/// Name of the step.
const STEP: &str = "settings";

/// The keys of the application, and the claim that it mounts.
#[derive(Debug, Clone)]
pub(crate) struct KeysInUse<'a> {
    pub(crate) keys: &'a AppKeys,
    pub(crate) claim: ObjectId,
}

/// Checks that the page does not give the key away, and gives the application the configured settings, except after a
/// rollback. Settings that it does not take are only a warning: the application runs, and its own page can set them.
///
/// # Errors
/// Exit 9 if the page contains the key, or the application does not accept it.
pub(crate) async fn verify(
    run: &Run<'_>,
    client: &AppClient,
    in_use: &KeysInUse<'_>,
    origin: PlanOrigin,
) -> Result<AppSettingsResult> {
    let api = SettingsApi { run, client, keys: in_use.keys, claim: &in_use.claim };
    api.ensure_page_without_key().await?;
    if origin != PlanOrigin::Configuration {
        return Ok(AppSettingsResult::default());
    }
    let Some(desired) = ApiSettings::from_settings(run.settings()) else {
        return Ok(AppSettingsResult::default());
    };
    let events = run.events();
    events.begin(Phase::Settings, STEP, "").await;
    let given = api.give(&desired).await;
    match given {
        Ok((message, result)) => {
            events.step(Phase::Settings, STEP, Progress::Done, message).await;
            Ok(result)
        }
        Err(NotGiven::Rejected(error)) => {
            events.step(Phase::Settings, STEP, Progress::Failed, "").await;
            Err(error)
        }
        Err(NotGiven::Failed(why)) => {
            events.step(Phase::Settings, STEP, Progress::Skipped, "not given").await;
            let message = format!("the application did not get its settings: {why}");
            events.warn(Id::SettingsNotSaved, message).await;
            Ok(AppSettingsResult::default())
        }
    }
}

/// Why the application did not get its settings.
enum NotGiven {
    /// It does not accept its key, so nobody can use it.
    Rejected(Error),
    /// The reason.
    Failed(String),
}

impl From<String> for NotGiven {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The settings API of an application.
struct SettingsApi<'a> {
    run: &'a Run<'a>,
    client: &'a AppClient,
    keys: &'a AppKeys,
    claim: &'a ObjectId,
}

impl SettingsApi<'_> {
    /// Checks that a client without the key does not get it with the page.
    async fn ensure_page_without_key(&self) -> Result<()> {
        let page = self.client.edition.page;
        let response = match self.client.request(self.run.api(), AppRequest::get(page)).await {
            Ok(response) => response,
            Err(error) => {
                let why = error.reason();
                let message = format!("the page {page} was not checked for the application's key: {why}");
                self.run.events().warn(Id::ProbeFailed, message).await;
                return Ok(());
            }
        };
        let key = self.keys.api().expose().as_bytes();
        if !response.body.windows(key.len()).any(|part| part == key) {
            return Ok(());
        }
        let message = format!(
            "the page {page} of service/{} contains the application's key: whoever loads it runs commands in the pod",
            self.client.service
        );
        Err(Error::new(Id::Exposed, Kind::Rollout, message)
            .at_config(self.run.settings().locate("deploy.image"))
            .hint("use another release of the image; handsctl teardown stops this one and keeps its volume"))
    }

    async fn give(
        &self,
        desired: &ApiSettings,
    ) -> std::result::Result<(String, AppSettingsResult), NotGiven> {
        let current = self.send(AppAction::Get).await?;
        let given = app_keys::given_settings(self.run.api(), self.claim).await;
        let given = given.map_err(|error| error.with_causes())?;
        let (secrets, missing) = self.secrets(desired).await;
        if !missing.is_empty() {
            let message = format!("the application does not get {}", missing.join("; "));
            self.run.events().warn(Id::SettingsNotSaved, message).await;
        }
        // A key that nobody can read is not given again at each deploy.
        let desired = &desired.with_secrets(|field| secrets.contains_key(field));
        let body = api_settings::request(desired, secrets);
        let mac = self.keys.mac_of_settings(&body).map_err(|error| error.with_causes())?;
        let known = KnownSettings { current: &current, given: given.as_deref(), mac: &mac };
        if !api_settings::is_to_give(self.run.settings().deploy.seed_settings, desired, known) {
            let has_file = self.run.settings().key_sources.has_file;
            return Ok(kept(desired, &current, has_file));
        }
        let answer = self.send(AppAction::Patch(&body)).await?;
        self.report_answer(desired, &answer).await;
        let recorded = app_keys::record_given_settings(self.run.api(), self.claim, &mac).await;
        recorded.map_err(|error| error.with_causes())?;
        let model = api_settings::model(&answer);
        let name = model.as_deref().unwrap_or("its default model").to_owned();
        Ok((format!("model {name} given"), AppSettingsResult { model, note: None }))
    }

    /// Sends a request to the settings and returns the answer.
    async fn send(&self, action: AppAction<'_>) -> std::result::Result<Value, NotGiven> {
        let path = self.client.edition.settings;
        let request = AppRequest { path, action, session_key: Some(self.keys.api().expose()) };
        let sent = self.client.request(self.run.api(), request).await;
        let AppResponse { status, body, .. } = sent.map_err(AppError::reason)?;
        let method = if matches!(action, AppAction::Get) { "GET" } else { "PATCH" };
        match status {
            StatusCode::UNAUTHORIZED => Err(NotGiven::Rejected(self.rejected_key())),
            status if status.is_success() => Ok(serde_json::from_slice(&body).map_err(|error| {
                format!("{method} {path} does not return JSON: {}", reason::of_json(&error))
            })?),
            StatusCode::UNPROCESSABLE_ENTITY => Err(NotGiven::Failed(format!(
                "{method} {path} returns {status}: a value has another type than the application's field"
            ))),
            status => Err(NotGiven::Failed(format!("{method} {path} returns {status}"))),
        }
    }

    fn rejected_key(&self) -> Error {
        let secret = app_keys::secret_id(&self.run.session.set());
        let message = format!("the application does not accept the key of {secret}");
        Error::new(Id::AppKeyRejected, Kind::Rollout, message).hint(
            "handsctl restart starts it again with the keys of the Secret, if they are those of its volume",
        )
    }

    /// Returns the secret fields of the model, and why others are missing.
    async fn secrets(&self, desired: &ApiSettings) -> (Map<String, Value>, Vec<String>) {
        let (mut secrets, mut missing) = (Map::new(), Vec::new());
        for (field, source) in &desired.llm_secrets {
            let read = match source {
                SecretSource::Value(value) => Ok(value.clone()),
                SecretSource::Reference { secret, key } => {
                    read_secret(self.run.api(), &self.client.namespace, secret, key).await
                }
                SecretSource::NotRead(_) | SecretSource::Placeholder => Err(format!("not read: {source}")),
            };
            match read {
                Ok(value) => {
                    secrets.insert((*field).to_owned(), json!(value.expose()));
                }
                Err(why) => missing.push(format!("llm.{field} ({why})")),
            }
        }
        (secrets, missing)
    }

    /// Warns of fields that the application did not take, and of a key that it cannot read.
    async fn report_answer(&self, desired: &ApiSettings, answer: &Value) {
        let fields = api_settings::differing_fields(desired, answer);
        if !fields.is_empty() {
            let message = format!("the application did not take {}", fields.join(", "));
            self.run.events().warn(Id::SettingNotTaken, message).await;
        }
        if api_settings::lacks_model_key(desired, answer) {
            let message =
                "the application reports that it has no key of the model, although it got [llm] api_key";
            self.run.events().warn(Id::ModelKeyUnreadable, message.to_owned()).await;
        }
    }
}

fn kept(desired: &ApiSettings, current: &Value, has_file: bool) -> (String, AppSettingsResult) {
    let model = api_settings::model(current);
    let name = model.as_deref().unwrap_or("none").to_owned();
    let configured = desired.model().filter(|configured| model.as_deref() != Some(*configured));
    let note_of_key =
        || api_settings::has_no_model_key(current).then(|| note_of_missing_key(has_file).to_owned());
    let note = configured.map(|configured| note_of_own_model(&name, configured)).or_else(note_of_key);
    (format!("model {name}, its own setting"), AppSettingsResult { model, note })
}
