//! Evidence that is not part of watched objects: a container's last lines, nodes, volumes. Read once per finding.

use std::time::Duration;

use futures::future::join_all;
use kube::api::{ListParams, LogParams};
use serde_json::{Value, json};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::route::{self, Controllers, RouteReport};
use super::webhook;
use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::{CLAIM, INGRESS, NAMESPACE, NODE, PERSISTENT_VOLUME, POD};
use crate::object::{ObjectId, assignment, literal_secret};
use crate::plan::checks::ingress_controller::RouteFault;
use crate::plan::checks::node_fit::NodeFit;
use crate::status::{
    Exhibit, Finding, LogRun, Lookup, NodeQuestion, PodClaims, fold_similar, is_absent_log, looked_up,
    shorten,
};

/// The number of lines to read from the end of a container's log.
const MAX_LINES: i64 = 20;
/// The number of bytes of these lines to read: a log may have no line break.
const MAX_BYTES: i64 = 256 * 1024;
/// A log with fewer lines than this says little about a container that was restarted.
const FEW_LINES: usize = 5;

/// What was read for one lookup.
#[derive(Debug, Default)]
struct Evidence {
    lines: Vec<String>,
    hints: Vec<String>,
    log: Vec<String>,
    /// The claims that cause the finding, as `NAMESPACE/NAME`.
    claims: Vec<String>,
    /// The keys of the taints that repel the pod.
    taints: Vec<String>,
    /// The cause of a URL that does not respond.
    route_fault: Option<RouteFault>,
    /// The objects that were read.
    exhibits: Vec<Exhibit>,
}

impl Evidence {
    fn of_lines(lines: impl IntoIterator<Item = String>) -> Self {
        Self { lines: lines.into_iter().collect(), ..Self::default() }
    }
}

/// Adds the requested evidence to a finding, each part at the same time and within `limit`. A failed request becomes
/// evidence as well, and never fails the command.
pub(crate) async fn collect(api: &Api, finding: &mut Finding, limit: Duration) {
    let lookups = std::mem::take(&mut finding.lookups);
    finding.claims.extend(looked_up::unreachable_claims(&lookups, &finding.message));
    let parts = lookups.iter().map(|lookup| async {
        let part = timeout(limit, read(api, lookup, limit)).await;
        (subject(lookup), part)
    });
    for (what, part) in join_all(parts).await {
        let Evidence { lines, hints, log, claims, taints, route_fault, exhibits } =
            read_or_reason(what, part);
        finding.exhibits.extend(exhibits);
        finding.claims.extend(claims);
        finding.taints.extend(taints);
        finding.evidence.extend(lines);
        finding.hints.extend(hints);
        if let Some(fault) = route_fault {
            looked_up::name_route_fault(finding, fault.id, fault.text);
        }
        if finding.log.is_empty() {
            finding.log = log;
        }
    }
    looked_up::name_wrong_platform(finding);
}

/// Returns what was read, or why it was not.
fn read_or_reason(what: &str, part: Result<Result<Evidence, ApiError>, Elapsed>) -> Evidence {
    match part {
        Ok(Ok(evidence)) => evidence,
        Ok(Err(error)) => Evidence::of_lines([format!("cannot read {what}: {}", short_cause(error))]),
        Err(_) => Evidence::of_lines([format!("not read in time: {what}")]),
    }
}

/// Names what a lookup reads.
const fn subject(lookup: &Lookup) -> &'static str {
    match lookup {
        Lookup::Log { .. } => "the log",
        Lookup::Nodes(_) => "the nodes",
        Lookup::NodeFaults(_) | Lookup::NodePlatform(_) => "the node",
        Lookup::VolumeReach(_) => "the volume",
        Lookup::ClaimUsers(_) => "the volume claim's pods",
        Lookup::Route(_) => "the Ingress",
        Lookup::Webhook(_) => "the webhook",
        Lookup::Namespace(_) => "the namespace",
    }
}

