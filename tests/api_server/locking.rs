//! The set's lock on a real API server: concurrent runs, exited holders, expiry and loss. Tests with a paused clock in
//! `src/cluster/apply/lock.rs` check the times of the renewal.

use std::time::{Duration, Instant};

use handsctl::cluster::apply::lock::{self, Lock, LockRequest};
use handsctl::cluster::client::api::Api;
use handsctl::cluster::client::connect::connect_to_local_cluster;
use handsctl::error::{Kind, Result};
use handsctl::event::Events;
use handsctl::plan::inventory::apply_set::ApplySet;
use handsctl::plan::inventory::lease::{Holder, LeaseDuration};
use handsctl::provider::Process;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::revisions::{good, outcomes};
use crate::bed::{Bed, Namespace, Run, finish};
use crate::fault::{HeldRequests, Proxy, Request};

/// Time limit of each wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// The identity of a holder on another computer.
const REMOTE_HOLDER: &str = "bob@elsewhere/boot.1/42/1";

/// The variable that gives a process other machine and boot ids, as on another computer of the same host name.
const COMPUTER: &str = "HANDSCTL_TEST_COMPUTER";

/// A process on a computer of the same host name as every other one: the lock's view of it, without a run of the binary.
#[derive(Clone)]
struct Twin(Process);

impl Twin {
    /// A process on this computer that runs no more. Nothing but the computer's ids distinguishes it from its twins.
    fn new(computer: &str) -> Self {
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let pid = ended.id();
        ended.wait().unwrap();
        Self(Process { computer: computer.to_owned(), pid, ..Process::current() })
    }

    fn holder(&self) -> Holder {
        let Process { user, host, computer, pid, start, nonce } = self.0.clone();
        Holder { user, host, nonce: format!("{nonce}-{computer}"), computer, pid, start }
    }

    /// Tries once to acquire the set's lock.
    async fn acquire(&self, api: &Api, set: &ApplySet) -> Result<Lock> {
        let has_exited = |other: &Holder| {
            let Holder { user, host, computer, pid, start, nonce } = other.clone();
            self.0.sees_exit_of(&Process { user, host, computer, pid, start, nonce })
        };
        let lease_duration = LeaseDuration::default();
        let request = LockRequest { holder: self.holder(), has_exited: &has_exited, lease_duration };
        lock::acquire(api, set, &request, &Events::channel().0).await
    }
}

/// The set's Lease, if it exists.
fn lease(namespace: &Namespace) -> Option<Value> {
    let output =
        namespace.bed.try_kubectl(&["get", "lease", "handsctl-oh", "-n", &namespace.name, "-o", "json"], "");
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Creates the Lease of a holder on another computer that has just renewed it.
fn create_remote_lease(namespace: &Namespace) {
    let renewed = jiff::Timestamp::now();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "handsctl-oh" },
        "spec": {
            "holderIdentity": REMOTE_HOLDER, "leaseDurationSeconds": 60,
            "acquireTime": format!("{renewed:.6}"), "renewTime": format!("{renewed:.6}"),
        },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &lease.to_string());
}

/// Gives the Lease to a holder on another computer, where no process can be checked.
fn give_to_remote_holder(namespace: &Namespace) {
    let patch = json!({ "spec": { "holderIdentity": REMOTE_HOLDER } }).to_string();
    let arguments = ["patch", "lease", "handsctl-oh", "-n", &namespace.name, "--type=merge", "-p", &patch];
    namespace.bed.kubectl(&arguments);
}

/// Starts a deploy, kills it before its Deployment is sent, and returns its process id. Its lock stays.
fn kill_deploy_with_lock(namespace: &Namespace, lease_seconds: &str) -> u32 {
    kill_deploy_on("", namespace, lease_seconds)
}

/// Kills a deploy on the computer with this test identity, see [`COMPUTER`]; empty: on this computer.
fn kill_deploy_on(computer: &str, namespace: &Namespace, lease_seconds: &str) -> u32 {
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let deploy = proxy.command(namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", lease_seconds);
    let mut child = deploy.env(COMPUTER, computer).spawn();
    held.wait_for_request(WAIT_LIMIT);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lease(namespace).is_some(), "the killed process cannot release its lock");
    child.id()
}

