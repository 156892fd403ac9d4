//! Faults between the binary and the API server: short ones are retried, lasting ones are reported.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::refusals::wait_for_output;
use crate::bed::{Bed, Namespace, OwnCluster, Run, finish, in_home};
use crate::fault::{ErrorResponse, Fault, Proxy, Request};
use crate::kubelet::{BareNode, report, wait_for_pod, waiting};

/// Time limit for the binary to send a request, on a busy computer.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// Time limit of the other work of a command that waits for one response.
const OTHER_WORK: Duration = Duration::from_secs(30);
/// The product's time limit of the first attempt to read.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// By how much a run may exceed its `--timeout`.
const OVERRUN: Duration = Duration::from_secs(2);

/// A namespace, and a proxy to its cluster.
fn with_proxy(test: &str) -> (Namespace, Proxy) {
    let namespace = Bed::shared().namespace(test);
    let proxy = Proxy::for_cluster(namespace.bed);
    (namespace, proxy)
}

fn deploy(proxy: &Proxy, namespace: &Namespace) -> Run {
    proxy.command(namespace, &["deploy"]).run()
}

fn deploy_within(proxy: &Proxy, namespace: &Namespace, timeout: &str) -> Run {
    proxy.command(namespace, &["deploy", "--timeout", timeout]).run()
}

fn is_deployment(request: &Request) -> bool {
    request.is("PATCH", "/deployments/oh")
}

fn is_write(request: &Request) -> bool {
    request.method != "GET" && !request.path.contains("/selfsubject") && !request.is_dry_run()
}

fn is_watch(request: &Request) -> bool {
    request.path.contains("watch=true")
}

/// Matches the first request of each method and path.
fn first_of_each(matches: impl Fn(&Request) -> bool) -> impl Fn(&Request) -> bool {
    let matched = Mutex::new(HashSet::new());
    move |request| {
        matches(request) && matched.lock().unwrap().insert((request.method.clone(), request.path.clone()))
    }
}

/// The response statuses, in the order of the requests.
fn statuses(requests: &[Request]) -> Vec<Option<u16>> {
    requests.iter().map(|request| request.status).collect()
}

#[test]
fn killed_write_leaves_object_only_if_server_received_it() {
    for is_forwarded in [false, true] {
        let (namespace, proxy) = with_proxy("killed");
        let deployment = proxy.on(is_deployment);
        let held = if is_forwarded { deployment.hold_response() } else { deployment.hold() };
        let mut child = proxy.command(&namespace, &["deploy"]).spawn();
        assert_eq!(held.wait_for_request(REQUEST_LIMIT).json()["kind"], "Deployment");
        child.kill().unwrap();
        child.wait().unwrap();
        held.release();
        let deployments = namespace.bed.kubectl(&["get", "deployment", "-n", &namespace.name, "-o", "name"]);
        assert_eq!(deployments, if is_forwarded { "deployment.apps/oh\n" } else { "" });
        deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");
    }
}

#[test]
fn dropped_request_is_sent_again() {
    let (namespace, proxy) = with_proxy("dropped");
    proxy.on(is_deployment).nth(1).inject(Fault::Drop);
    deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    assert_eq!(statuses(&proxy.requests_that(is_deployment)), [None, Some(201)]);
}

#[test]
fn write_with_cut_response_counts_as_done() {
    let (namespace, proxy) = with_proxy("half");
    proxy.on(is_deployment).nth(1).inject(Fault::Cut(0));
    deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    assert_eq!(statuses(&proxy.requests_that(is_deployment)), [Some(201), Some(409)]);
}

#[test]
fn rate_limited_request_is_retried_after_retry_after() {
    let (namespace, proxy) = with_proxy("many");
    proxy.on(is_deployment).nth(1).inject(Fault::Respond(ErrorResponse::TooManyRequests(2)));
    deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    let sent = proxy.requests_that(is_deployment);
    assert_eq!(statuses(&sent), [Some(429), Some(201)]);
    let pause = sent[1].received - sent[0].received;
    assert!(pause >= Duration::from_secs(2), "retried after {pause:?}");
}

