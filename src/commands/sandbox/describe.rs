//! `sandbox describe`: prints one conversation's objects, conditions and Events, and what the application knows.
//! `description` has the result for programs, `shared_pod` the conversations of the application's pod.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::description::{Described, SandboxDescription, description};
use super::read::{self, AppAnswers};
use super::shared_pod::application;
use super::shared_pod::describe::{self as shared_pod, DescribedPodConversation, PodConversationDescription};
use crate::error::Result;
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::logs::event_line::time_of;
use crate::object::kind::EVENT;
use crate::object::list_items::items;
use crate::phrase;
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;
use crate::status::sandbox::{self, AppKnowledge, Conversation, ConversationPart};

/// Print the objects, conditions and Events of a conversation
///
/// Classic edition, in order: list the objects of the sandboxes' namespace, ask the application about the conversation, list
/// the Events of its pod and its volume claim, print all of it.
///
/// Agent Canvas: its conversations share the application's pod. Printed is what the application tells about this one: title,
/// status, folder in the pod, last event, model, cost.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl sandbox describe 0f1c2d3e\n  handsctl sandbox describe 0f1c2d3e -o json | jq .pod.conditions"
)]
pub struct SandboxDescribeArgs {
    /// The conversation: its id, or the beginning of it
    #[arg(value_name = "CONVERSATION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub conversation: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// The width of the labels.
const LABEL: usize = 14;

/// Runs `sandbox describe`.
pub(crate) async fn run(
    global: &Global,
    arguments: &SandboxDescribeArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    let command = "sandbox describe";
    let reading = ReadInvocation { global, command, progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::IfAvailable, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target(command, session.target()).await;
        let described = read_until(
            deadline,
            &session,
            streams,
            read_conversation(&session, &arguments.conversation, events),
        )
        .await
        .map_err(|error| session.with_credentials_hint(error))?;
        Ok((described, Finished::default()))
    };
    match reading.run(work).await? {
        FoundConversation::WithPod(described) => print(&described, output, streams)?,
        FoundConversation::InSharedPod(described) => print_pod_conversation(*described, output, streams)?,
    }
    Ok(0)
}

/// A conversation, by where it runs.
enum FoundConversation {
    /// It has objects of its own.
    WithPod(Box<Described>),
    /// It shares the application's pod.
    InSharedPod(Box<DescribedPodConversation>),
}

/// The result for programs: the edition decides which.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the schema")]
pub(crate) enum ConversationDescription {
    /// Classic edition: a conversation with objects of its own.
    Sandbox(Box<SandboxDescription>),
    /// Agent Canvas: a conversation in the application's pod.
    Conversation(Box<PodConversationDescription>),
}

async fn read_conversation(session: &Session, typed: &str, events: &Events) -> Result<FoundConversation> {
    if let Some(shared) = application::find(session).await? {
        let described = shared_pod::read(session, &shared, typed).await?;
        return Ok(FoundConversation::InSharedPod(Box::new(described)));
    }
    let described = read_objects(session, typed, events).await?;
    Ok(FoundConversation::WithPod(Box::new(described)))
}

fn print_pod_conversation(
    described: DescribedPodConversation,
    output: Output,
    streams: &Streams,
) -> Result<()> {
    let _written = match output {
        Output::Human => streams.text(&described.text())?,
        output => streams.result(&described.into_description(), output)?,
    };
    Ok(())
}

fn print(described: &Described, output: Output, streams: &Streams) -> Result<()> {
    let conversations = sandbox::conversations(&described.listing.objects);
    let conversation = read::resolve(&conversations, &described.id, &described.namespace)?;
    let _written = match output {
        Output::Human => streams.text(&streams.sanitized(&text(described, conversation)))?,
        output => streams.result(&description(described, conversation), output)?,
    };
    Ok(())
}

async fn read_objects(session: &Session, typed: &str, events: &Events) -> Result<Described> {
    let namespace = session.settings.runtime_namespace();
    let listing = read::objects(session, events).await?;
    let conversations = sandbox::conversations(&listing.objects);
    let conversation = read::resolve(&conversations, typed, namespace)?;
    let answers = read::ask(session, &[conversation.id], 1).await;
    let events = list_events(session, conversation).await?;
    let (id, now) = (conversation.id.to_owned(), session.connection.api.clock().now());
    Ok(Described { id, namespace: namespace.to_owned(), listing, answers, events, now })
}

fn text(described: &Described, conversation: &Conversation<'_>) -> String {
    let Described { namespace, answers, events, now, .. } = described;
    let now = *now;
    let mut text = String::new();
    line(&mut text, "conversation", conversation.id);
    line(&mut text, "application", &application_text(conversation.id, answers));
    if let Some(note) = sandbox::note(conversation, answers.knowledge(conversation.id)) {
        line(&mut text, "note", note);
    }
    line(&mut text, "namespace", namespace);
    for (part, object) in conversation.objects.iter().rev() {
        match part {
            ConversationPart::Pod => pod_lines(&mut text, object, now),
            ConversationPart::Claim => line(&mut text, "volume claim", &claim_text(object, now)),
            ConversationPart::Ingress => line(&mut text, "ingress", &named(object, now)),
            ConversationPart::Service | ConversationPart::CodeService => {
                line(&mut text, "service", &named(object, now));
            }
        }
    }
    match events {
        Some(events) => event_lines(&mut text, events, now),
        None => {
            line(&mut text, "events", "no right to list events; the account needs the verb list on events");
        }
    }
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    let _infallible = writeln!(text, "{label:<LABEL$}{value}");
}

fn application_text(id: &str, answers: &AppAnswers) -> String {
    let field = |name: &str| answers.conversation(id).and_then(|it| it[name].as_str());
    match answers.knowledge(id) {
        AppKnowledge::Yes => {
            let title = field("title").map(|title| format!(", {title}"));
            let status = field("status").map(|status| format!(", {status}"));
            format!("knows it{}{}", status.unwrap_or_default(), title.unwrap_or_default())
        }
        AppKnowledge::No => "does not know it".to_owned(),
        AppKnowledge::Unclear => {
            format!("unknown: {}", answers.why_unclear.as_deref().unwrap_or("it was not asked"))
        }
    }
}

/// Returns the name of an object with its age.
fn named(object: &Value, now: Timestamp) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
    let age = created.map(|created| format!(", {} old", phrase::age(created, now)));
    format!("{name}{}", age.unwrap_or_default())
}

