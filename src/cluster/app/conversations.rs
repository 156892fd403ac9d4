//! Which conversations the application knows, by its own answers.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::client::{AppClient, AppError, AppRequest, AppResponse};
use crate::cluster::client::api::Api;
use crate::settings::secrets::value::Redacted;

/// The path of the application's conversations.
const PATH: &str = "/api/conversations";
/// The conversations of one answer. The application reads a file for each.
const PAGE: usize = 100;
/// The most pages that are read: more conversations than a person has.
const MAX_PAGES: usize = 50;
/// The application allows ten requests per second, and answers 429 beyond twenty
/// (`openhands/server/middleware.py`).
const RATE_PAUSE: Duration = Duration::from_secs(1);
/// The number of attempts of a request that the application limits.
const ATTEMPTS: u32 = 5;

/// The conversations of an application.
pub struct AppConversations<'a> {
    /// The connection.
    pub api: &'a Api,
    /// The application.
    pub client: AppClient,
    /// Its session key, if the configuration has one.
    pub session_key: Option<Redacted>,
}

impl AppConversations<'_> {
    /// Lists the conversations by id. Older ones than `conversation_max_age_seconds` are missing, and so are those whose
    /// files the application cannot read: only [`Self::get`] tells that there is none.
    ///
    /// # Errors
    /// Returns the reason in one clause.
    pub async fn list(&self) -> Result<BTreeMap<String, Value>, String> {
        let mut conversations = BTreeMap::new();
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let at = page.as_deref().map_or_else(String::new, |page| format!("&page_id={}", encoded(page)));
            let mut answer = self.answer(&format!("{PATH}?limit={PAGE}{at}")).await?;
            let Value::Array(results) = answer["results"].take() else {
                return Err(format!("the answer of {PATH} has no results"));
            };
            for result in results {
                if let Some(id) = result["conversation_id"].as_str().map(str::to_owned) {
                    conversations.insert(id, result);
                }
            }
            page = answer["next_page_id"].as_str().map(str::to_owned);
            if page.is_none() {
                break;
            }
        }
        Ok(conversations)
    }

    /// Returns a conversation; None if the application answers that it has none of this id.
    ///
    /// # Errors
    /// Returns the reason in one clause. Every answer but the conversation and `null` is an error.
    pub async fn get(&self, id: &str) -> Result<Option<Value>, String> {
        let answer = self.answer(&format!("{PATH}/{}", encoded(id))).await?;
        if answer.is_null() {
            return Ok(None);
        }
        if answer["conversation_id"] == id {
            return Ok(Some(answer));
        }
        Err(format!("the answer of {PATH}/{id} is no conversation"))
    }

    async fn answer(&self, path: &str) -> Result<Value, String> {
        let mut attempt = 1;
        loop {
            let response = self.request(path).await?;
            match response.status {
                StatusCode::TOO_MANY_REQUESTS if attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(RATE_PAUSE).await;
                }
                StatusCode::OK => {
                    return serde_json::from_slice(&response.body)
                        .map_err(|_| format!("the answer of {PATH} is not JSON"));
                }
                StatusCode::UNAUTHORIZED => {
                    return Err(
                        "the application requires a session key, which the configuration does not have"
                            .to_owned(),
                    );
                }
                status => return Err(format!("{PATH} returns {status}")),
            }
        }
    }

    async fn request(&self, path: &str) -> Result<AppResponse, String> {
        let session_key = self.session_key.as_ref().map(Redacted::expose);
        let request = AppRequest::get(path).with_key(session_key);
        self.client.request(self.api, request).await.map_err(AppError::reason)
    }
}

/// Encodes a text for a path or a query.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::settings::edition::CLASSIC;

    const PROXY: &str = "GET /api/v1/namespaces/n/services/oh:http/proxy/api/conversations";

    fn of(api: &Api) -> AppConversations<'_> {
        let client = AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CLASSIC };
        AppConversations { api, client, session_key: None }
    }

    #[tokio::test(start_paused = true)]
    async fn every_page_is_read() {
        let (api, mut server) = scripted();
        let script = async {
            let first = server.expect(PROXY).await;
            assert_eq!(first.query, "limit=100");
            first.ok(&json!({ "results": [{ "conversation_id": "a" }], "next_page_id": "x+1" }));
            let second = server.expect(PROXY).await;
            assert_eq!(second.query, "limit=100&page_id=x%2B1");
            second.ok(&json!({ "results": [{ "conversation_id": "b" }], "next_page_id": null }));
        };
        let client = of(&api);
        let (listed, ()) = tokio::join!(client.list(), script);
        assert_eq!(listed.unwrap().into_keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_null_means_that_there_is_none() {
        let (api, mut server) = scripted();
        let path = format!("{PROXY}/a");
        let script = async {
            server.expect(&path).await.ok(&Value::Null);
            server.expect(&path).await.ok(&json!({ "conversation_id": "a" }));
            server.expect(&path).await.ok(&json!({ "conversation_id": "b" }));
            server.expect(&path).await.ok(&json!({}));
            server.expect(&path).await.not_found();
            server.expect(&path).await.status(500, "InternalError", "broken metadata");
        };
        let client = of(&api);
        let answers = async {
            assert_eq!(client.get("a").await, Ok(None));
            assert!(client.get("a").await.unwrap().is_some());
            for _ in 0..4 {
                client.get("a").await.unwrap_err();
            }
        };
        tokio::join!(answers, script);
    }

    #[tokio::test(start_paused = true)]
    async fn limited_request_is_repeated() {
        let (api, mut server) = scripted();
        let script = async {
            // The application's own 429, not the API server's: it is no Status.
            let limited = server.expect(PROXY).await;
            limited.respond(StatusCode::TOO_MANY_REQUESTS, &Value::from("Too many requests"));
            server.expect(PROXY).await.ok(&json!({ "results": [], "next_page_id": null }));
        };
        let client = of(&api);
        let (listed, ()) = tokio::join!(client.list(), script);
        assert!(listed.unwrap().is_empty());
    }
}
