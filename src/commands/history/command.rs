//! `history`: lists the kept revisions, what each one changed, and who made it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::diff::{self, HistoryDiffArgs};
use super::page;
use super::recorded::{RecordedHistory, without_content};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs, parse_revision};
use crate::object::literal_secret;
use crate::phrase;
use crate::plan::inventory::provenance::Provenance;
use crate::plan::inventory::revision::Revision;
use crate::plan::inventory::snapshot::Snapshot;
use crate::report::{Output, ReadingProgress, ReportFile, Streams, one_line, table};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::output::output_form;
use crate::session::output_files;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;

/// List what was deployed when and by whom, newest first
///
/// CHANGED has the keys of config.toml in which a revision differs from the kept one before it, and objects where no
/// key is known to set the difference. `(since 7)` names that revision where others between the two are not kept. BY is the user of the CI system, if one made the revision. NOTE has the id of
/// the failure, the revision that a rollback restored, and the text of `--note`. With a number: that revision's objects
/// and its differences in full; --report also writes them as a page with the timeline of the run, as far as the revision
/// keeps it.
#[derive(Debug, Clone, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  handsctl history\n  handsctl history 3\n  handsctl history 3 -o yaml\n  handsctl history 3 --report revision-3.html\n  handsctl history diff 3 5"
)]
pub struct HistoryArgs {
    /// Number of one revision: show its objects and what it changed, or print its manifests with -o yaml
    #[arg(value_parser = parse_revision)]
    pub revision: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(subcommand)]
    #[expect(missing_docs, reason = "it has its own documentation")]
    pub command: Option<HistoryCommand>,
}

/// A command of the group `history`.
#[derive(Debug, Clone, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum HistoryCommand {
    Diff(HistoryDiffArgs),
}

impl HistoryArgs {
    /// Returns the output format, which may be typed before or after the word `diff`.
    #[must_use]
    pub fn output(&self) -> Format {
        match &self.command {
            Some(HistoryCommand::Diff(diff)) if diff.output != Format::Table => diff.output,
            Some(HistoryCommand::Diff(_)) | None => self.output,
        }
    }
}

/// How many names the column CHANGED has; the others are counted.
const NAMES: usize = 2;
/// What stands between the parts of a note.
const NOTE_SEPARATOR: &str = "; ";

/// Runs `history`: lists all revisions, or one revision with its objects; or runs `history diff`.
///
/// With `-o json` or `-o yaml`: `[{number, result, created, by, provenance, evidence, failure, note, image, against,
/// changed, objects}]`; for one revision, one such object with its `manifests`. `provenance` is `{actor, commit, run_url,
/// note}`, `changed` what differs from the revision `against`. Revisions do not contain the data of Secrets.
pub(crate) async fn run(global: &Global, arguments: &HistoryArgs, streams: &Streams) -> anyhow::Result<u8> {
    let typed = arguments.read.timeout;
    if let Some(HistoryCommand::Diff(diff)) = &arguments.command {
        ensure_no_revision(arguments)?;
        let typed_diff = HistoryDiffArgs { output: arguments.output(), ..diff.clone() };
        return diff::run(global, &typed_diff, typed_diff.read.timeout.or(typed), streams).await;
    }
    let page_file = page_file(global, arguments)?;
    // The reporter would write the page of this command to the same file.
    let without_page = Global { report: None, ..global.clone() };
    let deadline = Deadline::of(typed, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    let reading =
        ReadInvocation { global: &without_page, command: "history", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("history", session.target()).await;
        let recorded = RecordedHistory::read(&session, streams, deadline, events).await?;
        if let Some((path, number)) = page_file {
            let page = page::of_revision(&session, &recorded, recorded.revision(number)?);
            ReportFile::create(path.clone())?.write_revision(&page)?;
        }
        let message = match arguments.revision {
            Some(number) => format!("revision {number}: {}", recorded.revision(number)?.result.as_str()),
            None => phrase::count(recorded.history.all().len(), "revision"),
        };
        Ok(((session, recorded), Finished { message, ..Finished::default() }))
    };
    let (session, recorded) = reading.run(work).await?;
    let _written = match (arguments.revision, output) {
        (None, Output::Human) => streams.text(&history_table(&session, &recorded, streams.width()))?,
        (None, output) => {
            let revisions = recorded.history.all().iter().rev().map(|revision| value(&recorded, revision));
            streams.results(&revisions.collect::<Vec<_>>(), output)?
        }
        (Some(number), output) => {
            let revision = recorded.revision(number)?;
            match output {
                Output::Human => streams.text(&details(&session, &recorded, revision, streams)?)?,
                output => streams.result(&with_manifests(&recorded, revision), output)?,
            }
        }
    };
    Ok(0)
}

/// Returns the file of `--report`, and the revision whose page it gets. The file is written when the page is known: an
/// earlier page stays where the revision is not kept.
///
/// # Errors
/// Exit 2 without a number, or if another flag names the same file.
fn page_file<'a>(global: &'a Global, arguments: &HistoryArgs) -> Result<Option<(&'a PathBuf, u64)>> {
    let Some(path) = &global.report else { return Ok(None) };
    let Some(number) = arguments.revision else {
        let message = "history --report needs the number of a revision";
        return Err(Error::new(Id::Usage, Kind::Usage, message).hint("handsctl history NUMBER --report FILE"));
    };
    output_files::ensure_distinct(global)?;
    Ok(Some((path, number)))
}

