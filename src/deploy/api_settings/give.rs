//! Gives an application the configured settings, once for each change of them, and records what it gave.

use serde_json::{Value, json};

use super::client::SettingsApi;
use super::not_given::NotGiven;
use super::profiles::ProfileFaults;
use crate::catalogue::Id;
use crate::cluster::app::client::AppAction;
use crate::cluster::apply::app_keys;
use crate::deploy::app_settings::{AppSettingsResult, note_of_missing_key, note_of_own_model, read_secret};
use crate::object::ObjectId;
use crate::plan::checks::api_settings::answer;
use crate::plan::checks::api_settings::decision::{KnownSettings, is_to_give};
use crate::plan::checks::api_settings::request::{self, SecretValues};
use crate::plan::checks::api_settings::reset::{self, FieldDefaults};
use crate::plan::inventory::given_settings::RemovedSettings;
use crate::settings::api_settings::ApiSettings;
use crate::settings::handsctl::SeedSettings;
use crate::settings::secrets::value::SecretSource;

/// Gives the settings to the application on a claim's volume, and returns the step's message and the result.
///
/// # Errors
/// The application does not accept its key, or a request fails.
pub(super) async fn give(
    api: &SettingsApi<'_>,
    claim: &ObjectId,
    configured: &ApiSettings,
) -> Result<(String, AppSettingsResult), NotGiven> {
    let (run, path) = (api.run, api.client.edition.settings);
    let current = api.send(path, AppAction::Get).await?;
    let given = app_keys::given_settings(run.api(), claim).await.map_err(|error| error.with_causes())?;
    let secrets = api.read_secrets(configured).await;
    // A key that nobody can read is not given again at each deploy.
    let desired = &configured.with_secrets(|key| secrets.contains_key(key));
    let whole = request::whole_request(desired, &secrets);
    let mac = api.keys.mac_of_settings(&whole).map_err(|error| error.with_causes())?;
    let removed = given.removed_from(configured);
    let known = KnownSettings { current: &current, given: &given, removed: &removed, mac: &mac };
    let when = run.settings().deploy.seed_settings;
    let gives = is_to_give(when, desired, known)
        || (when == SeedSettings::Always && api.has_other_profiles(desired).await?);
    if !gives {
        return Ok(kept(desired, &current, run.settings().key_sources.has_file));
    }
    let faults = api.give_profiles(desired, &secrets).await?;
    // Afterwards, because the profile that is activated replaces the whole model.
    let (change, defaults) = api.change(desired, &secrets, &removed).await?;
    let action = if change == json!({}) { AppAction::Get } else { AppAction::Patch(&change) };
    let answer = api.send(path, action).await?;
    api.report_answer(desired, &answer, faults).await;
    api.finish_removal(&removed, reset::kept_fields(&removed, &defaults, &answer)).await?;
    let given = given.updated(mac, desired, configured);
    let recorded = app_keys::record_given_settings(run.api(), claim, &given).await;
    recorded.map_err(|error| error.with_causes())?;
    let model = answer::model(&answer);
    let name = model.as_deref().unwrap_or("its default model").to_owned();
    Ok((format!("model {name} given"), AppSettingsResult { model, note: None }))
}

impl SettingsApi<'_> {
    /// Returns the change of the settings, and the defaults of the fields that it resets.
    async fn change(
        &self,
        desired: &ApiSettings,
        secrets: &SecretValues,
        removed: &RemovedSettings,
    ) -> Result<(Value, FieldDefaults), NotGiven> {
        let mut change = request::settings_request(desired, secrets);
        if removed.fields.is_empty() {
            return Ok((change, FieldDefaults::default()));
        }
        let path = self.client.edition.settings;
        let agent = self.send(&format!("{path}/agent-schema"), AppAction::Get).await?;
        let conversation = self.send(&format!("{path}/conversation-schema"), AppAction::Get).await?;
        let defaults = FieldDefaults::from_schemas(&agent, &conversation);
        reset::add_resets(&mut change, removed, &defaults);
        Ok((change, defaults))
    }

    /// Deletes the removed profiles, and warns of what the application keeps.
    async fn finish_removal(&self, removed: &RemovedSettings, fields: Vec<String>) -> Result<(), NotGiven> {
        let mut kept = fields;
        kept.extend(self.delete_profiles(&removed.profiles).await?);
        if !kept.is_empty() {
            let message =
                format!("the application keeps what config.toml no longer has: {}", kept.join("; "));
            self.run.events().warn(Id::SettingNotTaken, message).await;
        }
        Ok(())
    }

    /// Reads the configured secrets, and warns of those that cannot be read.
    async fn read_secrets(&self, configured: &ApiSettings) -> SecretValues {
        let (mut secrets, mut missing) = (SecretValues::new(), Vec::new());
        for (key, secret) in configured.secrets() {
            let read = match &secret.source {
                SecretSource::Value(value) => Ok(value.clone()),
                SecretSource::Reference { secret, key } => {
                    read_secret(self.run.api(), &self.client.namespace, secret, key).await
                }
                source @ (SecretSource::NotRead(_) | SecretSource::Placeholder) => {
                    Err(format!("not read: {source}"))
                }
            };
            match read {
                Ok(value) => drop(secrets.insert(key.to_owned(), value)),
                Err(why) => missing.push(format!("{key} ({why})")),
            }
        }
        if !missing.is_empty() {
            let message = format!("the application does not get {}", missing.join("; "));
            self.run.events().warn(Id::SettingsNotSaved, message).await;
        }
        secrets
    }

    /// Warns of fields that the application did not take, and of keys that it cannot read.
    async fn report_answer(&self, desired: &ApiSettings, answer: &Value, faults: ProfileFaults) {
        let events = self.run.events();
        let mut fields = answer::differing_fields(desired, answer);
        fields.extend(faults.fields);
        if !fields.is_empty() {
            let message = format!("the application did not take {}", fields.join(", "));
            events.warn(Id::SettingNotTaken, message).await;
        }
        if answer::lacks_model_key(desired, answer) {
            let message =
                "the application reports that it has no key of the model, although it got [llm] api_key";
            events.warn(Id::ModelKeyUnreadable, message.to_owned()).await;
        } else if !faults.without_key.is_empty() {
            let names = faults.without_key.join(", ");
            let message = format!("the application reports that it has no key of the model of {names}");
            events.warn(Id::ModelKeyUnreadable, message).await;
        }
    }
}

fn kept(desired: &ApiSettings, current: &Value, has_file: bool) -> (String, AppSettingsResult) {
    let model = answer::model(current);
    let name = model.as_deref().unwrap_or("none").to_owned();
    let configured = desired.llm.model().filter(|configured| model.as_deref() != Some(*configured));
    let note_of_key = || answer::has_no_model_key(current).then(|| note_of_missing_key(has_file).to_owned());
    let note = configured.map(|configured| note_of_own_model(&name, configured)).or_else(note_of_key);
    (format!("model {name}, its own setting"), AppSettingsResult { model, note })
}
