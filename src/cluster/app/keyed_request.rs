//! Requests to an application whose API requires its key.

use http::StatusCode;
use serde_json::Value;

use super::client::{AppClient, AppError, AppRequest, AppResponse};
use crate::cluster::client::api::Api;
use crate::settings::secrets::value::Redacted;

/// Why an application has not done what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyedRequestError {
    /// 401: its pod runs with another key.
    KeyRejected,
    /// The account may neither proxy to it nor forward a port.
    Forbidden(String),
    /// It does not answer, or answers something else; the reason in one clause.
    NotAnswered(String),
}

impl KeyedRequestError {
    /// Returns the reason in one clause.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::KeyRejected => "the application does not accept its key".to_owned(),
            Self::Forbidden(why) | Self::NotAnswered(why) => why,
        }
    }
}

/// Sends a request with the key. Every answer but 401 is returned.
///
/// # Errors
/// The application does not accept the key or does not answer, or the account may not send the request.
pub async fn send(
    api: &Api,
    client: &AppClient,
    key: &Redacted,
    request: AppRequest<'_>,
) -> Result<AppResponse, KeyedRequestError> {
    let request = request.with_key(Some(key.expose()));
    let response = client.request(api, request).await.map_err(|error| match error {
        AppError::Forbidden(why) => KeyedRequestError::Forbidden(why),
        AppError::Unreachable(why) => KeyedRequestError::NotAnswered(why),
    })?;
    match response.status {
        StatusCode::UNAUTHORIZED => Err(KeyedRequestError::KeyRejected),
        _ => Ok(response),
    }
}

/// Gets the JSON of a path.
///
/// # Errors
/// As [`send`]; the answer is no success or not JSON.
pub async fn get_json(
    api: &Api,
    client: &AppClient,
    key: &Redacted,
    path: &str,
) -> Result<Value, KeyedRequestError> {
    let response = send(api, client, key, AppRequest::get(path)).await?;
    json_of(path, &response)
}

/// Returns the JSON of an answer.
///
/// # Errors
/// It is no success or not JSON.
pub(super) fn json_of(path: &str, response: &AppResponse) -> Result<Value, KeyedRequestError> {
    let path = path.split('?').next().unwrap_or(path);
    if !response.status.is_success() {
        return Err(KeyedRequestError::NotAnswered(format!("{path} returns {}", response.status)));
    }
    serde_json::from_slice(&response.body)
        .map_err(|_| KeyedRequestError::NotAnswered(format!("the answer of {path} is not JSON")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::settings::edition::CANVAS;

    #[tokio::test(start_paused = true)]
    async fn answers_to_the_key_are_told_apart() {
        let (api, mut server) = scripted();
        let client = AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CANVAS };
        let key = Redacted::new("k".to_owned());
        let asked = async {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(get_json(&api, &client, &key, CANVAS.settings).await);
            }
            answers
        };
        let path = "GET /api/v1/namespaces/n/services/oh:http/proxy/api/settings";
        let (answers, ()) = tokio::join!(asked, async {
            server.expect(path).await.ok(&json!({ "llm_api_key_is_set": true }));
            server.expect(path).await.respond(StatusCode::UNAUTHORIZED, &json!({ "detail": "x" }));
            server.expect(path).await.respond(StatusCode::BAD_GATEWAY, &json!("x"));
        });
        let accepted = Ok(json!({ "llm_api_key_is_set": true }));
        let unclear = Err(KeyedRequestError::NotAnswered("/api/settings returns 502 Bad Gateway".to_owned()));
        assert_eq!(answers, [accepted, Err(KeyedRequestError::KeyRejected), unclear]);
    }
}