/// Writes a configuration that the next deploy has to apply.
fn change_model(namespace: &Namespace) {
    namespace.config("[llm]\nmodel = \"openai/gpt-5\"\n");
}

#[test]
fn second_concurrent_deploy_exits_13_and_names_holder() {
    let namespace = Bed::shared().namespace("two");
    namespace.handsctl(&["deploy"]).exits(0);
    change_model(&namespace);
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let first = proxy.command(&namespace, &["deploy"]).env("USER", "ana").spawn();
    held.wait_for_request(WAIT_LIMIT);
    namespace
        .handsctl(&["deploy"])
        .exits(13)
        .says("error[HC3004]: another run is changing the installation `oh`")
        .says(&format!("holder    ana@{}, process {}, for ", host(), first.id()))
        .says("expires   ")
        .says("nothing was changed");
    held.release();
    finish(first).exits(0).says("1 created, 1 configured");
    assert_eq!(lease(&namespace), None, "the lock was not released");
}

#[test]
fn of_two_racing_deploys_exactly_one_changes() {
    let namespace = Bed::shared().namespace("race");
    namespace.handsctl(&["deploy"]).exits(0);
    change_model(&namespace);
    let children = [0, 1].map(|_| namespace.command(&["deploy"]).spawn());
    let runs = children.map(finish);
    let codes = runs.each_ref().map(|run| run.code.unwrap());
    let texts = || runs.each_ref().map(|run| run.stderr.clone()).join("\n---\n");
    assert!(codes.contains(&0), "{codes:?}\n{}", texts());
    assert!(codes.iter().all(|code| [0, 13].contains(code)), "{codes:?}\n{}", texts());
    let changing = runs.iter().filter(|run| run.code == Some(0) && run.stderr.contains(" created"));
    assert_eq!(changing.count(), 1, "exactly one run applies the change:\n{}", texts());
    assert_eq!(lease(&namespace), None);
}

#[test]
fn lock_of_killed_local_holder_is_taken_at_once() {
    let namespace = Bed::shared().namespace("killed");
    // Longer than the test: only the exited process ends this lock.
    let killed = kill_deploy_with_lock(&namespace, "3600");
    let status = namespace.handsctl(&["status"]);
    assert!(!status.stdout.contains("another run changes the installation"), "{status:?}");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says(&format!("process {killed}, which has exited"))
        .says("lock      taken over from ");
    assert_eq!(lease(&namespace), None);
}

#[tokio::test]
async fn two_computers_of_one_name_never_hold_the_lock_at_once() {
    let namespace = Bed::shared().namespace("twins");
    namespace.create(&[]);
    let set = ApplySet { name: "oh".into(), namespace: namespace.name.clone(), ..ApplySet::default() };
    let connect = || connect_to_local_cluster(&namespace.bed.kubeconfig, &namespace.bed.context);
    let apis = [connect().await.unwrap().api, connect().await.unwrap().api];
    // Every computer's first PID namespace has the same number. Machine ids are equal after a copy of a disk.
    let pairs = [
        ["machine1.boot1.4026531836", "machine2.boot2.4026531836"],
        ["machine1.boot1.4026531836", "machine1.boot2.4026531836"],
        ["", "machine1.boot1.4026531836"],
        ["boot1.4026531836", "boot2.4026531836"],
    ];
    for round in 0..20 {
        let [one, two] = pairs[round % pairs.len()].map(Twin::new);
        let (first, second) =
            tokio::join!(one.acquire(&apis[0], &set), async { two.acquire(&apis[1], &set).await });
        let (held, loser, api, rejected) = match (first, second) {
            (Ok(held), Err(rejected)) => (held, two, &apis[1], rejected),
            (Err(rejected), Ok(held)) => (held, one, &apis[0], rejected),
            (Ok(_), Ok(_)) => panic!("round {round}: both hold the lock"),
            (Err(one), Err(two)) => panic!("round {round}: {one:?} {two:?}"),
        };
        assert_eq!(rejected.kind(), Kind::Locked, "round {round}: {rejected:?}");
        let again = loser.acquire(api, &set).await.err().map(|error| error.kind());
        assert_eq!(again, Some(Kind::Locked), "round {round}: taken from the living");
        held.release().await.unwrap();
        loser.acquire(api, &set).await.unwrap().release().await.unwrap();
    }
}

