//! The set's lock: two runs at once, holders that are gone, a lock that is lost.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, CommandLine, Namespace, Run, run_from_output};
use crate::fault::{ErrorResponse, Fault, Proxy};

/// Longer than anything takes that is waited for here.
const LONG: Duration = Duration::from_secs(60);

fn lease(namespace: &Namespace) -> Option<Value> {
    let output =
        namespace.bed.try_kubectl(&["get", "lease", "handsctl-oh", "-n", &namespace.name, "-o", "json"], "");
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// A Lease of somebody's, as it would be `age` seconds after its last renewal.
fn plant(namespace: &Namespace, identity: &str, age: i64, duration: u32) {
    let renewed = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(age);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "handsctl-oh" },
        "spec": {
            "holderIdentity": identity, "leaseDurationSeconds": duration,
            "acquireTime": format!("{renewed:.6}"), "renewTime": format!("{renewed:.6}"),
        },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &lease.to_string());
}

fn wait(child: Child, begin: Instant) -> Run {
    run_from_output(&child.wait_with_output().unwrap(), begin.elapsed())
}

/// Starts it with its own process, as a pipeline would.
fn start(command: CommandLine) -> Child {
    let mut command = command.into_command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn model(namespace: &Namespace, number: usize) {
    namespace.config(&format!("[llm]\nmodel = \"openai/gpt-{number}\"\n"));
}

#[test]
fn second_concurrent_deploy_exits_13_and_names_holder() {
    let namespace = Bed::shared().namespace("two");
    namespace.handsctl(&["deploy"]).exits(0);
    for round in 0..20 {
        model(&namespace, round);
        let proxy = Proxy::for_cluster(namespace.bed);
        let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
        let begin = Instant::now();
        let first = start(proxy.command(&namespace, &["deploy"]).env("USER", "ana"));
        held.wait_for_request(LONG);
        let host = host();
        namespace
            .handsctl(&["deploy"])
            .exits(13)
            .says("error[HC3004]: another run is changing the set `oh`")
            .says(&format!("holder    ana@{host}, process {}, for ", first.id()))
            .says("expires   ")
            .says("nothing was changed");
        held.release();
        wait(first, begin).exits(0).says("1 created, 1 configured");
        assert_eq!(lease(&namespace), None, "it was given back");
    }
}

#[test]
fn of_two_racing_deploys_exactly_one_changes() {
    let namespace = Bed::shared().namespace("race");
    for round in 0..20 {
        model(&namespace, round);
        let begin = Instant::now();
        let children = [0, 1].map(|_| start(namespace.command(&["deploy"])));
        let runs = children.map(|child| wait(child, begin));
        let codes = runs.each_ref().map(|run| run.code.unwrap());
        let texts = || runs.each_ref().map(|run| run.stderr.clone()).join("\n---\n");
        assert!(codes.contains(&0), "round {round}: {codes:?}\n{}", texts());
        assert!(codes.iter().all(|code| [0, 13].contains(code)), "round {round}: {codes:?}\n{}", texts());
        let changed = runs.iter().filter(|run| run.code == Some(0) && run.stderr.contains(" created"));
        assert_eq!(changed.count(), 1, "round {round}: one changes, the other finds it done:\n{}", texts());
    }
    assert_eq!(lease(&namespace), None);
}

#[test]
fn lock_of_killed_local_holder_is_taken_at_once() {
    let namespace = Bed::shared().namespace("killed");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let mut first = start(proxy.command(&namespace, &["deploy"]));
    held.wait_for_request(LONG);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(lease(&namespace).is_some(), "nobody gave it back");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says(&format!("process {}, which has exited", first.id()))
        .says("lock      taken over from ");
    assert_eq!(lease(&namespace), None);
}

#[test]
fn lock_of_remote_holder_is_taken_after_expiry() {
    let namespace = Bed::shared().namespace("elsewhere");
    namespace.create(&[]);
    // The real duration of a lock, renewed for the last time 45 seconds ago: fifteen seconds are left.
    plant(&namespace, "bob@elsewhere/boot.1/42/1", 45, 60);
    namespace
        .handsctl(&["deploy"])
        .exits(13)
        .says("holder    bob@elsewhere, process 42, for ")
        .says(" UTC unless it is renewed (in ");
    let begin = Instant::now();
    loop {
        let run = namespace.handsctl(&["deploy"]);
        if run.code == Some(0) {
            run.says("taken over from bob@elsewhere, process 42, which did not renew it in time");
            break;
        }
        run.exits(13);
        assert!(begin.elapsed() < LONG, "it never expires");
    }
    assert!(begin.elapsed() > Duration::from_secs(2), "it was taken too early");
}

#[test]
fn a_lock_is_believed_for_sixty_seconds() {
    let namespace = Bed::shared().namespace("sixty");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let mut first = start(proxy.command(&namespace, &["deploy"]));
    held.wait_for_request(LONG);
    first.kill().unwrap();
    first.wait().unwrap();
    // As if it had run on another computer.
    let patch = json!({ "spec": { "holderIdentity": "bob@elsewhere/boot.1/42/1" } }).to_string();
    namespace.bed.kubectl(&[
        "patch",
        "lease",
        "handsctl-oh",
        "-n",
        &namespace.name,
        "--type=merge",
        "-p",
        &patch,
    ]);
    let found = lease(&namespace).unwrap();
    assert_eq!(found["spec"]["leaseDurationSeconds"], 60);
    let renewed: jiff::Timestamp = found["spec"]["renewTime"].as_str().unwrap().parse().unwrap();
    let age = || jiff::Timestamp::now().duration_since(renewed).as_secs();
    // The server's clock, and the lock's times on it, are whole seconds.
    while age() < 50 {
        namespace.handsctl(&["deploy"]).exits(13);
        std::thread::sleep(Duration::from_secs(6));
    }
    while namespace.handsctl(&["deploy"]).code != Some(0) {
        assert!(age() < 120, "it never expires");
    }
    assert!(age() >= 59, "it was taken after {} s", age());
}

#[test]
fn lock_is_renewed_during_the_run() {
    let namespace = Bed::shared().namespace("renewed");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let begin = Instant::now();
    let first = start(proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "12"));
    held.wait_for_request(LONG);
    let renewals = || proxy.requests_that(|request| request.is("PUT", "/leases/handsctl-oh")).len();
    while renewals() < 2 {
        assert!(begin.elapsed() < LONG, "it is not renewed");
        std::thread::sleep(Duration::from_millis(100));
    }
    namespace.handsctl(&["deploy"]).exits(13);
    held.release();
    wait(first, begin).exits(0);
}

