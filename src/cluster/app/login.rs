//! Asks an application with a login whether it keeps its key to itself.

use super::client::{AppClient, AppError, AppRequest};
use crate::cluster::client::api::Api;
use crate::plan::inventory::app_keys::AppKeys;

/// Loads the page as a client without the key, and returns whether it contains the key.
///
/// # Errors
/// The application does not respond, or the account may not send the request.
pub async fn page_contains_key(api: &Api, client: &AppClient, keys: &AppKeys) -> Result<bool, AppError> {
    let response = client.request(api, AppRequest::get(client.edition.page)).await?;
    let key = keys.api().expose().as_bytes();
    Ok(response.body.windows(key.len()).any(|part| part == key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::plan::inventory::app_keys::keys;
    use crate::settings::edition::CANVAS;

    const PROXY: &str = "GET /api/v1/namespaces/n/services/oh:http/proxy";

    fn client() -> AppClient {
        AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CANVAS }
    }

    #[tokio::test(start_paused = true)]
    async fn key_in_the_page_is_found() {
        let (api, mut server) = scripted();
        let (client, keys) = (client(), keys(1));
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
}
