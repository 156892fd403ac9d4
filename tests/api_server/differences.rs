//! `diff` on a real API server: its output in each situation, its requests, and that it changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::refusals;
use crate::bed::{Bed, Namespace, Run, in_home, run_in_home};
use crate::fault::Proxy;
use crate::planted;

/// The kinds of a set's members.
const KINDS: &str = "serviceaccounts,roles,rolebindings,configmaps,secrets,persistentvolumeclaims,deployments,services,ingresses,networkpolicies";

/// The namespace's objects: `Kind/name` → resourceVersion, or the fields that no controller writes.
fn versions(namespace: &Namespace) -> BTreeMap<String, Value> {
    let list = namespace.bed.get(&[KINDS, "-n", &namespace.name]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let objects = list["items"].as_array().unwrap().iter();
    objects
        .map(|item| {
            let (kind, metadata) = (text(&item["kind"]), &item["metadata"]);
            let version = match kind.as_str() {
                "Deployment" | "PersistentVolumeClaim" => {
                    json!([metadata["uid"], metadata["labels"], item["spec"]])
                }
                _ => metadata["resourceVersion"].clone(),
            };
            (format!("{kind}/{}", text(&metadata["name"])), version)
        })
        .collect()
}

/// Runs `diff`. Panics if it changes an object.
fn diff(namespace: &Namespace, arguments: &[&str]) -> Run {
    let before = versions(namespace);
    let run = namespace.handsctl(&[&["diff"], arguments].concat());
    assert_eq!(versions(namespace), before, "diff {arguments:?} changed something: {}", run.stdout);
    let with_sign = |sign: &str| {
        run.stdout.lines().filter_map(move |line| line.strip_prefix(sign)).collect::<BTreeSet<_>>()
    };
    let (removed, added) = (with_sign("-   "), with_sign("+   "));
    assert_eq!(removed.intersection(&added).next(), None, "equal lines removed and added: {}", run.stdout);
    run
}

fn assert_lines(run: &Run, lines: &[&str]) {
    for line in lines {
        assert!(run.stdout.lines().any(|it| it == *line), "stdout lacks {line:?}:\n{}", run.stdout);
    }
}

/// A namespace with a healthy set.
fn deployed(test: &str, config: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.config(config);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace
}

fn object<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let objects = report["objects"].as_array().unwrap();
    objects.iter().find(|it| it["object"]["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {report}"))
}

#[test]
fn diff_before_first_deploy_lists_creations_only() {
    let namespace = Bed::shared().namespace("diff-first");
    let run = namespace.handsctl(&["diff"]).exits(1);
    assert_lines(
        &run,
        &[
            &format!("namespace/{}   created, not verified   you", namespace.name),
            "deployment.apps/oh   created, not verified   you",
            &format!(
                "not verified by the server: 10 objects: namespace {} does not exist yet",
                namespace.name
            ),
            "0 to change, 11 to create, 0 to delete",
        ],
    );
    assert!(!namespace.bed.try_kubectl(&["get", "namespace", &namespace.name], "").status.success());
    namespace.create(&[]);
    let run = namespace.handsctl(&["diff"]).exits(1);
    assert_lines(&run, &["deployment.apps/oh   created   you", "0 to change, 10 to create, 0 to delete"]);
    let objects = namespace.bed.get(&["deployments,services,ingresses,secrets", "-n", &namespace.name]);
    assert_eq!(objects["items"], json!([]));
}

#[test]
fn diff_after_deploy_is_empty_without_dry_run() {
    let namespace = deployed("diff-none", "");
    let run = diff(&namespace, &[]).exits(0);
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "no differences: 10 objects are up to date\n");
    assert_eq!(diff(&namespace, &["-q"]).exits(0).stderr, "");

    // The proxy's context is not a local cluster, so that handsctl requests other amounts there: use another set.
    let bed = namespace.bed;
    let namespace = bed.namespace("diff-recorded");
    let recorded = |arguments: &[&str]| {
        let proxy = Proxy::for_cluster(bed);
        let target = ["--context", Proxy::CONTEXT, "-n", &namespace.name, "--name", "oh"];
        let command = in_home(namespace.folder.path(), &[arguments, &target].concat());
        (command.env("KUBECONFIG", proxy.kubeconfig()).run(), proxy.requests())
    };
    recorded(&["deploy"]).0.exits(0);
    let (run, requests) = recorded(&["diff"]);
    run.exits(0);
    assert!(requests.iter().all(|request| request.method == "GET"), "{requests:?}");
    // The version, the namespace, the parent, its revisions, lists of the ten kinds, pods and ReplicaSets.
    assert_eq!(requests.len(), 16, "{requests:?}");

    // A changed member is sent once, as a dry run.
    let (run, requests) = recorded(&["diff", "--set", "deploy.host=\"b.example\""]);
    run.exits(1);
    let patches: Vec<_> = requests.iter().filter(|request| request.method == "PATCH").collect();
    assert_eq!(patches.len(), 1, "{patches:?}");
    assert!(patches[0].path.contains("/ingresses/oh?") && patches[0].path.contains("dryRun=All"));
}

