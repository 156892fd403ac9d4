//! `version`: prints the versions of handsctl and the cluster, and the tested Kubernetes version.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cluster::client::version::TESTED_MINOR;
use crate::error::Error;
use crate::flags::{Format, Global, parse_duration};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::step::Deadline;

/// Print the versions of handsctl and the cluster
///
/// An unreachable cluster is no error: the output has the reason instead of its version.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl version\n  handsctl version --client -o json")]
pub struct VersionArgs {
    /// Print only the version of handsctl
    #[arg(long)]
    pub client: bool,
    /// Time limit of the whole command [default: 10s]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Short, because the versions of an unreachable cluster are only left out.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Versions {
    client: &'static str,
    kubernetes_tested: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_unknown_because: Option<String>,
}

/// Runs `version`. An unreachable cluster is reported but does not fail the command: the result is the client's
/// version.
pub(crate) async fn run(global: &Global, arguments: &VersionArgs, streams: &Streams) -> anyhow::Result<u8> {
    let (server, server_unknown_because) = if arguments.client {
        (None, None)
    } else {
        match server(global, arguments, streams).await {
            Ok(server) => (Some(server), None),
            Err(error) => (None, Some(reason(&error))),
        }
    };
    let versions = Versions {
        client: env!("CARGO_PKG_VERSION"),
        kubernetes_tested: format!("1.{TESTED_MINOR}"),
        server,
        server_unknown_because,
    };
    let _written = match output_form(Some(arguments.output)) {
        crate::report::Output::Human => streams.text(&text(&versions))?,
        output => streams.result(&versions, output)?,
    };
    Ok(0)
}

/// Returns the error with its first cause, in one line.
fn reason(error: &anyhow::Error) -> String {
    let own = error.downcast_ref::<Error>().and_then(|error| Some((error, error.causes().first()?.clone())));
    match own {
        Some((error, cause)) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

async fn server(global: &Global, arguments: &VersionArgs, streams: &Streams) -> anyhow::Result<String> {
    let deadline = Deadline::of(arguments.timeout, TIMEOUT);
    // The server's version needs no secret.
    let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await;
    let loaded = loaded.context("the configuration has errors: handsctl config check")?;
    let session = Session::to_read(global, loaded, streams, deadline).await?;
    let version = read_until(deadline, &session, streams, session.server_version()).await?;
    Ok(version.text)
}

fn text(versions: &Versions) -> String {
    let mut text = format!("handsctl    {}\n", versions.client);
    let tested = &versions.kubernetes_tested;
    let kubernetes = match (&versions.server, &versions.server_unknown_because) {
        (Some(server), _) => format!("kubernetes  {server} (tested with {tested})\n"),
        (None, Some(why)) => format!("kubernetes  unknown: {why} (tested with {tested})\n"),
        (None, None) => String::new(),
    };
    text.push_str(&kubernetes);
    text
}
