//! Signals at every stage: the command reports its changes, releases the lock and ends, and the next run completes the
//! work.

use std::io::Read as _;
use std::process::Child;
use std::time::{Duration, Instant};

use portable_pty::{PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bed::{Bed, Namespace, Run, finish};
use crate::fault::{HeldRequests, Proxy, Request};

/// Time limit of each wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// Time limit from the signal to the end of the process: far below the default `--timeout`.
const EXIT_LIMIT: Duration = Duration::from_secs(30);
const SIGNALS: [(Signal, i32, &str); 3] = [
    (Signal::INT, 130, "interrupted"),
    (Signal::TERM, 143, "terminated"),
    (Signal::HUP, 129, "the terminal was closed"),
];

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn lease_exists(namespace: &Namespace) -> bool {
    let get = ["get", "lease", "handsctl-oh", "-n", &namespace.name];
    namespace.bed.try_kubectl(&get, "").status.success()
}

/// Signals the command and waits for its end. The run's time counts from the signal.
fn stop(child: Child, with: Signal) -> Run {
    signal(&child, with);
    finish(child)
}

/// A command that a signal stops while the proxy holds one of its requests.
struct StoppableCommand<'a> {
    namespace: &'a Namespace,
    proxy: Proxy,
    command: &'a [&'a str],
}

impl StoppableCommand<'_> {
    fn stop_at(&self, held: &HeldRequests, with: (Signal, i32, &str)) -> Run {
        let (kind, code, word) = with;
        let events = self.namespace.folder.path().join("events");
        let arguments = [self.command, &["--events", "events"]].concat();
        let child = self.proxy.command(self.namespace, &arguments).spawn();
        held.wait_for_request(WAIT_LIMIT);
        let run = stop(child, kind).exits(code).within(EXIT_LIMIT).says(&format!("error[HC9002]: {word}"));
        let run = run.says("hint: running the command again continues from here");
        assert!(!lease_exists(self.namespace), "the lock was not released:\n{}", run.stderr);
        let written = std::fs::read_to_string(events).unwrap();
        let last: Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
        assert_eq!((&last["type"], &last["exit"]), (&"finished".into(), &code.into()));
        run
    }
}

/// Stops a deploy with each signal while the proxy holds this request. `says` are parts of the message.
fn stop_deploy(
    name: &str,
    prepare: impl Fn(&Namespace, &Proxy),
    held: impl Fn(&Proxy) -> HeldRequests,
    says: &[&str],
) {
    for with in SIGNALS {
        let namespace = Bed::shared().namespace(name);
        let proxy = Proxy::for_cluster(namespace.bed);
        prepare(&namespace, &proxy);
        let held = held(&proxy);
        let stage = StoppableCommand { namespace: &namespace, proxy, command: &["deploy"] };
        let mut run = stage.stop_at(&held, with);
        for text in says {
            run = run.says(text);
        }
        held.release();
        stage.proxy.command(&namespace, &["deploy"]).run().exits(0);
        assert!(!lease_exists(&namespace));
    }
}

/// No preparation: the set does not exist.
fn no_preparation(_: &Namespace, _: &Proxy) {}

fn matches(method: &'static str, path: &'static str) -> impl Fn(&Request) -> bool + Send + Sync + Clone {
    move |request: &Request| request.is(method, path)
}

/// Deploys the set, then writes a configuration without its Ingress.
fn remove_ingress(namespace: &Namespace, proxy: &Proxy) {
    proxy.command(namespace, &["deploy"]).run().exits(0);
    namespace.config("[deploy]\nexpose = \"none\"\n");
}

#[test]
fn signal_before_lock_changes_nothing() {
    stop_deploy("int-first", no_preparation, |proxy| proxy.on(matches("GET", "/version")).nth(1).hold(), &[]);
    let watch = |proxy: &Proxy| proxy.on(|request| request.watches("services")).nth(1).hold();
    stop_deploy("int-look", no_preparation, watch, &[]);
}

#[test]
fn signal_during_lock_request_leaves_no_lease() {
    stop_deploy("int-ask", no_preparation, |proxy| proxy.on(matches("POST", "/leases")).nth(1).hold(), &[]);
    stop_deploy(
        "int-asked",
        no_preparation,
        |proxy| proxy.on(matches("POST", "/leases")).nth(1).hold_response(),
        &[],
    );
}

#[test]
fn signal_during_apply_lists_applied_and_missing_members() {
    let held = |proxy: &Proxy| proxy.on(matches("PATCH", "/deployments/oh")).nth(1).hold();
    stop_deploy("int-apply", no_preparation, held, &["done ", " created", "not done", "deployment.apps/oh"]);
}

