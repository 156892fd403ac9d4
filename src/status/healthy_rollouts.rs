//! No false alarm: seeded rollouts that stumble and still succeed, second by second. Every obstacle stays within its grace
//! period, so no evaluation may fail, and the last one is ready.
//!
//! `HANDSCTL_TEST_ROUNDS=100000 HANDSCTL_TEST_SEED=7 cargo test --lib stumbling` runs more rollouts with another seed.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::evaluate::evaluate;
use super::grace::GracePeriods;
use super::observed::state::{ObservedState, TrackedKind};
use super::verdict::{Expected, Verdict};
use crate::damage::{Xorshift, rounds};
use crate::object::ObjectId;

const NAMESPACE: &str = "hands";
/// The startup probe's window, and the largest delay of a start.
const STARTUP_WINDOW: i64 = 60;
/// Seconds after which the controller replaces a pod that has gone.
const REPLACEMENT: i64 = 1;

/// Seconds after the start of the rollout.
type Second = i64;

fn time(second: Second) -> Timestamp {
    let start: Timestamp = "2026-11-21T07:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(second)
}

/// A failed try to pull the image.
struct FailedPull {
    until: Second,
    message: &'static str,
}

/// What happens to one pod. The times are those at which a state ends.
struct PodLife {
    uid: String,
    created: Second,
    /// No node has room until then; a node that comes late ends it.
    scheduled: Second,
    failed_pulls: Vec<FailedPull>,
    pulled: Second,
    started: Second,
    /// The startup probe succeeds.
    answers: Second,
    ready: Second,
    /// The sidecar ends once with an error and is started again.
    sidecar_restart: Option<Second>,
    gone: Option<Gone>,
}

/// Why and when a pod does not become ready.
struct Gone {
    at: Second,
    how: Departure,
}

#[derive(Clone, Copy)]
enum Departure {
    /// Somebody, or a preemption, deletes it; it terminates for so long.
    Deleted(Second),
    /// Its node evicts it.
    Evicted,
}

/// A rollout of a Deployment.
struct Rollout {
    replicas: usize,
    /// The API server rejects every pod until then.
    rejected: Option<(Second, &'static str)>,
    pods: Vec<PodLife>,
}

impl Rollout {
    fn random(random: &mut Xorshift) -> Self {
        let replicas = 1 + random.below(3);
        let rejections = [
            "pods \"oh-1\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1",
            "Internal error occurred: failed calling webhook \"check.policy.io\": failed to call webhook: Post \
             \"https://policy.policy.svc:443/check?timeout=10s\": context deadline exceeded",
        ];
        let rejected =
            (random.below(3) == 0).then(|| (seconds(random, 4), rejections[random.below(rejections.len())]));
        let first = rejected.map_or(0, |(until, _)| until);
        let mut pods = Vec::new();
        for slot in 0..replicas {
            let mut pod = PodLife::random(random, format!("pod-{slot}"), first);
            // One pod of the rollout goes; the others may stumble only.
            if slot == 0 && random.below(3) == 0 {
                let how = if random.below(2) == 0 {
                    Departure::Evicted
                } else {
                    Departure::Deleted(seconds(random, 5))
                };
                let at = pod.scheduled + seconds(random, pod.ready - pod.scheduled);
                pod.gone = Some(Gone { at, how });
                pods.push(PodLife::random(random, format!("pod-{slot}-again"), at + REPLACEMENT));
            }
            pods.push(pod);
        }
        Self { replicas, rejected, pods }
    }

    /// The second after which nothing changes any more.
    fn end(&self) -> Second {
        self.pods.iter().map(|pod| pod.ready).max().unwrap() + 10
    }
}

/// A number of seconds from 0 to the limit.
fn seconds(random: &mut Xorshift, limit: Second) -> Second {
    i64::try_from(random.below(usize::try_from(limit.max(0)).unwrap() + 1)).unwrap()
}

impl PodLife {
    fn random(random: &mut Xorshift, uid: String, created: Second) -> Self {
        let scheduled = created + if random.below(3) == 0 { seconds(random, 14) } else { 0 };
        let mut failed_pulls = Vec::new();
        let mut at = scheduled;
        let messages = [
            "rpc error: code = Unknown desc = failed to pull and unpack image: dial tcp 10.0.0.1:443: connect: connection refused",
            "failed to do request: Head \"https://registry/v2/\": net/http: TLS handshake timeout",
            "unexpected status from HEAD request: 503 Service Unavailable",
        ];
        if random.below(3) == 0 {
            // The third try succeeds, less than a minute after the first one began.
            for _ in 0..=random.below(2) {
                at += 1 + seconds(random, 20);
                failed_pulls.push(FailedPull { until: at, message: messages[random.below(messages.len())] });
            }
        }
        let pulled = at + seconds(random, 30);
        let started = pulled + seconds(random, 5);
        let answers = started + seconds(random, STARTUP_WINDOW - 1);
        let ready = answers + seconds(random, 20);
        let sidecar_restart = (random.below(4) == 0).then(|| started + seconds(random, answers - started));
        Self {
            uid,
            created,
            scheduled,
            failed_pulls,
            pulled,
            started,
            answers,
            ready,
            sidecar_restart,
            gone: None,
        }
    }

