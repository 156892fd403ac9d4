//! 50 rollouts that stumble and succeed. A seed chooses what goes wrong for less than its grace, so that the obstacles meet
//! each other as nobody would have written them down.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::refusals::scoped_quota;
use super::stumbles::{report, running, wait_for_rejection, worker};
use crate::bed::{BackgroundRun, Bed, Namespace};
use crate::kubelet::{
    BareNode, event, kubelet_event, patch_pod, seconds_ago, wait_for_pod, wait_for_replacement, waiting,
};
use crate::webhook::{Answer, Authority, PodWebhook, Webhook};

const ROLLOUTS: u64 = 50;
/// Rollouts at the same time. They wait most of the time.
const PARALLEL: usize = 8;
/// The most obstacles of a rollout.
const MOST: usize = 3;
/// The application's pods.
const APP: &str = "app.kubernetes.io/component=app";
const HELPER: &str = "app=helper";
/// A Deployment beside the application, with a sidecar.
const HELPER_MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: helper }\nspec:\n  \
    selector: { matchLabels: { app: helper } }\n  template:\n    metadata: { labels: { app: helper } }\n    spec:\n      \
    nodeName: bare-NAMESPACE\n      \
    initContainers: [{ name: proxy, image: \"registry.example/proxy:1\", restartPolicy: Always, startupProbe: { tcpSocket: { port: 1 } } }]\n      \
    containers: [{ name: a, image: \"registry.example/helper:1\", readinessProbe: { tcpSocket: { port: 2 } } }]\n";

/// Something that goes wrong and heals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// The application needs some seconds until it is ready.
    SlowStart,
    /// The startup probe fails, less often than it may.
    StartupProbe,
    /// A sidecar beside the application ends once.
    SidecarRestart,
    /// No node takes the pod until one joins.
    LateNode,
    /// The pod is deleted and replaced.
    RescheduledPod,
    /// The image's pull fails twice.
    ThirdPull,
    /// A quota rejects the pod until it is raised.
    RaisedQuota,
    /// A webhook times out once.
    SilentWebhook,
    /// A pod beside the application is preempted and replaced.
    PreemptedHelper,
}

const OBSTACLES: [Obstacle; 9] = [
    Obstacle::SlowStart,
    Obstacle::StartupProbe,
    Obstacle::SidecarRestart,
    Obstacle::LateNode,
    Obstacle::RescheduledPod,
    Obstacle::ThirdPull,
    Obstacle::RaisedQuota,
    Obstacle::SilentWebhook,
    Obstacle::PreemptedHelper,
];

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.below(2);
        random
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    /// Waits between 0.5 s and so many seconds.
    fn pause(&mut self, seconds: usize) {
        let milliseconds = 500 + self.below(seconds * 1000 - 500);
        sleep(Duration::from_millis(milliseconds.try_into().unwrap()));
    }
}

/// The obstacles of a seed.
fn obstacles(random: &mut Random) -> Vec<Obstacle> {
    let mut chosen = Vec::new();
    for _ in 0..=random.below(MOST) {
        let obstacle = OBSTACLES[random.below(OBSTACLES.len())];
        if !chosen.contains(&obstacle) {
            chosen.push(obstacle);
        }
    }
    chosen
}

/// A rollout whose kubelet the test plays.
struct Rollout<'a> {
    namespace: &'a Namespace,
    node: Option<BareNode>,
    /// The simulated node on which volumes are provisioned.
    volume_node: &'a str,
    obstacles: &'a [Obstacle],
    random: Random,
}

