//! `cluster status`: reports whether the local cluster exists, and whether its API server is ready.

use clap::Args;

use crate::catalogue::Id;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Kind};
use crate::flags::{Format, Global, ReadArgs};
use crate::provider::kind::KindDetails;
use crate::provider::kwok::KwokDetails;
use crate::provider::{self, ClusterStatus, Condition, Details, Ports};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;
use crate::session::step::{Deadline, LONGER_LIMIT};
use crate::settings::handsctl::Provider;

/// Show whether the local cluster is ready
///
/// Exit code 0: ready; 11: starting; 12: otherwise.
///
/// In order: find the cluster and its processes or containers on this computer; if all run, request `/readyz` of its
/// API server, and wait at most 4 s for the response.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl cluster status\n  handsctl cluster status trial\n  handsctl cluster status -o json | jq .condition"
)]
pub struct ClusterStatusArgs {
    /// Name of the cluster [default: cluster.name, else local-hands]
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cluster: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
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
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
    let cluster = &loaded.settings.cluster;
    if cluster.provider == Provider::Existing && global.cluster.is_none() {
        return Err(not_local().into());
    }
    let environment = cluster_session::read_environment();
    let name = cluster.name.as_str();
    let reading = provider::live_status(&environment, cluster.provider, name);
    let status = match tokio::time::timeout_at(deadline.at, reading).await {
        Ok(status) => status?,
        Err(_elapsed) => return Err(timed_out(name, deadline).into()),
    };
    let _written = match output_form(Some(arguments.output)) {
        Output::Human => {
            streams.text(&RepeatedFlags::new(global).insert_into(&text(&status, streams.width())))?
        }
        output => streams.result(&status, output)?,
    };
    Ok(exit_code(status.condition))
}

/// Returns the error for a configuration whose cluster handsctl did not create.
fn not_local() -> Error {
    let message = "provider = \"existing\": handsctl did not create this cluster and does not know its state";
    Error::new(Id::ClusterNotManaged, Kind::Config, message)
        .hint("handsctl status shows the application in it")
        .hint("handsctl cluster status NAME shows a local cluster that handsctl created")
}

/// Returns the error for a state that is unknown at the deadline. Only a container engine is waited for that long.
fn timed_out(name: &str, deadline: Deadline) -> Error {
    deadline
        .passed(Some(&format!("the state of cluster {name} was not read")))
        .hint("does the container engine respond?")
        .hint(LONGER_LIMIT)
}

fn exit_code(condition: Condition) -> u8 {
    match condition {
        Condition::Running => 0,
        Condition::Starting => Kind::Degraded.exit_code(),
        Condition::Absent
        | Condition::Incomplete
        | Condition::Stopped
        | Condition::Unresponsive
        | Condition::Foreign
        | Condition::Unknown => Kind::Down.exit_code(),
    }
}

fn text(status: &ClusterStatus, width: usize) -> String {
    let (word, next) = condition_text(status.condition);
    let mut text = format!("{}  {word}", status.name);
    text += &status.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    text += &next.map_or_else(String::new, |next| format!("; {next}"));
    text += "\n";
    text += &match &status.details {
        Details::Kwok(details) => kwok_text(status, details, width),
        Details::Kind(details) => kind_text(status, details, width),
    };
    text
}

/// Returns the condition in words, and the command to run next.
fn condition_text(condition: Condition) -> (&'static str, Option<&'static str>) {
    match condition {
        Condition::Absent => ("does not exist", Some("handsctl cluster up creates it")),
        Condition::Incomplete => ("incomplete", Some("handsctl cluster up recreates it")),
        Condition::Stopped => ("stopped", Some("handsctl cluster up starts it")),
        Condition::Running => ("running", None),
        Condition::Starting => ("starting", Some("handsctl cluster up waits until it is ready")),
        Condition::Unresponsive => (
            "its API server does not respond",
            Some("handsctl cluster up waits for it, and starts what is not running"),
        ),
        Condition::Foreign => ("not created by handsctl", None),
        Condition::Unknown => ("unknown", None),
    }
}

fn kwok_text(status: &ClusterStatus, details: &KwokDetails, width: usize) -> String {
    let mut text = String::new();
    if let Some(spec) = &details.spec {
        text +=
            &row("kwok", &format!("kubernetes {}, simulated nodes: {}", spec.kubernetes, spec.workers + 1));
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
        text += &crate::report::table(&["PROCESS", "PID", "ADDRESS"], &rows, width);
    }
    text
}

fn kind_text(status: &ClusterStatus, details: &KindDetails, width: usize) -> String {
    let mut text = String::new();
    if let Some(spec) = &details.spec {
        let engine = details.engine.as_deref().unwrap_or("no engine answers");
        text += &row("kind", &format!("{engine}, {}", spec.image));
        text += &row("ports", &ports_text(spec.ports));
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
        text += &crate::report::table(&["NODE", "ROLE", "CONTAINER"], &rows, width);
    }
    text
}

fn kubeconfig_text(status: &ClusterStatus) -> String {
    let files: Vec<String> = status.merged.iter().map(|file| file.display().to_string()).collect();
    let context = match &files[..] {
        [] => format!("{}, in no kubeconfig: handsctl cluster up writes it", status.context),
        files => format!("{} in {}", status.context, files.join(", ")),
    };
    row("context", &context) + &row("kubeconfig", &status.kubeconfig.display().to_string())
}

/// Returns a line under the name of the cluster; the texts stand in one column.
fn row(label: &str, text: &str) -> String {
    format!("  {label:<10}  {text}\n")
}

fn ports_text(ports: Ports) -> String {
    let mapped = [(ports.http, 80), (ports.https, 443)]
        .into_iter()
        .filter_map(|(host_port, node_port)| Some(format!("{}:{} → {node_port}", ports.address, host_port?)));
    let mapped: Vec<String> = mapped.collect();
    if mapped.is_empty() { "none".to_owned() } else { mapped.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeconfigs_of_the_context_stand_in_the_column_of_the_others() {
        let status = |merged: &[&str]| ClusterStatus {
            name: "lap".to_owned(),
            context: "kwok-lap".to_owned(),
            condition: Condition::Running,
            reason: None,
            kubeconfig: "/state/own.yaml".into(),
            merged: merged.iter().map(Into::into).collect(),
            details: Details::Kwok(KwokDetails {
                spec: None,
                logs: "/logs".into(),
                pod_log: "/pods.log".into(),
                processes: Vec::new(),
            }),
        };
        assert_eq!(
            kubeconfig_text(&status(&["/home/ana/.kube/config"])),
            "  context     kwok-lap in /home/ana/.kube/config\n  kubeconfig  /state/own.yaml\n"
        );
        let text = kubeconfig_text(&status(&[]));
        assert!(text.contains("handsctl cluster up writes it"), "{text}");
    }

    #[test]
    fn only_a_ready_cluster_exits_0_and_a_starting_one_11() {
        for (condition, code) in [
            (Condition::Running, 0),
            (Condition::Starting, 11),
            (Condition::Unresponsive, 12),
            (Condition::Stopped, 12),
            (Condition::Absent, 12),
        ] {
            assert_eq!(exit_code(condition), code, "{condition:?}");
            assert_eq!(
                condition_text(condition).1.is_none(),
                condition == Condition::Running,
                "{condition:?}"
            );
        }
    }
}
