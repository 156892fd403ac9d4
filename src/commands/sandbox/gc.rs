//! `sandbox gc`: deletes what blocks conversations, and what is left of those that do not exist any more; or conversations
//! of the application's pod that nobody has used for long.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use super::others;
use super::read::{self, AppAnswers};
use super::shared_pod::application;
use super::shared_pod::gc::{self as shared_pod, CollectOptions};
use crate::catalogue::Id;
use crate::cluster::app::sandbox_objects::{self, SandboxListing};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Finished, Phase};
use crate::flags::{Format, Global, parse_duration};
use crate::phrase;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::runner::{Invocation, Run};
use crate::status::sandbox::{self, ConversationPart, Garbage, GarbageObject, GarbageOptions};

/// Delete what blocks conversations, and what is left of them
///
/// Classic edition, in order: list the objects of the sandboxes' namespace, ask the application which conversations it
/// knows, list what is to be deleted, ask for a confirmation, delete it. Deleted are pods that have ended, with their
/// Services and Ingress; Services and Ingresses without a pod; and every object of a conversation that the application does
/// not know any more, its volume claim only with --delete-data. The files of a conversation that the application knows are
/// never deleted. Without an answer of the application nothing is deleted that depends on it.
///
/// Agent Canvas: its conversations share the application's pod and have no objects of their own. With --older-than and
/// --delete-data: conversations at rest without an event for this long are deleted through the application, with their
/// messages. Their folders in the pod stay. Without both flags nothing is deleted.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl sandbox gc --dry-run\n  handsctl sandbox gc --yes\n  handsctl sandbox gc --delete-data"
)]
pub struct SandboxGcArgs {
    /// List what would be deleted, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also delete the volumes of conversations that the application does not know any more, with their files; for Agent
    /// Canvas: delete conversations, with their messages
    #[arg(long)]
    pub delete_data: bool,
    /// For Agent Canvas: choose conversations at rest whose last event is older than this
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub older_than: Option<Duration>,
    /// Time limit of the whole command [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `sandbox gc`.
pub(crate) async fn run(global: &Global, arguments: &SandboxGcArgs, streams: &Streams) -> anyhow::Result<u8> {
    let invocation = Invocation {
        global,
        command: "sandbox gc",
        output: arguments.output,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| collect(run, global, arguments, streams).await;
    invocation.change_cluster(Secrets::IfAvailable, work).await
}

async fn collect(
    run: &Run<'_>,
    global: &Global,
    arguments: &SandboxGcArgs,
    streams: &Streams,
) -> Result<Finished> {
    let SandboxGcArgs { older_than, delete_data, dry_run, .. } = *arguments;
    if let Some(shared) = application::find(run.session).await? {
        let options = CollectOptions { older_than, delete_data, dry_run };
        return shared_pod::collect(run, global, &shared, options, streams).await;
    }
    if older_than.is_some() {
        return Err(age_of_sandbox());
    }
    let namespace = run.settings().runtime_namespace();
    let listing = read::objects(run.session, run.events()).await?;
    ensure_pods_are_listed(&listing, namespace)?;
    let conversations = sandbox::conversations(&listing.objects);
    let ids: Vec<&str> = conversations.iter().map(|conversation| conversation.id).collect();
    let answers = read::ask(run.session, &ids, usize::MAX).await;
    let may_be_of_others = !ids.is_empty() && others::report(run, namespace, "cleared").await?;
    let options = GarbageOptions { delete_data: arguments.delete_data, may_be_of_others };
    let garbage = sandbox::garbage(&conversations, |id| answers.knowledge(id), options);
    report_unclear(run, &answers).await;
    let asks = !arguments.dry_run && !global.yes && !garbage.deleted.is_empty();
    if asks {
        // Before the first progress output, which would overwrite the question.
        streams.err(&listed(&garbage));
        let context = &run.session.connection.choice.context;
        let objects = phrase::count(garbage.deleted.len(), "object");
        let question =
            format!("Delete {objects} in namespace {namespace}, in {context}?{}", data_text(&garbage));
        confirm::question(global, streams, &question, &format!("deleting {objects}")).await?;
    }
    run.events().target("sandbox gc", run.session.target()).await;
    let deleted = if arguments.dry_run {
        for object in &garbage.deleted {
            let (id, reason) = (sandbox_objects::id_of(object.part, namespace, object.object), object.reason);
            run.events().dry_run_object(Phase::Prune, id, Action::Deleted, Some(reason.to_owned())).await;
        }
        garbage.deleted.len()
    } else {
        let on_deleted = async |object: &GarbageObject<'_>| {
            let id = sandbox_objects::id_of(object.part, namespace, object.object);
            run.events().object(Phase::Prune, id, Action::Deleted, Some(object.reason.to_owned())).await;
        };
        sandbox_objects::delete_all(run.api(), namespace, &garbage.deleted, on_deleted).await?
    };
    for object in &garbage.kept {
        let id = sandbox_objects::id_of(object.part, namespace, object.object);
        run.events().object(Phase::Prune, id, Action::Kept, Some(object.reason.to_owned())).await;
    }
    let objects = phrase::count(deleted, "object");
    let message = match (deleted, arguments.dry_run) {
        (0, _) => format!("nothing to delete in namespace {namespace}"),
        (_, true) => {
            format!("{objects} of namespace {namespace} would be deleted; dry run, nothing was deleted")
        }
        (_, false) => format!("{objects} deleted in namespace {namespace}"),
    };
    Ok(Finished { message, ..Finished::default() })
}

/// Returns the error of `--older-than` where conversations have objects of their own.
fn age_of_sandbox() -> Error {
    let message =
        "--older-than chooses conversations of Agent Canvas, and this installation is of the classic edition";
    Error::new(Id::Usage, Kind::Usage, message)
        .hint("handsctl sandbox gc deletes what is left of conversations, whatever their age")
}

/// Checks that pods were listed: without them nothing tells what is left behind.
///
/// # Errors
/// Exit 6 with the rule.
fn ensure_pods_are_listed(listing: &SandboxListing, namespace: &str) -> Result<()> {
    if listing.objects.pods.is_some() {
        return Ok(());
    }
    let message =
        format!("cannot list pods in namespace {namespace}: nothing tells which objects are left behind");
    Err(read::forbidden(message, listing))
}

async fn report_unclear(run: &Run<'_>, answers: &AppAnswers) {
    if let Some(why) = &answers.why_unclear {
        let message = format!(
            "the application did not answer which conversations it knows, so nothing is deleted that depends on it: {why}"
        );
        run.events().warn(Id::ProbeFailed, message).await;
    }
}

/// Lists what is to be deleted, a line for each object.
fn listed(garbage: &Garbage<'_>) -> String {
    garbage.deleted.iter().fold(String::new(), |mut text, object| {
        let name = object.object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = object.part.kind().kind.to_ascii_lowercase();
        let _infallible = writeln!(text, "  {kind}/{name}: {}", object.reason);
        text
    })
}

/// Says what a deletion costs, for the question.
fn data_text(garbage: &Garbage<'_>) -> String {
    let claims = garbage.deleted.iter().filter(|object| object.part == ConversationPart::Claim).count();
    match claims {
        0 => String::new(),
        1 => " The files of 1 conversation are lost.".to_owned(),
        count => format!(" The files of {count} conversations are lost."),
    }
}
