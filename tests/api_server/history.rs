//! What a revision's result means: it is never taken back, decided by the live set, and the base of each rollback.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::refusals::wait_for_output;
use super::revisions::{good, history, outcomes};
use crate::bed::{Bed, Namespace, Run, finish};
use crate::fault::{ErrorResponse, Fault, Proxy};

const WAIT_LIMIT: Duration = Duration::from_secs(60);
const BROKEN: &str = "deploy.image=\"example.com/simulate-image-pull-backoff:0.59\"";

/// Sets the memory limit of sandboxes, a change that always works.
fn memory(size: &str) -> String {
    format!("kubernetes.resource_memory_limit=\"{size}\"")
}

fn deploy(namespace: &Namespace, settings: &[&str], flags: &[&str]) -> Run {
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    namespace.handsctl(&[&["deploy"], &settings[..], flags].concat())
}

fn results(entries: &[(u64, &str)]) -> Vec<(u64, String)> {
    entries.iter().map(|(number, result)| (*number, (*result).to_owned())).collect()
}

fn wait_until_available(namespace: &Namespace) {
    namespace.bed.kubectl(&["rollout", "status", "deployment/oh", "-n", &namespace.name, "--timeout=60s"]);
}

fn kubectl(namespace: &Namespace, arguments: &[&str]) {
    namespace.bed.kubectl(&[arguments, &["-n", &namespace.name]].concat());
}

/// Deletes the pod and waits until the ReplicaSet could not create another one.
fn delete_pod_and_wait_for_rejection(namespace: &Namespace) {
    kubectl(namespace, &["delete", "pod", "-l", "app.kubernetes.io/instance=oh", "--wait=false"]);
    let conditions =
        ["get", "replicasets", "-n", &namespace.name, "-o", "jsonpath={.items[*].status.conditions}"];
    wait_for_output(namespace.bed, &conditions, |text| text.contains("FailedCreate"));
    // A rejection counts as older than the run only after its second has passed.
    std::thread::sleep(Duration::from_secs(2));
}

fn memory_limit(namespace: &Namespace) -> String {
    let template = namespace.bed.get(&["deployment", "oh", "-n", &namespace.name]);
    let volumes = template["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
    let config = volumes.iter().find(|volume| volume["name"] == "config").unwrap();
    let name = config["configMap"]["name"].as_str().unwrap();
    let map = namespace.bed.get(&["configmap", name, "-n", &namespace.name]);
    let text = map["data"]["config.toml"].as_str().unwrap();
    let line = text.lines().find(|line| line.starts_with("resource_memory_limit")).unwrap_or_default();
    line.to_owned()
}

#[test]
fn refused_deploy_leaves_history_alone() {
    let namespace = Bed::shared().namespace("refused");
    deploy(&namespace, &[&memory("8Gi")], &[]).exits(0);
    deploy(&namespace, &[&memory("4Gi")], &[]).exits(0);
    kubectl(&namespace, &["scale", "deployment/oh", "--replicas=2"]);
    deploy(&namespace, &[&memory("4Gi")], &[]).exits(7);
    assert_eq!(outcomes(&namespace), good(&[2, 1]));
    // The next failure restores the revision that ran, not the one before it.
    deploy(&namespace, &[&memory("4Gi"), BROKEN], &["--force-conflicts"])
        .exits(9)
        .says("rolled back to revision 2");
    assert!(memory_limit(&namespace).contains("4Gi"), "{}", memory_limit(&namespace));
}

#[test]
fn automatic_rollback_that_only_removes_an_object_is_recorded() {
    let namespace = Bed::shared().namespace("added-object");
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    let write = |text: &str| std::fs::write(namespace.folder.path().join("extra.yaml"), text).unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: own }\n";
    write(&format!("{map}data: {{ a: \"1\" }}\n"));
    deploy(&namespace, &[], &[]).exits(0);
    let second = format!("{map}data: {{ a: \"2\" }}\n");
    write(&second);
    deploy(&namespace, &[], &[]).exits(0);
    write(&format!(
        "{second}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: added }}\nspec:\n  selector: {{ matchLabels: {{ a: b }} }}\n  \
         template:\n    metadata: {{ labels: {{ a: b }} }}\n    spec: {{ containers: [{{ name: c, image: \"example.com/simulate-image-pull-backoff:1\" }}] }}\n"
    ));
    deploy(&namespace, &[], &[]).exits(9).says("rolled back to revision 2");
    assert!(!namespace.has("deployment/added"));
    assert_eq!(outcomes(&namespace), results(&[(4, "good"), (3, "failed"), (1, "good")]));
    namespace.handsctl(&["status"]).exits(0).prints(" · revision 4, ").never_says("failed");
    let run = namespace.handsctl(&["history"]).exits(0);
    run.prints("rollback to 2")
        .prints("deployment.apps/added removed")
        .prints("configmap/own changed, deployment.apps/added added (since 1)");
    namespace.handsctl(&["rollback"]).exits(0).says("rolled back to revision 1");
    assert_eq!(namespace.bed.get(&["configmap", "own", "-n", &namespace.name])["data"]["a"], "1");
    write(&second);
    deploy(&namespace, &[], &["--dry-run"]).exits(0).says("configmap/own");
}