/// # Errors
/// Exit 2 for `history 3 diff`, which means nothing.
fn ensure_no_revision(arguments: &HistoryArgs) -> Result<()> {
    match arguments.revision {
        None => Ok(()),
        Some(_) => Err(Error::new(Id::Usage, Kind::Usage, "the numbers stand after the word diff")
            .hint("handsctl history diff FROM TO")),
    }
}

/// Below this width the images stand under the table.
const WIDTH_WITH_IMAGE: usize = 110;

fn history_table(session: &Session, recorded: &RecordedHistory, width: usize) -> String {
    let revisions = recorded.history.all();
    if revisions.is_empty() {
        let deploy = &session.settings.deploy;
        return format!("no revisions of {} in namespace {}\n", deploy.name, deploy.namespace);
    }
    let now = session.connection.api.clock().now();
    let has_commits = revisions.iter().any(|revision| short_commit(revision).is_some());
    let mut rows: Vec<Vec<String>> =
        revisions.iter().rev().map(|revision| row(recorded, revision, now, has_commits)).collect();
    let headers = ["revision", "result", "age", "by", "commit", "changed", "note", "image"];
    let mut headers: Vec<&str> =
        headers.into_iter().filter(|header| has_commits || *header != "commit").collect();
    if width >= WIDTH_WITH_IMAGE {
        return table(&headers, &rows, width);
    }
    headers.pop();
    let images: Vec<(u64, String)> = revisions
        .iter()
        .rev()
        .zip(rows.iter_mut().filter_map(Vec::pop))
        .map(|(revision, image)| (revision.number, image))
        .collect();
    table(&headers, &rows, width) + &image_lines(&images)
}

/// Returns a line for each image, with its revisions: `image  openhands:0.59  revision 4, 3`.
fn image_lines(images: &[(u64, String)]) -> String {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for (number, image) in images.iter().filter(|(_, image)| !image.is_empty()) {
        match lines.iter_mut().find(|(known, _)| *known == image.as_str()) {
            Some((_, numbers)) => numbers.push(number.to_string()),
            None => lines.push((image, vec![number.to_string()])),
        }
    }
    let line = |(image, numbers): (&str, Vec<String>)| {
        format!("image  {}  revision {}\n", one_line(image), numbers.join(", "))
    };
    lines.into_iter().map(line).collect()
}

