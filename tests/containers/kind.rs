//! Real containers: kind clusters that handsctl creates, a real ingress controller, the real application.
//!
//! The tests need a container engine with the images of OpenHands 0.59 (and 1.6, for the test that changes the app
//! version), its sandboxes and busybox; `KIND_NODE_IMAGE` is the nodes' image. They run one at a time, because they
//! share a cluster.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::bed::{CommandLine, OwnCluster, Run};

/// The API key, which no output may show.
const KEY: &str = "sk-planted-in-kind-0123456789";
const NEWEST: &str = "docker.openhands.dev/openhands/openhands:1.6";
/// An image without the application.
pub(super) const BUSYBOX: &str = "busybox:1.35.0";
/// Time limit until a pod of the application or a sandbox is ready.
pub(super) const READY: Duration = Duration::from_secs(120);
/// Time limit from the kubelet's event to handsctl's report: far below the default `--timeout`.
const REPORT_LIMIT: Duration = Duration::from_secs(30);

/// The cluster that the tests share, and the run that created it.
struct Shared {
    site: Site,
    up: Run,
}

/// A kind cluster and the application on it.
pub(super) struct Site {
    pub(super) own: OwnCluster,
    port: u16,
    workers: u32,
}

pub(super) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared cluster, the run that created it, and a guard: the tests run one after the other. The sandboxes of the test
/// before are deleted: their requests would fill the node.
pub(super) fn shared() -> (&'static Site, &'static Run, MutexGuard<'static, ()>) {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let guard = one_at_a_time();
    let shared = SHARED.get_or_init(|| {
        let site = Site::new("kind");
        let up = site.command(&["up", "--timeout", "12m"]).run().exits(0);
        eprintln!("{}", up.stderr);
        Shared { site, up }
    });
    shared.site.delete_sandboxes();
    (&shared.site, &shared.up, guard)
}

impl Site {
    fn new(test: &str) -> Self {
        Self::with_workers(test, 0)
    }

