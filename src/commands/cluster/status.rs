//! `cluster status`: whether the local cluster is there and runs.

use clap::Args;

use crate::error::Kind;
use crate::flags::{Format, Global};
use crate::provider::kind::KindDetails;
use crate::provider::kwok::KwokDetails;
use crate::provider::{self, ClusterStatus, Condition, Details, Environment, Ports};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;

/// Say whether it is there and running: exit 0 running, 12 otherwise
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl cluster status\n  handsctl cluster status -o json | jq .condition"
)]
pub struct ClusterStatusArgs {
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `cluster status`.
pub(crate) async fn run(
    global: &Global,
    arguments: &ClusterStatusArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    let cluster = &loaded.settings.cluster;
    let status = provider::status(&Environment::read()?, cluster.provider, cluster.name.as_str()).await?;
    let _nobody_reads = match output_form(Some(arguments.output)) {
        Output::Human => streams.out(&text(&status))?,
        output => streams.value(&status, output)?,
    };
    Ok(if status.condition == Condition::Running { 0 } else { Kind::Down.exit_code() })
}

fn text(status: &ClusterStatus) -> String {
    let mut text = format!("{}  {}", status.name, words(status.condition));
    text += &status.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    text += "\n";
    text += &match &status.details {
        Details::Kwok(details) => simulated(status, details),
        Details::Kind(details) => contained(status, details),
    };
    text
}

fn words(condition: Condition) -> &'static str {
    match condition {
        Condition::Absent => "not there; handsctl cluster up makes it",
        Condition::Incomplete => "half made; handsctl cluster up makes it anew",
        Condition::Stopped => "stopped; handsctl cluster up starts it",
        Condition::Running => "running",
        Condition::Foreign => "not made by handsctl",
        Condition::Unknown => "not known",
    }
}

fn simulated(status: &ClusterStatus, details: &KwokDetails) -> String {
    let mut text = String::new();
    if let Some(spec) = &details.spec {
        text +=
            &format!("  kwok     kubernetes {}, simulated nodes: {}\n", spec.kubernetes, spec.workers + 1);
        text += &access(status);
    }
    let rows: Vec<Vec<String>> = details
        .processes
        .iter()
        .map(|process| {
            let pid = process.pid.map_or_else(|| "not running".to_owned(), |pid| pid.to_string());
            vec![process.component.name().to_owned(), pid, format!("127.0.0.1:{}", process.port)]
        })
        .collect();
    if !rows.is_empty() {
        text += &crate::report::table(&["PROCESS", "PID", "ADDRESS"], &rows);
    }
    text
}

fn contained(status: &ClusterStatus, details: &KindDetails) -> String {
    let mut text = String::new();
    if let Some(spec) = &details.spec {
        let engine = details.engine.as_deref().unwrap_or("no engine answers");
        text += &format!("  kind     {engine}, {}\n", spec.image);
        text += &format!("  ports    {}\n", ports(spec.ports));
        text += &access(status);
    }
    let rows: Vec<Vec<String>> = details
        .nodes
        .iter()
        .map(|node| {
            let state = if node.running { "running" } else { "stopped" };
            vec![node.name.clone(), node.role.clone(), state.to_owned()]
        })
        .collect();
    if !rows.is_empty() {
        text += &crate::report::table(&["NODE", "ROLE", "CONTAINER"], &rows);
    }
    text
}

fn access(status: &ClusterStatus) -> String {
    format!("  context  {}\n  kubeconfig  {}\n", status.context, status.kubeconfig.display())
}

fn ports(ports: Ports) -> String {
    let mapped = [(ports.http, 80), (ports.https, 443)]
        .into_iter()
        .filter_map(|(outer, inner)| Some(format!("{}:{} → {inner}", ports.address, outer?)));
    let mapped: Vec<String> = mapped.collect();
    if mapped.is_empty() { "none".to_owned() } else { mapped.join(", ") }
}
