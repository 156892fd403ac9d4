//! `sandbox list`: lists the sandboxes of conversations, and what is left of them; or the conversations that share the
//! application's pod.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::read::{self, AppAnswers};
use super::shared_pod::application;
use super::shared_pod::list::{self as shared_pod, PodConversationObject};
use crate::error::Result;
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::object::pod_spec::claim_size;
use crate::phrase;
use crate::report::{Output, ReadingProgress, Streams, table};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;
use crate::status::sandbox::{self, Conversation, ConversationPart, SandboxObjects};

/// List the conversations, their sandboxes, and what is left of them
///
/// Classic edition: lists each conversation that has an object in the sandboxes' namespace: its pod, its volume claim,
/// whether the application knows it, and what blocks it. A conversation is known by the exact names of its objects. If the
/// application cannot be asked, the column says unknown and a message says why.
///
/// Agent Canvas: its conversations share the application's pod. The application lists them: status, age, last event,
/// folder in the pod, title.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl sandbox list\n  handsctl sandbox list -o json | jq -r '.[].conversation'"
)]
pub struct SandboxListArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// The conversations that are missing in the application's list and that it is asked about one by one.
const MOST_ASKED: usize = 8;
/// The headers of the table.
const HEADERS: [&str; 8] = ["conversation", "pod", "age", "node", "image", "claim", "known", "note"];

/// Runs `sandbox list`.
///
/// With `-o json` or `-o yaml`: an array of [`SandboxListItem`].
pub(crate) async fn run(
    global: &Global,
    arguments: &SandboxListArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    let reading = ReadInvocation { global, command: "sandbox list", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::IfAvailable, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("sandbox list", session.target()).await;
        let listing = read_until(deadline, &session, streams, read_listing(&session, events, streams))
            .await
            .map_err(|error| session.with_credentials_hint(error))?;
        let message = phrase::count(listing.len(), "conversation");
        Ok(((session, listing), Finished { message, ..Finished::default() }))
    };
    let (session, listing) = reading.run(work).await?;
    let now = session.connection.api.clock().now();
    let _written = match (output, &listing) {
        (Output::Human, listing) if listing.len() == 0 => {
            let context = &session.connection.choice.context;
            streams.err(&format!("{}; context {context}\n", listing.absence(&session)));
            return Ok(0);
        }
        (Output::Human, listing) => streams.text(&listing.table(now, streams.width()))?,
        (output, Listing::Sandboxes(items)) => streams.results(items, output)?,
        (output, Listing::Conversations(items)) => streams.results(items, output)?,
    };
    Ok(0)
}

/// The conversations, by where they run.
enum Listing {
    /// Each has a pod of its own.
    Sandboxes(Vec<SandboxObject>),
    /// They share the application's pod.
    Conversations(Vec<PodConversationObject>),
}

impl Listing {
    const fn len(&self) -> usize {
        match self {
            Self::Sandboxes(items) => items.len(),
            Self::Conversations(items) => items.len(),
        }
    }

    /// Says that there is nothing to list.
    fn absence(&self, session: &Session) -> String {
        let deploy = &session.settings.deploy;
        match self {
            Self::Sandboxes(_) => {
                format!("no sandboxes in namespace {}", session.settings.runtime_namespace())
            }
            Self::Conversations(_) => {
                format!("`{}` in namespace {} has no conversations", deploy.name, deploy.namespace)
            }
        }
    }

    fn table(&self, now: Timestamp, width: usize) -> String {
        match self {
            Self::Sandboxes(items) => {
                let rows: Vec<Vec<String>> = items.iter().map(|item| row(item, now)).collect();
                table(&HEADERS, &rows, width)
            }
            Self::Conversations(items) => {
                let rows: Vec<Vec<String>> = items.iter().map(|item| item.row(now)).collect();
                table(&shared_pod::HEADERS, &rows, width)
            }
        }
    }
}

/// An item of the result: the edition decides which.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the schema")]
pub(crate) enum SandboxListItem {
    /// Classic edition: a conversation with objects of its own.
    Sandbox(SandboxObject),
    /// Agent Canvas: a conversation in the application's pod.
    Conversation(PodConversationObject),
}

async fn read_listing(session: &Session, events: &Events, streams: &Streams) -> Result<Listing> {
    match application::find(session).await? {
        Some(shared) => shared_pod::list(session, &shared, streams).await.map(Listing::Conversations),
        None => list(session, events, streams).await.map(Listing::Sandboxes),
    }
}

async fn list(session: &Session, events: &Events, streams: &Streams) -> Result<Vec<SandboxObject>> {
    let listing = read::objects(session, events).await?;
    if listing.objects == SandboxObjects::default() {
        let message =
            format!("cannot list the sandboxes in namespace {}", session.settings.runtime_namespace());
        return Err(read::forbidden(message, &listing));
    }
    let conversations = sandbox::conversations(&listing.objects);
    let ids: Vec<&str> = conversations.iter().map(|conversation| conversation.id).collect();
    let answers = read::ask(session, &ids, MOST_ASKED).await;
    if let Some(why) = &answers.why_unclear {
        streams.err(&format!("whether the application knows a conversation is unknown: {why}\n"));
    }
    let are_pods_listed = listing.objects.pods.is_some();
    Ok(conversations.iter().map(|it| SandboxObject::new(it, &answers, &ids, are_pods_listed)).collect())
}

