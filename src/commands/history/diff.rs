//! `history diff`: compares two kept revisions.

use std::time::Duration;

use clap::Args;

use super::recorded::{RecordedHistory, without_content};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs, parse_revision};
use crate::phrase;
use crate::plan::inventory::revision::Revision;
use crate::report::{ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;

/// Show what changed between two revisions
///
/// Compares their recorded objects, field by field, without the cluster's present objects. Without numbers: the newest
/// revision and the one before it. With one number: that revision and the newest one. Values of Secrets are not
/// recorded, so only the fact that they differ is shown. The exit code is 0, also with differences. To compare the
/// cluster with a revision: `handsctl diff --revision N`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl history diff 3 5\n  handsctl history diff 3\n  handsctl history diff 3 5 -o json | jq -r '.changed[]'"
)]
pub struct HistoryDiffArgs {
    /// Number of the earlier revision [default: the one before the newest]
    #[arg(value_name = "FROM", value_parser = parse_revision)]
    pub from: Option<u64>,
    /// Number of the other revision [default: the newest]
    #[arg(value_name = "TO", requires = "from", value_parser = parse_revision)]
    pub to: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `history diff`.
pub(crate) async fn run(
    global: &Global,
    arguments: &HistoryDiffArgs,
    timeout: Option<Duration>,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let deadline = Deadline::of(timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    let reading = ReadInvocation { global, command: "history diff", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("history diff", session.target()).await;
        let recorded = RecordedHistory::read(&session, streams, deadline, events).await?;
        let (from, to) = chosen(&recorded, arguments)?;
        let Some(changes) = recorded.changes(from, to) else {
            let incomplete = [from, to].into_iter().find(|revision| revision.snapshot.is_none());
            return Err(incomparable(incomplete.unwrap_or(to)));
        };
        let differences = phrase::count(changes.number(), "difference");
        let message = format!("{differences} between revisions {} and {}", changes.from, changes.to);
        Ok(((session, changes), Finished { message, ..Finished::default() }))
    };
    let (session, changes) = reading.run(work).await?;
    let _written = streams.recorded_diff(&changes.report(&session), output)?;
    Ok(0)
}

/// Returns the revisions to compare.
///
/// # Errors
/// Exit 2 if one of them is not kept.
fn chosen<'a>(
    recorded: &'a RecordedHistory,
    arguments: &HistoryDiffArgs,
) -> Result<(&'a Revision, &'a Revision)> {
    let nothing = || Error::new(Id::NoSuchRevision, Kind::Usage, "there are no two revisions to compare");
    let to = match arguments.to {
        Some(number) => recorded.revision(number)?,
        None => recorded.history.latest().ok_or_else(nothing)?,
    };
    let from = match arguments.from {
        Some(number) => recorded.revision(number)?,
        None => recorded.previous(to).ok_or_else(nothing)?,
    };
    Ok((from, to))
}

fn incomparable(revision: &Revision) -> Error {
    let message = format!("cannot compare revision {}: {}", revision.number, without_content(revision));
    Error::new(Id::RevisionIncomplete, Kind::Prerequisite, message).hint("handsctl history lists the others")
}
