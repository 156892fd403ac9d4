//! Gives an application the models that its page offers, as profiles.
//!
//! Routes of agent-server 1.49.1 (`profiles_router.py`), each tried there: `POST /api/profiles/NAME` saves or overwrites one
//! (201); 409 beyond 50 of them; 422 without a model. `GET` of the same path answers its fields with the secrets masked.
//! `DELETE` deletes it, and is 409 while an agent of the page refers to it.
//! `POST …/activate` makes its fields those of the agent's model, and the page shows it as the active one.

use std::collections::BTreeSet;

use serde_json::json;

use super::client::SettingsApi;
use super::not_given::NotGiven;
use crate::cluster::app::client::AppAction;
use crate::plan::checks::api_settings::answer::{differing_fields_of_profile, lacks_key_of_profile};
use crate::plan::checks::api_settings::request::{SecretValues, profile_request};
use crate::settings::api_settings::{ApiSettings, DEFAULT_PROFILE};

/// Path of the profiles.
const PROFILES: &str = "/api/profiles";

/// What an application did not take of its profiles.
#[derive(Debug, Default)]
pub(super) struct ProfileFaults {
    /// The fields that have another value.
    pub(super) fields: Vec<String>,
    /// The profiles whose keys it reports as missing.
    pub(super) without_key: Vec<String>,
}

impl SettingsApi<'_> {
    /// Saves each profile and activates that of `[llm]`, and returns what the application did not take.
    ///
    /// # Errors
    /// As [`SettingsApi::send`].
    pub(super) async fn give_profiles(
        &self,
        desired: &ApiSettings,
        secrets: &SecretValues,
    ) -> Result<ProfileFaults, NotGiven> {
        let mut faults = ProfileFaults::default();
        for (name, model) in &desired.profiles {
            let path = path_of(name);
            self.send(&path, AppAction::Post(&profile_request(model, secrets))).await?;
            let answer = self.send(&path, AppAction::Get).await?;
            faults.fields.extend(differing_fields_of_profile(name, model, &answer));
            if lacks_key_of_profile(model, &answer) {
                faults.without_key.push(name.clone());
            }
        }
        if desired.profiles.contains_key(DEFAULT_PROFILE) {
            let path = format!("{}/activate", path_of(DEFAULT_PROFILE));
            self.send(&path, AppAction::Post(&json!({}))).await?;
        }
        Ok(faults)
    }

    /// Deletes profiles, and returns those that an agent of the page still uses.
    ///
    /// # Errors
    /// As [`SettingsApi::send`].
    pub(super) async fn delete_profiles(&self, names: &BTreeSet<String>) -> Result<Vec<String>, NotGiven> {
        let mut used = Vec::new();
        for name in names {
            if !self.delete(&path_of(name)).await? {
                used.push(format!("profile {name}, which an agent on its page uses"));
            }
        }
        Ok(used)
    }

    /// Whether a profile is missing, or was changed on the page.
    ///
    /// # Errors
    /// As [`SettingsApi::send`].
    pub(super) async fn has_other_profiles(&self, desired: &ApiSettings) -> Result<bool, NotGiven> {
        for (name, model) in &desired.profiles {
            match self.send(&path_of(name), AppAction::Get).await {
                Ok(answer) if differing_fields_of_profile(name, model, &answer).is_empty() => {}
                Err(NotGiven::Rejected(error)) => return Err(NotGiven::Rejected(error)),
                Ok(_) | Err(NotGiven::Failed(_)) => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// The path of a profile. Its name needs no escapes: the rules of the settings admit only characters of a path.
fn path_of(name: &str) -> String {
    format!("{PROFILES}/{name}")
}