fn row(recorded: &RecordedHistory, revision: &Revision, now: Timestamp, has_commits: bool) -> Vec<String> {
    let content = revision.snapshot.as_ref();
    let mut row = vec![
        revision.number.to_string(),
        revision.result.as_str().to_owned(),
        revision.created.map(|created| phrase::age(created, now)).unwrap_or_default(),
        revision.author().to_owned(),
    ];
    if has_commits {
        row.push(short_commit(revision).unwrap_or_default().to_owned());
    }
    row.extend([
        changed_text(recorded, revision),
        note_text(revision),
        content.and_then(|content| content.image()).unwrap_or_default().to_owned(),
    ]);
    row
}

fn short_commit(revision: &Revision) -> Option<&str> {
    revision.provenance().and_then(Provenance::short_commit)
}

/// Returns `llm.model, deploy.host +1`; empty if there is nothing to compare with.
fn changed_text(recorded: &RecordedHistory, revision: &Revision) -> String {
    recorded
        .changes_of(revision)
        .map_or_else(String::new, |changes| names_since(&changes.changed, changes.from, changes.to))
}

/// Names the revision that the comparison is with, unless it is the one right before: those between are not kept.
fn names_since(names: &[String], from: u64, to: u64) -> String {
    let names = first_names(names);
    if to == from + 1 { names } else { format!("{names} (since {from})") }
}

fn first_names(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let first = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => first,
        more => format!("{first} +{more}"),
    }
}

/// Returns the id of the failure, what a rollback restored, why there is no content, and the user's note.
fn note_text(revision: &Revision) -> String {
    let failure = revision.failure_id();
    let content = match &revision.snapshot {
        Some(content) => content.note.as_str(),
        None => without_content(revision),
    };
    let user = revision.provenance().and_then(|provenance| provenance.note.as_deref());
    let parts = failure.into_iter().chain([content]).chain(user);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(NOTE_SEPARATOR)
}

fn details(
    session: &Session,
    recorded: &RecordedHistory,
    revision: &Revision,
    streams: &Streams,
) -> Result<String> {
    let mut text = streams.sanitized(&heading(revision)).into_owned();
    let objects = revision.snapshot.iter().flat_map(Snapshot::objects);
    for object in objects {
        text += &format!("  {object}\n");
    }
    if revision.snapshot.is_none() {
        text += &format!("  {}\n", without_content(revision));
    }
    if let Some(changes) = recorded.changes_of(revision) {
        let names =
            if changes.changed.is_empty() { "nothing".to_owned() } else { changes.changed.join(", ") };
        text += &format!("\nchanged against revision {}: {names}\n", changes.from);
        text += &streams.recorded_diff_text(&changes.report(session))?;
    }
    if let Some(evidence) = &revision.evidence {
        text += &format!("\nwhy it failed\n  {}\n", evidence.replace('\n', "\n  "));
    }
    Ok(text)
}

/// Returns the number, the result, and who made the revision.
fn heading(revision: &Revision) -> String {
    let (number, result, author) = (revision.number, revision.result.as_str(), revision.author());
    let computer = if author == revision.by { String::new() } else { format!(" ({})", revision.by) };
    let mut text = format!("revision {number}  {result}  by {author}{computer}\n");
    let Some(provenance) = revision.provenance() else { return text };
    let Provenance { commit, run_url, note, .. } = provenance;
    for (label, value) in [("commit", commit), ("run", run_url), ("note", note)] {
        if let Some(value) = value {
            text += &format!("  {label:<6}  {value}\n");
        }
    }
    text
}

/// A revision of the result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RevisionObject<'a> {
    number: u64,
    result: &'a str,
    created: Option<String>,
    by: &'a str,
    /// The person, commit, run and note of the deploy.
    provenance: Option<Value>,
    evidence: Option<&'a str>,
    /// The id of the failure.
    failure: Option<&'a str>,
    note: &'a str,
    image: Option<&'a str>,
    /// The revision that `changed` compares with.
    against: Option<u64>,
    changed: Option<Vec<String>>,
    objects: Option<Vec<String>>,
    /// The objects in full; only of the one revision that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Value>,
}

