//! Checks that the page of an application does not give the key away, and gives the application its settings.

use super::client::SettingsApi;
use super::give::give;
use super::not_given::NotGiven;
use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::login;
use crate::deploy::app_settings::AppSettingsResult;
use crate::error::{Kind, Result};
use crate::event::{Phase, Progress};
use crate::object::ObjectId;
use crate::plan::checks::app_keys;
use crate::plan::desired::PlanOrigin;
use crate::plan::inventory::app_keys::AppKeys;
use crate::session::runner::Run;
use crate::settings::api_settings::ApiSettings;

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
    let api = SettingsApi { run, client, keys: in_use.keys };
    api.ensure_page_without_key().await?;
    if origin != PlanOrigin::Configuration {
        return Ok(AppSettingsResult::default());
    }
    let Some(desired) = ApiSettings::from_settings(run.settings()) else {
        return Ok(AppSettingsResult::default());
    };
    let events = run.events();
    events.begin(Phase::Settings, STEP, "").await;
    match give(&api, &in_use.claim, &desired).await {
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

impl SettingsApi<'_> {
    /// Checks that a client without the key does not get it with the page.
    async fn ensure_page_without_key(&self) -> Result<()> {
        let page = self.client.edition.page;
        let contains_key = match login::page_contains_key(self.run.api(), self.client, self.keys).await {
            Ok(contains_key) => contains_key,
            Err(error) => {
                let why = error.reason();
                let message = format!("the page {page} was not checked for the application's key: {why}");
                self.run.events().warn(Id::ProbeFailed, message).await;
                return Ok(());
            }
        };
        if !contains_key {
            return Ok(());
        }
        let error = app_keys::key_in_page(page, &self.client.service, Kind::Rollout);
        Err(error.at_config(self.run.settings().locate("deploy.image")))
    }
}
