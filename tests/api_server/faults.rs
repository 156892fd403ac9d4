//! What goes wrong between the binary and the API server: it is borne where it may pass, and said where it does not.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::refusals::until;
use crate::bed::{Bed, Namespace, OwnCluster, Run, in_home};
use crate::fault::{ErrorResponse, Fault, Proxy, Request};

/// How long the binary may take until it sends a request, on a busy computer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What else a command does while it waits for one answer.
const REST: Duration = Duration::from_secs(15);
/// What a call may take, its repetitions included.
const CALL: Duration = Duration::from_secs(10);

/// A namespace, and a proxy to its cluster.
fn behind_a_proxy(test: &str) -> (Namespace, Proxy) {
    let namespace = Bed::shared().namespace(test);
    let proxy = Proxy::for_cluster(namespace.bed);
    (namespace, proxy)
}

fn deploy(proxy: &Proxy, namespace: &Namespace) -> Run {
    proxy.command(namespace, &["deploy"]).run()
}

fn is_deployment(request: &Request) -> bool {
    request.is("PATCH", "/deployments/oh")
}

fn is_write(request: &Request) -> bool {
    request.method != "GET" && !request.path.contains("/selfsubject")
}

fn is_watch(request: &Request) -> bool {
    request.path.contains("watch=true")
}

/// The first of the requests that have the same method and path.
fn first_of_each(matches: impl Fn(&Request) -> bool) -> impl Fn(&Request) -> bool {
    let seen = Mutex::new(HashSet::new());
    move |request| {
        matches(request) && seen.lock().unwrap().insert((request.method.clone(), request.path.clone()))
    }
}

/// The statuses of the answers, in the order of the requests.
fn answers(requests: &[Request]) -> Vec<Option<u16>> {
    requests.iter().map(|request| request.status).collect()
}

#[test]
fn killed_write_leaves_object_only_if_server_received_it() {
    for passed_on in [false, true] {
        let (namespace, proxy) = behind_a_proxy("killed");
        let deployment = proxy.on(is_deployment);
        let held = if passed_on { deployment.hold_response() } else { deployment.hold() };
        let mut child = proxy.command(&namespace, &["deploy"]).spawn();
        assert_eq!(held.wait_for_request(PATIENCE).json()["kind"], "Deployment");
        child.kill().unwrap();
        child.wait().unwrap();
        held.release();
        let there = namespace.bed.kubectl(&["get", "deployment", "-n", &namespace.name, "-o", "name"]);
        assert_eq!(there, if passed_on { "deployment.apps/oh\n" } else { "" });
        deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");
    }
}

#[test]
fn dropped_request_is_sent_again() {
    let (namespace, proxy) = behind_a_proxy("dropped");
    proxy.on(is_deployment).nth(1).inject(Fault::Drop);
    deploy(&proxy, &namespace).exits(0).says("9 created").says("deployment.apps/oh 1/1");
    assert_eq!(answers(&proxy.requests_that(is_deployment)), [None, Some(201)]);
}

#[test]
fn write_with_cut_response_counts_as_done() {
    let (namespace, proxy) = behind_a_proxy("half");
    proxy.on(is_deployment).nth(1).inject(Fault::Cut(0));
    deploy(&proxy, &namespace).exits(0).says("9 created").says("deployment.apps/oh 1/1");
    assert_eq!(answers(&proxy.requests_that(is_deployment)), [Some(201), Some(409)]);
}

#[test]
fn rate_limited_request_is_retried_after_retry_after() {
    let (namespace, proxy) = behind_a_proxy("many");
    proxy.on(is_deployment).nth(1).inject(Fault::Respond(ErrorResponse::TooManyRequests(2)));
    deploy(&proxy, &namespace).exits(0).says("9 created").says("deployment.apps/oh 1/1");
    let sent = proxy.requests_that(is_deployment);
    assert_eq!(answers(&sent), [Some(429), Some(201)]);
    let pause = sent[1].received - sent[0].received;
    assert!(pause >= Duration::from_secs(2), "asked again after {pause:?}");
}