    /// With workers, no pod of the application or a sandbox runs on the control plane.
    pub(super) fn with_workers(test: &str, workers: u32) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = Self { own: OwnCluster::for_provider("kind", test, ""), port, workers };
        site.configure("openai/gpt-4o", "");
        site
    }

    /// Writes `config.toml` with this model and these further lines.
    pub(super) fn configure(&self, model: &str, more: &str) {
        let llm = format!("[llm]\nmodel = \"{model}\"\napi_key = {{ env = \"LLM_API_KEY\" }}\n");
        let (port, workers) = (self.port, self.workers);
        // The nodes share the computer's disk: how full it is, is no business of these tests.
        let thresholds = "[deploy.thresholds]\ndisk = 100\n";
        self.own.config(&format!("http_port = {port}\nworkers = {workers}\n{llm}{thresholds}{more}"));
    }

    /// The `[cluster]` table of a further configuration for the cluster.
    pub(super) fn cluster_table(&self) -> String {
        let Self { own, port, workers } = self;
        let name = &own.cluster;
        format!(
            "[cluster]\nname = \"{name}\"\nprovider = \"kind\"\nhttp_port = {port}\nworkers = {workers}\n"
        )
    }

    pub(super) fn command(&self, arguments: &[&str]) -> CommandLine {
        self.own.command(arguments).env("LLM_API_KEY", KEY)
    }

    pub(super) fn handsctl(&self, arguments: &[&str]) -> Run {
        self.command(arguments).run()
    }

    /// `deploy` with this image instead of the configured one.
    pub(super) fn deploy_image(&self, image: &str, more: &[&str]) -> Run {
        let set = format!("deploy.image=\"{image}\"");
        self.handsctl(&[&["deploy", "--set", &set], more].concat())
    }

    fn node(&self) -> String {
        format!("{}-control-plane", self.own.cluster)
    }

    /// Runs the node's kubectl with admin rights.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> String {
        let node = self.node();
        let kubectl =
            ["exec", &node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "-n", "openhands"];
        docker(&[&kubectl, arguments].concat())
    }

    /// Creates the objects of a manifest in a namespace.
    pub(super) fn create(&self, namespace: &str, manifest: &Value) {
        let kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf create -f -";
        let script = format!("echo '{manifest}' | {kubectl} -n {namespace}");
        docker(&["exec", &self.node(), "sh", "-c", &script]);
    }

    pub(super) fn get(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[&["get", "-o", "json"], arguments].concat())).unwrap()
    }

    /// The application's pod that is not being deleted.
    pub(super) fn pod(&self) -> Value {
        self.pod_in("openhands")
    }

    /// The same of the installation in another namespace.
    pub(super) fn pod_in(&self, namespace: &str) -> Value {
        let of_application = "app.kubernetes.io/component=app,app.kubernetes.io/instance=openhands";
        let pods = self.get(&["-n", namespace, "pods", "-l", of_application]);
        let mut pods = pods["items"].as_array().unwrap().clone();
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(pods.len(), 1, "{pods:?}");
        pods.remove(0)
    }

    /// Runs a script in the application's container; returns whether it succeeded, and its output.
    pub(super) fn run_in_container(&self, script: &str) -> (bool, String) {
        let kubectl =
            "kubectl --kubeconfig=/etc/kubernetes/admin.conf -n openhands exec deploy/openhands -- sh -c";
        let node = self.node();
        let script = script.replace('\'', "'\\''");
        let output = Command::new("docker")
            .args(["exec", &node, "sh", "-c", &format!("{kubectl} '{script}' 2>&1")])
            .output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// Requests a path through the ingress; returns status and body.
    pub(super) fn request(&self, path: &str) -> (u16, String) {
        request(&self.url(path))
    }

    fn assert_responds(&self) {
        assert_eq!(self.request("/alive").0, 200, "{}", self.url("/alive"));
    }

    fn settings(&self) -> Value {
        let (status, body) = self.request("/api/settings");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(super) fn post(&self, path: &str) -> (u16, Value) {
        let agent =
            ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
        let answer = agent.post(self.url(path)).header("content-type", "application/json").send("{}");
        let mut answer = answer.unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&body).unwrap_or_default())
    }

    /// Posts until the ingress reaches the application: it learns a pod's readiness after the API server.
    pub(super) fn post_when_reachable(&self, path: &str) -> (u16, Value) {
        let mut response = self.post(path);
        wait_until("the ingress reaches the application", READY, || {
            let is_reached = !matches!(response.0, 502..=504);
            if !is_reached {
                response = self.post(path);
            }
            is_reached
        });
        response
    }

    /// Starts a conversation and waits until its sandbox is ready.
    pub(super) fn start_conversation(&self) -> Conversation {
        let (status, body) = self.post_when_reachable("/api/conversations");
        assert_eq!(status, 200, "{body}");
        let id = body["conversation_id"].as_str().unwrap().to_owned();
        let conversation = Conversation { pod: format!("openhands-runtime-{id}"), id };
        self.await_sandbox(&conversation);
        conversation
    }

    /// Waits until a conversation's sandbox is ready.
    pub(super) fn await_sandbox(&self, conversation: &Conversation) {
        wait_until("the sandbox is ready", READY, || {
            let pods = self.get(&["pods", "--ignore-not-found", "-l", "app=openhands-runtime"]);
            let pods = pods["items"].as_array().cloned().unwrap_or_default();
            pods.iter().any(|pod| pod["metadata"]["name"] == conversation.pod.as_str() && is_ready(pod))
        });
    }

    /// Deletes the objects of all sandboxes.
    pub(super) fn delete_sandboxes(&self) {
        let names = self.kubectl(&["get", "pods,pvc,services,ingresses", "-o", "name"]);
        let mut delete = vec!["delete", "--ignore-not-found", "--grace-period=1"];
        let options = delete.len();
        delete.extend(names.lines().filter(|name| name.contains("/openhands-runtime-")));
        if delete.len() > options {
            self.kubectl(&delete);
        }
    }

    /// Ends the application's containers of a pod with SIGKILL, as a node that runs out of memory does.
    pub(super) fn kill_containers_of(&self, uid: &str) {
        let cgroup = uid.replace('-', "_");
        let script = format!(
            "for p in /proc/[0-9]*; do grep -q '{cgroup}\\|{uid}' $p/cgroup 2>/dev/null || continue; \
             tr '\\0' ' ' <$p/cmdline | grep -q pause || kill -9 ${{p#/proc/}}; done; true"
        );
        docker(&["exec", &self.node(), "sh", "-c", &script]);
    }

    /// Runs a script in a conversation's sandbox.
    pub(super) fn run_in_sandbox(&self, conversation: &Conversation, script: &str) -> String {
        self.kubectl(&["exec", &conversation.pod, "--", "sh", "-c", script])
    }

    /// UID of a conversation's claim. Panics if the claim is being deleted.
    pub(super) fn claim(&self, conversation: &Conversation) -> String {
        let claim = self.get(&["pvc", &format!("{}-pvc", conversation.pod)]);
        assert!(claim["metadata"]["deletionTimestamp"].is_null(), "the claim is being deleted: {claim}");
        claim["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// UIDs of a conversation's pod and claim.
    fn uids(&self, conversation: &Conversation) -> (String, String) {
        let uid = |what: &[&str]| self.get(what)["metadata"]["uid"].as_str().unwrap().to_owned();
        let claim = format!("{}-pvc", conversation.pod);
        (uid(&["pod", &conversation.pod]), uid(&["pvc", &claim]))
    }
}

/// A conversation whose sandbox runs.
pub(super) struct Conversation {
    pub(super) id: String,
    pub(super) pod: String,
}

pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

pub(super) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn request(url: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = ureq::Agent::new_with_config(config.timeout_global(Some(Duration::from_secs(60))).build());
    match agent.get(url).call() {
        Ok(mut answer) => (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default()),
        Err(error) => (0, error.to_string()),
    }
}

pub(super) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Probes the application in the background and records failed probes.
struct LivenessProbe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl LivenessProbe {
    fn for_site(site: &Site) -> Self {
        let (stop, url) = (Arc::new(AtomicBool::new(false)), site.url("/alive"));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut count, mut failures) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let (status, body) = request(&url);
                count += 1;
                // 429 is the application's rate limit.
                if ![200, 429].contains(&status) {
                    failures.push(format!("{status} {body}"));
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            (count, failures)
        });
        Self { stop, thread }
    }

    /// Ends the probes. Panics if one of them failed.
    fn assert_always_alive(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (count, failures) = self.thread.join().unwrap();
        assert!(count > 2 && failures.is_empty(), "of {count}: {failures:?}");
    }
}