fn claim_text(claim: &Value, now: Timestamp) -> String {
    let fields = [
        &claim["status"]["phase"],
        &claim["status"]["capacity"]["storage"],
        &claim["spec"]["storageClassName"],
        &claim["spec"]["volumeName"],
    ];
    let fields = fields.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    format!("{}, {fields}", named(claim, now))
}

fn pod_lines(text: &mut String, pod: &Value, now: Timestamp) {
    let field = |value: &Value| value.as_str().map(|text| format!(", {text}")).unwrap_or_default();
    let status = &pod["status"];
    let pod_text =
        [field(&status["phase"]), field(&status["reason"]), field(&pod["spec"]["nodeName"])].concat();
    line(text, "pod", &format!("{}{pod_text}", named(pod, now)));
    for condition in items(&status["conditions"]) {
        let kind = condition["type"].as_str().unwrap_or_default();
        let state = condition["status"].as_str().unwrap_or_default();
        let why = [field(&condition["reason"]), field(&condition["message"])].concat();
        line(text, "  condition", &format!("{kind} {state}{why}"));
    }
    for container in items(&status["containerStatuses"]) {
        let name = container["name"].as_str().unwrap_or_default();
        let image = field(&container["image"]);
        line(text, "  container", &format!("{name}, {}{image}", container_state(&container["state"])));
    }
}

/// Returns the state of a container: `running`, `waiting: ImagePullBackOff`, `terminated: Error, exit code 137`.
fn container_state(state: &Value) -> String {
    let Some((kind, details)) = state.as_object().and_then(|state| state.iter().next()) else {
        return "no state".to_owned();
    };
    let reason = details["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    let code = details["exitCode"].as_i64().map(|code| format!(", exit code {code}")).unwrap_or_default();
    format!("{kind}{reason}{code}")
}

/// Lists the Events of the pod and the claim, oldest first. None if the account may not list them.
async fn list_events(session: &Session, conversation: &Conversation<'_>) -> Result<Option<Vec<Value>>> {
    let namespace = session.settings.runtime_namespace();
    let mut events = Vec::new();
    for object in [conversation.pod(), conversation.claim()].into_iter().flatten() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
        match session.connection.api.list(&EVENT.in_namespace(namespace), &params).await {
            Ok(list) => events.extend(list.items),
            Err(error) if error.code() == Some(403) => return Ok(None),
            Err(error) => {
                return Err(error.into_error(&format!("cannot list events in namespace {namespace}")));
            }
        }
    }
    events.sort_by_key(time_of);
    Ok(Some(events))
}

fn event_lines(text: &mut String, events: &[Value], now: Timestamp) {
    for event in events {
        let age = time_of(event).map(|time| phrase::age(time, now));
        let kind = event["involvedObject"]["kind"].as_str().unwrap_or_default().to_ascii_lowercase();
        let [reason, message] = ["reason", "message"].map(|field| event[field].as_str().unwrap_or_default());
        line(text, "event", &format!("{} ago, {kind}, {reason}: {message}", age.unwrap_or_default()));
    }
}