#[test]
fn diff_of_image_shows_restart_and_both_values() {
    let image = "docker.all-hands.dev/all-hands-ai/openhands:0.59";
    let runtime = "[sandbox]\nruntime_container_image = \"a.example/runtime:1\"\n";
    let namespace = deployed("diff-image", &format!("{runtime}[deploy]\nimage = \"{image}\"\n"));
    namespace.config(&format!("{runtime}[deploy]\nimage = \"a.example/openhands:0.58\"\n"));
    let run = diff(&namespace, &[]).exits(1);
    assert_eq!(
        run.stdout,
        format!(
            "deployment.apps/oh   restarts the pod: image   you\n  downtime until the new pod is ready\n  \
             spec.template.spec.containers[name=\"openhands\"].image\n-   {image}\n+   a.example/openhands:0.58\n\
             1 to change, 0 to create, 0 to delete\n"
        )
    );
    let report = diff(&namespace, &["-o", "json"]).exits(1).json();
    let deployment = object(&report, "Deployment");
    assert_eq!((&report["different"], &report["counts"]["changed"]), (&json!(true), &json!(1)));
    assert_eq!(deployment["verified"], true);
    assert_eq!(deployment["effects"][0], json!({ "type": "restarts", "message": "restarts the pod: image" }));
    assert_eq!(
        deployment["hunks"],
        json!([{
            "path": "spec.template.spec.containers[name=\"openhands\"].image", "before": image,
            "after": "a.example/openhands:0.58", "order": false, "hidden": null, "cause": "you", "manager": null, "since": null,
        }])
    );
}

#[test]
fn diff_of_key_shows_config_file_line() {
    let namespace = deployed("diff-config", "[llm]\nmodel = \"first\"\n");
    namespace.config("[llm]\nmodel = \"second\"\n");
    let run = diff(&namespace, &[]).exits(1);
    assert_lines(
        &run,
        &[
            "  data[\"config.toml\"]",
            "-   model = \"first\"",
            "+   model = \"second\"",
            "deployment.apps/oh   restarts the pod: configuration   you",
            "1 to change, 1 to create, 0 to delete",
        ],
    );
}

