//! Follows the rollout of a set until it is ready or has failed.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::evidence;
use super::finding_error::explained;
use super::reported_containers::ReportedContainers;
use super::reported_states::ReportedStates;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::watch::observe;
use crate::cluster::watch::observed_set::ObservedSet;
use crate::cluster::watch::outage::OutageTracker;
use crate::cluster::watch::wait_clock::{WaitClock, WaitState};
use crate::cluster::watch::watcher::{WatchedChange, Watches};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::object::container_names;
use crate::object::kind::{CLAIM, DEPLOYMENT};
use crate::phrase;
use crate::plan::config_keys;
use crate::plan::manifests::values::DEV_TARGET;
use crate::settings::Settings;
use crate::status::{
    Evaluation, Expected, Finding, GracePeriods, ObjectState, ObservedState, Verdict, evaluate,
    with_next_command,
};
use crate::timeline::RunRecord;

/// How often to report what the rollout waits for.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long the evidence may take: the verdict is known, and a dead kubelet answers no request for a log.
const EVIDENCE: Duration = Duration::from_secs(2);
/// How long the evidence of an expired rollout may take: the command has to end.
const LAST_EVIDENCE: Duration = Duration::from_millis(500);

/// The rollout to follow.
#[derive(Debug, Clone)]
pub struct RolloutWatch {
    /// The expected members, as applied or as found unchanged.
    pub expected: Vec<Expected>,
    /// How long to wait for faults that may still heal.
    pub grace: GracePeriods,
    /// The command's deadline.
    pub deadline: Instant,
    /// The timeline of the newest good revision that has one: how long each phase usually takes.
    pub usual: Option<RunRecord>,
}

/// How the rollout ended.
pub enum RolloutResult {
    /// Every expected object is ready: `deployment.apps/openhands 1/1`.
    Ready(String),
    /// The rollout cannot succeed. The findings have their evidence, root cause first.
    Failed(Vec<Finding>),
    /// The command's deadline passed: the error, and what was wrong until then.
    Expired(Error, Vec<Finding>),
}

/// Waits until the rollout ends: every watched change is evaluated, and a final verdict ends the wait. `settings` are
/// those that the objects come from; None: they come from no config.toml.
///
/// # Errors
/// A watch fails.
pub async fn follow(
    api: &Api,
    observed: &mut ObservedSet,
    rollout: &RolloutWatch,
    settings: Option<&Settings>,
    events: &Events,
) -> Result<RolloutResult> {
    let ObservedSet { watches, state, .. } = observed;
    let mut reported = ReportedStates::default();
    let mut containers = ReportedContainers::new(rollout.usual.clone());
    let mut warned = false;
    let mut outage = OutageTracker::new(api.traffic());
    let mut clock = WaitClock::new(rollout.deadline, HEARTBEAT);
    loop {
        while let Some(change) = watches.try_next() {
            show(state, watches, change, api.clock().now(), events).await?;
        }
        let now = api.clock().now();
        let evaluation = evaluate(state, &rollout.expected, &rollout.grace, now);
        let unreported = reported.report(&evaluation, now, events).await;
        containers.report(state, &rollout.expected, &rollout.grace, now, events).await;
        warn_of_unreachable_registries(&evaluation, &rollout.grace, &mut warned, events).await;
        let current_at = outage.poll(events).await;
        let until = match evaluation.verdict {
            Verdict::Ready => return Ok(RolloutResult::Ready(workloads(&evaluation))),
            // During an outage the watched state is stale: a fault past its grace may have healed meanwhile.
            Verdict::Failed if current_at.is_some() => None,
            Verdict::Failed => {
                let findings = explained_findings(api, settings, state, evaluation.findings).await;
                return Ok(RolloutResult::Failed(findings));
            }
            Verdict::Waiting { until } => until,
        };
        let until = until.map(|until| Instant::now() + duration_between(now, until));
        tokio::select! {
            () = outage.changed() => {}
            change = watches.next() => match change {
                Some(change) => show(state, watches, change, api.clock().now(), events).await?,
                None => return Err(Error::internal("all watches ended")),
            },
            () = clock.sleep_until([until, unreported, current_at].into_iter().flatten().min()) => {}
        }
        match clock.state() {
            WaitState::Waiting => {}
            WaitState::HeartbeatDue(left) => {
                report_waiting(&evaluation, outage.outage(), left, events).await;
            }
            WaitState::Expired => {
                // During an outage, final faults are no verdict.
                let mut findings = evaluation.findings;
                findings.extend(evaluation.pending);
                let findings = explained_within(LAST_EVIDENCE, api, settings, state, findings).await;
                let error = deadline_error(&evaluation.objects, &findings, outage.outage());
                return Ok(RolloutResult::Expired(error, findings));
            }
        }
    }
}

