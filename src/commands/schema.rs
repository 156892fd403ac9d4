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
use super::restore::BackupDescription;
use super::sandbox::describe::ConversationDescription;
use super::sandbox::list::SandboxListItem;
use super::status::{InstallationStatus, StatusObject};
use super::version::Versions;
use crate::provider::{ClusterStatus, ListedCluster};
use crate::report::{self, LogObject, Output, Streams, Versioned};

/// Print the JSON Schema of an output for programs
///
/// A command that fails before it has a result writes the value of `failure`. `v` is the version of an output; a
/// version may get additional fields.
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
    /// `-o json` of deploy, up, rollback, restart, backup, restore, teardown, image and sandbox gc
    Deploy,
    /// `restore --dry-run -o json`
    Backup,
    /// `diff -o json`
    Diff,
    /// `status -o json`, and with -w each line of it
    Status,
    /// `status -A -o json`
    StatusAll,
    /// `doctor -o json`
    Doctor,
    /// `list -o json`
    List,
    /// A line of `logs -o json`
    Logs,
    /// `history -o json`, and with a REVISION one item of it
    History,
    /// `open -o json`
    Open,
    /// `sandbox list -o json`
    SandboxList,
    /// `sandbox describe -o json`
    SandboxDescribe,
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
        SchemaName::Backup => {
            report::result_schema_of::<BackupDescription>("handsctl restore --dry-run -o json")
        }
        SchemaName::Diff => report::diff_schema(),
        SchemaName::Failure => report::failure_schema(),
        SchemaName::Status => report::result_schema_of::<StatusObject<'static>>("handsctl status -o json"),
        SchemaName::StatusAll => {
            report::list_schema_of::<InstallationStatus<'static>>("handsctl status -A -o json")
        }
        SchemaName::Doctor => report::result_schema_of::<DoctorObject<'static>>("handsctl doctor -o json"),
        SchemaName::List => report::list_schema_of::<InstallationObject<'static>>("handsctl list -o json"),
        SchemaName::Logs => report::result_schema_of::<LogObject<'static>>("a line of handsctl logs -o json"),
        SchemaName::History => {
            report::schema_of::<OneOrAll<Versioned<RevisionObject<'static>>>>("handsctl history -o json")
        }
        SchemaName::Open => report::result_schema_of::<OpenedUrl<'static>>("handsctl open -o json"),
        SchemaName::SandboxList => report::list_schema_of::<SandboxListItem>("handsctl sandbox list -o json"),
        SchemaName::SandboxDescribe => {
            report::result_schema_of::<ConversationDescription>("handsctl sandbox describe -o json")
        }
        SchemaName::Rbac => report::list_schema_of::<RightObject<'static>>("handsctl rbac -o json"),
        SchemaName::Show => report::list_schema_of::<ShownKey<'static>>("handsctl config show -o json"),
        SchemaName::Version => report::result_schema_of::<Versions>("handsctl version -o json"),
        SchemaName::ClusterStatus => {
            report::result_schema_of::<ClusterStatus>("handsctl cluster status -o json")
        }
        SchemaName::ClusterList => report::list_schema_of::<ListedCluster>("handsctl cluster list -o json"),
        SchemaName::Check => {
            report::result_schema_of::<CheckResult<'static>>("handsctl config check -o json")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an object somewhere in the schema must have the field.
    fn requires(schema: &Value, field: &str) -> bool {
        let is_required = schema["required"].as_array().is_some_and(|names| names.contains(&field.into()));
        let children: Vec<&Value> = match schema {
            Value::Object(object) => object.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        is_required || children.into_iter().any(|child| requires(child, field))
    }

    #[test]
    fn every_output_has_its_version() {
        for name in SchemaName::value_variants() {
            assert!(requires(&schema(*name), "v"), "{name:?}");
        }
        assert!(!requires(&report::schema_of::<Versions>("without a version"), "v"));
    }
}