#[test]
fn short_503_burst_is_retried_lasting_503_exits_10() {
    let (namespace, proxy) = with_proxy("burst");
    proxy.on(|_| true).first(3).inject(Fault::Respond(ErrorResponse::Unavailable));
    proxy.on(is_watch).first(20).inject(Fault::Respond(ErrorResponse::Unavailable));
    proxy.on(first_of_each(is_write)).inject(Fault::Respond(ErrorResponse::Unavailable));
    deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    assert_eq!(statuses(&proxy.requests_that(is_deployment)), [Some(503), Some(201)]);

    let (namespace, proxy) = with_proxy("burst");
    proxy.on(is_deployment).inject(Fault::Respond(ErrorResponse::Unavailable));
    deploy_within(&proxy, &namespace, "12s")
        .exits(10)
        .says(&format!("error[HC4002]: cannot apply deployment.apps/oh in namespace {}", namespace.name))
        .says(&format!("apply deployments/oh in namespace {}, ", namespace.name))
        .says("the API server responded 503")
        .says("applied before it stopped")
        .within(CALL_LIMIT + OTHER_WORK);
}

#[test]
fn writes_with_lost_responses_count_as_done() {
    let (namespace, proxy) = with_proxy("lost");
    namespace.config("[llm]\napi_key = \"k\"\n");
    proxy.on(first_of_each(is_write)).inject(Fault::LoseResponse);
    deploy(&proxy, &namespace)
        .exits(0)
        .says("11 created")
        .says("deployment.apps/oh 1/1")
        .never_says("belongs to another owner");
    let lost = proxy.requests_that(|request| is_write(request) && request.status.is_none());
    // The namespace, the lock and its end, the key, the parent, eleven members, and the revision's outcome; the revision is
    // sent to the same path as the key.
    let paths: Vec<&str> = lost.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(lost.len(), 17, "{paths:#?}");
    proxy.command(&namespace, &["deploy"]).run().exits(0).says("11 unchanged");

    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.on(first_of_each(is_write)).inject(Fault::LoseResponse);
    namespace.config("[llm]\napi_key = \"k\"\nmodel = \"a/b\"\n");
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1").says("9 unchanged");
    proxy.command(&namespace, &["teardown", "--delete-data", "--yes"]).run().exits(0);
    let get = [
        "get",
        "deployment,pvc,cm,secret",
        "-n",
        &namespace.name,
        "-o",
        "name",
        "-l",
        "app.kubernetes.io/instance=oh",
    ];
    assert_eq!(namespace.bed.kubectl(&get), "");
    let lost = proxy.requests_that(|request| is_write(request) && request.status.is_none());
    assert!(lost.iter().any(|request| request.method == "DELETE"), "{lost:?}");
}

#[test]
fn call_without_response_is_named_at_the_deadline() {
    let (namespace, proxy) = with_proxy("hanging");
    proxy.on(is_deployment).inject(Fault::Hang);
    deploy_within(&proxy, &namespace, "8s")
        .exits(10)
        .says(&format!("error[HC4002]: cannot apply deployment.apps/oh in namespace {}", namespace.name))
        .says(&format!("apply deployments/oh in namespace {}, ", namespace.name))
        .says(" s without a response")
        .says("step      apply")
        .says("applied before it stopped")
        .within(CALL_LIMIT + OTHER_WORK);
    assert_eq!(statuses(&proxy.requests_that(is_deployment)), [None]);

    // A server that has never responded is unreachable; one that sends the beginning of a response is slow.
    let rows = [
        (Fault::Hang, 4, "the API server did not respond within "),
        (Fault::Trickle(0), 10, " s without a response"),
    ];
    for (fault, code, words) in rows {
        let (namespace, proxy) = with_proxy("hanging");
        proxy.on(|_| true).inject(fault);
        for command in ["deploy", "status", "teardown", "diff", "history", "open", "logs"] {
            let run = proxy.command(&namespace, &[command, "--timeout", "3s"]).run();
            run.exits(code).says(words).within(OTHER_WORK);
        }
    }
}

#[test]
fn first_list_without_response_is_named_at_the_deadline() {
    let faults = [
        ("deployments", Fault::Hang),
        ("pods", Fault::Trickle(0)),
        ("services", Fault::Cut(0)),
        ("events", Fault::Hang),
    ];
    for (kind, fault) in faults {
        let (namespace, proxy) = with_proxy("silent");
        let path = format!("/{kind}");
        proxy.on(move |request| request.is("GET", &path)).inject(fault);
        deploy_within(&proxy, &namespace, "6s")
            .exits(10)
            .says(&format!("error[HC4002]: cannot watch {kind} in namespace {}", namespace.name))
            .says(&format!("watch {kind} in namespace {}, ", namespace.name))
            .says("step      preflight")
            .says("nothing was applied")
            .within(CALL_LIMIT + OTHER_WORK);
        assert_eq!(statuses(&proxy.requests_that(is_write)), []);
    }
}

