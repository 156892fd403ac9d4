//! `history`: lists the kept revisions of the set.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::apply::inventory;
use crate::error::{Error, Kind, Result};
use crate::flags::{Format, Global, ReadArgs};
use crate::phrase;
use crate::plan::inventory::history::History;
use crate::plan::inventory::revision::Revision;
use crate::plan::inventory::snapshot::Snapshot;
use crate::report::{Output, Streams, table};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::step::Deadline;

/// List what was deployed when, newest first
///
/// Lists the revisions that are kept in the cluster, each with its result. With a number: the objects of that revision.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl history\n  handsctl history 3 -o yaml")]
pub struct HistoryArgs {
    /// Number of one revision: list its objects, or print their manifests with -o yaml
    pub revision: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `history`: lists all revisions, or one revision with its objects.
///
/// With `-o json` or `-o yaml`: `[{number, result, created, by, evidence, note, image, objects}]`; for one revision,
/// one such object with its `manifests`. Revisions do not contain the data of Secrets.
pub(crate) async fn run(global: &Global, arguments: &HistoryArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
    let session = Session::to_read(global, loaded, streams, deadline).await?;
    let history = read_until(deadline, &session, streams, read_history(&session))
        .await
        .map_err(|error| session.with_credentials_hint(error))?;
    for foreign in history.foreign() {
        let warning = Error::new(Id::ForeignRevision, Kind::Ownership, foreign.warning(&session.set()));
        streams.err(&streams.warning_text(&warning));
    }
    let output = output_form(Some(arguments.output));
    let _written = match (arguments.revision, output) {
        (None, Output::Human) => streams.text(&history_table(&session, &history))?,
        (None, output) => {
            let revisions = history.all().iter().rev().map(value).collect();
            streams.value(&Value::Array(revisions), output)?
        }
        (Some(number), output) => {
            let revision = history.get(number).ok_or_else(|| no_such_revision(number, &history))?;
            match output {
                Output::Human => streams.text(&details(revision))?,
                output => streams.value(&with_manifests(revision), output)?,
            }
        }
    };
    Ok(0)
}

async fn read_history(session: &Session) -> Result<History> {
    let api = &session.connection.api;
    session.server_version().await?;
    let set = session.set();
    let secrets = inventory::list_own_secrets(api, &set).await?;
    Ok(History::from_secrets(&set, &secrets))
}

fn no_such_revision(number: u64, history: &History) -> Error {
    let kept: Vec<String> = history.all().iter().map(|revision| revision.number.to_string()).collect();
    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
    Error::new(Id::NoSuchRevision, Kind::Usage, format!("revision {number} is not kept")).fact("kept", kept)
}

fn history_table(session: &Session, history: &History) -> String {
    if history.all().is_empty() {
        let deploy = &session.settings.deploy;
        return format!("no revisions of set `{}` in namespace {}\n", deploy.name, deploy.namespace);
    }
    let now = session.connection.api.clock().now();
    let rows: Vec<Vec<String>> = history.all().iter().rev().map(|revision| row(revision, now)).collect();
    table(&["revision", "result", "age", "by", "image", "note"], &rows)
}

fn row(revision: &Revision, now: Timestamp) -> Vec<String> {
    let content = revision.snapshot.as_ref();
    vec![
        revision.number.to_string(),
        revision.result.as_str().to_owned(),
        revision.created.map(|created| phrase::age(created, now)).unwrap_or_default(),
        revision.by.clone(),
        content.and_then(|content| content.image()).unwrap_or_default().to_owned(),
        content.map_or_else(|| without_content(revision).to_owned(), |content| content.note.clone()),
    ]
}

/// Returns why a revision has no content.
const fn without_content(revision: &Revision) -> &'static str {
    if revision.is_unreadable { "unreadable" } else { "too large to keep" }
}

fn details(revision: &Revision) -> String {
    let mut text =
        format!("revision {}  {}  by {}\n", revision.number, revision.result.as_str(), revision.by);
    let objects = revision.snapshot.iter().flat_map(Snapshot::objects);
    for object in objects {
        text += &format!("  {object}\n");
    }
    if revision.snapshot.is_none() {
        text += &format!("  {}\n", without_content(revision));
    }
    if let Some(evidence) = &revision.evidence {
        text += &format!("\nwhy it failed\n  {}\n", evidence.replace('\n', "\n  "));
    }
    text
}

fn value(revision: &Revision) -> Value {
    let content = revision.snapshot.as_ref();
    json!({
        "number": revision.number,
        "result": revision.result.as_str(),
        "created": revision.created.map(|created| created.to_string()),
        "by": revision.by,
        "evidence": revision.evidence,
        "note": content.map_or_else(|| without_content(revision), |content| content.note.as_str()),
        "image": content.and_then(|content| content.image()),
        "objects": content.map(|content| content.objects().iter().map(ToString::to_string).collect::<Vec<_>>()),
    })
}

fn with_manifests(revision: &Revision) -> Value {
    let mut value = value(revision);
    value["manifests"] = json!(revision.snapshot.as_ref().map(|content| &content.members));
    value
}