#[test]
fn short_503_burst_is_retried_lasting_503_exits_4() {
    let (namespace, proxy) = behind_a_proxy("burst");
    proxy.on(|_| true).first(3).inject(Fault::Respond(ErrorResponse::Unavailable));
    proxy.on(is_watch).first(20).inject(Fault::Respond(ErrorResponse::Unavailable));
    proxy.on(first_of_each(is_write)).inject(Fault::Respond(ErrorResponse::Unavailable));
    deploy(&proxy, &namespace).exits(0).says("9 created").says("deployment.apps/oh 1/1");
    assert_eq!(answers(&proxy.requests_that(is_deployment)), [Some(503), Some(201)]);

    let (namespace, proxy) = behind_a_proxy("burst");
    proxy.on(is_deployment).inject(Fault::Respond(ErrorResponse::Unavailable));
    deploy(&proxy, &namespace)
        .exits(4)
        .says(&format!("error[HC1010]: cannot apply deployment.apps/oh in namespace {}", namespace.name))
        .says("the API server responded 503: the server is currently unable to handle the request")
        .says("applied before it stopped")
        .within(CALL + REST);
}

#[test]
fn writes_with_lost_responses_count_as_done() {
    let (namespace, proxy) = behind_a_proxy("lost");
    namespace.config("[llm]\napi_key = \"k\"\n");
    proxy.on(first_of_each(is_write)).inject(Fault::LoseResponse);
    deploy(&proxy, &namespace)
        .exits(0)
        .says("10 created")
        .says("deployment.apps/oh 1/1")
        .never_says("belongs to another owner");
    let lost = proxy.requests_that(|request| is_write(request) && request.status.is_none());
    // The namespace, the lock, the key, the parent, the revision, ten members, and what came of the revision.
    let paths: Vec<&str> = lost.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(lost.len(), 16, "{paths:#?}");
    proxy.command(&namespace, &["deploy"]).run().exits(0).says("10 unchanged");

    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.on(first_of_each(is_write)).inject(Fault::LoseResponse);
    namespace.config("[llm]\napi_key = \"k\"\nmodel = \"a/b\"\n");
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1").says("8 unchanged");
    proxy.command(&namespace, &["teardown", "--delete-data", "--yes"]).run().exits(0);
    let left = [
        "get",
        "deployment,pvc,cm,secret",
        "-n",
        &namespace.name,
        "-o",
        "name",
        "-l",
        "app.kubernetes.io/instance=oh",
    ];
    assert_eq!(namespace.bed.kubectl(&left), "");
    let lost = proxy.requests_that(|request| is_write(request) && request.status.is_none());
    assert!(lost.iter().any(|request| request.method == "DELETE"), "{lost:?}");
}

#[test]
fn call_without_response_exits_4_and_is_named() {
    let (namespace, proxy) = behind_a_proxy("hanging");
    proxy.on(is_deployment).inject(Fault::Hang);
    deploy(&proxy, &namespace)
        .exits(4)
        .says(&format!("error[HC1010]: cannot apply deployment.apps/oh in namespace {}", namespace.name))
        .says("the API server did not respond within 10 s")
        .says("applied before it stopped")
        .within(CALL + REST);
    assert_eq!(answers(&proxy.requests_that(is_deployment)), [None]);

    for fault in [Fault::Hang, Fault::Trickle(0)] {
        let (namespace, proxy) = behind_a_proxy("hanging");
        proxy.on(|request| request.is("GET", "/version")).inject(fault);
        for command in ["deploy", "status", "teardown"] {
            let run = proxy.command(&namespace, &[command]).run();
            run.exits(4).says("the API server did not respond within 4 s").within(REST);
        }
    }
}