#[test]
fn timeout_names_step_and_request_and_what_was_done() {
    for (command, done) in [("deploy", "nothing was applied"), ("teardown", "nothing was deleted")] {
        let (namespace, proxy) = with_proxy("named");
        namespace.handsctl(&["deploy"]).exits(0);
        let kind = if command == "deploy" { "secrets" } else { "configmaps/handsctl-oh" };
        let path = format!("/{kind}");
        proxy.on(move |request| request.is("GET", &path)).inject(Fault::Hang);
        let run = proxy.command(&namespace, &[command, "--timeout", "3s", "--events", "events"]).run();
        run.exits(10)
            .says("error[HC4002]: ")
            .says(&format!("{kind} in namespace {}, ", namespace.name))
            .says(" s without a response")
            .says(done)
            .says("--timeout DURATION sets a longer limit")
            .never_says("the applied objects are kept");
        let events = std::fs::read_to_string(namespace.folder.path().join("events")).unwrap();
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let actions = |action: &str| {
            events.iter().filter(|event| event["type"] == "step" && event["action"] == action).count()
        };
        let ended = actions("done") + actions("failed") + actions("skipped");
        assert_eq!(actions("begun"), ended, "{events:#?}");
    }
}

#[test]
fn log_without_response_ends_at_the_deadline() {
    let (namespace, proxy) = with_proxy("mute-log");
    namespace.handsctl(&["deploy"]).exits(0);
    proxy.on(|request| request.is("GET", "/log")).inject(Fault::Hang);
    proxy
        .command(&namespace, &["logs", "--timeout", "3s"])
        .run()
        .exits(10)
        .says("error[HC4002]: the command timed out after 3 s: read the log of oh-")
        .within(OTHER_WORK);
}

#[test]
fn first_requests_survive_drops_and_throttling() {
    let (namespace, proxy) = with_proxy("first");
    for path in ["/version", "/secrets", "/configmaps/handsctl-oh"] {
        proxy.on(move |request| request.is("GET", path)).nth(1).inject(Fault::Drop);
    }
    deploy(&proxy, &namespace).exits(0).says("10 created");
    // DNS, a VPN or a busy server delays the first response.
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.on(|_| true).nth(1).inject(Fault::Delay(Duration::from_secs(6)));
    proxy.command(&namespace, &["history"]).run().exits(0);
    assert_eq!(statuses(&proxy.requests_that(|request| request.path == "/version")), [Some(200)]);
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.on(|_| true).nth(1).inject(Fault::Drop);
    proxy.on(|_| true).first(8).inject(Fault::Respond(ErrorResponse::TooManyRequests(1)));
    for command in ["status", "history"] {
        proxy.command(&namespace, &[command]).run().exits(0);
    }
}

#[test]
fn throttled_apply_is_completed_with_fewer_requests() {
    let (namespace, proxy) = with_proxy("throttled");
    let throttled = |request: &Request| request.method == "PATCH";
    proxy.on(throttled).first(12).inject(Fault::Respond(ErrorResponse::TooManyRequests(1)));
    deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
}

#[test]
fn write_that_takes_12s_succeeds_at_the_first_attempt() {
    let (namespace, proxy) = with_proxy("webhook");
    proxy.on(is_deployment).inject(Fault::Delay(Duration::from_secs(12)));
    deploy(&proxy, &namespace).exits(0).says("10 created");
    assert_eq!(statuses(&proxy.requests_that(is_deployment)), [Some(201)]);
}

#[test]
fn list_and_watch_answered_410_start_over() {
    let (namespace, proxy) = with_proxy("gone");
    // The first list of each kind gets 410. Each watch is then cut after its list, and 410 rejects its resumption.
    let kinds = ["deployments", "pods", "replicasets", "endpointslices", "events"];
    for kind in kinds {
        let watch = move |request: &Request| request.watches(kind);
        let list = move |request: &Request| request.is("GET", &format!("/{kind}"));
        proxy.on(list).nth(1).inject(Fault::Respond(ErrorResponse::Expired));
        proxy.on(watch).nth(2).inject(Fault::Cut(1));
        proxy.on(watch).nth(3).inject(Fault::Respond(ErrorResponse::Expired));
    }
    deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    let watches = proxy.requests_that(|request| request.watches("deployments"));
    let starts_over: Vec<bool> =
        watches.iter().map(|request| request.path.contains("sendInitialEvents=true")).collect();
    assert_eq!(starts_over[..4], [true, true, false, true], "{watches:?}");
    assert_eq!(watches[2].status, Some(410));
}