#[test]
fn two_processes_on_two_computers_race_for_a_free_lock() {
    let namespace = Bed::shared().namespace("two-computers");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    for round in 0..20 {
        let change = format!("deploy.env={{ ROUND = \"{round}\" }}");
        let proxies = [0, 1].map(|_| Proxy::for_cluster(namespace.bed));
        let requests =
            proxies.each_ref().map(|proxy| proxy.on(|request| request.is("POST", "/leases")).hold());
        // The winner holds the lock until the loser has ended.
        let works =
            proxies.each_ref().map(|proxy| proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold());
        let arguments = ["deploy", "--no-wait", "--set", &change];
        let start =
            |proxy: &Proxy, computer| proxy.command(&namespace, &arguments).env(COMPUTER, computer).spawn();
        let mut runs = [Some(start(&proxies[0], "one")), Some(start(&proxies[1], "two"))];
        for request in &requests {
            request.wait_for_request(WAIT_LIMIT);
        }
        assert_eq!(lease(&namespace), None, "round {round}: the lock is free");
        for request in requests {
            request.release();
        }
        let begin = Instant::now();
        let loser = loop {
            let ended = |run: &mut Option<_>| {
                run.as_mut().is_some_and(|run: &mut std::process::Child| run.try_wait().unwrap().is_some())
            };
            if let Some(loser) = runs.iter_mut().position(ended) {
                break loser;
            }
            assert!(begin.elapsed() < WAIT_LIMIT, "round {round}: both hold the lock");
            std::thread::sleep(Duration::from_millis(20));
        };
        finish(runs[loser].take().unwrap()).exits(13).says("another run is changing the installation");
        let winner = runs[1 - loser].take().unwrap();
        let identity = lease(&namespace).unwrap()["spec"]["holderIdentity"].clone();
        assert!(
            identity.as_str().unwrap().contains(&format!("/{}/", winner.id())),
            "round {round}: {identity}"
        );
        assert!(!works[loser].has_request(), "round {round}: the loser has written");
        for work in works {
            work.release();
        }
        finish(winner).exits(0);
        assert_eq!(lease(&namespace), None, "round {round}");
    }
}

#[test]
fn process_of_another_computer_waits_for_the_lock() {
    let namespace = Bed::shared().namespace("namesake");
    namespace.handsctl(&["deploy"]).exits(0);
    change_model(&namespace);
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let first = proxy.command(&namespace, &["deploy"]).env(COMPUTER, "one").spawn();
    held.wait_for_request(WAIT_LIMIT);
    for _round in 0..5 {
        let runs = [0; 4].map(|_| namespace.command(&["deploy"]).env(COMPUTER, "two").spawn());
        for run in runs.map(finish) {
            run.exits(13).says(&format!("@{}, process {}, for ", host(), first.id()));
        }
    }
    held.release();
    finish(first).exits(0).says("1 created, 1 configured");
}

#[test]
fn lock_of_a_process_killed_on_another_computer_is_kept() {
    let namespace = Bed::shared().namespace("elsewhere-killed");
    let killed = kill_deploy_on("one", &namespace, "3600");
    let holder = format!("@{}, process {killed}", host());
    namespace.command(&["deploy"]).env(COMPUTER, "two").run().exits(13).says(&holder);
    namespace.handsctl(&["deploy"]).exits(13).says(&holder);
    namespace.command(&["deploy"]).env(COMPUTER, "one").run().exits(0).says("which has exited");
}