#[test]
fn first_list_without_response_exits_4_and_is_named() {
    let faults = [
        ("deployments", Fault::Hang),
        ("pods", Fault::Trickle(0)),
        ("services", Fault::Cut(0)),
        ("events", Fault::Hang),
    ];
    for (kind, fault) in faults {
        let (namespace, proxy) = behind_a_proxy("silent");
        let path = format!("/{kind}");
        proxy.on(move |request| request.is("GET", &path)).inject(fault);
        deploy(&proxy, &namespace)
            .exits(4)
            .says(&format!("error[HC1010]: cannot watch {kind} in namespace {}", namespace.name))
            .says("the API server did not respond within 10 s")
            .within(CALL + REST);
        assert_eq!(answers(&proxy.requests_that(is_write)), []);
    }
}

#[test]
fn list_and_watch_answered_410_start_over() {
    let (namespace, proxy) = behind_a_proxy("gone");
    // The first list of each kind; then each watch is cut after it, and does not find its place again.
    let kinds = ["deployments", "pods", "replicasets", "endpointslices", "events"];
    for kind in kinds {
        let watch = move |request: &Request| request.watches(kind);
        let list = move |request: &Request| request.is("GET", &format!("/{kind}"));
        proxy.on(list).nth(1).inject(Fault::Respond(ErrorResponse::Expired));
        proxy.on(watch).nth(2).inject(Fault::Cut(1));
        proxy.on(watch).nth(3).inject(Fault::Respond(ErrorResponse::Expired));
    }
    deploy(&proxy, &namespace).exits(0).says("9 created").says("deployment.apps/oh 1/1");
    let watches = proxy.requests_that(|request| request.watches("deployments"));
    let begins_anew: Vec<bool> =
        watches.iter().map(|request| request.path.contains("sendInitialEvents=true")).collect();
    assert_eq!(begins_anew[..4], [true, true, false, true], "{watches:?}");
    assert_eq!(watches[2].status, Some(410));
}

#[test]
fn repeatedly_cut_watches_show_the_whole_rollout() {
    let (namespace, proxy) = behind_a_proxy("cut");
    proxy.on(is_watch).inject(Fault::Cut(1));
    let run =
        deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 0/1").says("deployment.apps/oh 1/1");
    run.never_says("connection");
    let watches = proxy.requests_that(|request| request.watches("deployments"));
    assert!(watches.len() >= 3, "{watches:?}");

    // Cut once each: what is there already is more than one line.
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.on(first_of_each(is_watch)).inject(Fault::Cut(1));
    proxy.command(&namespace, &["status"]).run().exits(0);
    proxy.command(&namespace, &["teardown"]).run().exits(0);
}

#[test]
fn resumed_watch_without_response_starts_over() {
    let (namespace, proxy) = behind_a_proxy("half-open");
    let watch = |request: &Request| request.watches("deployments");
    proxy.on(watch).nth(1).inject(Fault::Cut(1));
    proxy.on(watch).nth(2).inject(Fault::Hang);
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1").within(CALL + REST);
    assert_eq!(answers(&proxy.requests_that(watch)), [Some(200), None, Some(200)]);
}

#[test]
fn expired_watch_lists_again() {
    let (namespace, proxy) = behind_a_proxy("expired");
    for kind in ["deployments", "pods", "replicasets", "endpointslices", "events"] {
        proxy.on(move |request| request.watches(kind)).first(2).inject(Fault::Expire(2));
    }
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");
    let watches = proxy.requests_that(|request| request.watches("deployments"));
    let anew = watches.iter().filter(|request| request.path.contains("sendInitialEvents=true")).count();
    assert!(anew >= 2, "{watches:?}");
}

#[test]
fn slow_watch_body_costs_evidence_or_time_only() {
    let (namespace, proxy) = behind_a_proxy("trickle");
    proxy.on(|request| request.watches("events")).inject(Fault::Trickle(0));
    proxy.on(|request| request.watches("endpointslices")).inject(Fault::Trickle(1));
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");

    let (namespace, proxy) = behind_a_proxy("trickle");
    proxy.on(|request| request.watches("deployments")).inject(Fault::Trickle(1));
    let run = proxy.command(&namespace, &["deploy", "--timeout", "12s"]).run();
    run.exits(10).says("deployment.apps/oh").within(Duration::from_secs(12) + REST);
    assert_eq!(proxy.requests_that(|request| request.watches("deployments")).len(), 1);
}

