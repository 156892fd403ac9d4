//! Evidence that is not part of watched objects: a container's last lines, the nodes' taints. Read once per finding.

use kube::api::{ListParams, LogParams};
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::{NODE, POD};
use crate::status::{Finding, Lookup, fold_similar};

/// The number of lines to read from the end of a container's log.
const MAX_LINES: i64 = 20;

/// Adds the requested evidence to a finding. A failed request becomes evidence as well, and never fails the command.
pub(crate) async fn collect(api: &Api, finding: &mut Finding) {
    for lookup in std::mem::take(&mut finding.lookups) {
        match lookup {
            Lookup::Log { pod, container, previous } => {
                let params = LogParams {
                    container: Some(container),
                    tail_lines: Some(MAX_LINES),
                    previous,
                    ..LogParams::default()
                };
                match api.get_log(&POD.collection(pod.namespace.as_deref()), &pod.name, &params).await {
                    Ok(text) if finding.log.is_empty() => {
                        finding.log = fold_similar(&text.lines().collect::<Vec<_>>());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        finding.evidence.push(format!("cannot read the log: {}", short_cause(error)));
                    }
                }
            }
            Lookup::NodeTaints => match api.list(&NODE.collection(None), &ListParams::default()).await {
                Ok(nodes) => {
                    finding.evidence.extend(taints(&nodes.items));
                    finding.hints.extend(uncordon_command(&nodes.items));
                }
                Err(error) => {
                    finding.evidence.push(format!("cannot read the taints: {}", short_cause(error)));
                }
            },
        }
    }
}

fn short_cause(error: ApiError) -> String {
    let error = error.into_error("cannot read it");
    error.causes().pop().unwrap_or_else(|| error.message().to_owned())
}

/// Returns the command that makes cordoned nodes schedulable again; None if no node is cordoned.
fn uncordon_command(nodes: &[Value]) -> Option<String> {
    let cordoned = nodes.iter().filter(|node| node["spec"]["unschedulable"] == true);
    let names: Vec<&str> = cordoned.filter_map(|node| node["metadata"]["name"].as_str()).collect();
    (!names.is_empty()).then(|| format!("kubectl uncordon {}", names.join(" ")))
}

fn taints(nodes: &[Value]) -> Vec<String> {
    let mut taints = Vec::new();
    for node in nodes {
        for taint in node["spec"]["taints"].as_array().into_iter().flatten() {
            let text = |field: &str| taint[field].as_str().unwrap_or_default().to_owned();
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            taints.push(format!(
                "node {name} has the taint {}={}:{}",
                text("key"),
                text("value"),
                text("effect")
            ));
        }
    }
    taints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cordoned_nodes_are_named_in_the_command() {
        let node = |name: &str, spec: &Value| json!({ "metadata": { "name": name }, "spec": spec });
        let nodes = [
            node("a", &json!({ "unschedulable": true })),
            node("b", &json!({})),
            node("c", &json!({ "unschedulable": true })),
        ];
        assert_eq!(uncordon_command(&nodes).as_deref(), Some("kubectl uncordon a c"));
        assert_eq!(uncordon_command(&nodes[1..2]), None);
    }
}
