//! Renders the configuration for `kind create cluster`: the embedded `kind/cluster.yaml`, changed by config.toml. Pure.

use serde_json::{Value, json};

use super::spec::KindSpec;
use crate::error::{Error, Result};

/// The default configuration. Path and name are the same as in the upstream repository.
const CLUSTER: &str = include_str!("../../../kind/cluster.yaml");

/// The label on every node whose value is the account that created the cluster with handsctl.
pub(super) const OWNER_LABEL: &str = "handsctl.dev/created-by";

/// Renders the configuration of a cluster as YAML. `owner`: the value of the label. `api_port`: the port of this computer
/// that forwards to the API server; None: kind chooses it.
///
/// # Errors
/// An internal error if the embedded file is invalid, which a test excludes.
pub(super) fn configuration(
    name: &str,
    owner: &str,
    spec: &KindSpec,
    api_port: Option<u16>,
) -> Result<String> {
    let broken = |cause: crate::error::Source| {
        Error::internal("the built-in kind/cluster.yaml cannot be used").caused_by(cause)
    };
    let mut cluster: Value =
        serde_saphyr::from_str(CLUSTER).map_err(|error| broken(error.to_string().into()))?;
    cluster["name"] = json!(name);
    if let Some(port) = api_port {
        cluster["networking"] = json!({ "apiServerPort": port });
    }
    let nodes = cluster["nodes"].as_array_mut().ok_or_else(|| broken("it has no nodes".into()))?;
    let first = nodes.first_mut().ok_or_else(|| broken("it has no nodes".into()))?;
    first["extraPortMappings"] = mappings(spec).into();
    nodes.extend((0..spec.workers).map(|_| json!({ "role": "worker" })));
    for node in nodes {
        node["labels"][OWNER_LABEL] = json!(owner);
    }
    Ok(format!("# Written by handsctl for kind.\n{cluster:#}\n"))
}

fn mappings(spec: &KindSpec) -> Vec<Value> {
    let ports = [(80, spec.ports.http), (443, spec.ports.https)];
    let mapping = |(container_port, host_port): (u16, Option<u16>)| {
        Some(json!({
            "containerPort": container_port,
            "hostPort": host_port?,
            "listenAddress": spec.ports.address.to_string(),
            "protocol": "TCP",
        }))
    };
    ports.into_iter().filter_map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::cluster_spec::Ports;

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn default_spec_renders_the_embedded_file() {
        let spec = KindSpec { image: "n".into(), workers: 0, ports: Ports { http: Some(80), ..Ports::NONE } };
        let mut expected = read(CLUSTER);
        expected["nodes"][0]["labels"] = json!({ OWNER_LABEL: "ana" });
        assert_eq!(read(&configuration("local-hands", "ana", &spec, None).unwrap()), expected);
    }

    #[test]
    fn workers_and_ports_of_the_spec_are_added() {
        let ports = Ports { address: "0.0.0.0".parse().unwrap(), http: Some(8080), https: Some(8443) };
        let spec = KindSpec { image: "n".into(), workers: 2, ports };
        let cluster = read(&configuration("x", "ana", &spec, Some(20_000)).unwrap());
        assert_eq!(cluster["name"], "x");
        assert_eq!(cluster["networking"], json!({ "apiServerPort": 20_000 }));
        assert_eq!(cluster["nodes"].as_array().unwrap().len(), 3);
        assert!(cluster["nodes"].as_array().unwrap().iter().all(|node| node["labels"][OWNER_LABEL] == "ana"));
        let mapped = &cluster["nodes"][0]["extraPortMappings"];
        assert_eq!((&mapped[0]["hostPort"], &mapped[1]["hostPort"]), (&json!(8080), &json!(8443)));
        assert_eq!(mapped[1]["listenAddress"], "0.0.0.0");
        assert_eq!(
            read(&configuration("x", "ana", &KindSpec { ports: Ports::NONE, ..spec }, None).unwrap())["nodes"]
                [0]["extraPortMappings"],
            json!([])
        );
    }
}