#[test]
fn signal_during_rollout_reports_everything_applied() {
    for with in SIGNALS {
        let namespace = Bed::shared().namespace("int-roll");
        let unschedulable = [
            "--set",
            "deploy.resources.requests.cpu=\"4000\"",
            "--set",
            "deploy.tolerate.unschedulable=\"10m\"",
        ];
        let events = namespace.folder.path().join("events");
        let arguments = [&["deploy", "--events", "events"][..], &unschedulable].concat();
        let child = namespace.command(&arguments).spawn();
        let begin = Instant::now();
        while !std::fs::read_to_string(&events).unwrap_or_default().contains("0/1") {
            assert!(begin.elapsed() < WAIT_LIMIT, "the rollout does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        stop(child, with.0).exits(with.1).within(EXIT_LIMIT).says("10 created").never_says("not done");
        assert!(!lease_exists(&namespace));
        namespace.handsctl(&["deploy"]).exits(0);
    }
}

#[test]
fn signal_during_prune_lists_undeleted_objects() {
    let held = |proxy: &Proxy| proxy.on(matches("DELETE", "/ingresses/oh")).nth(1).hold();
    let says = ["done ", "not deleted", "ingress.networking.k8s.io/oh"];
    stop_deploy("int-prune", remove_ingress, held, &says);
    let held = |proxy: &Proxy| proxy.on(matches("PATCH", "/configmaps/handsctl-oh")).nth(1).hold();
    stop_deploy("int-exact", remove_ingress, held, &["done "]);
}

#[test]
fn signal_during_rollback_restart_and_teardown_releases_lock() {
    let namespace = Bed::shared().namespace("int-others");
    let deploy = |model: &str| {
        namespace.config(&format!("[llm]\nmodel = \"{model}\"\n"));
        let proxy = Proxy::for_cluster(namespace.bed);
        proxy.command(&namespace, &["deploy"]).run().exits(0);
    };
    deploy("a/one");
    deploy("a/two");
    let commands: [(&[&str], &str, &'static str); 3] = [
        (&["rollback"], "PATCH", "/deployments/oh"),
        (&["restart"], "PATCH", "/deployments/oh"),
        (&["teardown"], "DELETE", "/deployments/oh"),
    ];
    for ((command, method, path), with) in commands.into_iter().zip(SIGNALS) {
        let proxy = Proxy::for_cluster(namespace.bed);
        let held = proxy.on(matches(method, path)).nth(1).hold();
        let stage = StoppableCommand { namespace: &namespace, proxy, command };
        stage.stop_at(&held, with);
        held.release();
        let run = stage.proxy.command(&namespace, command).run().exits(0);
        if command == ["rollback"] {
            // The second rollback continues to the same revision, not to an older one.
            run.says("rolled back to revision 1");
        }
        assert!(!lease_exists(&namespace));
    }
}

#[test]
fn signal_ends_teardown_that_waits_for_finalizer() {
    let namespace = Bed::shared().namespace("int-stuck");
    namespace.handsctl(&["deploy"]).exits(0);
    let patch = |finalizers: &str| {
        let body = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
        let arguments = ["patch", "ingress", "oh", "-n", &namespace.name, "--type=merge", "-p", &body];
        namespace.bed.kubectl(&arguments);
    };
    patch("[\"example.io/hold\"]");
    let child = namespace.command(&["teardown"]).spawn();
    let deleted =
        ["get", "ingress", "oh", "-n", &namespace.name, "-o", "jsonpath={.metadata.deletionTimestamp}"];
    super::refusals::wait_for_output(namespace.bed, &deleted, |text| !text.is_empty());
    stop(child, Signal::INT).exits(130).within(EXIT_LIMIT);
    assert!(!lease_exists(&namespace));
    patch("[]");
    namespace.handsctl(&["teardown"]).exits(0);
}

#[test]
fn hanging_lock_release_is_abandoned_after_3s() {
    let namespace = Bed::shared().namespace("int-silent");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(matches("PATCH", "/deployments/oh")).nth(1).hold();
    let release = proxy.on(matches("DELETE", "/leases/handsctl-oh")).nth(1).hold();
    let child = proxy.command(&namespace, &["deploy"]).spawn();
    held.wait_for_request(WAIT_LIMIT);
    signal(&child, Signal::INT);
    release.wait_for_request(WAIT_LIMIT);
    // A second signal would end it at once, and also leave the lock.
    finish(child)
        .exits(130)
        .within(EXIT_LIMIT)
        .says("the lock was not released (no response within 3 s); it expires by itself");
    held.release();
    // The process has exited, so the next run on this computer acquires its lock.
    proxy.command(&namespace, &["deploy"]).run().exits(0);
}

#[test]
fn closed_terminal_ends_deploy_and_releases_lock() {
    let namespace = Bed::shared().namespace("int-closed");
    let unschedulable =
        ["--set", "deploy.resources.requests.cpu=\"4000\"", "--set", "deploy.tolerate.unschedulable=\"10m\""];
    let arguments = [&["deploy", "--events", "events"][..], &unschedulable].concat();
    let command = namespace.command(&arguments).into_terminal_command();
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut screen = pair.master.try_clone_reader().unwrap();
    let mut shown = String::new();
    let mut buffer = [0; 4096];
    while !shown.contains("0/1") {
        let read = screen.read(&mut buffer).unwrap();
        assert!(read > 0, "the deploy ended: {shown}");
        shown += &String::from_utf8_lossy(&buffer[..read]);
    }
    drop(screen);
    drop(pair.master);
    let status = child.wait().unwrap();
    assert_eq!(status.exit_code(), 129, "{status:?}");
    assert!(!lease_exists(&namespace));
    let events = std::fs::read_to_string(namespace.folder.path().join("events")).unwrap();
    assert!(events.lines().last().unwrap().contains("\"finished\""), "{events}");
    namespace.handsctl(&["deploy"]).exits(0);
}