#[test]
fn repeatedly_cut_watches_show_the_whole_rollout() {
    let (namespace, proxy) = with_proxy("cut");
    proxy.on(is_watch).inject(Fault::Cut(1));
    let run =
        deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 0/1").says("deployment.apps/oh 1/1");
    run.never_says("connection");
    let watches = proxy.requests_that(|request| request.watches("deployments"));
    assert!(watches.len() >= 3, "{watches:?}");

    // Each watch is cut once, within the list of the existing objects.
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.on(first_of_each(is_watch)).inject(Fault::Cut(1));
    proxy.command(&namespace, &["status"]).run().exits(0);
    proxy.command(&namespace, &["teardown"]).run().exits(0);
}

#[test]
fn resumed_watch_without_response_starts_over() {
    let (namespace, proxy) = with_proxy("half-open");
    let watch = |request: &Request| request.watches("deployments");
    proxy.on(watch).nth(1).inject(Fault::Cut(1));
    proxy.on(watch).nth(2).inject(Fault::Hang);
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1").within(CALL_LIMIT + OTHER_WORK);
    assert_eq!(statuses(&proxy.requests_that(watch)), [Some(200), None, Some(200)]);
}

/// The stream of the Deployments stays open and delivers no whole event any more.
#[test]
fn silent_watch_is_resumed_before_the_deadline() {
    let (namespace, proxy) = with_proxy("silent");
    let watch = |request: &Request| request.watches("deployments");
    proxy.on(watch).nth(1).inject(Fault::Trickle(1));
    deploy_within(&proxy, &namespace, "40s").exits(0).says("deployment.apps/oh 1/1");
    assert_eq!(proxy.requests_that(watch).len(), 2);
}

#[test]
fn expired_watch_lists_again() {
    let (namespace, proxy) = with_proxy("expired");
    for kind in ["deployments", "pods", "replicasets", "endpointslices", "events"] {
        proxy.on(move |request| request.watches(kind)).first(2).inject(Fault::Expire(2));
    }
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");
    let watches = proxy.requests_that(|request| request.watches("deployments"));
    let new_lists = watches.iter().filter(|request| request.path.contains("sendInitialEvents=true")).count();
    assert!(new_lists >= 2, "{watches:?}");
}

#[test]
fn slow_watch_body_costs_evidence_or_time_only() {
    let (namespace, proxy) = with_proxy("trickle");
    proxy.on(|request| request.watches("events")).inject(Fault::Trickle(0));
    proxy.on(|request| request.watches("endpointslices")).inject(Fault::Trickle(1));
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");

    let (namespace, proxy) = with_proxy("trickle");
    proxy.on(|request| request.watches("deployments")).inject(Fault::Trickle(1));
    let run = proxy.command(&namespace, &["deploy", "--timeout", "12s"]).run();
    run.exits(10).says("deployment.apps/oh").within(Duration::from_secs(12) + OVERRUN);
    assert_eq!(proxy.requests_that(|request| request.watches("deployments")).len(), 1);
}

#[test]
fn member_replaced_or_deleted_during_apply_is_not_created() {
    let rows = [
        (true, 7, "it kept changing while it was applied"),
        (false, 8, "uid mismatch: the provided object specified uid"),
    ];
    for (is_replaced, code, words) in rows {
        let (namespace, proxy) = with_proxy("replaced");
        let kubectl = |verb: &[&str]| namespace.bed.kubectl(&[verb, &["-n", &namespace.name]].concat());
        deploy(&proxy, &namespace).exits(0);
        namespace.config("[llm]\nmodel = \"a/b\"\n");
        let held = proxy.on(is_deployment).hold();
        let child = proxy.command(&namespace, &["deploy"]).spawn();
        held.wait_for_request(REQUEST_LIMIT);
        kubectl(&["delete", "deployment", "oh"]);
        if is_replaced {
            kubectl(&["create", "deployment", "oh", "--image=a", "--replicas=0"]);
        }
        let specs = || kubectl(&["get", "deployment", "-o", "jsonpath={.items[*].spec}"]);
        let before = specs();
        held.release();
        finish(child)
            .exits(code)
            .says("cannot apply deployment.apps/oh")
            .says(words)
            .says("applied before it stopped");
        assert_eq!(specs(), before);
    }
}