#[test]
fn lock_of_remote_holder_is_taken_after_expiry() {
    const LEASE_SECONDS: i64 = 20;
    let namespace = Bed::shared().namespace("elsewhere");
    kill_deploy_with_lock(&namespace, &LEASE_SECONDS.to_string());
    give_to_remote_holder(&namespace);
    let spec = lease(&namespace).unwrap()["spec"].clone();
    assert_eq!(spec["leaseDurationSeconds"], LEASE_SECONDS);
    let renewed: jiff::Timestamp = spec["renewTime"].as_str().unwrap().parse().unwrap();
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
        assert!(begin.elapsed() < WAIT_LIMIT, "the lock does not expire");
    }
    // The server's clock, which handsctl uses, has no fractions of a second.
    let age = jiff::Timestamp::now().duration_since(renewed).as_secs();
    assert!(age >= LEASE_SECONDS - 1, "the lock was taken after {age} s");
}

#[test]
fn lock_is_renewed_during_the_run() {
    let namespace = Bed::shared().namespace("renewed");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let renewal = proxy.on(|request| request.is("PUT", "/leases/handsctl-oh")).nth(2).hold_response();
    let first = proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "12").spawn();
    held.wait_for_request(WAIT_LIMIT);
    renewal.wait_for_request(WAIT_LIMIT);
    renewal.release();
    namespace.handsctl(&["deploy"]).exits(13);
    held.release();
    finish(first).exits(0);
}

#[test]
fn holder_that_loses_its_lock_sends_nothing_more() {
    let namespace = Bed::shared().namespace("lost");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/configmaps/handsctl-oh")).hold_response();
    let first = proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "15").spawn();
    held.wait_for_request(WAIT_LIMIT);
    give_to_remote_holder(&namespace);
    finish(first)
        .exits(13)
        .says(
            "error[HC3005]: lost the lock lease.coordination.k8s.io/handsctl-oh; no further changes are sent",
        )
        .says("bob@elsewhere, process 42 holds it now");
    held.release();
    let members = proxy.requests_that(|request| {
        request.method == "PATCH"
            && !request.is_dry_run()
            && !request.path.contains("/configmaps/handsctl-oh")
    });
    assert!(members.is_empty(), "{members:?}");
    assert_eq!(lease(&namespace).unwrap()["spec"]["holderIdentity"], REMOTE_HOLDER);
}

#[test]
fn stopped_process_sends_nothing_under_an_expired_lock() {
    let namespace = Bed::shared().namespace("stopped");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/configmaps/handsctl-oh")).hold_response();
    let first = proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "6").spawn();
    held.wait_for_request(WAIT_LIMIT);
    let signal = |name: &str| {
        let kill = std::process::Command::new("kill").args([name, &first.id().to_string()]).status();
        assert!(kill.unwrap().success());
    };
    signal("-STOP");
    let begin = Instant::now();
    while namespace.handsctl(&["deploy"]).code != Some(0) {
        assert!(begin.elapsed() < WAIT_LIMIT, "the lock does not expire");
    }
    held.release();
    signal("-CONT");
    finish(first).exits(13).says("error[HC3005]: lost the lock");
    let members = proxy.requests_that(|request| {
        request.method == "PATCH"
            && !request.is_dry_run()
            && !request.path.contains("/configmaps/handsctl-oh")
    });
    assert!(members.is_empty(), "{members:?}");
}

#[test]
fn outage_longer_than_the_lock_only_delays_the_run() {
    let namespace = Bed::shared().namespace("mute");
    let proxy = Proxy::for_cluster(namespace.bed);
    let is_patch = |request: &Request| request.is("PATCH", "/deployments/oh");
    let held = proxy.on(is_patch).nth(1).hold();
    let renewals = proxy.on(|request| request.is("PUT", "/leases/handsctl-oh")).hold();
    let first = proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "9").spawn();
    held.wait_for_request(WAIT_LIMIT);
    renewals.wait_for_request(WAIT_LIMIT);
    // Longer than the lock is valid. Nobody acquires it.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(proxy.requests_that(is_patch).len(), 1, "a write was sent without the lock");
    renewals.release();
    finish(first)
        .exits(0)
        .says("HC3021 the lock was not renewed for 6 s: no changes are sent")
        .says("10 created");
    assert_eq!(proxy.requests_that(is_patch).len(), 2);
    assert_eq!(lease(&namespace), None, "the lock was not released");
    held.release();
}

