//! How many conversations an application has that runs them in its own pod, by its own answers.

use super::client::AppClient;
use super::keyed_request::{self, KeyedRequestError};
use crate::cluster::client::api::Api;
use crate::settings::secrets::value::Redacted;

/// Counts all conversations; the answer is a number (`conversation_router.py` of agent-server 1.49.1).
const ALL: &str = "/api/conversations/count";
/// Counts those whose agent is at work.
const RUNNING: &str = "/api/conversations/count?status=running";

/// The number of an application's conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationCount {
    /// All of them.
    pub all: u32,
    /// Those whose agent is at work.
    pub running: u32,
}

/// Asks the application for its conversations. `key` opens its API.
///
/// # Errors
/// Returns the reason in one clause.
pub async fn get(api: &Api, client: &AppClient, key: &Redacted) -> Result<ConversationCount, String> {
    let (all, running) = tokio::try_join!(number(api, client, key, ALL), number(api, client, key, RUNNING))?;
    Ok(ConversationCount { all, running })
}

async fn number(api: &Api, client: &AppClient, key: &Redacted, path: &str) -> Result<u32, String> {
    let answer = keyed_request::get_json(api, client, key, path).await.map_err(KeyedRequestError::reason)?;
    let number = answer.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| format!("the answer of {path} is no number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::settings::edition::CANVAS;

    async fn counted(script: impl AsyncFnOnce(ScriptedServer)) -> Result<ConversationCount, String> {
        let (api, server) = scripted();
        let client = AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CANVAS };
        let key = Redacted::new("k".to_owned());
        tokio::join!(get(&api, &client, &key), script(server)).0
    }

    const COUNT: &str = "GET /api/v1/namespaces/n/services/oh:http/proxy/api/conversations/count";

    #[tokio::test(start_paused = true)]
    async fn all_and_running_ones_are_counted() {
        let count = counted(async |mut server: ScriptedServer| {
            let all = server.expect(COUNT).await;
            assert_eq!(all.query, "");
            all.ok(&json!(3));
            let running = server.expect(COUNT).await;
            assert_eq!(running.query, "status=running");
            running.ok(&json!(1));
        });
        assert_eq!(count.await, Ok(ConversationCount { all: 3, running: 1 }));
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_is_no_number_is_an_error() {
        let count = counted(async |mut server: ScriptedServer| {
            server.expect(COUNT).await.ok(&json!({ "count": 3 }));
            server.expect(COUNT).await.ok(&json!(1));
        });
        assert_eq!(count.await, Err(format!("the answer of {ALL} is no number")));
    }
}