fn value<'a>(recorded: &RecordedHistory, revision: &'a Revision) -> RevisionObject<'a> {
    let content = revision.snapshot.as_ref();
    let changes = recorded.changes_of(revision);
    RevisionObject {
        number: revision.number,
        result: revision.result.as_str(),
        created: revision.created.map(|created| created.to_string()),
        by: &revision.by,
        provenance: revision.provenance().map(Provenance::value),
        evidence: revision.evidence.as_deref(),
        failure: revision.failure_id(),
        note: content.map_or_else(|| without_content(revision), |content| content.note.as_str()),
        image: content.and_then(|content| content.image()),
        against: changes.as_ref().map(|changes| changes.from),
        changed: changes.map(|changes| changes.changed),
        objects: content.map(|content| content.objects().iter().map(ToString::to_string).collect()),
        manifests: None,
    }
}

fn with_manifests<'a>(recorded: &RecordedHistory, revision: &'a Revision) -> RevisionObject<'a> {
    let manifests = revision.snapshot.as_ref().map(|content| content.members.iter().map(shown_manifest));
    let manifests = json!(manifests.map(Iterator::collect::<Vec<_>>));
    RevisionObject { manifests: Some(manifests), ..value(recorded, revision) }
}

/// Returns a recorded manifest without the secrets that it has in clear text.
fn shown_manifest(manifest: &Value) -> Value {
    literal_secret::masked(manifest["kind"].as_str().unwrap_or_default(), manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::inventory::revision::RevisionResult;

    fn revision(note: &str, provenance: Provenance, evidence: Option<&str>) -> Revision {
        let snapshot = Snapshot { note: note.to_owned(), provenance, ..Snapshot::default() };
        Revision {
            number: 3,
            result: RevisionResult::Failed,
            by: "runner@host".to_owned(),
            created: None,
            snapshot: Some(snapshot),
            is_unreadable: false,
            record: None,
            evidence: evidence.map(str::to_owned),
            uid: String::new(),
        }
    }

    #[test]
    fn note_has_failure_rollback_and_text() {
        let user = Provenance { note: Some("a try".to_owned()), ..Provenance::default() };
        let evidence = Some("HC4103: the image does not exist");
        assert_eq!(note_text(&revision("rollback to 2", user, evidence)), "HC4103; rollback to 2; a try");
        assert_eq!(note_text(&revision("", Provenance::default(), None)), "");
        let unreadable =
            Revision { snapshot: None, is_unreadable: true, ..revision("", Provenance::default(), None) };
        assert_eq!(note_text(&unreadable), "unreadable");
    }

    #[test]
    fn heading_names_ci_user_and_computer() {
        let ci = Provenance {
            actor: Some("octocat".to_owned()),
            commit: Some("1a2b3c4d".to_owned()),
            ..Provenance::default()
        };
        assert_eq!(
            heading(&revision("", ci, None)),
            "revision 3  failed  by octocat (runner@host)\n  commit  1a2b3c4d\n"
        );
        assert_eq!(
            heading(&revision("", Provenance::default(), None)),
            "revision 3  failed  by runner@host\n"
        );
    }

    #[test]
    fn images_are_listed_once_with_their_revisions() {
        let images = [(4, "b".to_owned()), (3, "a".to_owned()), (2, String::new()), (1, "b".to_owned())];
        assert_eq!(image_lines(&images), "image  b  revision 4, 1\nimage  a  revision 3\n");
    }

    #[test]
    fn two_names_are_shown_and_the_others_counted() {
        let names = |count: usize| -> Vec<String> {
            ["llm.model", "deploy.host", "deploy.image"]
                .iter()
                .take(count)
                .map(|name| (*name).to_owned())
                .collect()
        };
        assert_eq!(first_names(&names(3)), "llm.model, deploy.host +1");
        assert_eq!(first_names(&names(2)), "llm.model, deploy.host");
        assert_eq!(first_names(&names(1)), "llm.model");
        assert_eq!(first_names(&[]), "nothing");
        assert_eq!(names_since(&names(1), 7, 8), "llm.model");
        assert_eq!(names_since(&names(1), 7, 10), "llm.model (since 7)");
    }
}