#[test]
fn lock_taken_during_an_outage_exits_13() {
    let namespace = Bed::shared().namespace("taken");
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).nth(1).hold();
    let renewals = proxy.on(|request| request.is("PUT", "/leases/handsctl-oh")).hold();
    let first = proxy.command(&namespace, &["deploy"]).env("HANDSCTL_TEST_LEASE", "9").spawn();
    held.wait_for_request(WAIT_LIMIT);
    renewals.wait_for_request(WAIT_LIMIT);
    std::thread::sleep(Duration::from_secs(8));
    give_to_remote_holder(&namespace);
    renewals.release();
    finish(first).exits(13).says("error[HC3005]").says("bob@elsewhere, process 42 holds it now");
    held.release();
}

#[test]
fn unchanged_deploy_requests_no_lock() {
    let namespace = Bed::shared().namespace("unlocked");
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let earlier = proxy.requests().len();
    create_remote_lease(&namespace);
    proxy.command(&namespace, &["deploy"]).run().exits(0).says("10 unchanged");
    let requests = proxy.requests().split_off(earlier);
    let unexpected =
        requests.iter().filter(|request| request.path.contains("/leases") || request.method != "GET");
    assert_eq!(unexpected.map(|request| &request.path).collect::<Vec<_>>(), [""; 0]);
    // Commands that write request the lock.
    for command in ["teardown", "restart"] {
        namespace.handsctl(&[command]).exits(13).says("bob@elsewhere");
    }
    change_model(&namespace);
    namespace.handsctl(&["deploy"]).exits(13).says("bob@elsewhere");
    namespace.handsctl(&["deploy", "--dry-run=server"]).exits(0);
}

#[test]
fn members_are_listed_again_only_after_another_run() {
    let namespace = Bed::shared().namespace("listed");
    let lists = |proxy: &Proxy| {
        let requests = proxy.requests();
        requests.iter().filter(|request| request.is("GET", "/services")).count()
    };
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    assert_eq!(lists(&proxy), 1, "nothing changed before the lock was acquired");

    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("POST", "/leases")).hold();
    change_model(&namespace);
    let waiting = proxy.command(&namespace, &["deploy"]).spawn();
    held.wait_for_request(WAIT_LIMIT);
    namespace.handsctl(&["deploy", "--set", "deploy.env={ A = \"1\" }"]).exits(0);
    held.release();
    finish(waiting).exits(0);
    assert_eq!(lists(&proxy), 2, "another run has recorded a revision");
}

#[test]
fn foreign_lease_exits_7_and_is_kept() {
    let namespace = Bed::shared().namespace("foreignlease");
    namespace.create(&[]);
    let foreign = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "handsctl-oh" },
        "spec": { "holderIdentity": "theirs" },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &foreign.to_string());
    let before = lease(&namespace);
    namespace.handsctl(&["deploy"]).exits(7).says("is not a handsctl lock");
    assert_eq!(lease(&namespace), before);
}

/// Starts a deploy that changes the model and is held before it sends its Deployment.
fn start_held_deploy(namespace: &Namespace, proxy: &Proxy) -> (std::process::Child, HeldRequests) {
    change_model(namespace);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).hold();
    let first = proxy.command(namespace, &["deploy"]).env("USER", "ana").spawn();
    held.wait_for_request(WAIT_LIMIT);
    (first, held)
}