#[test]
fn member_replaced_or_deleted_during_apply_is_not_created() {
    let rows = [
        (true, 7, "it kept changing while it was applied"),
        (false, 8, "uid mismatch: the provided object specified uid"),
    ];
    for (is_replaced, code, words) in rows {
        let (namespace, proxy) = behind_a_proxy("replaced");
        let on_it = |verb: &[&str]| namespace.bed.kubectl(&[verb, &["-n", &namespace.name]].concat());
        deploy(&proxy, &namespace).exits(0);
        namespace.config("[llm]\nmodel = \"a/b\"\n");
        let held = proxy.on(is_deployment).hold();
        let child = proxy.command(&namespace, &["deploy"]).spawn();
        held.wait_for_request(PATIENCE);
        on_it(&["delete", "deployment", "oh"]);
        if is_replaced {
            on_it(&["create", "deployment", "oh", "--image=a", "--replicas=0"]);
        }
        let there = || on_it(&["get", "deployment", "-o", "jsonpath={.items[*].spec}"]);
        let before = there();
        held.release();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        for text in ["cannot apply deployment.apps/oh", words, "applied before it stopped"] {
            assert!(stderr.contains(text), "stderr lacks {text:?}: {stderr}");
        }
        assert_eq!(there(), before);
    }
}

#[test]
fn object_changing_during_delete_is_tried_five_times() {
    let (namespace, proxy) = behind_a_proxy("changing");
    deploy(&proxy, &namespace).exits(0);
    let is_delete = |request: &Request| request.is("DELETE", "/deployments/oh");
    proxy.on(is_delete).first(7).inject(Fault::Respond(ErrorResponse::Conflict));
    proxy
        .command(&namespace, &["teardown"])
        .run()
        .exits(8)
        .says("cannot delete deployment.apps/oh: it kept changing");
    assert_eq!(proxy.requests_that(is_delete).len(), 5);
    proxy.command(&namespace, &["teardown"]).run().exits(0);
    assert_eq!(answers(&proxy.requests_that(is_delete))[5..], [Some(409), Some(409), Some(200)]);
}

#[test]
fn slow_network_only_delays_deploy() {
    let (namespace, proxy) = behind_a_proxy("slow");
    let time = Duration::from_millis(300);
    proxy.round_trip(time);
    proxy.on(is_deployment).inject(Fault::Delay(Duration::from_secs(3)));
    let run = deploy(&proxy, &namespace).exits(0).says("9 created").says("deployment.apps/oh 1/1");
    assert!(run.took > Duration::from_secs(3) + time * 4, "{:?}", run.took);
    assert_eq!(answers(&proxy.requests_that(is_deployment)), [Some(201)]);
    proxy.command(&namespace, &["status"]).run().exits(0);
    proxy.command(&namespace, &["teardown"]).run().exits(0);
}

#[test]
fn first_403_is_final_and_later_403_is_retried() {
    let (namespace, proxy) = behind_a_proxy("roles");
    let watch = |request: &Request| request.watches("deployments");
    proxy.on(watch).nth(1).inject(Fault::Cut(1));
    proxy.on(watch).first(5).inject(Fault::Respond(ErrorResponse::Forbidden));
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");
    let answered = answers(&proxy.requests_that(watch));
    assert_eq!(answered[..6], [Some(200), Some(403), Some(403), Some(403), Some(403), Some(200)]);

    let (namespace, proxy) = behind_a_proxy("roles");
    proxy.on(watch).inject(Fault::Respond(ErrorResponse::Forbidden));
    deploy(&proxy, &namespace).exits(6);
}