impl Rollout<'_> {
    fn meets(&self, obstacle: Obstacle) -> bool {
        self.obstacles.contains(&obstacle)
    }

    fn has_helper(&self) -> bool {
        self.meets(Obstacle::SidecarRestart) || self.meets(Obstacle::PreemptedHelper)
    }

    /// Writes the configuration and starts `deploy`. A node that comes late must do so within the default grace.
    fn deploy(&self) -> BackgroundRun {
        let namespace = self.namespace;
        let mut config = "[deploy]\nnode_selector = { \"example.io/bare\" = \"yes\" }\n".to_owned();
        if !self.meets(Obstacle::LateNode) {
            config += "tolerate = { unschedulable = \"10m\" }\n";
        }
        if self.has_helper() {
            let manifest = HELPER_MANIFEST.replace("NAMESPACE", &namespace.name);
            std::fs::write(namespace.folder.path().join("helper.yaml"), manifest).unwrap();
            config += "extra_manifests = [\"helper.yaml\"]\n";
        }
        namespace.config(&config);
        namespace.command(&["deploy", "--timeout", "2m", "--probe", "never"]).spawn_in_background()
    }

    /// Plays everything that is not handsctl, until all pods are ready.
    fn play(&mut self) -> BackgroundRun {
        let namespace = self.namespace;
        namespace.create(&[]);
        if !self.meets(Obstacle::LateNode) {
            self.node = Some(BareNode::new(namespace));
        }
        let authority = Authority::new();
        let webhook =
            Webhook::new(&authority, |call| if call == 1 { Answer::Silence } else { Answer::Allow });
        let configuration =
            self.meets(Obstacle::SilentWebhook).then(|| PodWebhook::new(namespace, &authority, &webhook));
        let deploy = if self.meets(Obstacle::RaisedQuota) {
            // The check before the first write sends a pod of the helper only.
            scoped_quota(namespace, if self.has_helper() { "pods=1" } else { "pods=0" });
            let deploy = self.deploy();
            wait_for_rejection(namespace);
            let raise = r#"{"spec":{"hard":{"pods":"20"}}}"#;
            let patch = ["patch", "quota", "tight", "-n", &namespace.name, "--type=merge", "-p", raise];
            namespace.bed.kubectl(&patch);
            deploy
        } else {
            self.deploy()
        };
        let pod = wait_for_pod(namespace, APP);
        if self.meets(Obstacle::LateNode) {
            self.random.pause(5);
        }
        self.run_application(pod);
        if self.has_helper() {
            self.run_helper();
        }
        let is_called = webhook.calls() > 1;
        assert_eq!(is_called, configuration.is_some(), "the webhook of pods");
        deploy
    }

    /// Binds the pod, and lets its volume be provisioned, as the scheduler would.
    fn bind(&mut self) {
        let namespace = self.namespace;
        self.node.get_or_insert_with(|| BareNode::new(namespace)).bind_pod(namespace);
        let selected = format!("volume.kubernetes.io/selected-node={}", self.volume_node);
        let annotate = ["annotate", "--overwrite", "pvc", "oh-state", "-n", &namespace.name, &selected];
        namespace.bed.kubectl(&annotate);
    }

    fn run_application(&mut self, mut pod: String) {
        let namespace = self.namespace;
        self.bind();
        if self.meets(Obstacle::ThirdPull) {
            let refused = "failed to pull image: dial tcp 192.0.2.1:443: connect: connection refused";
            for reason in ["ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"] {
                report(namespace, &pod, "Pending", &waiting(reason, refused));
                self.random.pause(1);
            }
        }
        report(namespace, &pod, "Pending", &waiting("ContainerCreating", ""));
        if self.meets(Obstacle::RescheduledPod) {
            report(namespace, &pod, "Running", &starting(0));
            self.random.pause(2);
            delete_pod(namespace, &pod);
            pod = wait_for_replacement(namespace, APP, &pod);
            self.bind();
        }
        if self.meets(Obstacle::StartupProbe) {
            // 20 of 60 failures, 5 s apart.
            let failed = "Startup probe failed: HTTP probe failed with statuscode: 503";
            report(namespace, &pod, "Running", &starting(100));
            kubelet_event(namespace, &pod, "Unhealthy", Some("openhands"), failed);
            self.random.pause(2);
        }
        if self.meets(Obstacle::SlowStart) {
            report(namespace, &pod, "Running", &starting(0));
            self.random.pause(3);
        }
        report(namespace, &pod, "Running", &running(true, 0));
    }

    fn run_helper(&mut self) {
        let namespace = self.namespace;
        let mut pod = wait_for_pod(namespace, HELPER);
        if self.meets(Obstacle::PreemptedHelper) {
            report_helper(namespace, &pod, 0, true);
            let message = "default-scheduler: preempting to accommodate a higher priority pod";
            let condition = json!({ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": message, "lastTransitionTime": seconds_ago(0) });
            patch_pod(namespace, &pod, &json!({ "conditions": [condition] }));
            let node = &self.node.as_ref().unwrap().name;
            let preempted = format!("Preempted by pod 8f1e6a52-0000-4000-8000-000000000000 on node {node}");
            event(namespace, ("Pod", &pod), ("Preempted", &preempted), Value::Null);
            delete_pod(namespace, &pod);
            pod = wait_for_replacement(namespace, HELPER, &pod);
        }
        if self.meets(Obstacle::SidecarRestart) {
            report_helper(namespace, &pod, 0, false);
            self.random.pause(1);
            report_helper(namespace, &pod, 1, false);
            self.random.pause(2);
        }
        report_helper(namespace, &pod, u32::from(self.meets(Obstacle::SidecarRestart)), true);
    }
}

/// The status of a container that has run for so many seconds, and whose startup probe has not succeeded.
fn starting(seconds: i64) -> Value {
    json!({ "ready": false, "started": false, "state": { "running": { "startedAt": seconds_ago(seconds) } } })
}

/// Deletes a pod as its node confirms it.
fn delete_pod(namespace: &Namespace, pod: &str) {
    let delete = ["delete", "pod", pod, "-n", &namespace.name, "--force", "--grace-period=0"];
    namespace.bed.kubectl(&delete);
}

/// Reports the helper's pod, whose sidecar has restarted so many times.
fn report_helper(namespace: &Namespace, pod: &str, restarts: u32, is_ready: bool) {
    let status = |name: &str, container: &Value| {
        let mut status = json!({ "name": name, "image": "x", "imageID": "", "restartCount": 0 });
        status.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        status
    };
    let condition = |kind: &str| json!({ "type": kind, "status": if is_ready { "True" } else { "False" } });
    let sidecar = status("proxy", &running(true, restarts));
    let container = status("a", &running(is_ready, 0));
    patch_pod(
        namespace,
        pod,
        &json!({
            "phase": "Running", "startTime": seconds_ago(0),
            "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady")],
            "initContainerStatuses": [sidecar], "containerStatuses": [container],
        }),
    );
}

