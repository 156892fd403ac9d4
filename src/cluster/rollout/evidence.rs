//! Evidence that is not part of watched objects: a container's last lines, the nodes' taints. Read once per finding.

use kube::api::{ListParams, LogParams};
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::{NODE, POD};
use crate::status::{Finding, Lookup, fold_similar, shorten};

/// The number of lines to read from the end of a container's log.
const MAX_LINES: i64 = 20;
/// The number of bytes of these lines to read: a log may have no line break.
const MAX_BYTES: i64 = 256 * 1024;

/// Adds the requested evidence to a finding. A failed request becomes evidence as well, and never fails the command.
pub(crate) async fn collect(api: &Api, finding: &mut Finding) {
    for lookup in std::mem::take(&mut finding.lookups) {
        match lookup {
            Lookup::Log { pod, container, previous } => {
                let params = LogParams {
                    container: Some(container),
                    tail_lines: Some(MAX_LINES),
                    limit_bytes: Some(MAX_BYTES),
                    previous,
                    ..LogParams::default()
                };
                match api.get_log(&POD.collection(pod.namespace.as_deref()), &pod.name, &params).await {
                    Ok(text) if finding.log.is_empty() => {
                        finding.log = fold_similar(&text.lines().collect::<Vec<_>>());
                        finding.log.iter_mut().for_each(shorten);
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
    use crate::catalogue::Id;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::object::kind::DEPLOYMENT;

    /// Collects the log of a pod for a finding while `script` answers.
    async fn collect_log(script: impl AsyncFnOnce(&mut ScriptedServer)) -> Finding {
        let (api, mut server) = scripted();
        let mut finding = Finding::new(Id::CrashLoop, DEPLOYMENT.id("n", "oh"), "it crashes");
        finding.lookups =
            vec![Lookup::Log { pod: POD.id("n", "oh-1"), container: "app".to_owned(), previous: true }];
        tokio::join!(collect(&api, &mut finding), script(&mut server));
        finding
    }

    #[tokio::test(start_paused = true)]
    async fn evidence_of_a_log_without_line_breaks_is_bounded() {
        let finding = collect_log(async |server| {
            let exchange = server.next().await;
            assert!(exchange.query.contains("limitBytes=262144"), "{}", exchange.query);
            assert!(exchange.query.contains("tailLines=20"), "{}", exchange.query);
            exchange.watch().text(&"x".repeat(262_144));
        })
        .await;
        assert_eq!(finding.log.len(), 1);
        assert!(finding.log[0].ends_with(" … (cut, 262144 bytes)"), "{}", finding.log[0].len());
    }

    #[tokio::test(start_paused = true)]
    async fn unreadable_evidence_is_reported_with_its_cause() {
        let finding = collect_log(async |server| {
            server.next().await.status(500, "InternalError", "the kubelet does not respond");
        })
        .await;
        assert!(finding.log.is_empty());
        let [evidence] = finding.evidence.as_slice() else { panic!("{:?}", finding.evidence) };
        assert!(evidence.starts_with("cannot read the log: "), "{evidence}");
        assert!(evidence.ends_with("the kubelet does not respond"), "{evidence}");
    }

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