/// A registry without images, which answers `denied` and `busy` repositories with 403 and 503, and has an image for
/// another platform in `platform`. It ends with the process.
pub(super) struct Registry {
    /// The address for the nodes, as `172.18.0.1:41234`.
    pub(super) address: String,
    manifest_requests: Arc<AtomicUsize>,
}

impl Registry {
    pub(super) fn for_site(site: &Site) -> Self {
        let format = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
        let gateways = docker(&["network", "inspect", "kind", "--format", format]);
        let gateway = gateways.split_whitespace().find(|address| address.contains('.')).unwrap();
        let listener = TcpListener::bind((gateway, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let manifest_requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&manifest_requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer_without_image(stream, &counter);
            }
        });
        // containerd needs a configuration for a registry without TLS.
        let folder = format!("/etc/containerd/certs.d/{address}");
        let text = format!(
            "server = \"http://{address}\"\n[host.\"http://{address}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        let script = format!("mkdir -p '{folder}' && printf '%s' '{text}' > '{folder}/hosts.toml'");
        let label = format!("label=io.x-k8s.kind.cluster={}", site.own.cluster);
        for node in docker(&["ps", "--filter", &label, "--format", "{{.Names}}"]).lines() {
            docker(&["exec", node, "sh", "-c", &script]);
        }
        Self { address, manifest_requests }
    }
}

/// An image for another platform than that of the nodes.
const INDEX: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":2,"platform":{"os":"linux","architecture":"s390x"}}]}"#;
const INDEX_DIGEST: &str = "sha256:dd3d828799b7e1a8de56428745832746c5e6c1f0085bb9c4f8643bfb7edbf67d";

fn answer_without_image(mut stream: TcpStream, manifest_requests: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    let mut line = String::new();
    let _closed = reader.read_line(&mut first);
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    let is_manifest = first.contains("/manifests/");
    manifest_requests.fetch_add(usize::from(is_manifest), Ordering::Relaxed);
    let (status, kind, body) = match first.as_str() {
        _ if !is_manifest => ("200 OK", "application/json", "{}"),
        path if path.contains("/denied/") => ("403 Forbidden", "application/json", "{}"),
        path if path.contains("/busy/") => ("503 Service Unavailable", "application/json", "{}"),
        path if path.contains("/platform/") => ("200 OK", "application/vnd.oci.image.index.v1+json", INDEX),
        _ => {
            let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            ("404 Not Found", "application/json", body)
        }
    };
    let length = body.len();
    let digest =
        if body == INDEX { format!("docker-content-digest: {INDEX_DIGEST}\r\n") } else { String::new() };
    let body = if first.starts_with("HEAD") { "" } else { body };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{digest}connection: close\r\n\r\n{body}"
    );
    let _closed = stream.write_all(answer.as_bytes());
}

