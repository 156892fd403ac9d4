//! The version that the server of an application reports of itself.

use serde_json::Value;

use super::client::{AppClient, AppRequest};
use crate::cluster::client::api::Api;

/// Answers without a login what runs (`server_details_router.py` of agent-server 1.49.1).
const PATH: &str = "/server_info";

/// Returns the version of agent-server; None if the application does not tell it.
pub async fn get(api: &Api, client: &AppClient) -> Option<String> {
    let response = client.request(api, AppRequest::get(PATH)).await.ok()?;
    let info: Value = serde_json::from_slice(&response.body).ok()?;
    info["version"].as_str().filter(|_| response.status.is_success()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::settings::edition::CANVAS;

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_with_a_version_tells_it() {
        let (api, mut server) = scripted();
        let client = AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CANVAS };
        let asked = async {
            let mut versions = Vec::new();
            for _ in 0..3 {
                versions.push(get(&api, &client).await);
            }
            versions
        };
        let (versions, ()) = tokio::join!(asked, async {
            let path = "GET /api/v1/namespaces/n/services/oh:http/proxy/server_info";
            server.expect(path).await.ok(&json!({ "version": "1.49.1" }));
            server.expect(path).await.ok(&json!({ "uptime": 1 }));
            server.expect(path).await.respond(StatusCode::BAD_GATEWAY, &json!({ "version": "x" }));
        });
        assert_eq!(versions, [Some("1.49.1".to_owned()), None, None]);
    }
}