#[test]
fn failed_drift_repair_leaves_revision_good() {
    let namespace = Bed::shared().namespace("drift-good");
    deploy(&namespace, &[], &[]).exits(0);
    kubectl(&namespace, &["create", "quota", "none", "--hard=pods=0"]);
    delete_pod_and_wait_for_rejection(&namespace);
    kubectl(&namespace, &["delete", "service", "oh"]);
    deploy(&namespace, &[], &[]).exits(9).never_says("rollback").says("exceeded quota");
    assert_eq!(outcomes(&namespace), good(&[1]));
    kubectl(&namespace, &["delete", "quota", "none"]);
    // There is still a revision to go back to.
    deploy(&namespace, &[BROKEN], &[]).exits(9).says("rolled back to revision 1");
    assert_eq!(outcomes(&namespace), results(&[(3, "good"), (2, "failed")]));
}

#[test]
fn unwatched_revision_becomes_good_at_next_deploy() {
    let namespace = Bed::shared().namespace("no-wait");
    deploy(&namespace, &[&memory("2Gi")], &[]).exits(0);
    deploy(&namespace, &[&memory("3Gi")], &["--no-wait"]).exits(0);
    assert_eq!(outcomes(&namespace), results(&[(2, "not watched"), (1, "good")]));
    wait_until_available(&namespace);
    deploy(&namespace, &[&memory("3Gi"), BROKEN], &[]).exits(9).says("rolled back to revision 2");
    assert_eq!(outcomes(&namespace), results(&[(4, "good"), (3, "failed"), (1, "good")]));
    assert!(memory_limit(&namespace).contains("3Gi"));
}

#[test]
fn terminated_deploy_is_interrupted_then_good() {
    let namespace = Bed::shared().namespace("cancelled");
    deploy(&namespace, &[&memory("2Gi")], &[]).exits(0);
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.is("PATCH", "/deployments/oh")).nth(1).hold_response();
    let child = proxy.command(&namespace, &["deploy", "--set", &memory("3Gi")]).spawn();
    held.wait_for_request(WAIT_LIMIT);
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    finish(child).exits(143);
    held.release();
    assert_eq!(outcomes(&namespace), results(&[(2, "interrupted"), (1, "good")]));
    wait_until_available(&namespace);
    deploy(&namespace, &[&memory("3Gi"), BROKEN], &[]).exits(9).says("rolled back to revision 2");
    assert_eq!(outcomes(&namespace), results(&[(4, "good"), (3, "failed"), (1, "good")]));
}

