//! `status -A` and `status -w` on a real API server.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::refusals::account;
use crate::bed::{Bed, Namespace, in_home};

const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// The `status -A -o json` of an account, without the namespace flag of the test's installation.
fn all(namespace: &Namespace, kubeconfig: &std::path::Path) -> crate::bed::Run {
    let words = ["status", "-A", "--context", &namespace.bed.context, "-o", "json"];
    in_home(namespace.folder.path(), &words).env("KUBECONFIG", kubeconfig).run()
}

fn item(list: &Value, namespace: &Namespace) -> Value {
    let items = list.as_array().unwrap();
    let found = items.iter().find(|item| item["namespace"] == namespace.name.as_str());
    found.unwrap_or_else(|| panic!("no {} in {list}", namespace.name)).clone()
}

#[test]
fn all_installations_are_judged_and_the_worst_is_the_exit_code() {
    let (healthy, stopped) = (Bed::shared().namespace("all-healthy"), Bed::shared().namespace("all-stopped"));
    healthy.handsctl(&["deploy"]).exits(0);
    stopped.handsctl(&["deploy"]).exits(0);
    stopped.bed.kubectl(&["scale", "deployment/oh", "--replicas=0", "-n", &stopped.name]);
    let run = all(&healthy, &healthy.bed.kubeconfig).exits(12);
    let list = run.json();
    let (one, other) = (item(&list, &healthy), item(&list, &stopped));
    assert_eq!((&one["verdict"], &one["ready"], &one["revision"]), (&json!("healthy"), &json!(1), &json!(1)));
    assert_eq!((&other["verdict"], &other["desired"]), (&json!("down"), &json!(0)), "{other}");
    assert!(other["reasons"][0].as_str().unwrap().contains("scaled to zero"), "{other}");

    let words = ["status", "-A", "--context", &healthy.bed.context];
    let table =
        in_home(healthy.folder.path(), &words).env("KUBECONFIG", &healthy.bed.kubeconfig).run().exits(12);
    assert!(table.stdout.starts_with("NAMESPACE"), "{}", table.stdout);
    assert_eq!((&one["simulated"], &other["simulated"]), (&json!(true), &json!(false)), "{list}");
    let row = |namespace: &Namespace| {
        let mut lines = table.stdout.lines();
        lines.find(|line| line.starts_with(&namespace.name)).unwrap_or_default().to_owned()
    };
    assert!(row(&healthy).contains("healthy (simulated)"), "{}", table.stdout);
    assert!(!row(&stopped).contains("simulated"), "{}", table.stdout);
    let next = format!(" -n {} --name oh\n", stopped.name);
    assert!(table.stdout.contains(&next), "{}", table.stdout);
}

#[test]
fn installation_that_may_not_be_read_is_unknown_and_the_rest_is_judged() {
    let (mine, theirs) = (Bed::shared().namespace("all-mine"), Bed::shared().namespace("all-theirs"));
    mine.handsctl(&["deploy"]).exits(0);
    theirs.handsctl(&["deploy"]).exits(0);
    let everywhere = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }]);
    let name = format!("{}-lists", mine.name);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name }, "rules": everywhere,
    });
    let _role = ClusterObject::create(mine.bed, "clusterrole", &name, &role);
    let read = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }]);
    let kubeconfig = account(&mine, &read);
    let user = format!("system:serviceaccounts:{}", mine.name);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": user }],
    });
    let _binding = ClusterObject::create(mine.bed, "clusterrolebinding", &name, &binding);
    let list = all(&mine, &kubeconfig).exits(0).json();
    assert_eq!(item(&list, &mine)["verdict"], "healthy", "{list}");
    let other = item(&list, &theirs);
    assert_eq!((&other["verdict"], &other["ready"]), (&json!("unknown"), &Value::Null), "{other}");
    let reason = other["reasons"][0].as_str().unwrap();
    assert!(reason.contains("no right to read deployments"), "{reason}");
}

/// An object without a namespace. Dropping the value deletes it.
struct ClusterObject(&'static Bed, &'static str, String);

impl ClusterObject {
    fn create(bed: &'static Bed, kind: &'static str, name: &str, manifest: &Value) -> Self {
        bed.kubectl_with(&["create", "-f", "-"], &manifest.to_string());
        Self(bed, kind, name.to_owned())
    }
}

impl Drop for ClusterObject {
    fn drop(&mut self) {
        let _already_deleted = self.0.try_kubectl(&["delete", self.1, &self.2, "--wait=false"], "");
    }
}

/// A running `status -w`. Dropping the value kills it.
struct WatchedStatus(Child, Receiver<String>);

impl WatchedStatus {
    fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let mut child = namespace.command(&[&["status", "-w"], arguments].concat()).spawn();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self(child, lines)
    }

    fn line(&self, part: &str) -> String {
        let until = Instant::now() + WAIT_LIMIT;
        loop {
            match self.1.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with {part}: {error}"),
            }
        }
    }

    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for WatchedStatus {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

#[test]
fn watched_status_in_a_pipe_has_a_line_for_each_change() {
    let namespace = Bed::shared().namespace("status-watch");
    namespace.handsctl(&["deploy"]).exits(0);
    let events = namespace.folder.path().join("events");
    let text = WatchedStatus::start(&namespace, &["--events", events.to_str().unwrap()]);
    let json = WatchedStatus::start(&namespace, &["-o", "json"]);
    let first = text.line("  verdict  healthy");
    assert!(first.starts_with("20"), "the time comes first: {first}");
    text.line("deployment.apps/oh  1/1");
    let value: Value = serde_json::from_str(&json.line("")).unwrap();
    assert_eq!((&value["verdict"], &value["v"]), (&json!("healthy"), &json!(1)));
    namespace.bed.kubectl(&["scale", "deployment/oh", "--replicas=0", "-n", &namespace.name]);
    text.line("  verdict  down: app ");
    json.line("\"verdict\":\"down\"");
    // Longer than the time after which the status is read again without a change.
    std::thread::sleep(Duration::from_secs(7));
    namespace.bed.kubectl(&["scale", "deployment/oh", "--replicas=1", "-n", &namespace.name]);
    text.line("  verdict  healthy");
    // Nothing changes any more: there is no further line for the next readings.
    std::thread::sleep(Duration::from_secs(6));
    let further: Vec<String> = text.1.try_iter().filter(|line| line.contains("  verdict  ")).collect();
    assert_eq!(further, [""; 0]);
    assert_eq!((text.interrupt(), json.interrupt()), (Some(130), Some(130)));
    let events = std::fs::read_to_string(&events).unwrap();
    let finding = |line: &str| line.contains("\"type\":\"finding\"");
    assert_eq!(
        events.lines().filter(|line| finding(line)).count(),
        1,
        "once, not with each reading: {events}"
    );
}
