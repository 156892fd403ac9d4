//! The conversations of an application that runs them in its own pod, through its API.
//!
//! Paths, parameters and answers are those of agent-server 1.49.1 (`conversation_router.py`, `event_router.py`).

use std::fmt::Write as _;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::client::{AppAction, AppClient, AppRequest, AppResponse};
use super::conversations::encoded;
use super::keyed_request::{self, KeyedRequestError};
use crate::cluster::client::api::Api;
use crate::settings::secrets::value::Redacted;
use crate::status::sandbox::PodConversation;

/// The path of the conversations.
const PATH: &str = "/api/conversations";
/// The conversations of one answer: the most that the application returns.
const PAGE: usize = 100;
/// The most pages that are read: more conversations than people have.
const MAX_PAGES: usize = 50;
/// The events of one answer. An event can have tens of kilobytes, and a response is limited.
const EVENTS_PAGE: usize = 50;

/// The conversations of an application.
pub struct PodConversations {
    /// The connection.
    pub api: Api,
    /// The application.
    pub client: AppClient,
    /// The key that opens its API.
    pub key: Redacted,
}

/// Which events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those that were recorded since then.
    pub since: Option<Timestamp>,
    /// The newest events first.
    pub newest_first: bool,
}

/// A part of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events, in the order that was asked for.
    pub events: Vec<Value>,
    /// The next page; None after the last event.
    pub next: Option<String>,
}

impl PodConversations {
    /// Lists the conversations by their ids. The same one may be on two pages if another was deleted meanwhile.
    ///
    /// # Errors
    /// The application does not list them.
    pub async fn list(&self) -> Result<Vec<PodConversation>, KeyedRequestError> {
        let mut conversations = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let at = page_parameter(page.as_deref());
            let mut answer = self.get_json(&format!("{PATH}/search?limit={PAGE}{at}")).await?;
            conversations.extend(items(&mut answer)?.iter().filter_map(PodConversation::from_answer));
            page = next_page(&answer, page.as_deref());
            if page.is_none() {
                break;
            }
        }
        conversations.sort_by(|one, other| one.id.cmp(&other.id));
        conversations.dedup_by(|one, other| one.id == other.id);
        Ok(conversations)
    }

    /// Returns a conversation; None if there is none of this id.
    ///
    /// # Errors
    /// The application returns neither the conversation nor 404.
    pub async fn get(&self, id: &str) -> Result<Option<PodConversation>, KeyedRequestError> {
        let path = format!("{PATH}/{}", encoded(id));
        let response = self.send(AppRequest::get(&path)).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let conversation = PodConversation::from_answer(&keyed_request::json_of(&path, &response)?);
        match conversation.filter(|conversation| conversation.id == id) {
            Some(conversation) => Ok(Some(conversation)),
            None => Err(not_answered(format!("the answer of {path} is no conversation"))),
        }
    }

    /// Returns a page of a conversation's events: the first one, or that of `page`.
    ///
    /// # Errors
    /// The application does not return them.
    pub async fn events(
        &self,
        id: &str,
        query: EventQuery,
        page: Option<&str>,
    ) -> Result<EventPage, KeyedRequestError> {
        let mut path = format!("{PATH}/{}/events/search?limit={EVENTS_PAGE}", encoded(id));
        if query.newest_first {
            path.push_str("&sort_order=TIMESTAMP_DESC");
        }
        if let Some(since) = query.since {
            let _infallible = write!(path, "&timestamp__gte={}", seconds_of(since));
        }
        path.push_str(&page_parameter(page));
        let mut answer = self.get_json(&path).await?;
        let events = items(&mut answer)?;
        Ok(EventPage { events, next: next_page(&answer, page) })
    }

    /// Counts the events of a conversation that were recorded since then. The application reads them from its volume, so
    /// they are also known after it was killed.
    ///
    /// # Errors
    /// The application does not count them.
    pub async fn count_events_since(&self, id: &str, since: Timestamp) -> Result<u64, KeyedRequestError> {
        let path = format!("{PATH}/{}/events/count?timestamp__gte={}", encoded(id), seconds_of(since));
        let answer = self.get_json(&path).await?;
        answer.as_u64().ok_or_else(|| not_answered(format!("the answer of {path} is no number")))
    }

    /// Deletes a conversation with its events. The files in its folder stay (`conversation_service.py`,
    /// `delete_conversation`: "workspace is preserved").
    ///
    /// # Errors
    /// The application does not delete it.
    pub async fn delete(&self, id: &str) -> Result<(), KeyedRequestError> {
        let path = format!("{PATH}/{}", encoded(id));
        let request = AppRequest { action: AppAction::Delete, ..AppRequest::get(&path) };
        let response = self.send(request).await?;
        if response.status.is_success() {
            return Ok(());
        }
        // A request that was slow is sent twice, and the second answer is 400: there is no such conversation any more.
        match self.get(id).await? {
            None => Ok(()),
            Some(_) => Err(not_answered(format!("DELETE {path} returns {}", response.status))),
        }
    }

    async fn get_json(&self, path: &str) -> Result<Value, KeyedRequestError> {
        keyed_request::get_json(&self.api, &self.client, &self.key, path).await
    }

    async fn send(&self, request: AppRequest<'_>) -> Result<AppResponse, KeyedRequestError> {
        keyed_request::send(&self.api, &self.client, &self.key, request).await
    }
}

const fn not_answered(why: String) -> KeyedRequestError {
    KeyedRequestError::NotAnswered(why)
}