/// Panics if handsctl's first event of this type and id came long after the kubelet's first report about a pod with
/// this prefix.
fn assert_reported_in_time(site: &Site, events: &str, kind: &str, id: &str, pod: &str) {
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reported = events.iter().find(|event| event["type"] == kind && event["id"] == id).unwrap();
    let reported: Timestamp = reported["ts"].as_str().unwrap().parse().unwrap();
    let reports = site.get(&["events"]);
    let about = |event: &&Value| {
        let name = event["involvedObject"]["name"].as_str().unwrap_or_default();
        event["reason"] == "Failed" && name.starts_with(pod)
    };
    let times = reports["items"].as_array().unwrap().iter().filter(about);
    let times: Vec<Timestamp> =
        times.filter_map(|event| event["firstTimestamp"].as_str()?.parse().ok()).collect();
    // Pods of earlier runs have events, too.
    let cause = times.into_iter().filter(|time| *time <= reported).max().unwrap();
    let delay = reported.duration_since(cause);
    assert!(delay <= REPORT_LIMIT.try_into().unwrap(), "kubelet {cause}, handsctl {reported}");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn up_serves_through_traefik_as_unprivileged_user() {
    let (site, up, _guard) = shared();
    let mut lines = up.stderr.lines();
    for stage in [
        "cluster   preflight: docker ",
        "cluster   nodes: created by docker ",
        "cluster   kubeconfig: context ",
        "cluster   nodes ready: 1/1 ready",
        "cluster   cluster services: dns, default storage class `standard`",
        "cluster   ingress: deployment.apps/traefik 1/1",
        "cluster   image openhands:0.59: loaded onto 1 node",
        "preflight api v1.",
        "apply     11 created",
        "rollout   deployment.apps/openhands 1/1",
        "probe     /alive 200 in ",
        "settings  model openai/gpt-4o posted",
        "done      OpenHands is ready at http://localhost:",
    ] {
        let line = lines.find(|line| line.get(9..).is_some_and(|text| text.starts_with(stage)));
        let line = line.unwrap_or_else(|| panic!("no `{stage}` in this order:\n{}", up.stderr));
        let is_time =
            line[..8].chars().all(|character| character.is_ascii_digit() || ":.".contains(character));
        assert!(is_time, "{line}");
    }
    assert!(!up.stderr.contains(KEY) && !up.stdout.contains(KEY));

    site.assert_responds();
    assert_eq!(site.request("/").0, 200);
    let (succeeded, id) = site.run_in_container("id -u");
    assert!(succeeded && id.trim() == "42420", "{id}");
    let (succeeded, output) = site.run_in_container("touch /app/x");
    assert!(!succeeded && output.contains("Read-only file system"), "{output}");
    let settings = site.settings();
    assert_eq!(settings["llm_model"], "openai/gpt-4o");
    assert_eq!(settings["llm_api_key_set"], true);

    site.handsctl(&["cluster", "up"]).exits(0).never_says("created").never_says("configured");
    let opened = site.handsctl(&["open", "-o", "json"]).exits(0).json();
    assert_eq!((&opened["url"], &opened["via"]), (&site.url("/").into(), &"ingress".into()));
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn sandbox_survives_change_restart_and_teardown() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let conversation = site.start_conversation();
    let (uids, settings) = (site.uids(&conversation), site.settings());

    let may = |account: &str| -> BTreeSet<String> {
        let account = format!("--as=system:serviceaccount:openhands:{account}");
        let list = site.kubectl(&["auth", "can-i", "--list", "--no-headers", &account]);
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let granted: Vec<String> = may("openhands").difference(&may("nobody")).cloned().collect();
    assert_eq!(
        granted,
        [
            "ingresses.networking.k8s.io [] [] [create delete]",
            "persistentvolumeclaims [] [] [get create delete]",
            "pods [] [] [get create delete]",
            "services [] [] [create delete]",
        ],
        "the ten rights of the Role"
    );

    let assert_unchanged = |what: &str| {
        assert_eq!(site.uids(&conversation), uids, "{what}");
        assert_eq!(site.settings(), settings, "{what}");
        let (_, list) = site.request("/api/conversations?limit=20");
        assert!(list.contains(&conversation.id), "{what}: {list}");
    };
    let before = site.pod()["metadata"]["uid"].clone();
    site.configure("openai/gpt-4o-mini", "[agent]\nenable_browsing = false\n");
    site.handsctl(&["deploy"]).exits(0).says("the application keeps its own model openai/gpt-4o");
    assert_ne!(site.pod()["metadata"]["uid"], before, "the pod was not replaced");
    assert_unchanged("a change");
    site.handsctl(&["restart"]).exits(0);
    assert_unchanged("a restart");
    site.handsctl(&["teardown"]).exits(0);
    assert_eq!(site.uids(&conversation), uids, "teardown");
    site.handsctl(&["deploy"]).exits(0);
    assert_unchanged("a teardown and a deploy");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn missing_tag_exits_9_and_old_pod_keeps_serving() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let registry = Registry::for_site(site);
    let (before, probe) = (site.pod()["metadata"]["uid"].clone(), LivenessProbe::for_site(site));
    let image = format!("{}/acme/openhands:0.59", registry.address);
    let events = site.own.home.join("missing.ndjson");
    let run = site.deploy_image(&image, &["--events", events.to_str().unwrap()]);
    run.exits(9)
        .says("error[HC4103]: the image does not exist")
        .says("object    pod/openhands-prepull-")
        .says("nothing was changed: the new image is pulled before the old pod is stopped; the old pod is serving");
    assert!(registry.manifest_requests.load(Ordering::Relaxed) > 0, "the node did not use this registry");
    assert_reported_in_time(
        site,
        &std::fs::read_to_string(events).unwrap(),
        "finding",
        "HC4103",
        "openhands-prepull-",
    );
    probe.assert_always_alive();
    assert_eq!(site.pod()["metadata"]["uid"], before);
    assert_eq!(
        site.get(&["pods", "-l", "handsctl.dev/pull-for"])["items"],
        serde_json::json!([]),
        "the pods that pull are deleted"
    );

    site.handsctl(&["image", "pull", &image])
        .exits(9)
        .says("error[HC4103]")
        .says("1 image on 1 node: 0 pulled");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn unresolvable_registry_warns_and_exits_9_after_grace() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let (before, probe) = (site.pod()["metadata"]["uid"].clone(), LivenessProbe::for_site(site));
    let events = site.own.home.join("unresolved.ndjson");
    let grace = "deploy.tolerate.image_pull=\"12s\"";
    let image = "registry.handsctl.invalid/acme/openhands:0.59";
    let run = site.deploy_image(image, &["--set", grace, "--events", events.to_str().unwrap()]);
    let run = run.exits(9).says("error[HC4105]").says("retrying for 12 s").says("nothing was changed");
    // The kubelet's event, from which the grace counts, has its time cut to the second.
    assert!(run.took >= Duration::from_secs(11), "{:?}", run.took);
    run.within(Duration::from_secs(60));
    assert_reported_in_time(
        site,
        &std::fs::read_to_string(events).unwrap(),
        "warning",
        "HC4105",
        "openhands-prepull-",
    );
    probe.assert_always_alive();
    assert_eq!(site.pod()["metadata"]["uid"], before);
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn crashing_image_is_rolled_back_with_evidence() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let image = format!("{}/openhands:0.59", site.own.cluster);
    docker(&["tag", BUSYBOX, &image]);
    site.handsctl(&["image", "load", &image]).exits(0).says("1 image loaded");
    site.handsctl(&["image", "load", &image]).exits(0).says("already on the node").says("nothing to load");
    docker(&["rmi", &image]);
    site.handsctl(&["image", "load", &image]).exits(14).says("error[HC2012]");

    let history = || site.handsctl(&["history", "-o", "json"]).exits(0).json();
    let good = history()[0]["number"].as_u64().unwrap();
    site.deploy_image(&image, &[])
        .exits(9)
        .says("error[HC4201]: the container crashes in a loop")
        .says("exit code 127 (the command was not found)")
        .says("uvicorn: not found")
        .says(&format!("state     rolled back to revision {good}: "))
        .says("OpenHands is ready at http://localhost:");
    site.assert_responds();
    let history = history();
    assert_eq!((&history[0]["result"], &history[1]["result"]), (&"good".into(), &"failed".into()));
    let evidence = history[1]["evidence"].as_str().unwrap();
    assert!(evidence.contains("uvicorn: not found"), "{evidence}");
    let running = site.pod()["spec"]["containers"][0]["image"].clone();
    assert_eq!(running, "docker.all-hands.dev/all-hands-ai/openhands:0.59");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn open_follows_the_replaced_pod() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let mut open = site.command(&["open", "--forward"]).spawn();
    let mut url = String::new();
    BufReader::new(open.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let alive = format!("{}alive", url.trim());
    assert_eq!(request(&alive).0, 200, "{alive}");
    let old = site.pod()["metadata"]["name"].as_str().unwrap().to_owned();
    site.kubectl(&["delete", "pod", &old, "--wait=false"]);
    // The port-forward switches to the next pod.
    wait_until("the next pod responds", READY, || request(&alive).0 == 200);
    let new = site.pod()["metadata"]["name"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    assert!(Command::new("kill").args(["-INT", &open.id().to_string()]).status().unwrap().success());
    assert_eq!(open.wait().unwrap().code(), Some(130));
    let mut stderr = String::new();
    open.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(
        stderr.contains(&format!("forwarding to pod/{old}"))
            && stderr.contains(&format!("forwarding to pod/{new}")),
        "{stderr}"
    );
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn status_is_degraded_beyond_a_threshold() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let gauge = |run: &Run, name: &str| -> Value {
        let status = run.json();
        let gauges = status["gauges"].as_array().unwrap().clone();
        gauges
            .into_iter()
            .find(|gauge| gauge["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {status}"))
    };
    // The cluster has no metrics API. All other gauges have values.
    let plain = site.handsctl(&["status"]).exits(0);
    assert!(plain.stdout.contains("memory: the cluster has no metrics API"), "{}", plain.stdout);
    let json = site.handsctl(&["status", "-o", "json"]).exits(0);
    assert_eq!(gauge(&json, "ready")["value"], 100.0);
    assert_eq!(gauge(&json, "ingress")["value"], 100.0);
    assert!(gauge(&json, "disk")["value"].as_f64().unwrap() > 0.0);
    assert!(gauge(&json, "latency")["value"].as_u64().unwrap() < 5000);
    let low_threshold = site.handsctl(&["status", "--set", "deploy.thresholds.disk=1"]).exits(11);
    assert!(
        low_threshold.stdout.contains("degraded: disk") && low_threshold.stdout.contains("more than 1 %"),
        "{}",
        low_threshold.stdout
    );

    // The test's metrics API reports that the memory is nearly used up.
    let _metrics = Metrics::create(site);
    let degraded = site.handsctl(&["status"]).exits(11);
    assert!(degraded.stdout.contains("degraded: memory 95 %, more than 85 %"), "{}", degraded.stdout);
    assert!(degraded.stdout.contains("cpu: no limit is set"), "{}", degraded.stdout);
    site.handsctl(&["status", "--set", "deploy.thresholds.memory=96"]).exits(0);
}

/// A metrics API with one object: the application's pod uses 95 % of its memory. Dropping the value deletes it.
struct Metrics<'a>(&'a Site);

impl<'a> Metrics<'a> {
    fn create(site: &'a Site) -> Self {
        let schema = serde_json::json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let version = serde_json::json!({ "name": "v1beta1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } });
        let definition = serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": "pods.metrics.k8s.io",
                "annotations": { "api-approved.kubernetes.io": "unapproved, of a test" },
            },
            "spec": {
                "group": "metrics.k8s.io", "scope": "Namespaced", "versions": [version],
                "names": { "kind": "PodMetrics", "plural": "pods", "singular": "pod" },
            },
        });
        let metrics = serde_json::json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": { "name": "app", "namespace": "openhands", "labels": { "app.kubernetes.io/instance": "openhands" } },
            // 95 % of 4Gi.
            "containers": [{ "name": "openhands", "usage": { "cpu": "250m", "memory": "3984588Ki" } }],
        });
        let guard = Self(site);
        guard.apply(&definition);
        site.kubectl(&["wait", "--for=condition=Established", "crd/pods.metrics.k8s.io", "--timeout=30s"]);
        guard.apply(&metrics);
        guard
    }

    fn apply(&self, manifest: &Value) {
        let script =
            format!("echo '{manifest}' | kubectl --kubeconfig=/etc/kubernetes/admin.conf apply -f -");
        docker(&["exec", &self.0.node(), "sh", "-c", &script]);
    }
}