    /// Returns the pod at this second; None before and after its life.
    fn object(&self, now: Second) -> Option<Value> {
        if now < self.created {
            return None;
        }
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.uid, "namespace": NAMESPACE, "uid": self.uid, "creationTimestamp": time(self.created).to_string(),
                "labels": { "app": "oh", "pod-template-hash": "1" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "oh-1", "uid": "set", "controller": true }],
            },
            "spec": template()["spec"],
            "status": self.status(now),
        });
        if now >= self.scheduled {
            pod["spec"]["nodeName"] = json!("node");
        }
        match &self.gone {
            Some(Gone { at, how: Departure::Evicted }) if now >= *at => {
                pod["status"] = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." });
            }
            Some(Gone { at, how: Departure::Deleted(takes) }) if now >= *at => {
                if now > at + takes {
                    return None;
                }
                pod["metadata"]["deletionTimestamp"] = json!(time(at + 30).to_string());
            }
            _ => {}
        }
        Some(pod)
    }

    fn status(&self, now: Second) -> Value {
        let condition = |kind: &str, since: Second| json!({ "type": kind, "status": if now >= since { "True" } else { "False" }, "lastTransitionTime": time(since.min(now)).to_string() });
        if now < self.scheduled {
            let message =
                "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available";
            return json!({ "phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastTransitionTime": time(self.created).to_string(),
            }] });
        }
        let is_running = now >= self.started;
        json!({
            "phase": if is_running { "Running" } else { "Pending" },
            "conditions": [
                condition("PodScheduled", self.scheduled),
                condition("Initialized", self.started),
                condition("Ready", self.ready),
                condition("ContainersReady", self.ready),
            ],
            "initContainerStatuses": [self.sidecar(now)],
            "containerStatuses": [{
                "name": "app", "image": "acme/app:1", "imageID": "", "restartCount": 0, "lastState": {},
                "ready": now >= self.ready, "started": now >= self.answers, "state": self.state(now),
            }],
        })
    }

    fn state(&self, now: Second) -> Value {
        if now >= self.started {
            return json!({ "running": { "startedAt": time(self.started).to_string() } });
        }
        let last = self.failed_pulls.last().filter(|last| now >= last.until && now < self.pulled);
        let failing =
            self.failed_pulls.iter().find(|pull| now < pull.until && now + 1 >= pull.until).or(last);
        match failing {
            Some(pull) => json!({ "waiting": { "reason": "ImagePullBackOff", "message": pull.message } }),
            None => json!({ "waiting": { "reason": "ContainerCreating" } }),
        }
    }

    fn sidecar(&self, now: Second) -> Value {
        let restarted = self.sidecar_restart.filter(|at| now >= *at && now >= self.started);
        let state = if now < self.started {
            json!({ "waiting": { "reason": "PodInitializing" } })
        } else {
            json!({ "running": { "startedAt": time(restarted.unwrap_or(self.started)).to_string() } })
        };
        let last = restarted.map(|at| {
            json!({ "terminated": { "exitCode": 1, "reason": "Error", "finishedAt": time(at).to_string(), "startedAt": time(self.started).to_string() } })
        });
        json!({
            "name": "proxy", "image": "acme/proxy:1", "imageID": "", "ready": now >= self.started, "started": now >= self.started,
            "restartCount": i32::from(restarted.is_some()), "state": state, "lastState": last.unwrap_or_else(|| json!({})),
        })
    }
}

fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "oh" } },
        "spec": {
            "initContainers": [{ "name": "proxy", "image": "acme/proxy:1", "restartPolicy": "Always" }],
            "containers": [{
                "name": "app", "image": "acme/app:1",
                "startupProbe": { "httpGet": { "path": "/alive", "port": 3000 }, "periodSeconds": 5, "failureThreshold": STARTUP_WINDOW / 5 },
                "readinessProbe": { "httpGet": { "path": "/alive", "port": 3000 }, "periodSeconds": 10, "failureThreshold": 3 },
            }],
        },
    })
}