/// A conversation with objects of its own.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SandboxObject {
    /// The conversation's id.
    conversation: String,
    /// The beginning of the id that no other conversation of the list has.
    short: String,
    /// null without a pod; see `pods_listed`.
    pod: Option<SandboxPod>,
    /// Whether the account may list pods: without it `pod` is null in every item.
    pods_listed: bool,
    /// null without a volume claim.
    claim: Option<SandboxClaim>,
    /// The names of the other objects.
    services: Vec<String>,
    ingress: Option<String>,
    /// Whether the application knows the conversation: `yes`, `no` or `unknown`.
    known: &'static str,
    /// The title that the application shows.
    title: Option<String>,
    /// What blocks the conversation, or what is left of it.
    note: Option<&'static str>,
}

/// The pod of a sandbox.
#[derive(Debug, Serialize, JsonSchema)]
struct SandboxPod {
    name: String,
    phase: String,
    created: Option<String>,
    node: Option<String>,
    image: Option<String>,
}

/// The volume claim of a conversation.
#[derive(Debug, Serialize, JsonSchema)]
struct SandboxClaim {
    name: String,
    /// The size of the volume, or the requested one as long as there is no volume.
    size: Option<String>,
    phase: Option<String>,
    created: Option<String>,
    storage_class: Option<String>,
}

/// Returns the value if it is a text.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl SandboxObject {
    pub(super) fn new(
        conversation: &Conversation<'_>,
        answers: &AppAnswers,
        ids: &[&str],
        pods_listed: bool,
    ) -> Self {
        let name = |part: ConversationPart| {
            conversation.objects.get(&part).and_then(|it| text(&it["metadata"]["name"]))
        };
        let knowledge = answers.knowledge(conversation.id);
        // Without the pods nothing tells whether one blocks the conversation.
        let note = if pods_listed { sandbox::note(conversation, knowledge) } else { None };
        Self {
            conversation: conversation.id.to_owned(),
            short: sandbox::short_id(conversation.id, ids).to_owned(),
            pod: conversation.pod().map(SandboxPod::new),
            pods_listed,
            claim: conversation.claim().map(SandboxClaim::new),
            services: [ConversationPart::Service, ConversationPart::CodeService]
                .into_iter()
                .filter_map(name)
                .collect(),
            ingress: name(ConversationPart::Ingress),
            known: knowledge.as_str(),
            title: answers.conversation(conversation.id).and_then(|it| text(&it["title"])),
            note,
        }
    }
}

impl SandboxPod {
    fn new(pod: &Value) -> Self {
        Self {
            name: text(&pod["metadata"]["name"]).unwrap_or_default(),
            phase: text(&pod["status"]["phase"]).unwrap_or_else(|| "Unknown".to_owned()),
            created: text(&pod["metadata"]["creationTimestamp"]),
            node: text(&pod["spec"]["nodeName"]),
            image: text(&pod["spec"]["containers"][0]["image"]),
        }
    }
}

impl SandboxClaim {
    fn new(claim: &Value) -> Self {
        Self {
            name: text(&claim["metadata"]["name"]).unwrap_or_default(),
            size: claim_size(claim).map(str::to_owned),
            phase: text(&claim["status"]["phase"]),
            created: text(&claim["metadata"]["creationTimestamp"]),
            storage_class: text(&claim["spec"]["storageClassName"]),
        }
    }
}

fn row(item: &SandboxObject, now: Timestamp) -> Vec<String> {
    let pod = item.pod.as_ref();
    let claim = item.claim.as_ref();
    let phase = match pod {
        Some(pod) => pod.phase.clone(),
        None if item.pods_listed => String::new(),
        None => "unknown".to_owned(),
    };
    // What has no pod is as old as its files.
    let created = pod.and_then(|pod| pod.created.as_deref()).or_else(|| claim?.created.as_deref());
    let age = created.and_then(|created| created.parse().ok()).map(|created| phrase::age(created, now));
    let image = pod.and_then(|pod| pod.image.as_deref());
    let claim = claim.map(|claim| {
        let parts = [claim.size.clone(), claim.phase.as_deref().map(str::to_ascii_lowercase)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    vec![
        item.short.clone(),
        phase,
        age.unwrap_or_default(),
        pod.and_then(|pod| pod.node.clone()).unwrap_or_default(),
        // The registry and the folders are the same in every row.
        image.and_then(|image| image.rsplit('/').next()).unwrap_or_default().to_owned(),
        claim.unwrap_or_default(),
        item.known.to_owned(),
        item.note.unwrap_or_default().to_owned(),
    ]
}