impl Drop for Metrics<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["delete", "crd/pods.metrics.k8s.io", "--ignore-not-found"]);
    }
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn cluster_up_reports_conflicts_and_changes_nothing() {
    let (site, _, _guard) = shared();
    let other = "cluster.name=\"another\"";
    site.handsctl(&["cluster", "up", "--set", other])
        .exits(14)
        .says(&format!(
            "error[HC2006]: port {} of 127.0.0.1 is in use by container {}",
            site.port,
            site.node()
        ))
        .says("nothing was changed");
    let unreachable = site.command(&["cluster", "up", "--set", other, "--set", "cluster.http_port=0"]);
    unreachable
        .env("DOCKER_HOST", "tcp://127.0.0.1:1")
        .run()
        .exits(14)
        .says("error[HC2003]")
        .says("DOCKER_HOST is tcp://127.0.0.1:1");
    let image = "cluster.node_image=\"kindest/node:v1.33.1\"";
    site.handsctl(&["cluster", "up", "--set", image])
        .exits(1)
        .says("error[HC2021]")
        .says("kindest/node:v1.33.1")
        .says("--recreate");
    site.assert_responds();

    // handsctl does not change a cluster that kind itself created, whatever its image is.
    let foreign = ForeignCluster::new(&format!("foreign-{}", std::process::id()));
    let set = format!("cluster.name=\"{}\"", foreign.0);
    for more in [vec![], vec!["--recreate", "--yes"], vec!["--set", image]] {
        let arguments =
            [&["cluster", "up", "--set", &set, "--set", "cluster.http_port=0"], more.as_slice()].concat();
        site.handsctl(&arguments).exits(14).says("error[HC2022]").says("provider = \"existing\"");
    }
    site.handsctl(&["cluster", "down", "--yes", "--set", &set]).exits(14).says("error[HC2023]");
    assert_eq!(
        docker(&["ps", "-q", "--filter", &format!("name={}-control-plane", foreign.0)]).lines().count(),
        1
    );
}

