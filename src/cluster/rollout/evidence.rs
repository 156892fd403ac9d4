//! Evidence that is not part of watched objects: a container's last lines, nodes, volumes. Read once per finding.

use kube::api::{ListParams, LogParams};

use crate::cluster::client::api::{Api, ApiError};
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, NODE, PERSISTENT_VOLUME, POD};
use crate::status::{Finding, Lookup, PodClaims, fold_similar, looked_up, shorten};

/// The number of lines to read from the end of a container's log.
const MAX_LINES: i64 = 20;
/// The number of bytes of these lines to read: a log may have no line break.
const MAX_BYTES: i64 = 256 * 1024;

/// Adds the requested evidence to a finding. A failed request becomes evidence as well, and never fails the command.
pub(crate) async fn collect(api: &Api, finding: &mut Finding) {
    for lookup in std::mem::take(&mut finding.lookups) {
        let (what, added) = match lookup {
            Lookup::Log { pod, container, previous } => {
                ("the log", log(api, finding, &pod, container, previous).await)
            }
            Lookup::NodeTaints => ("the taints", node_taints(api, finding).await),
            Lookup::NodeFaults(node) => ("the node", node_faults(api, finding, &node).await),
            Lookup::NodePlatform(node) => ("the node", node_platform(api, finding, &node).await),
            Lookup::VolumeReach(claims) => {
                if looked_up::is_only_out_of_reach(&finding.message) {
                    finding.claims = claims.paths();
                }
                ("the volume", volume_reach(api, finding, &claims).await)
            }
            Lookup::ClaimUsers(claims) => {
                finding.claims = claims.paths();
                ("the claim's pods", claim_users(api, finding, &claims).await)
            }
        };
        if let Err(error) = added {
            finding.evidence.push(format!("cannot read {what}: {}", short_cause(error)));
        }
    }
}

async fn log(
    api: &Api,
    finding: &mut Finding,
    pod: &ObjectId,
    container: String,
    previous: bool,
) -> Result<(), ApiError> {
    let params = LogParams {
        container: Some(container),
        tail_lines: Some(MAX_LINES),
        limit_bytes: Some(MAX_BYTES),
        previous,
        ..LogParams::default()
    };
    let text = api.get_log(&POD.collection(pod.namespace.as_deref()), &pod.name, &params).await?;
    if finding.log.is_empty() {
        finding.log = fold_similar(&text.lines().collect::<Vec<_>>());
        finding.log.iter_mut().for_each(shorten);
    }
    Ok(())
}

async fn node_taints(api: &Api, finding: &mut Finding) -> Result<(), ApiError> {
    let nodes = api.list(&NODE.collection(None), &ListParams::default()).await?.items;
    finding.evidence.extend(looked_up::taints(&nodes));
    finding.hints.extend(looked_up::uncordon_command(&nodes));
    Ok(())
}

async fn node_faults(api: &Api, finding: &mut Finding, node: &str) -> Result<(), ApiError> {
    let live = api.get_opt(&NODE.collection(None), node).await?;
    finding.evidence.extend(looked_up::node_faults(node, live.as_ref()));
    Ok(())
}

async fn node_platform(api: &Api, finding: &mut Finding, node: &str) -> Result<(), ApiError> {
    let live = api.get_opt(&NODE.collection(None), node).await?;
    finding.evidence.extend(live.as_ref().and_then(looked_up::platform));
    Ok(())
}

async fn volume_reach(api: &Api, finding: &mut Finding, claims: &PodClaims) -> Result<(), ApiError> {
    for name in &claims.names {
        let claim = api.get_opt(&CLAIM.collection(claims.pod.namespace.as_deref()), name).await?;
        let Some(volume) = claim.as_ref().and_then(|claim| claim["spec"]["volumeName"].as_str()) else {
            continue;
        };
        let volume = api.get_opt(&PERSISTENT_VOLUME.collection(None), volume).await?;
        finding.evidence.extend(volume.as_ref().and_then(|volume| looked_up::reach_of_volume(name, volume)));
    }
    Ok(())
}

async fn claim_users(api: &Api, finding: &mut Finding, claims: &PodClaims) -> Result<(), ApiError> {
    let PodClaims { pod, names } = claims;
    let pods = api.list(&POD.collection(pod.namespace.as_deref()), &ListParams::default()).await?.items;
    finding.evidence.extend(looked_up::other_users(&pod.name, names, &pods));
    Ok(())
}

fn short_cause(error: ApiError) -> String {
    let error = error.into_error("cannot read it");
    error.causes().pop().unwrap_or_else(|| error.message().to_owned())
}

#[cfg(test)]
mod tests {
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

    #[tokio::test(start_paused = true)]
    async fn claims_of_a_volume_fault_are_named_as_its_cause() {
        let claims = PodClaims { pod: POD.id("n", "oh-1"), names: vec!["data".to_owned()] };
        let affinity = "0/3 nodes are available: 3 node(s) had volume node affinity conflict";
        let other = format!("{affinity}, 1 Insufficient cpu.");
        for (id, message, lookup, cause) in [
            (Id::MountFailed, "Multi-Attach error", Lookup::ClaimUsers(claims.clone()), &["n/data"][..]),
            (Id::Unschedulable, affinity, Lookup::VolumeReach(claims.clone()), &["n/data"]),
            (Id::Unschedulable, &other, Lookup::VolumeReach(claims.clone()), &[]),
        ] {
            let (api, mut server) = scripted();
            let mut finding = Finding::new(id, POD.id("n", "oh-1"), message);
            finding.lookups = vec![lookup];
            tokio::join!(collect(&api, &mut finding), async {
                server.next().await.status(403, "Forbidden", "no right to read it");
            });
            assert_eq!(finding.claims, cause, "{message}");
        }
    }
}