/// What a second request adds gets half of the limit, so that the answer to the first one is not lost.
async fn read(api: &Api, lookup: &Lookup, limit: Duration) -> Result<Evidence, ApiError> {
    match lookup {
        Lookup::Log { pod, container, node, run } => {
            let log = read_log(api, pod, container, *run, limit / 2).await?;
            let node = node.as_deref().filter(|_| log.iter().any(|line| looked_up::is_wrong_format(line)));
            let lines = match node {
                Some(node) => {
                    read_or_reason("the node", timeout(limit / 2, node_platform(api, node)).await).lines
                }
                None => Vec::new(),
            };
            Ok(Evidence { lines, log, ..Evidence::default() })
        }
        Lookup::Nodes(question) => nodes(api, question).await,
        Lookup::NodeFaults(node) => node_faults(api, node).await,
        Lookup::NodePlatform(node) => node_platform(api, node).await,
        Lookup::VolumeReach(claims) => volume_reach(api, claims).await,
        Lookup::ClaimUsers(claims) => claim_users(api, claims).await,
        Lookup::Route(ingress) => route_evidence(api, ingress).await,
        Lookup::Webhook(name) => Ok(Evidence::of_lines(webhook::lines(api, name).await)),
        Lookup::Namespace(name) => {
            let namespace = api.get_opt(&NAMESPACE.collection(None), name).await?;
            let lines = namespace.map(|namespace| looked_up::namespace_deletion(name, &namespace));
            Ok(Evidence::of_lines(lines.unwrap_or_default()))
        }
    }
}

/// Reads the last lines of a container's log. The log of the run before precedes a short one, with a line between them.
async fn read_log(
    api: &Api,
    pod: &ObjectId,
    container: &str,
    run: LogRun,
    limit_of_previous: Duration,
) -> Result<Vec<String>, ApiError> {
    let log = read_run(api, pod, container, run == LogRun::Previous).await?;
    if run != LogRun::LatestAndPrevious || log.len() >= FEW_LINES {
        return Ok(log);
    }
    // The kubelet keeps the log of one run at most, and may have deleted it.
    let Ok(Ok(mut both)) = timeout(limit_of_previous, read_run(api, pod, container, true)).await else {
        return Ok(log);
    };
    if !both.is_empty() {
        both.push("(restarted)".to_owned());
    }
    both.extend(log);
    Ok(both)
}

async fn read_run(
    api: &Api,
    pod: &ObjectId,
    container: &str,
    previous: bool,
) -> Result<Vec<String>, ApiError> {
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(MAX_LINES),
        limit_bytes: Some(MAX_BYTES),
        previous,
        ..LogParams::default()
    };
    let text = api.get_log(&POD.collection(pod.namespace.as_deref()), &pod.name, &params).await?;
    if is_absent_log(&text) {
        return Ok(Vec::new());
    }
    // Every output of the finding shows the same text. Masked before it is cut: a part of a secret has no form.
    let text = assignment::masked(&text);
    let mut lines = fold_similar(&text.lines().collect::<Vec<_>>());
    lines.iter_mut().for_each(shorten);
    Ok(lines)
}

async fn nodes(api: &Api, question: &NodeQuestion) -> Result<Evidence, ApiError> {
    let NodeQuestion { node_selector, tolerations, has_untolerated_taint, resources } = question;
    let nodes = api.list(&NODE.collection(None), &ListParams::default()).await?.items;
    let mut evidence = Evidence::default();
    if *has_untolerated_taint {
        evidence.lines = looked_up::taints(&nodes, tolerations);
        evidence.hints.extend(looked_up::uncordon_command(&nodes));
        evidence.taints = looked_up::taint_keys(&nodes, tolerations);
    }
    let fit = NodeFit::of_template(&json!({ "nodeSelector": node_selector, "tolerations": tolerations }));
    evidence.lines.extend(resources.iter().filter_map(|resource| fit.most_of(&nodes, resource)));
    Ok(evidence)
}