/// Adds a change to the state. Warns if evidence cannot be watched any more.
async fn show(
    state: &mut ObservedState,
    watches: &Watches,
    change: WatchedChange,
    now: Timestamp,
    events: &Events,
) -> Result<()> {
    if let Some(error) = observe::show_change(state, watches, change, now)? {
        let message = format!("{}; a failure will be explained with less evidence", error.with_causes());
        events.warn(Id::EvidenceMissing, message).await;
    }
    Ok(())
}

/// Collects the evidence that is not part of the watched objects, and the keys of config.toml that cause the findings.
pub async fn collect_evidence(api: &Api, settings: Option<&Settings>, findings: &mut [Finding]) {
    collect_within(EVIDENCE, api, settings, findings).await;
}

async fn collect_within(limit: Duration, api: &Api, settings: Option<&Settings>, findings: &mut [Finding]) {
    join_all(findings.iter_mut().map(|finding| evidence::collect(api, finding, limit))).await;
    // The log may have changed the id.
    if let Some(settings) = settings {
        for finding in findings {
            add_config_keys(finding, settings);
        }
    }
}

/// Adds to the result of a rollout its evidence, the keys of config.toml that cause it, the objects around it, and the
/// next command.
pub async fn explained_findings(
    api: &Api,
    settings: Option<&Settings>,
    state: &ObservedState,
    findings: Vec<Finding>,
) -> Vec<Finding> {
    explained_within(EVIDENCE, api, settings, state, findings).await
}

async fn explained_within(
    limit: Duration,
    api: &Api,
    settings: Option<&Settings>,
    state: &ObservedState,
    mut findings: Vec<Finding>,
) -> Vec<Finding> {
    collect_within(limit, api, settings, &mut findings).await;
    add_exhibits(state, &mut findings);
    findings.into_iter().map(with_next_command).collect()
}

fn add_exhibits(state: &ObservedState, findings: &mut [Finding]) {
    for finding in findings {
        // Those that were looked up, such as the node, come last.
        let mut exhibits = state.exhibits(&finding.object);
        exhibits.append(&mut finding.exhibits);
        finding.exhibits = exhibits;
    }
}

/// Sends findings that are the result of a command.
pub async fn report_findings(findings: &[Finding], events: &Events) {
    for finding in findings {
        events.send(Event::Finding(Box::new(finding.clone()))).await;
    }
}

/// Adds the keys of config.toml that cause a finding, or why there are none.
fn add_config_keys(finding: &mut Finding, settings: &Settings) {
    if finding.member.as_ref().is_some_and(|member| settings.has_extra_object(member)) {
        finding.keys = config_keys::of_extra_manifest(settings);
        return;
    }
    let container = finding.container.as_deref();
    let Finding { id, object, message, taints, .. } = &*finding;
    let keys = match id {
        Id::Unschedulable => config_keys::of_unschedulable(message, taints, settings),
        id => config_keys::of_failure(*id, &object.kind, container, message, settings),
    };
    // Other members are restored extra objects, whose containers no template has.
    let own = [settings.deploy.name.as_str(), DEV_TARGET];
    let is_of_template = finding
        .member
        .as_ref()
        .is_none_or(|member| member.kind == DEPLOYMENT.kind && own.contains(&member.name.as_str()));
    if let Some(foreign) =
        container.filter(|container| is_of_template && !container_names::is_of_template(container))
    {
        let origin = format!(
            "container {foreign} is not in handsctl's template: a webhook or another tool added it to the pod"
        );
        finding.evidence.push(origin);
    }
    finding.keys = keys;
}

fn duration_between(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default() + Duration::from_millis(5)
}

/// Warns once, and at once, about an unreachable registry: the rollout waits for it, and the warning explains the wait.
async fn warn_of_unreachable_registries(
    evaluation: &Evaluation,
    grace: &GracePeriods,
    warned: &mut bool,
    events: &Events,
) {
    let unavailable = evaluation.pending.iter().find(|finding| finding.id == Id::ImageUnavailable);
    let Some(finding) = unavailable.filter(|_| !*warned) else { return };
    *warned = true;
    let grace = phrase::span(grace.image_pull);
    let message = format!("{}: {}; retrying for {grace}", finding.object, finding.message);
    events.warn(finding.id, message).await;
}

/// Describes the ready objects, without claims: a bound claim has no status worth reporting.
fn workloads(evaluation: &Evaluation) -> String {
    let workloads = evaluation.objects.iter().filter(|state| state.id.kind != CLAIM.kind);
    workloads.map(|state| format!("{} {}", state.id, state.message)).collect::<Vec<_>>().join(", ")
}