/// Ends a component of a cluster of the test's own as a crash does.
fn crash(own: &OwnCluster, component: &str) {
    let status = own.handsctl(&["cluster", "status", "-o", "json"]).json();
    let mut processes = status["processes"].as_array().unwrap().iter();
    let process = processes.find(|process| process["component"] == component);
    let pid = process.unwrap_or_else(|| panic!("{status}"))["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// An administrator whom the server knows by a role, and not by the certificate that needs none; the kubeconfig.
fn administrator(own: &OwnCluster, bed: &Bed) -> PathBuf {
    bed.kubectl(&["create", "namespace", "openhands"]);
    bed.kubectl(&["create", "serviceaccount", "tester", "-n", "openhands"]);
    let subject = "--serviceaccount=openhands:tester";
    bed.kubectl(&["create", "clusterrolebinding", "tester", "--clusterrole=cluster-admin", subject]);
    let token = bed.kubectl(&["create", "token", "tester", "-n", "openhands"]);
    let config = bed.kubectl(&["config", "view", "--raw", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let path = own.home.join("kubeconfig.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// A `deploy` that runs until its pod cannot be placed.
struct Unplaced<'a> {
    own: &'a OwnCluster,
    child: Child,
    stream: PathBuf,
}

impl<'a> Unplaced<'a> {
    fn deploy(own: &'a OwnCluster, bed: &Bed, kubeconfig: &Path, name: &str) -> Self {
        let stream = own.home.join(name);
        let arguments = ["deploy", "--name", name, "--events", stream.to_str().unwrap()];
        let place = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--context", &bed.context];
        let child = in_home(&own.home, &[arguments.as_slice(), &place].concat()).spawn();
        let label = format!("app.kubernetes.io/instance={name}");
        let reasons = "jsonpath={.items[*].status.conditions[*].reason}";
        let pods = ["get", "pods", "-n", "openhands", "-l", &label, "-o", reasons];
        until(bed, &pods, |reasons| reasons.contains("Unschedulable"));
        Self { own, child, stream }
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.stream).unwrap();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn outages(&self) -> usize {
        self.events().iter().filter(|event| event["id"] == "HC1012").count()
    }

    /// The API server dies, and this is noticed.
    fn loses_its_server(&self) {
        crash(self.own, "kube-apiserver");
        let deadline = Instant::now() + PATIENCE;
        while self.outages() == 0 {
            assert!(Instant::now() < deadline, "{:?}", self.events());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The exit code and stderr.
    fn end(self) -> (Option<i32>, String) {
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn api_server_crash_during_rollout_is_waited_for() {
    let config = |grace: &str| {
        format!(
            "[deploy]\nnode_selector = {{ disk = \"gold\" }}\ntolerate = {{ unschedulable = \"{grace}\" }}\n"
        )
    };
    let own = OwnCluster::new("dies", &config("10m"));
    own.handsctl(&["cluster", "up"]).exits(0);
    let bed = own.bed();
    let kubeconfig = administrator(&own, &bed);

    let deploy = Unplaced::deploy(&own, &bed, &kubeconfig, "patient");
    deploy.loses_its_server();
    own.handsctl(&["cluster", "up"]).exits(0);
    bed.kubectl(&["label", "node", "--all", "disk=gold"]);
    let outages = deploy.outages();
    let (code, stderr) = deploy.end();
    assert_eq!((code, outages), (Some(0), 1), "{stderr}");
    for text in ["warning   HC1012 the connection to the API server was lost", "deployment.apps/patient 1/1"]
    {
        assert!(stderr.contains(text), "stderr lacks {text:?}: {stderr}");
    }

    // The grace passes while nobody sees whether the pod was placed.
    own.config(&config("8s"));
    bed.kubectl(&["label", "node", "--all", "disk-"]);
    let mut deploy = Unplaced::deploy(&own, &bed, &kubeconfig, "blind");
    deploy.loses_its_server();
    std::thread::sleep(Duration::from_secs(9));
    assert!(deploy.child.try_wait().unwrap().is_none(), "{:?}", deploy.events());
    own.handsctl(&["cluster", "up"]).exits(0);
    let (code, stderr) = deploy.end();
    assert_eq!(code, Some(9), "{stderr}");
    assert!(stderr.contains("error[HC4301]: the pod fits on no node"), "{stderr}");
}