async fn node_faults(api: &Api, node: &str) -> Result<Evidence, ApiError> {
    let live = api.get_opt(&NODE.collection(None), node).await?;
    let lines = looked_up::node_faults(node, live.as_ref());
    Ok(Evidence { exhibits: live.into_iter().map(node_exhibit).collect(), ..Evidence::of_lines(lines) })
}

/// Returns a node without the record of its managers, and without the list of its images, which may be long.
fn node_exhibit(mut node: Value) -> Exhibit {
    (node["apiVersion"], node["kind"]) = (json!("v1"), json!(NODE.kind));
    for (part, field) in [("metadata", "managedFields"), ("status", "images")] {
        if let Some(part) = node[part].as_object_mut() {
            part.remove(field);
        }
    }
    Exhibit { object: literal_secret::masked(NODE.kind, &node), events: Vec::new() }
}

async fn node_platform(api: &Api, node: &str) -> Result<Evidence, ApiError> {
    let live = api.get_opt(&NODE.collection(None), node).await?;
    Ok(Evidence::of_lines(live.as_ref().and_then(looked_up::platform)))
}

async fn volume_reach(api: &Api, claims: &PodClaims) -> Result<Evidence, ApiError> {
    let mut lines = Vec::new();
    for name in &claims.names {
        let claim = api.get_opt(&CLAIM.collection(claims.pod.namespace.as_deref()), name).await?;
        let Some(volume) = claim.as_ref().and_then(|claim| claim["spec"]["volumeName"].as_str()) else {
            continue;
        };
        let volume = api.get_opt(&PERSISTENT_VOLUME.collection(None), volume).await?;
        lines.extend(volume.as_ref().and_then(|volume| looked_up::reach_of_volume(name, volume)));
    }
    Ok(Evidence::of_lines(lines))
}

async fn claim_users(api: &Api, claims: &PodClaims) -> Result<Evidence, ApiError> {
    let PodClaims { pod, names } = claims;
    let pods = api.list(&POD.collection(pod.namespace.as_deref()), &ListParams::default()).await?.items;
    let lines = looked_up::other_users(&pod.name, names, &pods);
    // Without another user the volume is being detached from its former node, which an earlier revision may select.
    let causes = if lines.is_empty() { Vec::new() } else { claims.paths() };
    Ok(Evidence { lines, claims: causes, ..Evidence::default() })
}