async fn report_waiting(evaluation: &Evaluation, outage: Option<Duration>, left: Duration, events: &Events) {
    let left = Some(left);
    if let Some(message) = outage.map(outage_message) {
        events.send(Event::Waiting { object: None, message, left }).await;
        return;
    }
    // Prefer a workload: a claim usually waits for its pod, not the pod for its claim.
    let mut waits = evaluation.objects.iter().filter(|state| !state.ready);
    let first = waits.clone().next();
    if let Some(state) = waits.find(|state| state.id.kind != CLAIM.kind).or(first) {
        let (object, message) = (Some(state.id.clone()), state.message.clone());
        events.send(Event::Waiting { object, message, left }).await;
    }
}

fn outage_message(outage: Duration) -> String {
    format!("the API server has not responded for {}", phrase::span(outage))
}

/// Returns the error of a rollout that the command's deadline ended, with the faults that might have healed.
fn deadline_error(objects: &[ObjectState], pending: &[Finding], outage: Option<Duration>) -> Error {
    let mut error =
        Error::new(Id::DeadlinePassed, Kind::Deadline, "timed out before the rollout was complete");
    for state in objects.iter().filter(|state| !state.ready) {
        error = error.fact("waiting", format!("{}  {}", state.id, state.message));
    }
    if let Some(outage) = outage {
        error = error.fact("waiting", outage_message(outage));
    }
    // A pod that only waits has no other cause.
    if let Some(first) = pending.first().filter(|first| first.id != Id::DeadlinePassed) {
        error = error.fact("cause", first.id.title());
    }
    explained(error, pending)
        .hint("the applied objects are kept and the rollout continues; handsctl status shows its progress")
        .hint("--timeout DURATION sets a longer limit")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, WatchStream, scripted};
    use crate::cluster::watch::watcher::{WatchScope, Watches};
    use crate::event::Receiver;
    use crate::object::kind::{DEPLOYMENT, KindInfo, POD, REPLICA_SET};
    use crate::plan::inventory::members::Members;
    use crate::settings::tests::settings_of;
    use crate::status::ObservedState;

    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/n/deployments";

    /// The Deployment with `ready` of one replica.
    fn deployment(ready: i32, conditions: &Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "oh", "namespace": "n", "uid": "u-1", "generation": 2, "resourceVersion": "5" },
            "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "oh" } }, "template": { "spec": {} } },
            "status": {
                "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
                "readyReplicas": ready, "availableReplicas": ready, "conditions": conditions,
            },
        })
    }

    /// The condition of a Deployment whose pods a quota rejects.
    fn quota(server: &ScriptedServer) -> Value {
        let now = server.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!([{
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": now,
            "lastUpdateTime": now,
            "message": "pods \"oh-1\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
        }])
    }

    /// Follows the Deployment, applied by this run, while `script` answers the requests.
    async fn run(
        time: Duration,
        script: impl AsyncFnOnce(&mut ScriptedServer, WatchStream),
    ) -> (Result<RolloutResult>, Receiver) {
        run_with(&[], time, async |server, mut streams| {
            let stream = streams.remove(DEPLOYMENTS).unwrap();
            script(server, stream).await;
        })
        .await
    }

    /// Like [`run`], with optional watches of these kinds.
    async fn run_with(
        optional: &[KindInfo],
        time: Duration,
        script: impl AsyncFnOnce(&mut ScriptedServer, BTreeMap<String, WatchStream>),
    ) -> (Result<RolloutResult>, Receiver) {
        let (api, mut server) = scripted();
        let (events, receiver) = Events::channel();
        let scope = |kind: KindInfo, optional: bool| WatchScope {
            kind,
            namespace: Some("n".to_owned()),
            labels: String::new(),
            optional,
        };
        let mut scopes = vec![scope(DEPLOYMENT, false)];
        scopes.extend(optional.iter().map(|kind| scope(*kind, true)));
        let count = scopes.len();
        let mut observed = ObservedSet {
            watches: Watches::open(&api, scopes, true),
            members: Members::new(),
            state: ObservedState::default(),
        };
        let expected = vec![Expected {
            id: DEPLOYMENT.id("n", "oh"),
            uid: "u-1".to_owned(),
            generation: 2,
            changed: true,
        }];
        let rollout = RolloutWatch {
            expected,
            grace: GracePeriods::starting_at(api.clock().now()),
            deadline: Instant::now() + time,
            usual: None,
        };
        let (result, ()) = tokio::join!(follow(&api, &mut observed, &rollout, None, &events), async {
            let initial = |path: &str| {
                if path == DEPLOYMENTS { vec![deployment(0, &json!([]))] } else { Vec::new() }
            };
            let streams = server.open_watches(count, initial).await;
            script(&mut server, streams).await;
        });
        (result, receiver)
    }

    fn waits(receiver: &mut Receiver) -> Vec<String> {
        let events = std::iter::from_fn(|| receiver.try_recv());
        events
            .filter_map(|event| match event {
                Event::Waiting { message, .. } => Some(message),
                _ => None,
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn rollout_ends_when_the_deployment_is_available() {
        let (result, mut receiver) = run(Duration::from_secs(300), async |_, stream| {
            tokio::time::sleep(Duration::from_secs(25)).await;
            stream.send("MODIFIED", &deployment(1, &json!([])));
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        assert!(matches!(result.unwrap(), RolloutResult::Ready(ready) if ready == "deployment.apps/oh 1/1"));
        assert_eq!(waits(&mut receiver).len(), 2, "a heartbeat every 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn failed_watch_of_evidence_is_a_warning() {
        let (result, mut receiver) =
            run_with(&[REPLICA_SET], Duration::from_secs(300), async |server, mut streams| {
                streams.remove("/apis/apps/v1/namespaces/n/replicasets");
                let again = server.expect("GET /apis/apps/v1/namespaces/n/replicasets").await;
                again.status(405, "MethodNotAllowed", "no such watch");
                tokio::time::sleep(Duration::from_secs(1)).await;
                streams[DEPLOYMENTS].send("MODIFIED", &deployment(1, &json!([])));
                tokio::time::sleep(Duration::from_secs(20)).await;
            })
            .await;
        assert!(matches!(result.unwrap(), RolloutResult::Ready(_)), "the verdict needs no evidence");
        let events = std::iter::from_fn(|| receiver.try_recv());
        let warnings: Vec<(Id, String)> = events
            .filter_map(|event| match event {
                Event::Warning { id, message, .. } => Some((id, message)),
                _ => None,
            })
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].0, Id::EvidenceMissing);
        assert!(warnings[0].1.starts_with("cannot continue watching replicasets"), "{warnings:?}");
        assert!(warnings[0].1.contains("no such watch"), "{warnings:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_lists_unready_objects() {
        let begin = Instant::now();
        let (result, _) = run(Duration::from_secs(45), async |_, stream| {
            tokio::time::sleep(Duration::from_secs(50)).await;
            drop(stream);
        })
        .await;
        let Ok(RolloutResult::Expired(error, findings)) = result else { panic!("not expired") };
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(error.id(), Id::DeadlinePassed);
        assert!(format!("{error:?}").contains("deployment.apps/oh  0/1"), "{error:?}");
        assert!(begin.elapsed() >= Duration::from_secs(45));
    }

    #[tokio::test(start_paused = true)]
    async fn fault_that_heals_within_its_grace_is_no_failure() {
        let (result, _) = run(Duration::from_secs(300), async |server, stream| {
            stream.send("MODIFIED", &deployment(0, &quota(server)));
            tokio::time::sleep(Duration::from_secs(4)).await;
            stream.send("MODIFIED", &deployment(1, &json!([])));
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        assert!(matches!(result.unwrap(), RolloutResult::Ready(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn quota_that_rejects_pods_fails_after_its_grace() {
        let begin = Instant::now();
        let (result, _) = run(Duration::from_secs(300), async |server, stream| {
            stream.send("MODIFIED", &deployment(0, &quota(server)));
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        let RolloutResult::Failed(findings) = result.unwrap() else { panic!("it is ready") };
        assert_eq!(findings[0].id, Id::QuotaExceeded);
        assert_eq!(
            findings[0].hints,
            ["kubectl describe resourcequota -n n", "handsctl explain HC4501"],
            "a deploy names the next command as status does"
        );
        assert!(begin.elapsed() >= Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn container_of_another_tool_gets_a_sentence_instead_of_a_key() {
        let (api, _server) = scripted();
        let settings = settings_of("[deploy]\nimage = \"acme/oh:1.6\"\n");
        let mut findings = ["openhands", "istio-proxy"].map(|container| Finding {
            container: Some(container.to_owned()),
            ..Finding::new(Id::ImageNotFound, POD.id("n", "oh-1"), "not found")
        });
        collect_evidence(&api, Some(&settings), &mut findings).await;
        assert_eq!((findings[0].keys[0].key.as_str(), findings[0].evidence.len()), ("deploy.image", 0));
        assert!(findings[1].keys.is_empty());
        assert!(findings[1].evidence[0].starts_with("container istio-proxy is not in"), "{findings:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failure_is_not_concluded_during_an_outage() {
        let (result, mut receiver) = run(Duration::from_secs(300), async |server, stream| {
            stream.send("MODIFIED", &deployment(0, &quota(server)));
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(stream);
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(40) {
                server.next().await.lost();
            }
            // Meanwhile the quota was raised.
            let stream = server.next().await.watch();
            stream.send("MODIFIED", &deployment(1, &json!([])));
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        assert!(matches!(result.unwrap(), RolloutResult::Ready(_)));
        let waits = waits(&mut receiver);
        assert!(waits.iter().any(|wait| wait.contains("has not responded for")), "{waits:?}");
    }
}
