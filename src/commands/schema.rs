//! `schema`: prints the JSON Schema of an output for programs.

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::config::check::CheckResult;
use super::config::show::ShownKey;
use super::doctor::DoctorObject;
use super::history::RevisionObject;
use super::list::InstallationObject;
use super::open::OpenedUrl;
use super::rbac::RightObject;
use super::status::StatusObject;
use super::version::Versions;
use crate::provider::{ClusterStatus, ListedCluster};
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
    /// `doctor -o json`
    Doctor,
    /// `list -o json`
    List,
    /// `history -o json`, and with a REVISION one item of it
    History,
    /// `open -o json`
    Open,
    /// `rbac -o json`
    Rbac,
    /// `config show -o json`
    Show,
    /// `version -o json`
    Version,
    /// `cluster status -o json`
    ClusterStatus,
    /// `cluster list -o json`
    ClusterList,
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

/// Every item, or the one that an argument names.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum OneOrAll<T> {
    #[expect(dead_code, reason = "for the schema")]
    All(Vec<T>),
    #[expect(dead_code, reason = "for the schema")]
    One(T),
}

fn schema(name: SchemaName) -> Value {
    match name {
        SchemaName::Events => report::events_schema(),
        SchemaName::Deploy => report::summary_schema(),
        SchemaName::Diff => report::diff_schema(),
        SchemaName::Failure => report::failure_schema(),
        SchemaName::Status => report::schema_of::<StatusObject<'static>>("handsctl status -o json"),
        SchemaName::Doctor => report::schema_of::<DoctorObject<'static>>("handsctl doctor -o json"),
        SchemaName::List => report::schema_of::<Vec<InstallationObject<'static>>>("handsctl list -o json"),
        SchemaName::History => {
            report::schema_of::<OneOrAll<RevisionObject<'static>>>("handsctl history -o json")
        }
        SchemaName::Open => report::schema_of::<OpenedUrl<'static>>("handsctl open -o json"),
        SchemaName::Rbac => report::schema_of::<Vec<RightObject<'static>>>("handsctl rbac -o json"),
        SchemaName::Show => report::schema_of::<Vec<ShownKey<'static>>>("handsctl config show -o json"),
        SchemaName::Version => report::schema_of::<Versions>("handsctl version -o json"),
        SchemaName::ClusterStatus => report::schema_of::<ClusterStatus>("handsctl cluster status -o json"),
        SchemaName::ClusterList => report::schema_of::<Vec<ListedCluster>>("handsctl cluster list -o json"),
        SchemaName::Check => report::schema_of::<CheckResult<'static>>("handsctl config check -o json"),
    }
}
