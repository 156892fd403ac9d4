//! `version`: prints the versions of handsctl and the cluster, and the tested Kubernetes version.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::flags::{Format, Global};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::output::output_form;

/// Print the versions of handsctl and the cluster
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl version\n  handsctl version --client -o json")]
pub struct VersionArgs {
    /// Print only the version of handsctl
    #[arg(long)]
    pub client: bool,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// The Kubernetes minor version that the tests use.
const TESTED_MINOR: u32 = 34;

#[derive(Debug, Serialize)]
struct Versions {
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
        match server(global).await {
            Ok(server) => (Some(server), None),
            Err(error) => (None, Some(error.to_string())),
        }
    };
    let versions = Versions {
        client: env!("CARGO_PKG_VERSION"),
        kubernetes_tested: format!("1.{TESTED_MINOR}"),
        server,
        server_unknown_because,
    };
    let _written = match output_form(Some(arguments.output)) {
        crate::report::Output::Human => streams.out(&text(&versions))?,
        output => streams.value(&versions, output)?,
    };
    Ok(0)
}

async fn server(global: &Global) -> anyhow::Result<String> {
    let loaded = cluster_session::load(global, Secrets::Needed)
        .context("the configuration has errors: handsctl config check")?;
    let session = Session::to_read(global, loaded).await?;
    Ok(session.server_version().await?.text)
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