/// The objects of the rollout at this second, as the watches would have received them.
fn objects(rollout: &Rollout, now: Second) -> Vec<(TrackedKind, Value)> {
    let pods: Vec<Value> = rollout.pods.iter().filter_map(|pod| pod.object(now)).collect();
    let live = pods
        .iter()
        .filter(|pod| pod["status"]["phase"] != "Failed" && pod["metadata"]["deletionTimestamp"].is_null());
    let is_ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
    let (total, ready) = (live.clone().count(), live.filter(is_ready).count());
    let replicas = rollout.replicas;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "oh", "namespace": NAMESPACE, "uid": "deployment", "generation": 1, "creationTimestamp": time(0).to_string() },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "oh" } }, "template": template() },
        "status": { "observedGeneration": 1, "replicas": total, "updatedReplicas": total, "readyReplicas": ready, "availableReplicas": ready },
    });
    let rejection = rollout.rejected.filter(|(until, _)| now < *until);
    let conditions: Vec<Value> = rejection
        .iter()
        .map(|(_, message)| {
            json!({ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message, "lastTransitionTime": time(0).to_string() })
        })
        .collect();
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": "oh-1", "namespace": NAMESPACE, "uid": "set", "creationTimestamp": time(0).to_string(),
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "oh", "uid": "deployment", "controller": true }],
        },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "oh" } }, "template": template() },
        "status": { "replicas": total, "observedGeneration": 1, "conditions": conditions },
    });
    let mut all = vec![(TrackedKind::Deployment, deployment), (TrackedKind::ReplicaSet, set)];
    // An Event stays after what it reports is over.
    all.extend(rollout.rejected.iter().map(|(_, message)| (TrackedKind::Event, rejection_event(message))));
    all.extend(pods.into_iter().map(|pod| (TrackedKind::Pod, pod)));
    all
}

fn rejection_event(message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "oh-1.1", "namespace": NAMESPACE, "uid": "event" },
        "involvedObject": { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "oh-1", "namespace": NAMESPACE, "uid": "set" },
        "reason": "FailedCreate", "message": format!("Error creating: {message}"), "type": "Warning", "count": 1,
        "firstTimestamp": time(0).to_string(), "lastTimestamp": time(0).to_string(),
    })
}

/// Evaluates every second of a rollout. Returns the verdicts that fail, and the last verdict.
fn run(rollout: &Rollout) -> (Vec<String>, Verdict) {
    let mut observed = ObservedState::default();
    let id = ObjectId::from_object(&objects(rollout, 0)[0].1).unwrap();
    let expected = [Expected { id, uid: "deployment".to_owned(), generation: 1, changed: true }];
    let grace = GracePeriods::starting_at(time(0));
    let (mut alarms, mut last) = (Vec::new(), Verdict::Failed);
    for now in 0..=rollout.end() {
        let live = objects(rollout, now);
        for (kind, object) in &live {
            observed.apply(0, *kind, object, time(now)).unwrap();
        }
        for pod in &rollout.pods {
            if !live.iter().any(|(_, object)| object["metadata"]["uid"] == pod.uid.as_str()) {
                observed.remove(0, TrackedKind::Pod, &pod.uid);
            }
        }
        let evaluation = evaluate(&observed, &expected, &grace, time(now));
        if evaluation.verdict == Verdict::Failed {
            let findings =
                evaluation.findings.iter().map(|finding| format!("{} {}", finding.id, finding.message));
            alarms.push(format!("second {now}: {}", findings.collect::<Vec<_>>().join("; ")));
        }
        last = evaluation.verdict;
    }
    (alarms, last)
}

#[test]
fn stumbling_rollouts_raise_no_alarm_and_succeed() {
    let mut random = Xorshift::from_environment();
    for round in 0..rounds(60) {
        let (alarms, last) = run(&Rollout::random(&mut random));
        assert!(alarms.is_empty(), "round {round}: {}", alarms.join("\n"));
        assert_eq!(last, Verdict::Ready, "round {round}");
    }
}

/// The simulation can fail: the same obstacles, one second too long.
#[test]
fn obstacle_beyond_its_grace_raises_an_alarm() {
    let life = |scheduled: Second, answers: Second| PodLife {
        uid: "pod".to_owned(),
        created: 0,
        scheduled,
        failed_pulls: Vec::new(),
        pulled: scheduled,
        started: scheduled,
        answers,
        ready: answers,
        sidecar_restart: None,
        gone: None,
    };
    let alarms = |life: PodLife| run(&Rollout { replicas: 1, rejected: None, pods: vec![life] }).0;
    assert!(alarms(life(14, 14)).is_empty() && alarms(life(0, STARTUP_WINDOW)).is_empty());
    let late_node = alarms(life(17, 17));
    assert!(late_node.iter().all(|alarm| alarm.contains("HC4301")) && !late_node.is_empty(), "{late_node:?}");
    let late_start = alarms(life(0, STARTUP_WINDOW + 2));
    assert!(
        late_start.iter().all(|alarm| alarm.contains("HC4003")) && !late_start.is_empty(),
        "{late_start:?}"
    );
}