/// Runs a command that waits for the lock of a held deploy, which ends while the command waits.
fn run_after_held_deploy(namespace: &Namespace, arguments: &[&str]) -> Run {
    let proxies = [0, 1].map(|_| Proxy::for_cluster(namespace.bed));
    let (first, held) = start_held_deploy(namespace, &proxies[0]);
    let second_read = proxies[1].on(|request| request.is("GET", "/leases/handsctl-oh")).nth(2).hold();
    let second = proxies[1].command(namespace, &[arguments, &["--lock-wait", "2m"]].concat()).spawn();
    second_read.wait_for_request(WAIT_LIMIT);
    let holder = format!("held by ana@{}, process {}, since ", host(), first.id());
    held.release();
    finish(first).exits(0).says("1 created, 1 configured");
    second_read.release();
    let run = finish(second).exits(0).says(&holder).says("; waiting up to 2 m").says("lock      free after ");
    assert_eq!(lease(namespace), None);
    run
}

#[test]
fn deploy_with_lock_wait_continues_after_the_other_run() {
    let namespace = Bed::shared().namespace("waits");
    namespace.handsctl(&["deploy"]).exits(0);
    let host = ["deploy", "--set", "deploy.host=\"waited.example\""];
    run_after_held_deploy(&namespace, &host).says("revision 3");
    assert_eq!(outcomes(&namespace), good(&[3, 2, 1]));
}

#[test]
fn teardown_with_lock_wait_deletes_what_the_other_run_created() {
    let namespace = Bed::shared().namespace("waits-teardown");
    namespace.handsctl(&["deploy"]).exits(0);
    run_after_held_deploy(&namespace, &["teardown"]);
    let names =
        namespace.bed.kubectl(&["get", "configmaps,deployments", "-n", &namespace.name, "-o", "name"]);
    assert_eq!(names.lines().filter(|name| name.contains("/oh")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn restart_with_lock_wait_continues_after_the_other_run() {
    let namespace = Bed::shared().namespace("waits-restart");
    namespace.handsctl(&["deploy"]).exits(0);
    run_after_held_deploy(&namespace, &["restart"]).says("1 restarted");
}

#[test]
fn lock_wait_in_vain_exits_13_and_names_holder() {
    let namespace = Bed::shared().namespace("waits-in-vain");
    namespace.create(&[]);
    create_remote_lease(&namespace);
    namespace
        .handsctl(&["deploy", "--lock-wait", "3s"])
        .exits(13)
        .says("held by bob@elsewhere, process 42, since ")
        .says("error[HC3004]: another run is changing the ")
        .says("holder    bob@elsewhere, process 42, for ")
        .says("waited    3 s");
    assert_eq!(lease(&namespace).unwrap()["spec"]["holderIdentity"], REMOTE_HOLDER);
}

#[test]
fn lock_wait_ends_at_the_deadline_with_exit_10() {
    let namespace = Bed::shared().namespace("waits-late");
    namespace.create(&[]);
    create_remote_lease(&namespace);
    namespace
        .handsctl(&["teardown", "--lock-wait", "10m", "--timeout", "3s"])
        .exits(10)
        .says("timed out after 3 s: another run holds the lock")
        .says("holder    bob@elsewhere, process 42, for ");
    assert_eq!(lease(&namespace).unwrap()["spec"]["holderIdentity"], REMOTE_HOLDER);
}

#[test]
fn signal_ends_the_wait_for_the_lock() {
    let namespace = Bed::shared().namespace("waits-stopped");
    namespace.create(&[]);
    create_remote_lease(&namespace);
    let proxy = Proxy::for_cluster(namespace.bed);
    let read = proxy.on(|request| request.is("GET", "/leases/handsctl-oh")).nth(2).hold_response();
    let child = proxy.command(&namespace, &["deploy", "--lock-wait", "10m"]).spawn();
    read.wait_for_request(WAIT_LIMIT);
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    finish(child).exits(143);
    read.release();
    assert_eq!(lease(&namespace).unwrap()["spec"]["holderIdentity"], REMOTE_HOLDER);
}

/// The name of this computer, as handsctl reports it.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(
        |_| {
            let output = std::process::Command::new("hostname").output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        },
        |name| name.trim().to_owned(),
    )
}