/// Runs the rollout of a seed.
fn run(seed: u64, volume_node: &str) {
    let mut random = Random::new(seed);
    let obstacles = obstacles(&mut random);
    let namespace = Bed::shared().namespace(&format!("seed-{seed}"));
    let mut rollout =
        Rollout { namespace: &namespace, node: None, volume_node, obstacles: &obstacles, random };
    let run = rollout.play().finish().exits(0).says("deployment.apps/oh 1/1").never_says("error[");
    if rollout.has_helper() {
        run.says("deployment.apps/helper 1/1");
    }
}

#[test]
fn seeded_rollouts_stumble_without_an_alarm() {
    let volume_node = worker(Bed::shared());
    let next = Mutex::new(0..ROLLOUTS);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(seed) = { next.lock().unwrap().next() } {
                    // The panic's message is printed above, with the seed in the namespace's name.
                    if catch_unwind(|| run(seed, &volume_node)).is_err() {
                        failed.lock().unwrap().push((seed, obstacles(&mut Random::new(seed))));
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner().unwrap(), Vec::new());
}

#[test]
fn seeds_choose_every_obstacle_several_times() {
    let chosen: Vec<Vec<Obstacle>> = (0..ROLLOUTS).map(|seed| obstacles(&mut Random::new(seed))).collect();
    for obstacle in OBSTACLES {
        let rollouts = chosen.iter().filter(|chosen| chosen.contains(&obstacle)).count();
        assert!(rollouts >= 5, "{obstacle:?}: {rollouts} of {ROLLOUTS}");
    }
}