#[test]
fn terminated_drift_repair_leaves_revision_good() {
    let namespace = Bed::shared().namespace("cancel-repair");
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    kubectl(&namespace, &["delete", "service", "oh"]);
    let held = proxy.on(|request| request.is("PATCH", "/services/oh")).nth(1).hold();
    let child = proxy.command(&namespace, &["deploy"]).spawn();
    held.wait_for_request(WAIT_LIMIT);
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    finish(child).exits(143);
    held.release();
    assert_eq!(outcomes(&namespace), good(&[1]));
}

#[test]
fn passed_deadline_is_an_interruption() {
    let namespace = Bed::shared().namespace("late");
    let unschedulable = ["deploy.resources.requests.cpu=\"4000\"", "deploy.tolerate.unschedulable=\"10m\""];
    deploy(&namespace, &unschedulable, &["--timeout", "5s"]).exits(10);
    assert_eq!(outcomes(&namespace), results(&[(1, "interrupted")]));
}

#[test]
fn rollback_restores_last_good_revision_with_other_content() {
    let namespace = Bed::shared().namespace("other-content");
    deploy(&namespace, &[&memory("3Gi")], &[]).exits(0);
    deploy(&namespace, &[&memory("4Gi")], &[])
        .exits(0)
        .says(&format!("undo: {}", namespace.suggested("rollback", "--to 1")));
    deploy(&namespace, &[&memory("4Gi"), BROKEN], &[]).exits(9).says("rolled back to revision 2");
    namespace
        .handsctl(&["rollback", "--dry-run"])
        .exits(0)
        .says("to revision 1, ")
        .says("from revision 4: ")
        .says("deployment.apps/oh changed")
        .never_says("undo: ");
    namespace
        .handsctl(&["rollback"])
        .exits(0)
        .says("rolled back to revision 1")
        .says(&format!("undo: {}", namespace.suggested("rollback", "--to 4")));
    assert!(memory_limit(&namespace).contains("3Gi"), "{}", memory_limit(&namespace));
    // Back again: the content of revision 4, which ran before.
    namespace.handsctl(&["rollback"]).exits(0).says("rolled back to revision 4");
    assert!(memory_limit(&namespace).contains("4Gi"), "{}", memory_limit(&namespace));
}

#[test]
fn failed_attempts_displace_no_good_revision() {
    let namespace = Bed::shared().namespace("displaced");
    let kept = "deploy.revision_history=1";
    deploy(&namespace, &[kept, &memory("2Gi")], &[]).exits(0);
    deploy(&namespace, &[kept, &memory("3Gi")], &[]).exits(0);
    for size in ["5Gi", "6Gi", "7Gi"] {
        deploy(&namespace, &[kept, &memory(size), BROKEN], &["--no-rollback"]).exits(9);
    }
    namespace.handsctl(&["rollback", "--set", kept]).exits(0).says("rolled back to revision 2");
    let numbers: Vec<u64> = outcomes(&namespace).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [6, 5, 1], "the newest failure and the good content of revision 1 are kept");
    namespace.handsctl(&["rollback", "--set", kept]).exits(0).says("rolled back to revision 1");
}

#[test]
fn undo_is_not_printed_where_nothing_is_undone() {
    let namespace = Bed::shared().namespace("no-hint");
    deploy(&namespace, &[], &["--dry-run"]).exits(0).never_says("undo: ");
    deploy(&namespace, &[], &[]).exits(0).says("undo: handsctl teardown");
    deploy(&namespace, &[&memory("3Gi")], &["--dry-run=server"]).exits(0).never_says("undo: ");
    kubectl(&namespace, &["delete", "service", "oh"]);
    deploy(&namespace, &[], &[]).exits(0).says("1 created").never_says("undo: ");
    kubectl(&namespace, &["scale", "deployment/oh", "--replicas=2"]);
    deploy(&namespace, &[], &["--force-conflicts"]).exits(0).never_says("undo: ");
}