#[test]
fn diff_shows_drift_with_manager_and_deploy_conflict() {
    let namespace = deployed("diff-drift", "");
    let bed = namespace.bed;
    let in_namespace = |arguments: &[&str]| bed.kubectl(&[arguments, &["-n", &namespace.name]].concat());
    in_namespace(&["label", "service", "oh", "app.kubernetes.io/part-of=else", "--overwrite"]);
    in_namespace(&["scale", "deployment", "oh", "--replicas=2"]);
    // A field that only another manager sets is no drift: deploy keeps it.
    in_namespace(&["annotate", "ingress", "oh", "example.io/theirs=1"]);
    let run = diff(&namespace, &[]).exits(1);
    assert_lines(
        &run,
        &[
            "  metadata.labels[\"app.kubernetes.io/part-of\"]   else → openhands",
            "deployment.apps/oh   scales from 2 to 1   drift: kubectl",
            "  deploy would stop here: kubectl manages .spec.replicas",
            "  spec.replicas   2 → 1",
            "ingress.networking.k8s.io/oh   fields of others, which deploy keeps",
            "2 to change, 0 to create, 0 to delete",
        ],
    );
    let stop = "service/oh   deploy would stop here: kubectl-label manages .metadata.labels.app.kubernetes.io/part-of   drift: kubectl-label, ";
    assert!(run.stdout.starts_with(stop), "{}", run.stdout);
    assert_eq!(run.stderr, "");
    let report = diff(&namespace, &["-o", "json"]).exits(1).json();
    let hunk = &object(&report, "Service")["hunks"][0];
    assert_eq!((&hunk["cause"], &hunk["manager"]), (&json!("drift"), &json!("kubectl-label")));
    assert!(hunk["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(object(&report, "Service")["effects"][0]["type"], "stops");
}

#[test]
fn diff_of_secret_hides_old_and_new_value() {
    let (first, second) = (planted::secret("d1"), planted::secret("d2"));
    let namespace = Bed::shared().namespace("diff-secret");
    namespace.config(
        "[llm]\napi_key = { env = \"KEY_OF_TEST\" }\n[deploy.env]\nTOKEN = { env = \"TOKEN_OF_TEST\" }\n",
    );
    let run = |command: &[&str], key: &str| {
        let command = namespace.command(command).env("KEY_OF_TEST", key).env("TOKEN_OF_TEST", "the-same");
        command.run()
    };
    let assert_hidden = |run: &Run| {
        for value in [&first, &second] {
            planted::assert_hidden(value, "stdout", &run.stdout);
            planted::assert_hidden(value, "stderr", &run.stderr);
        }
    };
    let before = run(&["diff"], &first).exits(1);
    assert_lines(
        &before,
        &["  the first deploy chooses the suffix of its name", "  data.LLM_API_KEY   (new value, hidden)"],
    );
    assert_hidden(&before);
    run(&["deploy"], &first).exits(0);
    assert_eq!(run(&["diff"], &first).exits(0).stdout, "");
    for form in ["table", "json", "yaml"] {
        let changed = run(&["diff", "-o", form, "-v"], &second).exits(1);
        assert_hidden(&changed);
        let words = if form == "table" {
            ["  data.LLM_API_KEY   (changed, hidden)", "  data.TOKEN   (unchanged, hidden)"]
        } else {
            ["changed", "same"]
        };
        assert!(words.iter().all(|word| changed.stdout.contains(word)), "{}", changed.stdout);
    }

    // A copy of the secret in another object's field is drift, and is hidden too.
    let copy = format!(
        "{{\"metadata\":{{\"annotations\":{{\"nginx.ingress.kubernetes.io/proxy-body-size\":\"{}\"}}}}}}",
        STANDARD.encode(&first)
    );
    namespace.bed.kubectl(&["patch", "ingress", "oh", "--type=merge", "-p", &copy, "-n", &namespace.name]);
    let drift = run(&["diff"], &first).exits(1);
    assert_lines(
        &drift,
        &["  metadata.annotations[\"nginx.ingress.kubernetes.io/proxy-body-size\"]   (redacted) → 50m"],
    );
    assert_hidden(&drift);
}

#[test]
fn diff_deletes_data_only_with_delete_data() {
    let namespace = deployed("diff-off", "");
    namespace.config("[deploy]\nexpose = \"none\"\nexisting_claim = \"mine\"\n");
    let run = diff(&namespace, &[]).exits(1);
    assert_lines(
        &run,
        &[
            "ingress.networking.k8s.io/oh   deleted, no longer configured   you",
            "persistentvolumeclaim/oh-state   kept: a volume of 5Gi with its data; --delete-data deletes it",
            "1 to change, 0 to create, 1 to delete",
        ],
    );
    let run = diff(&namespace, &["--delete-data"]).exits(1);
    assert_lines(
        &run,
        &[
            "persistentvolumeclaim/oh-state   deleted, including its data   you",
            "1 to change, 0 to create, 2 to delete",
        ],
    );
    let report = diff(&namespace, &["--delete-data", "-o", "json"]).exits(1).json();
    let claim = object(&report, "PersistentVolumeClaim");
    assert_eq!((&claim["action"], &claim["data_loss"]), (&json!("deleted"), &json!(true)));
}

#[test]
fn deploy_applies_diff_and_next_diff_is_empty() {
    let namespace = deployed("diff-deploy", "");
    let config = "[llm]\nmodel = \"m\"\n[deploy]\nexpose = \"none\"\n";
    namespace.config(config);
    assert_lines(&diff(&namespace, &[]).exits(1), &["1 to change, 1 to create, 1 to delete"]);
    namespace.handsctl(&["deploy"]).exits(0).says("1 created, 1 configured").says("1 pruned");
    // The old ConfigMap is kept for a rollback, so its deletion is not a difference.
    assert_eq!(diff(&namespace, &[]).exits(0).stdout, "");
    // Without kept revisions the old ConfigMap is deleted.
    namespace.config(&format!("{config}revision_history = 0\n"));
    assert_lines(&diff(&namespace, &[]).exits(1), &["1 to change, 0 to create, 1 to delete"]);
    namespace.handsctl(&["deploy"]).exits(0).says("1 configured").says("1 pruned");
    assert_eq!(diff(&namespace, &[]).exits(0).stdout, "");
}

#[test]
fn diff_of_smaller_claim_shows_rejection_and_exits_8() {
    let namespace = deployed("diff-claim", "[deploy]\nhost = \"a.example\"\n");
    namespace.config("[deploy]\nexposure = \"acknowledged\"\nhost = \"b.example\"\nstorage_size = \"2Gi\"\n");
    let run = diff(&namespace, &[]).exits(8);
    assert_lines(
        &run,
        &[
            "persistentvolumeclaim/oh-state   volume can only grow (5Gi → 2Gi)   you",
            "  would fail: a volume that exists cannot become smaller",
            "  spec.resources.requests.storage   5Gi → 2Gi",
            "ingress.networking.k8s.io/oh   clients of a.example have to use b.example   you",
            "2 to change, 0 to create, 0 to delete",
        ],
    );
    run.says("[deploy].storage_size").says("hint: give deploy.storage_size the size of the volume");
}

#[test]
fn diff_of_claim_rejected_by_admission_exits_8() {
    let namespace = deployed("diff-admission", "[deploy]\nhost = \"a.example\"\n");
    // The simulated storage class does not let claims grow.
    namespace.config("[deploy]\nhost = \"b.example\"\nstorage_size = \"8Gi\"\n");
    let run =
        diff(&namespace, &[]).exits(8).says("error[HC3003]: cannot dry-run persistentvolumeclaim/oh-state");
    assert_lines(
        &run,
        &[
            "persistentvolumeclaim/oh-state   volume grows, if its storage class allows it (5Gi → 8Gi)   you",
            "  spec.rules[0].host   a.example → b.example",
            "2 to change, 0 to create, 0 to delete",
        ],
    );
    let words = "the volume cannot grow: its storage class does not allow it";
    assert!(run.stdout.contains(&format!("  would fail: {words}\n")), "{}", run.stdout);
    run.says(words).says("[deploy].storage_size").says("kubectl").says("get storageclass shows");
    let report = diff(&namespace, &["-o", "json"]).exits(8).json();
    let claim = object(&report, "PersistentVolumeClaim");
    assert_eq!((&claim["verified"], &claim["refused"]["exit"]), (&json!(false), &json!(8)));
}

#[test]
fn diff_without_bind_right_shows_unverified_binding() {
    let namespace = Bed::shared().namespace("diff-admin");
    namespace.create(&[]);
    let admin = refusals::account(&namespace, &json!([]));
    let account = format!("{}:tester", namespace.name);
    let bound = ["create", "rolebinding", "admin", "--clusterrole=admin", "-n", &namespace.name];
    namespace.bed.kubectl(&[&bound[..], &["--serviceaccount", &account]].concat());
    let impersonate = format!("--as=system:serviceaccount:{account}");
    refusals::wait_for_output(
        namespace.bed,
        &["auth", "can-i", "create", "roles", &impersonate, "-n", &namespace.name],
        |output| output.trim() == "yes",
    );
    let run = refusals::run_with_kubeconfig(&namespace, &admin, &["diff"]).exits(1);
    assert_lines(
        &run,
        &[
            "role.rbac.authorization.k8s.io/oh   created   you",
            "rolebinding.rbac.authorization.k8s.io/oh   created, not verified   you",
            "persistentvolumeclaim/oh-state   created   you",
            "not verified by the server: rolebinding.rbac.authorization.k8s.io/oh: role.rbac.authorization.k8s.io/oh does not exist yet",
            "0 to change, 10 to create, 0 to delete",
        ],
    );
    assert!(
        !run.stdout.contains("the server\n"),
        "defaults of the server are not differences: {}",
        run.stdout
    );
}

#[test]
fn diff_with_foreign_object_exits_7_after_the_rest() {
    let namespace = Bed::shared().namespace("diff-foreign");
    namespace.create(&[]);
    namespace.bed.kubectl(&["create", "service", "clusterip", "oh", "--tcp=80", "-n", &namespace.name]);
    let run = diff(&namespace, &[])
        .exits(7)
        .says("error[HC3006]: cannot compare service/oh in namespace")
        .says("kubectl-create");
    assert_lines(
        &run,
        &[
            "service/oh   unknown",
            "  would fail: it exists and belongs to another owner (managers: kubectl-create)",
            "ingress.networking.k8s.io/oh   created   you",
            "0 to change, 9 to create, 0 to delete, 1 unknown",
        ],
    );
}

/// Binds an account of the namespace to one of Kubernetes' own roles, and waits until it may list pods.
fn account_with_role(namespace: &Namespace, role: &str) -> std::path::PathBuf {
    let kubeconfig = refusals::account(namespace, &json!([]));
    let account = format!("{}:tester", namespace.name);
    let (role, subject) = (format!("--clusterrole={role}"), format!("--serviceaccount={account}"));
    namespace.bed.kubectl(&["create", "rolebinding", "theirs", &role, &subject, "-n", &namespace.name]);
    let impersonate = format!("--as=system:serviceaccount:{account}");
    refusals::wait_for_output(
        namespace.bed,
        &["auth", "can-i", "list", "pods", &impersonate, "-n", &namespace.name],
        |output| output.trim() == "yes",
    );
    kubeconfig
}

#[test]
fn diff_without_patch_right_compares_locally() {
    let namespace = deployed("diff-reader", "[deploy]\nhost = \"a.example\"\n");
    let readable = |resources: &[&str]| json!([{ "apiGroups": ["*"], "resources": resources, "verbs": ["get", "list"] }]);
    let reader = refusals::account(&namespace, &readable(&["*"]));
    refusals::run_with_kubeconfig(&namespace, &reader, &["diff"]).exits(0).says("no differences");
    namespace.config("[deploy]\nhost = \"b.example\"\n");
    let run = refusals::run_with_kubeconfig(&namespace, &reader, &["diff"]).exits(1);
    assert_lines(
        &run,
        &[
            "  spec.rules[0].host   a.example → b.example",
            "not verified by the server: ingress.networking.k8s.io/oh: no right to patch ingresses, so that it was compared on this computer",
            "1 to change, 0 to create, 0 to delete",
        ],
    );

    // Without the right to list services, the other kinds are still compared.
    let kinds = KINDS.replace("services,", "");
    let kinds: Vec<&str> = kinds.split(',').chain(["pods", "replicasets"]).collect();
    let reader = refusals::account(&namespace, &readable(&kinds));
    let run = refusals::run_with_kubeconfig(&namespace, &reader, &["diff"]).exits(1);
    assert_lines(
        &run,
        &[
            "  spec.rules[0].host   a.example → b.example",
            "not compared: service/oh: no right to list services",
        ],
    );
}

#[test]
fn diff_as_view_without_key_finds_drift() {
    let namespace = Bed::shared().namespace("diff-view");
    namespace.create(&[]);
    namespace.bed.kubectl(&[
        "create",
        "secret",
        "generic",
        "theirs",
        "--from-literal=k=v",
        "-n",
        &namespace.name,
    ]);
    namespace.config(
        "[llm]\napi_key = { env = \"KEY_OF_TEST\" }\n[deploy.env]\nA = { secret = \"theirs\", key = \"k\" }\n",
    );
    namespace.command(&["deploy"]).env("KEY_OF_TEST", "sk-of-view").run().exits(0);
    let view = account_with_role(&namespace, "view");
    let as_view = || refusals::run_with_kubeconfig(&namespace, &view, &["diff"]);
    let run = as_view().exits(0).says("no differences: ").says("3 were not compared");
    assert_lines(
        &run,
        &[
            "not compared: role.rbac.authorization.k8s.io/oh: no right to list roles",
            "not compared: rolebinding.rbac.authorization.k8s.io/oh: no right to list rolebindings",
        ],
    );
    let secret = run.stdout.lines().find(|line| line.starts_with("not compared: secret/oh-env-"));
    assert!(secret.is_some_and(|line| line.ends_with(": no right to list secrets")), "{}", run.stdout);
    namespace.bed.kubectl(&["scale", "deployment", "oh", "--replicas=2", "-n", &namespace.name]);
    assert_lines(&as_view().exits(1), &["  spec.replicas   2 → 1", "1 to change, 0 to create, 0 to delete"]);

    // With all rights, but without the key, only the Secret is not compared.
    let run = diff(&namespace, &[]).exits(1);
    let secret = run.stdout.lines().find(|line| line.starts_with("not compared: secret/oh-env-"));
    let reason = ": no value for environment variable KEY_OF_TEST";
    assert!(secret.is_some_and(|line| line.ends_with(reason)), "{}", run.stdout);
    assert_lines(&run, &["1 to change, 0 to create, 0 to delete"]);
}

#[test]
fn earlier_configuration_is_compared_line_by_line() {
    let (first, second) = ("[llm]\nmodel = \"first\"\n", "[llm]\nmodel = \"second\"\n");
    let namespace = deployed("diff-earlier", first);
    namespace.config(second);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config(first);
    let run = diff(&namespace, &[]).exits(1);
    assert_lines(
        &run,
        &[
            "  data[\"config.toml\"]",
            "-   model = \"second\"",
            "+   model = \"first\"",
            "deployment.apps/oh   restarts the pod: configuration   you",
            "1 to change, 0 to create, 0 to delete",
        ],
    );
    let reused = object(&diff(&namespace, &["-o", "json"]).exits(1).json(), "ConfigMap").clone();
    assert_eq!(reused["action"], "reused");
}

#[test]
fn unedited_config_init_is_no_difference() {
    let namespace = deployed("diff-init", "");
    std::fs::remove_file(namespace.folder.path().join("config.toml")).unwrap();
    run_in_home(namespace.folder.path(), &["config", "init", "--all"]).exits(0);
    assert_eq!(diff(&namespace, &[]).exits(0).stdout, "");
}

#[test]
fn additions_of_others_are_listed_and_exit_0() {
    let namespace = deployed("diff-others", "");
    let patch = json!({
        "metadata": { "annotations": { "team": "a" } },
        "spec": { "paused": true, "template": { "spec": { "containers": [
            { "name": "openhands", "env": [{ "name": "A_OF_THEIRS", "value": "1" }] },
            { "name": "sidecar", "image": "a.example/sidecar:1" },
        ] } } },
    });
    let arguments = ["patch", "deployment", "oh", "--field-manager=colleague", "-n", &namespace.name, "-p"];
    namespace.bed.kubectl(&[&arguments[..], &[&patch.to_string()]].concat());
    let run = diff(&namespace, &[]).exits(0).says("up to date; others added 4 fields");
    assert_lines(&run, &["deployment.apps/oh   fields of others, which deploy keeps"]);
    let paths = [
        "  metadata.annotations.team   a   colleague, ",
        "  spec.paused   true   colleague, ",
        "  spec.template.spec.containers[name=\"openhands\"].env[name=\"A_OF_THEIRS\"]   colleague, ",
        "  spec.template.spec.containers[name=\"sidecar\"]   colleague, ",
    ];
    for path in paths {
        assert!(run.stdout.lines().any(|line| line.starts_with(path)), "{path}: {}", run.stdout);
    }

    // Beside a change of ours, the colleague's variable is not attributed to us.
    let json = ["-o", "json", "--set", "deploy.env.OURS=\"1\""];
    let report = diff(&namespace, &json).exits(1).json();
    let deployment = object(&report, "Deployment");
    let hunks = deployment["hunks"].as_array().unwrap().iter();
    let yours: Vec<&Value> = hunks.filter(|hunk| hunk["cause"] == "you").map(|hunk| &hunk["path"]).collect();
    assert_eq!(yours, ["spec.template.spec.containers[name=\"openhands\"].env[name=\"OURS\"]"]);
    assert_eq!(deployment["additions"].as_array().unwrap().len(), 4, "{deployment}");
    diff(&namespace, &json[2..]).exits(1);
}

#[test]
fn diff_with_closed_stdout_exits_0_silently() {
    let namespace = Bed::shared().namespace("diff-pipe");
    let run = namespace.command(&["diff"]).run_with_closed_stdout().exits(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn variable_with_a_secret_name_of_another_manager_is_hidden() {
    let namespace = Bed::shared().namespace("variable");
    namespace.handsctl(&["deploy"]).exits(0);
    let secret = planted::secret("v1");
    let variables = [format!("LLM_API_KEY={secret}"), format!("THEIR_TOKEN={secret}")];
    let set = ["set", "env", "deployment/oh", "-n", &namespace.name, &variables[0], &variables[1]];
    namespace.bed.kubectl(&set);
    for arguments in [&["diff"][..], &["diff", "-o", "json"], &["diff", "-o", "markdown"], &["status"]] {
        let run = namespace.handsctl(arguments);
        planted::assert_hidden(&secret, &arguments.join(" "), &(run.stdout + &run.stderr));
    }
    let differences = namespace.handsctl(&["diff"]);
    assert!(differences.stdout.contains("THEIR_TOKEN"), "{differences:?}");
}