/// A kind cluster that handsctl did not create. Dropping the value deletes it.
struct ForeignCluster(String);

impl ForeignCluster {
    fn new(name: &str) -> Self {
        let foreign = Self(name.to_owned());
        let image = std::env::var("KIND_NODE_IMAGE").unwrap();
        let create = ["create", "cluster", "--name", name, "--image", &image, "--kubeconfig", "/dev/null"];
        let output = Command::new("kind").args(create).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        foreign
    }
}

impl Drop for ForeignCluster {
    fn drop(&mut self) {
        let delete = ["delete", "cluster", "--name", &self.0, "--kubeconfig", "/dev/null"];
        let _already_deleted = Command::new("kind").args(delete).output();
    }
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn killed_creation_is_repeated_beside_second_cluster() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let second = Site::new("second");
    let mut killed = second.command(&["cluster", "up"]).spawn();
    let filter = format!("label=io.x-k8s.kind.cluster={}", second.own.cluster);
    wait_until("its node runs", READY, || !docker(&["ps", "-q", "--filter", &filter]).is_empty());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let status = second.handsctl(&["cluster", "status", "-o", "json"]).exits(12).json();
    assert_eq!(status["condition"], "incomplete", "{status}");

    second.handsctl(&["up", "--timeout", "12m"]).exits(0).never_says("HC2041");
    for site in [site, &second] {
        site.assert_responds();
        assert_eq!(
            site.handsctl(&["cluster", "status", "-o", "json"]).exits(0).json()["condition"],
            "running"
        );
    }
    assert_ne!(site.port, second.port);
    // A stopped cluster is started, and its application serves again.
    docker(&["stop", "-t", "2", &second.node()]);
    second.handsctl(&["cluster", "up"]).exits(0).says("nodes: 1 started");
    wait_until("the application responds again", READY, || second.request("/alive").0 == 200);
    second.handsctl(&["cluster", "down", "--yes"]).exits(0);
    assert_eq!(docker(&["ps", "-aq", "--filter", &filter]), "");
    second.handsctl(&["cluster", "down", "--yes"]).exits(0);
    site.assert_responds();
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn upgrade_and_downgrade_report_changes_and_serve() {
    let (site, _, _guard) = shared();
    assert_ne!(docker(&["images", "-q", NEWEST]), "", "the engine has no {NEWEST}");
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let settings = site.settings();
    let set = format!("deploy.image=\"{NEWEST}\"");
    site.handsctl(&["image", "load", "--set", &set]).exits(0);
    site.deploy_image(NEWEST, &[])
        .exits(0)
        .says("warning[HC0225]")
        .says("HC2043 OpenHands 0.59 → 1.6; registry docker.all-hands.dev/all-hands-ai → docker.openhands.dev/openhands")
        .says("the sandboxes' image docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik → docker.openhands.dev/openhands/runtime:1.6-nikolaik")
        .says("OH_PERSISTENCE_DIR /.openhands is new");
    let environment = site.pod()["spec"]["containers"][0]["env"].to_string();
    for variable in ["OH_SANDBOX_KIND", "OH_SANDBOX_SPEC_KIND", "ENABLE_V1"] {
        assert!(environment.contains(variable), "{environment}");
    }
    assert_eq!(site.settings()["llm_model"], settings["llm_model"]);
    let (status, body) = site.post("/api/v1/app-conversations");
    assert_eq!(status, 405, "{body}");
    // No event marks the absence of an agent server, so the test gives OpenHands time to start one.
    std::thread::sleep(Duration::from_secs(5));
    let (succeeded, processes) = site.run_in_container("cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(succeeded && processes.contains("uvicorn"), "{processes}");
    assert!(!processes.contains("agent_server"), "{processes}");
    site.start_conversation();

    site.deploy_image("docker.openhands.dev/openhands/openhands:1.7", &[])
        .exits(3)
        .says("error[HC0131]: OpenHands 1.7 has no Kubernetes runtime")
        .says("removed in 1.7");
    site.handsctl(&["deploy"]).exits(0).says("HC2044 OpenHands 1.6 → 0.59, a downgrade");
    site.assert_responds();
}

/// Builds an image of the application with this value of the variable `MINE`. Returns its id.
fn build_variant(name: &str, mine: &str) -> String {
    let base = "docker.all-hands.dev/all-hands-ai/openhands:0.59";
    let container = docker(&["create", base]);
    let id = docker(&["commit", "--change", &format!("ENV MINE={mine}"), container.trim(), name]);
    docker(&["rm", container.trim()]);
    id.trim().to_owned()
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn rebuilt_image_of_the_same_tag_is_rolled_out() {
    let (site, _, _guard) = shared();
    let image = format!("acme/{}:0.59-dev", site.own.cluster);
    site.configure("openai/gpt-4o", &format!("[deploy]\nimage = \"{image}\"\n"));
    let assert_runs = |mine: &str| {
        let (succeeded, value) = site.run_in_container("printenv MINE");
        assert!(succeeded && value.trim() == mine, "{value}");
    };
    let first = build_variant(&image, "one");
    site.handsctl(&["up"]).exits(0).never_says("HC0223").never_says("runs the previous");
    assert_runs("one");
    site.handsctl(&["up"]).exits(0).never_says("runs the previous");

    let second = build_variant(&image, "two");
    site.handsctl(&["image", "load"])
        .exits(0)
        .says("1 image loaded")
        .says(&format!("still runs the previous {image}"))
        .says("handsctl restart");
    for command in [&["diff"][..], &["deploy", "--dry-run"], &["deploy"]] {
        site.handsctl(command).exits(0).says("HC4107").says("earlier build");
    }
    site.handsctl(&["status"]).exits(0).prints("HC4107");
    assert_runs("one");
    site.handsctl(&["up"]).exits(0).says(&format!("runs the previous {image}")).says("restarted");
    assert_runs("two");

    build_variant(&image, "three");
    site.handsctl(&["up"]).exits(0).says(": loaded onto 1 node");
    assert_runs("three");
    docker(&["rmi", &image, &first, &second]);
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
}