#[test]
fn undeleted_old_revision_is_a_warning() {
    let namespace = Bed::shared().namespace("undeleted");
    for size in ["2Gi", "3Gi"] {
        deploy(&namespace, &["deploy.revision_history=1", &memory(size)], &[]).exits(0);
    }
    let proxy = Proxy::for_cluster(namespace.bed);
    let is_deletion = |request: &crate::fault::Request| request.is("DELETE", "/secrets/handsctl-oh-r1");
    proxy.on(is_deletion).inject(Fault::Respond(ErrorResponse::Forbidden));
    let settings = ["deploy", "--set", "deploy.revision_history=1", "--set", &memory("4Gi")];
    proxy.command(&namespace, &settings).run().exits(0).says("HC3016 cannot delete revision 1");
    assert_eq!(outcomes(&namespace)[0], (3, "good".to_owned()));
    // The next run deletes it.
    deploy(&namespace, &["deploy.revision_history=1", &memory("5Gi")], &[]).exits(0);
    assert_eq!(outcomes(&namespace), good(&[4, 3]));
}

#[test]
fn recreated_service_account_lets_pods_start_again() {
    let namespace = Bed::shared().namespace("no-account");
    deploy(&namespace, &[], &[]).exits(0);
    kubectl(&namespace, &["delete", "serviceaccount", "oh"]);
    delete_pod_and_wait_for_rejection(&namespace);
    deploy(&namespace, &[], &[]).exits(0).says("serviceaccount/oh created").says("deployment.apps/oh 1/1");
    assert_eq!(outcomes(&namespace), good(&[1]));
}

#[test]
fn deploy_after_deleted_quota_restarts_pods_at_once() {
    let namespace = Bed::shared().namespace("quota-gone");
    deploy(&namespace, &[], &[]).exits(0);
    kubectl(&namespace, &["create", "quota", "none", "--hard=pods=0"]);
    delete_pod_and_wait_for_rejection(&namespace);
    // Several attempts make the controller's pause long.
    std::thread::sleep(Duration::from_secs(10));
    deploy(&namespace, &[], &[]).exits(9).says("exceeded quota");
    kubectl(&namespace, &["delete", "quota", "none"]);
    deploy(&namespace, &[], &[]).exits(0).says("restarted").says("deployment.apps/oh 1/1");
    assert_eq!(history(&namespace).len(), 1);
}

/// Contents that work, by the memory limit of sandboxes.
const SIZES: [&str; 4] = ["2Gi", "3Gi", "4Gi", "5Gi"];

/// What must be true of a set after random runs: what runs, and what worked, the newest last.
#[derive(Debug, Default)]
struct Model {
    live: Option<&'static str>,
    good: Vec<&'static str>,
    /// The last run did not wait, and what it applied works.
    is_undecided: bool,
}

impl Model {
    fn became_good(&mut self, size: &'static str) {
        self.good.retain(|good| *good != size);
        self.good.push(size);
    }

    /// The next run sees that the content of a run that did not wait works.
    fn look(&mut self) {
        if std::mem::take(&mut self.is_undecided) {
            self.became_good(self.live.unwrap());
        }
    }

    fn deploy(&mut self, size: &'static str) {
        self.look();
        self.live = Some(size);
        self.became_good(size);
    }

    /// What `rollback` restores: the last good content that does not run.
    fn rollback_target(&self) -> Option<&'static str> {
        self.good.iter().rev().find(|good| Some(**good) != self.live).copied()
    }
}