async fn route_evidence(api: &Api, ingress: &ObjectId) -> Result<Evidence, ApiError> {
    let collection = INGRESS.collection(ingress.namespace.as_deref());
    let Some(live) = api.get_opt(&collection, &ingress.name).await? else {
        return Ok(Evidence::of_lines([format!("{ingress} does not exist")]));
    };
    let RouteReport { faults, unread } = route::read(api, &live, Controllers::Listed).await;
    let mut faults = faults.into_iter();
    let route_fault = faults.next();
    let others = faults.map(|fault| fault.text);
    Ok(Evidence { route_fault, lines: others.chain(unread).collect(), ..Evidence::default() })
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
        collect_run(LogRun::Previous, script).await
    }

    async fn collect_run(run: LogRun, script: impl AsyncFnOnce(&mut ScriptedServer)) -> Finding {
        let (api, mut server) = scripted();
        let mut finding = Finding::new(Id::CrashLoop, DEPLOYMENT.id("n", "oh"), "exit code 255");
        finding.lookups = vec![Lookup::Log {
            pod: POD.id("n", "oh-1"),
            container: "app".to_owned(),
            node: Some("node-1".to_owned()),
            run,
        }];
        tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), script(&mut server));
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
    async fn secrets_of_a_log_are_masked_before_lines_are_cut() {
        let finding = collect_log(async |server| {
            let exchange = server.next().await;
            let cut = format!("{}API_KEY={}", "x ".repeat(980), "planted".repeat(20));
            let key = "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----";
            exchange.watch().text(&format!("DB_PASSWORD=planted\n{cut}\n{key}\npassword: planted\nthe end"));
        })
        .await;
        let log = finding.log.join("\n");
        assert!(!log.contains("plan") && log.ends_with("password: (redacted)\nthe end"), "{log}");
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

    /// The runtime starts a container whose program is for another platform; only the log says that it is.
    #[tokio::test(start_paused = true)]
    async fn program_for_another_platform_is_named_with_the_node() {
        let line = "exec /usr/local/bin/start: exec format error";
        let finding = collect_log(async |server| {
            server.next().await.watch().text(line);
            let node = json!({ "metadata": { "name": "node-1" },
                "status": { "nodeInfo": { "operatingSystem": "linux", "architecture": "arm64" } } });
            server.expect("GET /api/v1/nodes/node-1").await.ok(&node);
        })
        .await;
        assert_eq!((finding.id, finding.message.as_str()), (Id::ContainerCannotStart, line));
        let platform = "node node-1 is linux/arm64, and the image may be for another platform";
        assert_eq!(finding.evidence, ["exit code 255", platform]);
    }

    #[tokio::test(start_paused = true)]
    async fn node_that_is_the_cause_is_kept_with_its_condition() {
        let (api, mut server) = scripted();
        let mut finding = Finding::new(Id::OldPodStuck, POD.id("n", "oh-1"), "not stopped");
        finding.lookups = vec![Lookup::NodeFaults("node-1".to_owned())];
        let node = json!({ "metadata": { "name": "node-1", "managedFields": [{}] }, "status": { "images": [{}],
            "conditions": [{ "type": "Ready", "status": "Unknown", "message": "no heartbeat" }] } });
        tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), async {
            server.expect("GET /api/v1/nodes/node-1").await.ok(&node);
        });
        assert!(finding.evidence[0].contains("Ready is Unknown"), "{:?}", finding.evidence);
        let kept = &finding.exhibits[0].object;
        assert_eq!(ObjectId::from_object(kept).unwrap().to_string(), "node/node-1");
        assert_eq!(kept["status"]["conditions"], node["status"]["conditions"]);
        assert!(kept["metadata"]["managedFields"].is_null() && kept["status"]["images"].is_null(), "{kept}");
    }

    #[tokio::test(start_paused = true)]
    async fn short_log_of_a_restarted_container_follows_the_one_before() {
        let finding = collect_run(LogRun::LatestAndPrevious, async |server| {
            let latest = server.next().await;
            assert!(!latest.query.contains("previous"), "{}", latest.query);
            latest.watch().text("starting");
            let previous = server.next().await;
            assert!(previous.query.contains("previous=true"), "{}", previous.query);
            previous.watch().text("cannot connect to the database");
        })
        .await;
        assert_eq!(finding.log, ["cannot connect to the database", "(restarted)", "starting"]);
    }

    #[tokio::test(start_paused = true)]
    async fn log_that_does_not_come_is_not_waited_for() {
        let begin = tokio::time::Instant::now();
        let finding = collect_log(async |server| {
            let _unanswered = server.next().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        })
        .await;
        assert_eq!(finding.evidence, ["not read in time: the log"]);
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn claims_of_a_volume_fault_are_named_as_its_cause() {
        let claims = PodClaims { pod: POD.id("n", "oh-1"), names: vec!["data".to_owned()] };
        let affinity = "0/3 nodes are available: 3 node(s) had volume node affinity conflict";
        let other = format!("{affinity}, 1 Insufficient cpu.");
        for (id, message, lookup, cause) in [
            (Id::MountFailed, "Multi-Attach error", Lookup::ClaimUsers(claims.clone()), &[][..]),
            (Id::Unschedulable, affinity, Lookup::VolumeReach(claims.clone()), &["n/data"]),
            (Id::Unschedulable, &other, Lookup::VolumeReach(claims.clone()), &[]),
        ] {
            let (api, mut server) = scripted();
            let mut finding = Finding::new(id, POD.id("n", "oh-1"), message);
            finding.lookups = vec![lookup];
            tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), async {
                server.next().await.status(403, "Forbidden", "no right to read it");
            });
            assert_eq!(finding.claims, cause, "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn error_of_the_kubelet_is_not_shown_as_log() {
        let finding = collect_run(LogRun::LatestAndPrevious, async |server| {
            server.next().await.watch().text("starting");
            let absent = "unable to retrieve container logs for containerd://b30126c8e6e2";
            server.next().await.watch().text(absent);
        })
        .await;
        assert_eq!(finding.log, ["starting"]);
    }

    #[tokio::test(start_paused = true)]
    async fn missing_class_is_the_cause_of_a_url_that_does_not_respond() {
        let (api, mut server) = scripted();
        let mut finding = crate::status::unreachable_url("n", "oh", "http://x.org/", "404");
        tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), async {
            let live = json!({ "metadata": { "name": "oh", "namespace": "n" }, "spec": { "ingressClassName": "nobody" } });
            server.expect("GET /apis/networking.k8s.io/v1/namespaces/n/ingresses/oh").await.ok(&live);
            let class = server.expect("GET /apis/networking.k8s.io/v1/ingressclasses/nobody").await;
            class.status(404, "NotFound", "not found");
        });
        assert_eq!(finding.id, Id::UrlUnreachable);
        assert_eq!(finding.message, "ingress class nobody does not exist: nobody serves the Ingress");
        assert!(finding.evidence[0].ends_with("not at http://x.org/: 404"), "{:?}", finding.evidence);
    }

    #[tokio::test(start_paused = true)]
    async fn missing_certificate_is_evidence_of_a_url_that_does_not_respond() {
        let (api, mut server) = scripted();
        let mut finding = crate::status::unreachable_url("n", "oh", "http://x.org/", "404");
        let message = finding.message.clone();
        tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), async {
            let tls = json!([{ "hosts": ["x.org"], "secretName": "tls" }]);
            let live = json!({ "metadata": { "name": "oh", "namespace": "n" }, "spec": { "tls": tls },
                "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } });
            server.expect("GET /apis/networking.k8s.io/v1/namespaces/n/ingresses/oh").await.ok(&live);
            server.next().await.status(404, "NotFound", "not found");
        });
        assert_eq!(finding.message, message);
        assert!(finding.evidence[0].starts_with("secret/tls in namespace n"), "{:?}", finding.evidence);
    }

    /// A right that is missing for an explanation changes neither the finding nor its cause.
    #[tokio::test(start_paused = true)]
    async fn route_that_may_not_be_read_is_one_line_of_evidence() {
        let (api, mut server) = scripted();
        let mut finding = crate::status::unreachable_url("n", "oh", "http://x.org/", "404");
        let message = finding.message.clone();
        tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), async {
            server.next().await.status(403, "Forbidden", "ingresses is forbidden");
        });
        assert_eq!((finding.id, finding.message), (Id::UrlUnreachable, message));
        assert_eq!(finding.evidence.len(), 1, "{:?}", finding.evidence);
    }

    /// A volume that no other pod uses is still attached to its former node: an earlier revision may select that node.
    #[tokio::test(start_paused = true)]
    async fn claim_is_the_cause_of_a_mount_only_if_another_pod_uses_it() {
        for (user, cause) in [("oh-2", &["n/data"][..]), ("oh-1", &[])] {
            let claims = PodClaims { pod: POD.id("n", "oh-1"), names: vec!["data".to_owned()] };
            let volumes = json!([{ "persistentVolumeClaim": { "claimName": "data" } }]);
            let pods = json!({ "items": [{ "metadata": { "name": user }, "spec": { "volumes": volumes } }] });
            let (api, mut server) = scripted();
            let mut finding = Finding::new(Id::MountFailed, POD.id("n", "oh-1"), "Multi-Attach error");
            finding.lookups = vec![Lookup::ClaimUsers(claims)];
            tokio::join!(collect(&api, &mut finding, Duration::from_secs(2)), async {
                server.next().await.ok(&pods);
            });
            assert_eq!(finding.claims, cause, "{user}");
        }
    }
}
