//! What the answers of an application with a login mean. Pure.

use serde_json::Value;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::cluster::app::client::AppError;
use crate::cluster::app::keyed_request::KeyedRequestError;
use crate::error::{Error, Kind};
use crate::object::ObjectId;
use crate::plan::checks::api_settings::answer::lacks_model_key;
use crate::plan::checks::app_keys;
use crate::settings::Settings;
use crate::settings::api_settings::ApiSettings;

/// The check of the page.
const PAGE: &str = "page";
/// The check of the key.
pub(super) const KEY: &str = "key";

/// Checks that the page does not contain the key.
pub(super) fn page(
    contains_key: Result<bool, AppError>,
    page: &str,
    service: &str,
    settings: &Settings,
) -> Check {
    match contains_key {
        Ok(false) => {
            Check::passed(Category::App, PAGE, format!("{page} does not contain the application's key"))
        }
        Ok(true) => {
            let error = app_keys::key_in_page(page, service, Kind::Prerequisite);
            Check::failed(Category::App, PAGE, error.at_config(settings.locate("deploy.image")))
        }
        Err(error) => Check::unknown(Category::App, PAGE, error.reason()),
    }
}

/// Checks that the API accepts the key, and that the application can read the key of the configured model.
pub(super) fn key(answer: Result<Value, KeyedRequestError>, secret: &ObjectId, settings: &Settings) -> Check {
    match answer {
        Err(KeyedRequestError::KeyRejected) => {
            Check::failed(Category::App, KEY, app_keys::rejected(secret, Kind::Prerequisite))
        }
        Err(error) => Check::unknown(Category::App, KEY, error.reason()),
        Ok(answer) => {
            let desired = ApiSettings::from_settings(settings);
            if desired.is_some_and(|desired| lacks_model_key(&desired, &answer)) {
                let message =
                    "the application reports that it has no key of the model, although [llm] has one";
                let error = Error::new(Id::ModelKeyUnreadable, Kind::Degraded, message)
                    .at_config(settings.locate("llm.api_key"))
                    .hint("handsctl deploy gives it again");
                return Check::warning(Category::App, KEY, error);
            }
            Check::passed(Category::App, KEY, format!("the API accepts the key of {secret}"))
        }
    }
}

/// Returns the check of an application whose keys are not in the cluster.
pub(super) fn without_keys(secret: &ObjectId) -> Check {
    let message = format!("{secret} does not hold the keys of the application");
    let error = Error::new(Id::EncryptionKeyChanged, Kind::Prerequisite, message)
        .hint("put the Secret back from its backup, with its labels and its type");
    Check::failed(Category::App, KEY, error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::check::{Outcome, exit_code};
    use crate::object::kind::SECRET;
    use crate::settings::tests::settings_of;

    fn settings() -> Settings {
        settings_of("[deploy]\nedition = \"canvas\"\n[llm]\nmodel = \"a/m\"\napi_key = \"sk-1\"\n")
    }

    #[test]
    fn key_in_the_page_fails_and_no_answer_is_unknown() {
        let check = |answer| page(answer, "/canvas/", "oh", &settings());
        assert_eq!(exit_code(&[check(Ok(false))]), 0);
        assert_eq!(exit_code(&[check(Ok(true))]), 14);
        let silent = check(Err(AppError::Unreachable("no answer".to_owned())));
        assert!(matches!(silent.outcome, Outcome::Unknown(why) if why == "no answer"));
    }

    #[test]
    fn rejected_key_fails_and_unreadable_key_of_the_model_is_a_warning() {
        let check = |answer| key(answer, &SECRET.id("n", "oh-keys"), &settings());
        let with_key =
            |is_set: bool| Ok(json!({ "agent_settings": { "llm": {} }, "llm_api_key_is_set": is_set }));
        assert_eq!(exit_code(&[check(Err(KeyedRequestError::KeyRejected))]), 14);
        assert_eq!(exit_code(&[check(with_key(true))]), 0);
        assert_eq!(exit_code(&[check(with_key(false))]), 11);
        assert_eq!(exit_code(&[check(Err(KeyedRequestError::NotAnswered("502".to_owned())))]), 0);
        assert_eq!(exit_code(&[without_keys(&SECRET.id("n", "oh-keys"))]), 14);
    }
}