/// One sequence of random runs of two users.
fn random_sequence(namespace: &Namespace, seed: u64, runs: usize) {
    let mut state = seed;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut model = Model::default();
    let mut log = format!("seed {seed}");
    for _ in 0..runs {
        let user = ["ana", "ben"][usize::try_from(below(2)).unwrap()];
        let size = SIZES[usize::try_from(below(4)).unwrap()];
        let run = |arguments: &[&str]| namespace.command(arguments).env("USER", user).run();
        let setting = memory(size);
        let step = below(6);
        log += &format!("\n{user} {step} {size}");
        match step {
            0 | 1 => {
                run(&["deploy", "--set", &setting]).exits(0);
                model.deploy(size);
            }
            2 => {
                run(&["deploy", "--no-wait", "--set", &setting]).exits(0);
                wait_until_available(namespace);
                if model.live != Some(size) {
                    model.look();
                    model.live = Some(size);
                    model.is_undecided = true;
                }
            }
            3 => {
                run(&["deploy", "--set", &setting, "--set", BROKEN]).exits(9);
                model.look();
                // Without another good content the broken one stays, so it is replaced.
                let Some(restored) = model.good.last().copied() else {
                    run(&["deploy", "--set", &setting]).exits(0);
                    model.deploy(size);
                    continue;
                };
                model.deploy(restored);
            }
            4 => {
                let Some(target) = model.rollback_target() else {
                    run(&["rollback"]).exits(if model.live.is_some() { 14 } else { 12 });
                    continue;
                };
                run(&["rollback"]).exits(0);
                model.deploy(target);
            }
            _ => {
                let Some(live) = model.live else { continue };
                kubectl(namespace, &["delete", "service", "oh"]);
                run(&["deploy", "--set", &memory(live)]).exits(0).says("service/oh created");
                model.look();
                model.became_good(live);
            }
        }
        if let Some(live) = model.live {
            assert!(memory_limit(namespace).contains(live), "{live} does not run\n{log}\n{model:?}");
        }
    }
}

#[test]
fn history_agrees_with_model_on_a_real_cluster() {
    for seed in 0..2 {
        random_sequence(&Bed::shared().namespace("sequence"), seed, 6);
    }
}

#[test]
#[ignore = "50 sequences take a quarter of an hour"]
fn history_agrees_with_model_in_50_real_sequences() {
    for seed in 100..150 {
        random_sequence(&Bed::shared().namespace("sequences"), seed, 6);
    }
}

#[test]
fn rollback_does_not_warn_about_the_configured_version() {
    let namespace = Bed::shared().namespace("back");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config("[deploy]\nimage = \"docker.openhands.dev/openhands/openhands:1.6\"\n");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0).says("HC0225");
    namespace
        .handsctl(&["rollback", "--to", "1", "--dry-run"])
        .exits(0)
        .says("OpenHands 1.6 → 0.59, a downgrade")
        .never_says("HC0225");
}

#[test]
fn replaced_revision_costs_only_the_rollback_to_it() {
    let namespace = Bed::shared().namespace("unreadable");
    for size in ["2Gi", "3Gi", "4Gi"] {
        deploy(&namespace, &[&memory(size)], &[]).exits(0);
    }
    let mut secret = namespace.bed.get(&["secret", "handsctl-oh-r2", "-n", &namespace.name]);
    // base64 of `no`, which is not compressed.
    secret["data"]["plan"] = "bm8=".into();
    secret["metadata"]["managedFields"] = serde_json::Value::Null;
    namespace.bed.kubectl(&["delete", "secret", "handsctl-oh-r2", "-n", &namespace.name]);
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        secret["metadata"].as_object_mut().unwrap().remove(field);
    }
    namespace.bed.kubectl_with(&["create", "-f", "-"], &secret.to_string());
    assert_eq!(outcomes(&namespace), good(&[3, 1]));
    let named = "HC3060 secret/handsctl-oh-r2 is not a revision of installation `oh`, so it is ignored: its content was not";
    deploy(&namespace, &[&memory("4Gi")], &[]).exits(0).says(named).says("unchanged");
    namespace.handsctl(&["status"]).exits(0);
    namespace.handsctl(&["rollback", "--to", "2"]).exits(7).says("error[HC3060]: secret/handsctl-oh-r2");
    namespace.handsctl(&["rollback"]).exits(0).says("rolled back to revision 1").says(named);
}