#[test]
fn object_changing_during_delete_is_tried_five_times() {
    let (namespace, proxy) = with_proxy("changing");
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
    assert_eq!(statuses(&proxy.requests_that(is_delete))[5..], [Some(409), Some(409), Some(200)]);
}

#[test]
fn slow_network_only_delays_deploy() {
    let (namespace, proxy) = with_proxy("slow");
    let time = Duration::from_millis(300);
    proxy.round_trip(time);
    proxy.on(is_deployment).inject(Fault::Delay(Duration::from_secs(3)));
    let run = deploy(&proxy, &namespace).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    assert!(run.took > Duration::from_secs(3) + time * 4, "{:?}", run.took);
    assert_eq!(statuses(&proxy.requests_that(is_deployment)), [Some(201)]);
    proxy.command(&namespace, &["status"]).run().exits(0);
    proxy.command(&namespace, &["teardown"]).run().exits(0);
}

#[test]
fn first_403_is_final_and_later_403_is_retried() {
    let (namespace, proxy) = with_proxy("roles");
    let watch = |request: &Request| request.watches("deployments");
    proxy.on(watch).nth(1).inject(Fault::Cut(1));
    proxy.on(watch).first(5).inject(Fault::Respond(ErrorResponse::Forbidden));
    deploy(&proxy, &namespace).exits(0).says("deployment.apps/oh 1/1");
    let received = statuses(&proxy.requests_that(watch));
    assert_eq!(received[..6], [Some(200), Some(403), Some(403), Some(403), Some(403), Some(200)]);

    let (namespace, proxy) = with_proxy("roles");
    proxy.on(watch).inject(Fault::Respond(ErrorResponse::Forbidden));
    deploy(&proxy, &namespace).exits(6);
}

/// A pod that the scheduler finds no node for, with a grace in seconds.
fn unschedulable(grace: u64) -> String {
    format!(
        "[deploy]\nnode_selector = {{ disk = \"gold\" }}\ntolerate = {{ unschedulable = \"{grace}s\" }}\n"
    )
}

/// From the Deployment's creation on, every request but the rest of the apply gets 429 for this time, and the watches end.
fn storm(proxy: &Proxy, time: Duration) {
    let begin = Arc::new(Mutex::new(None));
    let created = Arc::clone(&begin);
    let starts = move |request: &Request| {
        if is_deployment(request) {
            created.lock().unwrap().get_or_insert_with(Instant::now);
        }
        false
    };
    proxy.on(starts).inject(Fault::Drop);
    let is_stormy = move |request: &Request| {
        let begin = *begin.lock().unwrap();
        begin.is_some_and(|begin| begin.elapsed() < time) && request.method != "PATCH"
    };
    proxy.on(is_stormy).inject(Fault::Respond(ErrorResponse::TooManyRequests(1)));
    // The beginning of the list, and the first change.
    for kind in ["pods", "deployments", "replicasets"] {
        proxy.on(move |request| request.watches(kind)).nth(1).inject(Fault::Cut(2));
    }
}

#[test]
fn storm_of_429_while_tracking_delays_the_verdict_only() {
    let (namespace, proxy) = with_proxy("storm");
    namespace.config(&unschedulable(2));
    storm(&proxy, Duration::from_secs(12));
    let run = deploy(&proxy, &namespace).exits(9).says("error[HC4301]: the pod fits on no node");
    assert!(run.took >= Duration::from_secs(12), "the verdict came during the storm: {run:?}");
    let throttled = proxy.requests_that(|request| request.status == Some(429));
    assert!(throttled.iter().any(is_watch), "{throttled:?}");

    // It never ends: the run does.
    let (namespace, proxy) = with_proxy("storm");
    namespace.config(&unschedulable(600));
    storm(&proxy, Duration::from_secs(600));
    deploy_within(&proxy, &namespace, "12s")
        .exits(10)
        .says("HC4002")
        .within(Duration::from_secs(12) + OVERRUN);
}

