//! Asks an application with a login whether it keeps its key to itself, and whether it accepts the key.

use http::StatusCode;
use serde_json::Value;

use super::client::{AppClient, AppError, AppRequest};
use crate::cluster::client::api::Api;
use crate::plan::inventory::app_keys::AppKeys;

/// What an application answers to its key.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyAnswer {
    /// Its settings, without secrets.
    Settings(Value),
    /// 401: its pod runs with another key.
    Rejected,
    /// Neither; the reason in one clause.
    Unclear(String),
}

/// Loads the page as a client without the key, and returns whether it contains the key.
///
/// # Errors
/// The application does not respond, or the account may not send the request.
pub async fn page_contains_key(api: &Api, client: &AppClient, keys: &AppKeys) -> Result<bool, AppError> {
    let response = client.request(api, AppRequest::get(client.edition.page)).await?;
    let key = keys.api().expose().as_bytes();
    Ok(response.body.windows(key.len()).any(|part| part == key))
}

/// Gets the settings with the key.
pub async fn settings(api: &Api, client: &AppClient, keys: &AppKeys) -> KeyAnswer {
    let path = client.edition.settings;
    let request = AppRequest::get(path).with_key(Some(keys.api().expose()));
    match client.request(api, request).await {
        Ok(response) if response.status == StatusCode::UNAUTHORIZED => KeyAnswer::Rejected,
        Ok(response) if response.status.is_success() => match serde_json::from_slice(&response.body) {
            Ok(settings) => KeyAnswer::Settings(settings),
            Err(_) => KeyAnswer::Unclear(format!("the answer of {path} is not JSON")),
        },
        Ok(response) => KeyAnswer::Unclear(format!("{path} returns {}", response.status)),
        Err(error) => KeyAnswer::Unclear(error.reason()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::settings::edition::CANVAS;

    const PROXY: &str = "GET /api/v1/namespaces/n/services/oh:http/proxy";

    fn keys() -> AppKeys {
        let fill = |bytes: &mut [u8]| {
            bytes.fill(1);
            Ok::<_, std::convert::Infallible>(())
        };
        AppKeys::generate(fill).unwrap()
    }

    fn client() -> AppClient {
        AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CANVAS }
    }

    #[tokio::test(start_paused = true)]
    async fn key_in_the_page_is_found() {
        let (api, mut server) = scripted();
        let (client, keys) = (client(), keys());
        let asked = async {
            let first = page_contains_key(&api, &client, &keys).await;
            (first, page_contains_key(&api, &client, &keys).await)
        };
        let page = format!("{PROXY}/canvas/");
        let (found, ()) = tokio::join!(asked, async {
            server.expect(&page).await.ok(&json!(format!("<html>{}</html>", keys.api().expose())));
            server.expect(&page).await.ok(&json!("<html>Enter the key</html>"));
        });
        assert_eq!(found, (Ok(true), Ok(false)));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_the_key_are_told_apart() {
        let (api, mut server): (_, ScriptedServer) = scripted();
        let (client, keys) = (client(), keys());
        let asked = async {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(settings(&api, &client, &keys).await);
            }
            answers
        };
        let path = format!("{PROXY}/api/settings");
        let (answers, ()) = tokio::join!(asked, async {
            server.expect(&path).await.ok(&json!({ "llm_api_key_is_set": true }));
            server.expect(&path).await.respond(StatusCode::UNAUTHORIZED, &json!({ "detail": "x" }));
            server.expect(&path).await.respond(StatusCode::BAD_GATEWAY, &json!("x"));
        });
        let accepted = KeyAnswer::Settings(json!({ "llm_api_key_is_set": true }));
        let unclear = KeyAnswer::Unclear("/api/settings returns 502 Bad Gateway".to_owned());
        assert_eq!(answers, [accepted, KeyAnswer::Rejected, unclear]);
    }
}
