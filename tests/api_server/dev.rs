//! Profile `dev`: the pod that mirrord runs a local program in, its roles, and `handsctl dev`.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Bed, CommandLine, Namespace, in_home};

const DEV: &str = "[deploy]\nprofile = \"dev\"\n";

fn get(namespace: &Namespace, object: &str) -> Value {
    namespace.bed.get(&[object, "-n", &namespace.name])
}

/// The command line `handsctl dev -- COMMAND` for this namespace.
fn dev(namespace: &Namespace, command: &[&str]) -> CommandLine {
    dev_with(namespace, &[], command)
}

fn dev_with(namespace: &Namespace, flags: &[&str], command: &[&str]) -> CommandLine {
    let bed = namespace.bed;
    let target = ["dev", "--context", &bed.context, "-n", &namespace.name, "--name", "oh"];
    in_home(namespace.folder.path(), &[&target, flags, &["--"], command].concat())
        .env("KUBECONFIG", &bed.kubeconfig)
}

/// Writes a `mirrord` that prints its arguments and exits with 7; returns its folder.
fn mirrord(namespace: &Namespace) -> String {
    let folder = namespace.folder.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("mirrord");
    std::fs::write(&program, "#!/bin/sh\necho \"$MIRRORD_KUBE_CONTEXT: $*\"\nexit 7\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder.display().to_string()
}

#[test]
fn dev_profile_deploys_target_pod_and_runs_mirrord() {
    let namespace = Bed::shared().namespace("dev");
    namespace.config(DEV);
    dev(&namespace, &["true"]).run().exits(12).says("profile = \"dev\"");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .never_says("HC3010")
        .says("5 created")
        .says("deployment.apps/ubuntu-dev 1/1")
        .says("nothing listens")
        .says("handsctl dev -- COMMAND");
    namespace.handsctl(&["deploy"]).exits(0).says(" 0 to send");
    namespace.handsctl(&["status"]).exits(0);
    let open =
        namespace.handsctl(&["open"]).exits(12).says("nothing listens").says("-- COMMAND runs OpenHands");
    open.never_says("handsctl deploy");

    let deployment = get(&namespace, "deployment/ubuntu-dev");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    // A sandbox of this namespace runs under `default`, which has no rights.
    assert_eq!(deployment["spec"]["template"]["spec"]["serviceAccountName"], "ubuntu-dev");
    assert_eq!(
        (&container["image"], &container["command"]),
        (&json!("ubuntu:22.04"), &json!(["sleep", "infinity"]))
    );
    let port = &get(&namespace, "service/ubuntu-dev")["spec"]["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(8099), &json!(3000)));
    let role = get(&namespace, "role/mirrord-role");
    let pairs: usize = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["resources"].as_array().unwrap().len() * rule["verbs"].as_array().unwrap().len())
        .sum();
    assert_eq!(pairs, 42, "the rights of upstream's role");
    let subject = &get(&namespace, "rolebinding/mirrord-binding")["subjects"][0];
    assert_eq!((&subject["name"], &subject["namespace"]), (&json!("ubuntu-dev"), &json!(namespace.name)));
    let labels = get(&namespace, &format!("namespace/{}", namespace.name))["metadata"]["labels"].clone();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "privileged");

    let path = format!("{}:{}", mirrord(&namespace), std::env::var("PATH").unwrap());
    let run = dev(&namespace, &["make", "run", "--fast"]).env("PATH", path).run().exits(7);
    let (context, name) = (&namespace.bed.context, &namespace.name);
    let expected = format!(
        "{context}: exec --target deployment/ubuntu-dev --target-namespace {name} -- make run --fast\n"
    );
    assert_eq!(run.stdout, expected);
    program_reports_its_end_and_keeps_ctrl_c(&namespace);
    dev(&namespace, &["true"]).env("PATH", "/nowhere").run().exits(14).says("mirrord is not on PATH");

    namespace.handsctl(&["teardown"]).exits(0).says("deployment.apps/ubuntu-dev deleted");
}

/// Ctrl-C is for the program: handsctl waits for its end, and the events have its exit code.
fn program_reports_its_end_and_keeps_ctrl_c(namespace: &Namespace) {
    let folder = mirrord(namespace);
    let ready = namespace.folder.path().join("ready");
    let script = format!("#!/bin/sh\ntouch {}\nsleep 2\nexit 7\n", ready.display());
    std::fs::write(format!("{folder}/mirrord"), script).unwrap();
    let events = namespace.folder.path().join("events");
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let flags = ["--events", events.to_str().unwrap()];
    let mut child = dev_with(namespace, &flags, &["make", "secret-argument"]).env("PATH", path).spawn();
    let begin = Instant::now();
    while !ready.exists() {
        assert!(begin.elapsed() < Duration::from_secs(30), "the program does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..3 {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    }
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let text = std::fs::read_to_string(events).unwrap();
    assert!(!text.contains("secret-argument"), "{text}");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<&Value> = events.iter().filter(|event| event["type"] == "step").collect();
    let actions: Vec<&Value> = steps.iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["begun", "done"]);
    let last = events.last().unwrap();
    assert_eq!((&last["exit"], &last["message"]), (&json!(7), &json!("make ended with exit code 7")));
}

#[test]
fn dev_profile_gives_its_rights_to_an_account_of_its_own() {
    let namespace = Bed::shared().namespace("dev-account");
    namespace.config(DEV);
    namespace.handsctl(&["deploy"]).exits(0);
    let may_exec = |account: &str| {
        let account = format!("--as=system:serviceaccount:{}:{account}", namespace.name);
        let question = ["auth", "can-i", "create", "pods/exec", "-n", &namespace.name, &account];
        namespace.bed.try_kubectl(&question, "").status.success()
    };
    // A sandbox of this namespace runs under `default`.
    assert!(may_exec("ubuntu-dev") && !may_exec("default"));
}

#[test]
fn dev_profile_is_not_deployed_beside_sandboxes_of_others() {
    let namespace = Bed::shared().namespace("dev-beside");
    namespace.create(&[("pod-security.kubernetes.io/enforce", "privileged")]);
    let sandbox = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "labels": { "app": "openhands-runtime" } },
        "spec": {
            "nodeSelector": { "example.io/none": "none" },
            "containers": [{ "name": "runtime", "image": "registry.example/runtime:1" }],
        },
    });
    let create = || {
        namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &sandbox.to_string());
    };
    create();
    namespace.config(DEV);
    namespace
        .handsctl(&["deploy"])
        .exits(7)
        .says("error[HC0171]: 1 sandbox pod of another installation in namespace ")
        .says("nothing was changed");
    assert!(!namespace.has("deployment/ubuntu-dev"));
    let delete = [
        "delete",
        "pod",
        "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "-n",
        &namespace.name,
        "--now",
    ];
    namespace.bed.kubectl(&delete);
    namespace.handsctl(&["deploy"]).exits(0);
    // The developer's own program starts sandboxes here.
    create();
    namespace.handsctl(&["deploy", "--set", "deploy.env={ A = \"1\" }"]).exits(0);
}

#[test]
fn namespace_that_rejects_mirrord_exits_14_before_changes() {
    let namespace = Bed::shared().namespace("dev-strict");
    namespace.create(&[("pod-security.kubernetes.io/enforce", "baseline")]);
    namespace.config(DEV);
    namespace.handsctl(&["deploy"]).exits(14).says("rejects mirrord's agent; nothing was changed");
    let deployments =
        namespace.bed.try_kubectl(&["get", "deployment", "-n", &namespace.name, "-o", "name"], "");
    assert_eq!(String::from_utf8_lossy(&deployments.stdout), "");
}
