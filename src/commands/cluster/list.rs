//! `cluster list`: lists the local clusters that handsctl created on this computer.

use clap::Args;
use jiff::Timestamp;

use crate::command_line::RepeatedFlags;
use crate::flags::{Format, Global, ReadArgs};
use crate::phrase;
use crate::provider::{self, ListedCluster, ListedCondition, LocalProvider};
use crate::report::{Output, Streams, table};
use crate::session::cluster_session;
use crate::session::output::output_form;
use crate::session::step::{Deadline, LONGER_LIMIT};

/// List the local clusters that handsctl created on this computer
///
/// In order: read the records of this user's clusters, list their processes and containers. Their API servers get no
/// request: `cluster status NAME` asks one. Without a container engine the state of clusters of kind is unknown.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl cluster list\n  handsctl cluster list -o json | jq -r '.[].name'"
)]
pub struct ClusterListArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `cluster list`.
///
/// With `-o json` or `-o yaml`: an array of [`ListedCluster`].
pub(crate) async fn run(
    global: &Global,
    arguments: &ClusterListArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let flags = RepeatedFlags::new(global);
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let environment = cluster_session::read_environment();
    let list = match tokio::time::timeout_at(deadline.at, provider::list(&environment)).await {
        Ok(list) => list?,
        Err(_elapsed) => {
            let error = deadline.passed(Some("the local clusters were not listed"));
            return Err(error.hint("does the container engine respond?").hint(LONGER_LIMIT).into());
        }
    };
    if let Some(error) = &list.no_engine {
        streams.err(&streams.warning_text(error));
    }
    let _written = match output_form(Some(arguments.output)) {
        Output::Human if list.clusters.is_empty() => {
            let text = "no local clusters\n  handsctl up creates one with OpenHands, handsctl cluster up an empty one\n";
            streams.err(&flags.insert_into(text));
            return Ok(0);
        }
        Output::Human => {
            streams.text(&flags.insert_into(&text(&list.clusters, Timestamp::now(), streams.width())))?
        }
        output => streams.results(&list.clusters, output)?,
    };
    Ok(0)
}

fn text(clusters: &[ListedCluster], now: Timestamp, width: usize) -> String {
    let rows: Vec<Vec<String>> = clusters.iter().map(|cluster| row(cluster, now)).collect();
    let mut text = table(&["name", "provider", "state", "context", "ports", "age"], &rows, width);
    for cluster in clusters {
        let Some(next) = next(cluster.condition) else { continue };
        let reason = cluster.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let next = next.replace("NAME", &cluster.name);
        text += &format!("{} {}{reason}; {next}\n", cluster.name, cluster.condition.name());
    }
    text
}

fn row(cluster: &ListedCluster, now: Timestamp) -> Vec<String> {
    let provider = cluster.provider.map(|provider| match provider {
        LocalProvider::Kind => "kind",
        LocalProvider::Kwok => "kwok, simulated",
    });
    let ports = cluster.ports.iter().flat_map(|ports| [ports.http, ports.https]);
    let ports: Vec<String> = ports.flatten().map(|port| port.to_string()).collect();
    vec![
        cluster.name.clone(),
        provider.unwrap_or_default().to_owned(),
        cluster.condition.name().to_owned(),
        cluster.context.clone().unwrap_or_default(),
        ports.join(","),
        cluster.created.map(|created| phrase::age(created, now)).unwrap_or_default(),
    ]
}

/// Returns the command to run next.
fn next(condition: ListedCondition) -> Option<&'static str> {
    match condition {
        ListedCondition::Running => None,
        ListedCondition::Stopped => Some("handsctl cluster up NAME starts it"),
        ListedCondition::Incomplete => {
            Some("handsctl cluster up NAME recreates it, handsctl cluster down NAME deletes it")
        }
        ListedCondition::Gone => Some("handsctl cluster down NAME deletes its record"),
        ListedCondition::Foreign => {
            Some("another program created its containers; handsctl cluster status NAME describes it")
        }
        ListedCondition::Unknown => Some("handsctl cluster status NAME reads it again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, condition: ListedCondition) -> ListedCluster {
        ListedCluster {
            name: name.to_owned(),
            provider: Some(LocalProvider::Kwok),
            simulated: Some(true),
            context: Some(format!("kwok-{name}")),
            condition,
            reason: None,
            server: Some("https://127.0.0.1:20001".to_owned()),
            ports: None,
            created: Timestamp::from_second(0).ok(),
        }
    }

    #[test]
    fn every_cluster_that_does_not_run_has_a_next_command() {
        let now = Timestamp::from_second(7200).unwrap();
        let text =
            text(&[cluster("a", ListedCondition::Running), cluster("b", ListedCondition::Stopped)], now, 140);
        assert_eq!(
            text,
            "NAME  PROVIDER         STATE    CONTEXT  PORTS  AGE\n\
             a     kwok, simulated  running  kwok-a   -      2 h\n\
             b     kwok, simulated  stopped  kwok-b   -      2 h\n\
             b stopped; handsctl cluster up b starts it\n"
        );
        for condition in [
            ListedCondition::Incomplete,
            ListedCondition::Gone,
            ListedCondition::Foreign,
            ListedCondition::Unknown,
        ] {
            assert!(next(condition).is_some_and(|next| next.contains("handsctl cluster")), "{condition:?}");
        }
    }
}
