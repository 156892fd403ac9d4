//! `sandbox logs` of a conversation that shares the application's pod: its events.

use jiff::Timestamp;
use serde_json::Value;

use super::application::SharedPod;
use crate::catalogue::Id;
use crate::cluster::app::pod_conversations::{EventPage, EventQuery, PodConversations};
use crate::error::{Error, Kind, Result};
use crate::logs::conversation_event::ConversationEvent;
use crate::report::{Streams, Written, one_line};
use crate::session::cluster_session::Session;

/// The characters of an event's text that a line has at most: the SDK's own previews have as many
/// (`openhands/sdk/event/base.py`, `N_CHAR_PREVIEW`).
const MAX_TEXT: usize = 500;
/// The most pages that are read. An endless answer must not keep the command running.
const MAX_PAGES: usize = 2000;

/// The events of a conversation.
pub(in crate::commands::sandbox) struct ConversationLog {
    shared: SharedPod,
    application: PodConversations,
    conversation: String,
}

/// Which events are printed.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands::sandbox) struct EventSelection {
    /// The last ones, at most as many.
    pub(in crate::commands::sandbox) tail: Option<usize>,
    /// Those that were recorded since then.
    pub(in crate::commands::sandbox) since: Option<Timestamp>,
}

/// Returns the error of `-f`: the application tells of new events on a WebSocket only.
pub(in crate::commands::sandbox) fn cannot_follow(shared: &SharedPod) -> Error {
    let message = format!(
        "sandbox logs does not follow a conversation of {}: it prints the events that the application has recorded",
        shared.product()
    );
    Error::new(Id::Usage, Kind::Usage, message)
        .hint("the page of Agent Canvas shows a conversation as it goes on")
        .hint("handsctl logs -f follows the log of the application's pod")
}

/// Finds the typed conversation.
///
/// # Errors
/// Exit 2 if there is none, or more than one. The application does not answer.
pub(in crate::commands::sandbox) async fn open(
    session: &Session,
    shared: SharedPod,
    typed: &str,
) -> Result<ConversationLog> {
    let application = shared.open(session).await?;
    let conversation = shared.conversation(&application, typed).await?.id;
    Ok(ConversationLog { shared, application, conversation })
}

impl ConversationLog {
    /// Prints the selected events, the oldest one first.
    ///
    /// # Errors
    /// The application does not return them, or writing fails.
    pub(in crate::commands::sandbox) async fn print(
        &self,
        selection: EventSelection,
        streams: &Streams,
    ) -> Result<()> {
        if let Some(tail) = selection.tail {
            let mut events = self.last(tail, selection.since).await?;
            events.reverse();
            return write(events, streams).await.map(drop);
        }
        let query = EventQuery { since: selection.since, newest_first: false };
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let page = self.page(query, next.as_deref()).await?;
            if write(page.events, streams).await? == Written::Closed {
                return Ok(());
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
        streams.err("the conversation has more events; --tail prints the last ones\n");
        Ok(())
    }

    /// Returns the last events, the newest one first.
    async fn last(&self, tail: usize, since: Option<Timestamp>) -> Result<Vec<Value>> {
        let query = EventQuery { since, newest_first: true };
        let (mut events, mut next) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            if events.len() >= tail {
                break;
            }
            let page = self.page(query, next.as_deref()).await?;
            events.extend(page.events);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        events.truncate(tail);
        Ok(events)
    }

    async fn page(&self, query: EventQuery, page: Option<&str>) -> Result<EventPage> {
        let page = self.application.events(&self.conversation, query, page).await;
        let action = format!("cannot read the events of conversation {}", self.conversation);
        page.map_err(|error| self.shared.error(error, &action))
    }
}

/// Writes the events on a thread of its own: a reader of stdout that has stopped must not delay the handling of SIGINT.
async fn write(events: Vec<Value>, streams: &Streams) -> Result<Written> {
    let streams = streams.clone();
    let writing = tokio::task::spawn_blocking(move || streams.log_lines(lines(&events, &streams).as_bytes()));
    writing.await.map_err(|error| Error::internal("the writer of the events was aborted").caused_by(error))?
}

/// Returns the events as lines. Their texts come from models and web pages.
fn lines(events: &[Value], streams: &Streams) -> String {
    let safe = |text: &str| {
        // Hidden before and after: characters that are removed must neither split a secret nor join one.
        let hidden = streams.secrets().text(text);
        streams.secrets().text(&one_line(&hidden))
    };
    events.iter().fold(String::new(), |mut lines, event| {
        lines.push_str(&ConversationEvent::new(event).line(MAX_TEXT, safe));
        lines.push('\n');
        lines
    })
}