#[test]
fn holder_that_loses_its_lock_sends_nothing_more() {
    let namespace = Bed::shared().namespace("lost");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/configmaps/handsctl-oh")).hold_response();
    let begin = Instant::now();
    let first = start(proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "15"));
    held.wait_for_request(LONG);
    let patch = json!({ "spec": { "holderIdentity": "bob@elsewhere/boot.1/42/1" } }).to_string();
    namespace.bed.kubectl(&[
        "patch",
        "lease",
        "handsctl-oh",
        "-n",
        &namespace.name,
        "--type=merge",
        "-p",
        &patch,
    ]);
    wait(first, begin)
        .exits(13)
        .says(
            "error[HC3005]: lost the lock lease.coordination.k8s.io/handsctl-oh; no further changes are sent",
        )
        .says("bob@elsewhere, process 42 holds it now");
    held.release();
    let members = proxy.requests_that(|request| {
        request.method == "PATCH" && !request.path.contains("/configmaps/handsctl-oh")
    });
    assert!(members.is_empty(), "{members:?}");
    assert_eq!(lease(&namespace).unwrap()["spec"]["holderIdentity"], "bob@elsewhere/boot.1/42/1");
}

#[test]
fn holder_that_cannot_renew_exits_13_before_expiry() {
    let namespace = Bed::shared().namespace("mute");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    proxy
        .on(|request| request.is("PUT", "/leases/handsctl-oh"))
        .inject(Fault::Respond(ErrorResponse::Unavailable));
    let begin = Instant::now();
    let first = start(proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "9"));
    held.wait_for_request(LONG);
    let run = wait(first, begin).exits(13).says("error[HC3005]").says("it could not be renewed for ");
    assert!(run.took > Duration::from_secs(5), "{:?}", run.took);
    held.release();
}

#[test]
fn unchanged_deploy_requests_no_lock() {
    let namespace = Bed::shared().namespace("unlocked");
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let before = proxy.requests().len();
    plant(&namespace, "bob@elsewhere/boot.1/42/1", 0, 60);
    proxy.command(&namespace, &["deploy"]).run().exits(0).says("9 unchanged");
    let asked = proxy.requests().split_off(before);
    let wrong = asked.iter().filter(|request| request.path.contains("/leases") || request.method != "GET");
    assert_eq!(wrong.map(|request| &request.path).collect::<Vec<_>>(), [""; 0]);
    // Whatever writes does ask.
    for command in ["teardown", "restart"] {
        namespace.handsctl(&[command]).exits(13).says("bob@elsewhere");
    }
    model(&namespace, 1);
    namespace.handsctl(&["deploy"]).exits(13).says("bob@elsewhere");
    namespace.handsctl(&["deploy", "--dry-run=server"]).exits(0);
}

#[test]
fn foreign_lease_exits_7_and_is_kept() {
    let namespace = Bed::shared().namespace("foreignlease");
    namespace.create(&[]);
    let theirs = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "handsctl-oh" },
        "spec": { "holderIdentity": "theirs" },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &theirs.to_string());
    let before = lease(&namespace);
    namespace.handsctl(&["deploy"]).exits(7).says("is not a handsctl lock");
    assert_eq!(lease(&namespace), before);
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(
        |_| {
            let output = std::process::Command::new("hostname").output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        },
        |name| name.trim().to_owned(),
    )
}
