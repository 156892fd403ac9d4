//! The containers that are the nodes of a kind cluster.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::client::Client;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::command::ChildFailure;

/// Timeout of `ps` and `inspect`, which take about 50 ms.
const INSPECT: Duration = Duration::from_secs(10);

/// Labels that kind sets on every node's container (`pkg/cluster/internal/providers/docker/constants.go`).
const CLUSTER: &str = "io.x-k8s.kind.cluster";
const ROLE: &str = "io.x-k8s.kind.role";

/// A container that is a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Container {
    /// The engine's id of the container. A later container of the same name has another id.
    pub(in crate::provider) id: String,
    /// `local-hands-control-plane`.
    pub(in crate::provider) name: String,
    /// `control-plane`, `worker`.
    pub(in crate::provider) role: String,
    /// The image that it was created from, as kind named it.
    pub(in crate::provider) image: String,
    /// Whether it is running.
    pub(in crate::provider) is_running: bool,
    /// When it was started last; None if it never was, or the engine does not say.
    pub(in crate::provider) started_at: Option<Timestamp>,
    /// Published ports, as container port, host address and host port: `(80, "127.0.0.1", 8080)`.
    pub(in crate::provider) ports: Vec<(u16, String, u16)>,
}

impl Container {
    /// Whether the API server runs on it.
    pub(in crate::provider) fn is_control_plane(&self) -> bool {
        self.role == "control-plane"
    }
}

/// The fields of `inspect` that all three engines have in common.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    name: String,
    state: State,
    config: Config,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    started_at: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    image: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    port_bindings: Option<std::collections::BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

impl Client {
    /// Lists the nodes of a cluster, running or not, sorted by name.
    ///
    /// # Errors
    /// `HC2003` if the engine cannot list or inspect containers; an internal error if its output cannot be parsed.
    pub(in crate::provider) async fn nodes(&self, cluster: &str) -> Result<Vec<Container>> {
        let failed = |failure: ChildFailure| {
            let message = format!("{} cannot list the nodes of cluster {cluster}", self.engine);
            failure.into_error(Id::EngineDown, Kind::Prerequisite, message)
        };
        let filter = format!("label={CLUSTER}={cluster}");
        let list = ["ps", "--all", "--no-trunc", "--filter", &filter, "--format", "{{.ID}}"];
        let listed = self.command(INSPECT, list).run().await.map_err(failed)?.stdout;
        let ids: Vec<&str> = listed.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspect = self.inspect(&ids).await.map_err(failed)?;
        read(&inspect).map_err(|error| {
            Error::internal(format!("cannot parse the output of {} inspect", self.engine)).caused_by(error)
        })
    }

    /// Returns the output of `inspect` for these containers.
    pub(in crate::provider) async fn inspect(&self, names: &[&str]) -> Result<String, ChildFailure> {
        let arguments = ["inspect"].into_iter().chain(names.iter().copied());
        Ok(self.command(INSPECT, arguments).run().await?.stdout)
    }

    /// Lists the containers, of any cluster or none, that publish this host port.
    pub(in crate::provider) async fn publishers(&self, port: u16) -> Vec<String> {
        let filter = format!("publish={port}");
        let list = self.command(INSPECT, ["ps", "--filter", &filter, "--format", "{{.Names}}"]);
        match list.run().await {
            Ok(output) => output.stdout.split_whitespace().map(str::to_owned).collect(),
            // The name of the container only adds detail to a finding.
            Err(_) => Vec::new(),
        }
    }
}

/// Parses the output of `inspect`.
fn read(text: &str) -> serde_json::Result<Vec<Container>> {
    let inspected: Vec<Inspected> = serde_json::from_str(text)?;
    let mut containers: Vec<Container> = inspected.into_iter().map(container).collect();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(containers)
}

fn container(inspected: Inspected) -> Container {
    let bindings = inspected.host_config.port_bindings.unwrap_or_default();
    let ports = bindings.iter().flat_map(|(container_port, bindings)| {
        let container_port = container_port.split('/').next().and_then(|port| port.parse().ok());
        bindings.iter().flatten().filter_map(move |binding| {
            Some((container_port?, binding.host_ip.clone(), binding.host_port.parse().ok()?))
        })
    });
    Container {
        ports: ports.collect(),
        // docker puts a slash before names.
        name: inspected.name.trim_start_matches('/').to_owned(),
        role: inspected.config.labels.get(ROLE).cloned().unwrap_or_default(),
        image: inspected.config.image,
        is_running: inspected.state.running,
        started_at: inspected.state.started_at.parse().ok(),
        id: inspected.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inspect_output_is_parsed_into_nodes() {
        let text = r#"[
            {"Id": "b", "Name": "/x-worker", "State": {"Running": false}, "Config": {"Image": "n:1", "Labels": {"io.x-k8s.kind.role": "worker"}}},
            {"Id": "a", "Name": "x-control-plane", "State": {"Running": true, "StartedAt": "2026-11-28T15:37:49.123456789Z"},
             "Config": {"Image": "n:1", "Labels": {"io.x-k8s.kind.role": "control-plane"}},
             "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "6443/tcp": null}}}
        ]"#;
        let nodes = read(text).unwrap();
        let names: Vec<(&str, bool)> =
            nodes.iter().map(|node| (node.name.as_str(), node.is_running)).collect();
        assert_eq!(names, [("x-control-plane", true), ("x-worker", false)]);
        assert!(nodes[0].is_control_plane());
        let started_at = nodes[0].started_at.map(Timestamp::as_second);
        assert_eq!((started_at, nodes[1].started_at), (Some(1_795_880_269), None));
        assert_eq!(nodes[0].ports, [(80, "127.0.0.1".to_owned(), 8080)]);
        assert!(read("no json").is_err());
    }
}