#[test]
fn minute_of_silence_while_tracking_is_waited_for() {
    let (namespace, proxy) = with_proxy("silence");
    namespace.config(&unschedulable(600));
    let node = BareNode::with_labels(&namespace, &json!({ "disk": "lead" }));
    let bind = || {
        let pod = node.bind_pod(&namespace);
        report(&namespace, &pod, &waiting("InvalidImageName", "couldn't parse image name"));
    };
    let child = proxy.command(&namespace, &["deploy"]).spawn();
    wait_for_pod(&namespace, "app.kubernetes.io/component=app");
    let begin = Instant::now();
    proxy.silence(Duration::from_secs(60));
    bind();
    let run = finish(child).exits(9).says("error[HC4101]: the image's name is not valid");
    let after = begin.elapsed();
    assert!(
        after >= Duration::from_secs(60),
        "the verdict came during the silence, after {after:?}: {run:?}"
    );
    assert!(
        after <= Duration::from_secs(60) + OTHER_WORK,
        "the verdict came {after:?} after the silence began"
    );

    // It never ends: the run does.
    let (namespace, proxy) = with_proxy("silence");
    namespace.config(&unschedulable(600));
    let begin = Instant::now();
    let child = proxy.command(&namespace, &["deploy", "--timeout", "15s"]).spawn();
    wait_for_pod(&namespace, "app.kubernetes.io/component=app");
    proxy.silence(Duration::from_secs(600));
    finish(child).exits(10).says("HC4002");
    let after = begin.elapsed();
    assert!(after <= Duration::from_secs(15) + OVERRUN, "ended after {after:?}");
}

/// Kills a component of the test's own cluster.
fn kill_component(own: &OwnCluster, component: &str) {
    let status = own.handsctl(&["cluster", "status", "-o", "json"]).json();
    let mut processes = status["processes"].as_array().unwrap().iter();
    let process = processes.find(|process| process["component"] == component);
    let pid = process.unwrap_or_else(|| panic!("{status}"))["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Creates an administrator by a `ClusterRole`, which the admin certificate does not need; returns its kubeconfig.
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

/// The grace of an unschedulable pod in the test that lets it end during an outage.
const GRACE: Duration = Duration::from_secs(8);

/// A `deploy` whose pod is unschedulable.
struct UnschedulableDeploy<'a> {
    own: &'a OwnCluster,
    child: Child,
    stream: PathBuf,
}

impl<'a> UnschedulableDeploy<'a> {
    fn deploy(own: &'a OwnCluster, bed: &Bed, kubeconfig: &Path, name: &str) -> Self {
        let stream = own.home.join(name);
        let arguments = ["deploy", "--name", name, "--events", stream.to_str().unwrap()];
        let target = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--context", &bed.context];
        let child = in_home(&own.home, &[arguments.as_slice(), &target].concat()).spawn();
        let label = format!("app.kubernetes.io/instance={name}");
        let reasons = "jsonpath={.items[*].status.conditions[*].reason}";
        let pods = ["get", "pods", "-n", "openhands", "-l", &label, "-o", reasons];
        wait_for_output(bed, &pods, |reasons| reasons.contains("Unschedulable"));
        Self { own, child, stream }
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.stream).unwrap();
        // The last line may be incomplete.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn outages(&self) -> usize {
        self.events().iter().filter(|event| event["id"] == "HC1012").count()
    }

    /// Kills the API server and waits until the deploy reports the outage.
    fn kill_api_server(&self) {
        kill_component(self.own, "kube-apiserver");
        let deadline = Instant::now() + REQUEST_LIMIT;
        while self.outages() == 0 {
            assert!(Instant::now() < deadline, "{:?}", self.events());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn finish(self) -> Run {
        finish(self.child)
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

    let deploy = UnschedulableDeploy::deploy(&own, &bed, &kubeconfig, "patient");
    deploy.kill_api_server();
    own.handsctl(&["cluster", "up"]).exits(0);
    bed.kubectl(&["label", "node", "--all", "disk=gold"]);
    let outages = deploy.outages();
    let run = deploy
        .finish()
        .exits(0)
        .says("warning   HC1012 the connection to the API server was lost")
        .says("deployment.apps/patient 1/1");
    assert_eq!(outages, 1, "{}", run.stderr);

    // The grace ends during the outage: handsctl must read the pod again before its verdict.
    own.config(&config(&format!("{}s", GRACE.as_secs())));
    bed.kubectl(&["label", "node", "--all", "disk-"]);
    let mut deploy = UnschedulableDeploy::deploy(&own, &bed, &kubeconfig, "blind");
    deploy.kill_api_server();
    std::thread::sleep(GRACE + Duration::from_secs(1));
    assert!(deploy.child.try_wait().unwrap().is_none(), "{:?}", deploy.events());
    own.handsctl(&["cluster", "up"]).exits(0);
    deploy.finish().exits(9).says("error[HC4301]: the pod fits on no node");
}