/// Returns a time for a query, without the nanoseconds that Python's `datetime` does not have.
fn seconds_of(time: Timestamp) -> String {
    encoded(&time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn page_parameter(page: Option<&str>) -> String {
    page.map_or_else(String::new, |page| format!("&page_id={}", encoded(page)))
}

/// Returns the next page. The same page again would be an endless list.
fn next_page(answer: &Value, page: Option<&str>) -> Option<String> {
    answer["next_page_id"].as_str().filter(|next| Some(*next) != page).map(str::to_owned)
}

fn items(answer: &mut Value) -> Result<Vec<Value>, KeyedRequestError> {
    match answer["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Err(not_answered("the answer has no items".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::settings::edition::CANVAS;

    const PROXY: &str = "/api/v1/namespaces/n/services/oh:http/proxy/api/conversations";
    const ID: &str = "7f26ff04-7111-4ee7-9106-4c95ea6e6f3e";

    async fn with<T>(
        work: impl AsyncFnOnce(PodConversations) -> T,
        script: impl AsyncFnOnce(ScriptedServer),
    ) -> T {
        let (api, server) = scripted();
        let client = AppClient { namespace: "n".into(), service: "oh".into(), pod: None, edition: &CANVAS };
        let conversations = PodConversations { api, client, key: Redacted::new("k".to_owned()) };
        tokio::join!(work(conversations), script(server)).0
    }

    fn answer(id: &str) -> Value {
        json!({ "id": id, "execution_status": "idle" })
    }

    #[tokio::test(start_paused = true)]
    async fn every_page_is_listed_once() {
        let listed = with(
            async |it: PodConversations| it.list().await,
            async |mut server: ScriptedServer| {
                let search = format!("GET {PROXY}/search");
                let first = server.expect(&search).await;
                assert_eq!(first.query, "limit=100");
                first.ok(&json!({ "items": [answer("b"), {}], "next_page_id": "x" }));
                let second = server.expect(&search).await;
                assert_eq!(second.query, "limit=100&page_id=x");
                second.ok(&json!({ "items": [answer("a"), answer("b")], "next_page_id": "x" }));
            },
        );
        let ids: Vec<String> = listed.await.unwrap().into_iter().map(|it| it.id).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_404_means_that_there_is_none() {
        let get = format!("GET {PROXY}/{}", ID.replace('-', "%2D"));
        let answers = with(
            async |it: PodConversations| {
                (it.get(ID).await, it.get(ID).await, it.get(ID).await, it.get(ID).await, it.get(ID).await)
            },
            async |mut server: ScriptedServer| {
                server.expect(&get).await.respond(StatusCode::NOT_FOUND, &json!({ "detail": "Not Found" }));
                server.expect(&get).await.ok(&answer(ID));
                server.expect(&get).await.ok(&answer("b"));
                server.expect(&get).await.respond(StatusCode::UNAUTHORIZED, &json!({ "detail": "x" }));
                server.expect(&get).await.respond(StatusCode::BAD_GATEWAY, &json!("x"));
            },
        );
        let (absent, present, other, rejected, down) = answers.await;
        assert_eq!(absent, Ok(None));
        assert_eq!(present.unwrap().unwrap().id, ID);
        assert!(matches!(other, Err(KeyedRequestError::NotAnswered(_))));
        assert_eq!(rejected, Err(KeyedRequestError::KeyRejected));
        let Err(KeyedRequestError::NotAnswered(why)) = down else { panic!("{down:?}") };
        assert!(why.ends_with("returns 502 Bad Gateway"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn second_answer_to_a_deletion_is_a_success() {
        let delete = format!("DELETE {PROXY}/a");
        let get = format!("GET {PROXY}/a");
        let deleted = with(
            async |it: PodConversations| (it.delete("a").await, it.delete("a").await, it.delete("a").await),
            async |mut server: ScriptedServer| {
                server.expect(&delete).await.ok(&json!({ "success": true }));
                server.expect(&delete).await.respond(StatusCode::BAD_REQUEST, &json!({ "detail": "x" }));
                server.expect(&get).await.respond(StatusCode::NOT_FOUND, &json!({ "detail": "x" }));
                server.expect(&delete).await.respond(StatusCode::INTERNAL_SERVER_ERROR, &json!("x"));
                server.expect(&get).await.ok(&answer("a"));
            },
        );
        let (first, second, third) = deleted.await;
        assert_eq!((first, second), (Ok(()), Ok(())));
        let Err(KeyedRequestError::NotAnswered(why)) = third else { panic!("{third:?}") };
        assert!(why.contains("returns 500"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_read_by_page_order_and_time() {
        let since: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let read = with(
            async |it: PodConversations| {
                let query = EventQuery { since: Some(since), newest_first: true };
                let page = it.events("a", query, Some("e7")).await;
                (page, it.count_events_since("a", since).await)
            },
            async |mut server: ScriptedServer| {
                let events = server.expect(&format!("GET {PROXY}/a/events/search")).await;
                let query = "limit=50&sort_order=TIMESTAMP_DESC&timestamp__gte=2026%2D11%2D01T00%3A00%3A00Z&page_id=e7";
                assert_eq!(events.query, query);
                events.ok(&json!({ "items": [{ "id": "e7" }], "next_page_id": "e6" }));
                let count = server.expect(&format!("GET {PROXY}/a/events/count")).await;
                assert_eq!(count.query, "timestamp__gte=2026%2D11%2D01T00%3A00%3A00Z");
                count.ok(&json!(4));
            },
        );
        let (page, count) = read.await;
        assert_eq!(
            page.unwrap(),
            EventPage { events: vec![json!({ "id": "e7" })], next: Some("e6".to_owned()) }
        );
        assert_eq!(count, Ok(4));
    }
}
