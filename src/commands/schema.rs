//! `schema`: prints the JSON Schema of an output for programs.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::config::check::CheckResult;
use super::list::InstallationObject;
use super::status::StatusObject;
use crate::report::{self, Output, Streams};

/// Print the JSON Schema of an output for programs
///
/// A command that fails before it has a result writes the value of `failure`. A later version may have additional fields.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl schema events\n  handsctl schema status > status.schema.json")]
pub struct SchemaArgs {
    /// The output
    #[arg(value_name = "NAME")]
    pub schema: SchemaName,
}

/// An output with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// A line of `--events`
    Events,
    /// `-o json` of deploy, up, rollback, restart, teardown and image
    Deploy,
    /// `diff -o json`
    Diff,
    /// `status -o json`
    Status,
    /// `list -o json`
    List,
    /// `config check -o json`
    Check,
    /// `-o json` of a command that failed before it had a result
    Failure,
}

/// Runs `schema`.
pub(crate) fn run(arguments: &SchemaArgs, streams: &Streams) -> anyhow::Result<u8> {
    let _written = streams.value(&schema(arguments.schema), Output::Json)?;
    Ok(0)
}

fn schema(name: SchemaName) -> Value {
    match name {
        SchemaName::Events => report::events_schema(),
        SchemaName::Deploy => report::summary_schema(),
        SchemaName::Diff => report::diff_schema(),
        SchemaName::Failure => report::failure_schema(),
        SchemaName::Status => report::schema_of::<StatusObject<'static>>("handsctl status -o json"),
        SchemaName::List => report::schema_of::<Vec<InstallationObject<'static>>>("handsctl list -o json"),
        SchemaName::Check => report::schema_of::<CheckResult<'static>>("handsctl config check -o json"),
    }
}
