//! `cluster status`: reports whether the local cluster exists and runs.

use clap::Args;

use crate::error::Kind;
use crate::flags::{Format, Global};
use crate::provider::kind::KindDetails;
use crate::provider::kwok::KwokDetails;
use crate::provider::{self, ClusterStatus, Condition, Details, Ports};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;

/// Show whether the local cluster exists and runs: exit 0 running, 12 otherwise
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl cluster status\n  handsctl cluster status -o json | jq .condition"
)]
pub struct ClusterStatusArgs {
    /// Output format of the result
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
    let environment = cluster_session::read_environment()?;
    let status = provider::status(&environment, cluster.provider, cluster.name.as_str()).await?;
    let _written = match output_form(Some(arguments.output)) {
        Output::Human => streams.out(&text(&status))?,
        output => streams.value(&status, output)?,
    };
    Ok(if status.condition == Condition::Running { 0 } else { Kind::Down.exit_code() })
}

fn text(status: &ClusterStatus) -> String {
    let mut text = format!("{}  {}", status.name, condition_text(status.condition));
    text += &status.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    text += "\n";
    text += &match &status.details {
        Details::Kwok(details) => kwok_text(status, details),
        Details::Kind(details) => kind_text(status, details),
    };
    text
}

fn condition_text(condition: Condition) -> &'static str {
    match condition {
        Condition::Absent => "does not exist; handsctl cluster up creates it",
        Condition::Incomplete => "incomplete; handsctl cluster up recreates it",
        Condition::Stopped => "stopped; handsctl cluster up starts it",
        Condition::Running => "running",
        Condition::Foreign => "not created by handsctl",
        Condition::Unknown => "unknown",
    }
}

fn kwok_text(status: &ClusterStatus, details: &KwokDetails) -> String {
    let mut text = String::new();
    if let Some(spec) = &details.spec {
        text +=
            &format!("  kwok     kubernetes {}, simulated nodes: {}\n", spec.kubernetes, spec.workers + 1);
        text += &kubeconfig_text(status);
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

fn kind_text(status: &ClusterStatus, details: &KindDetails) -> String {
    let mut text = String::new();
    if let Some(spec) = &details.spec {
        let engine = details.engine.as_deref().unwrap_or("no engine answers");
        text += &format!("  kind     {engine}, {}\n", spec.image);
        text += &format!("  ports    {}\n", ports_text(spec.ports));
        text += &kubeconfig_text(status);
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

fn kubeconfig_text(status: &ClusterStatus) -> String {
    format!("  context  {}\n  kubeconfig  {}\n", status.context, status.kubeconfig.display())
}

fn ports_text(ports: Ports) -> String {
    let mapped = [(ports.http, 80), (ports.https, 443)]
        .into_iter()
        .filter_map(|(host_port, node_port)| Some(format!("{}:{} → {node_port}", ports.address, host_port?)));
    let mapped: Vec<String> = mapped.collect();
    if mapped.is_empty() { "none".to_owned() } else { mapped.join(", ") }
}
