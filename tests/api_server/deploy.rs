//! `up` and `deploy` on a real API server: the first run, an unchanged one, one changed key, and what each run changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, OwnCluster, in_home};
use crate::fault::Proxy;
use crate::planted;

/// The kinds of a set's members.
const KINDS: &str = "serviceaccounts,roles,rolebindings,configmaps,secrets,persistentvolumeclaims,deployments,services,ingresses,networkpolicies,resourcequotas,limitranges,horizontalpodautoscalers";
const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// The namespace's objects: `Kind/name` → resourceVersion. Without revisions, which have their own tests.
fn versions_in(bed: &Bed, namespace: &str) -> BTreeMap<String, String> {
    let list = bed.get(&[KINDS, "-n", namespace]);
    let objects = list["items"].as_array().unwrap().iter();
    objects
        .map(|item| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            // A controller may update the status of a quota at any time.
            let version = if item["kind"] == "ResourceQuota" {
                &item["metadata"]["uid"]
            } else {
                &item["metadata"]["resourceVersion"]
            };
            (format!("{}/{}", text(&item["kind"]), text(&item["metadata"]["name"])), text(version))
        })
        .filter(|(name, _)| !name.starts_with("Secret/handsctl-") || !name.contains("-r"))
        .collect()
}

fn versions(namespace: &Namespace) -> BTreeMap<String, String> {
    versions_in(namespace.bed, &namespace.name)
}

/// Names of created, deleted and changed objects.
fn changed_objects(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// The pod template of the set's Deployment.
fn template(namespace: &Namespace) -> Value {
    namespace.bed.get(&["deployment", "oh", "-n", &namespace.name])["spec"]["template"].clone()
}

/// UIDs of the set's pods without a deletion timestamp.
fn pods(namespace: &Namespace) -> BTreeSet<String> {
    let list = namespace.bed.get(&["pods", "-n", &namespace.name, "-l", "app.kubernetes.io/instance=oh"]);
    let pods = list["items"].as_array().unwrap().iter();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned())
        .collect()
}

/// The API server's counters of requests that write objects of a set's kinds: verb and resource → count.
fn write_requests(bed: &Bed) -> BTreeMap<String, u64> {
    let metrics = bed.kubectl(&["get", "--raw", "/metrics"]);
    let mut counts = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
            rest.split_once('"').unwrap().0
        };
        let is_set_kind = KINDS.split(',').chain(["namespaces"]).any(|kind| kind == label("resource"));
        let is_write = ["APPLY", "PATCH", "POST", "PUT", "DELETE"].contains(&label("verb"));
        if is_set_kind && is_write && label("subresource").is_empty() && label("dry_run").is_empty() {
            let count: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            *counts.entry(format!("{} {}", label("verb"), label("resource"))).or_default() += count;
        }
    }
    counts
}

/// The only name with this prefix.
fn only_with_prefix(names: &BTreeSet<String>, prefix: &str) -> String {
    let matching: Vec<&String> = names.iter().filter(|name| name.starts_with(prefix)).collect();
    assert_eq!(matching.len(), 1, "{prefix}: {names:?}");
    matching[0].clone()
}

/// Parses an event stream. Panics if an event violates the schema of `src/event.rs`.
fn events(text: &str) -> Vec<Value> {
    let fields: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("started", ["command"].as_slice()),
        ("target", &["command", "target"]),
        ("config", &["phase", "message"]),
        ("step", &["phase", "name", "action", "message"]),
        ("planned", &["phase", "object"]),
        ("object", &["phase", "object", "action", "message"]),
        ("rollout", &["phase", "object", "ready", "message", "fails_in"]),
        (
            "finding",
            &[
                "phase",
                "id",
                "object",
                "container",
                "affected",
                "message",
                "evidence",
                "log",
                "keys",
                "hints",
            ],
        ),
        (
            "container",
            &["phase", "object", "workload", "container", "image", "state", "message", "age", "usually"],
        ),
        (
            "event",
            &["phase", "object", "workload", "container", "warning", "reason", "message", "count", "age"],
        ),
        ("changes", &["revision", "against", "changed", "by", "commit", "run_url", "note", "usual"]),
        ("probe", &["phase", "ready", "message"]),
        ("waiting", &["object", "message", "left"]),
        ("warning", &["id", "message", "location"]),
        ("wire", &["requests", "bytes_in", "bytes_out", "slowest"]),
        ("finished", &["exit", "id", "revision", "url", "sandboxes", "model", "message", "error", "notes"]),
    ]);
    let phases = ["config", "preflight", "cluster", "lock", "apply", "track", "probe", "settings", "prune"];
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (number, event) in events.iter().enumerate() {
        let keys: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        let of_type = fields[event["type"].as_str().unwrap()];
        assert_eq!(keys, ["v", "seq", "ts", "type"].iter().chain(of_type).copied().collect(), "{event}");
        assert_eq!((&event["v"], &event["seq"]), (&Value::from(1), &Value::from(number + 1)), "{event}");
        assert!(event["ts"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{event}");
        assert!(event["phase"].is_null() || phases.iter().any(|phase| event["phase"] == *phase), "{event}");
        if let Some(object) = event["object"].as_object() {
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            assert_eq!(BTreeSet::from_iter(keys), BTreeSet::from(["group", "kind", "namespace", "name"]));
        }
    }
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!((types.first(), types.last()), (Some(&"started"), Some(&"finished")), "{types:?}");
    for once in ["started", "finished"] {
        assert_eq!(types.iter().filter(|word| **word == once).count(), 1, "{types:?}");
    }
    events
}

fn summary_objects(summary: &Value, action: &str) -> BTreeSet<String> {
    let objects = summary["objects"].as_array().unwrap().iter().filter(|object| object["action"] == action);
    objects
        .map(|object| {
            let text = |key: &str| object["object"][key].as_str().unwrap();
            format!("{}/{}", text("kind"), text("name"))
        })
        .collect()
}

#[test]
fn up_creates_all_then_nothing_then_two_changed_objects() {
    let own = OwnCluster::new("up", "");
    own.handsctl(&["up"]).exits(0).says("10 created").says("deployment.apps/openhands 1/1");
    let bed = own.bed();
    let deployment = bed.get(&["deployment", "openhands", "-n", "openhands"]);
    let available =
        deployment["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Available");
    assert_eq!(available.unwrap()["status"], "True");
    let before = versions_in(&bed, "openhands");
    let created: BTreeSet<&str> = before.keys().map(|name| name.split("-config-").next().unwrap()).collect();
    let expected = BTreeSet::from([
        "ConfigMap/handsctl-openhands",
        "ConfigMap/kube-root-ca.crt",
        "ConfigMap/openhands",
        "Deployment/openhands",
        "Ingress/openhands",
        "NetworkPolicy/openhands",
        "NetworkPolicy/openhands-app",
        "PersistentVolumeClaim/openhands-state",
        "Role/openhands",
        "RoleBinding/openhands",
        "Secret/handsctl-openhands",
        "Service/openhands",
        "ServiceAccount/default",
        "ServiceAccount/openhands",
    ]);
    assert_eq!(created, expected);

    // The counters include the first run's ten members and their parent, so they would include later writes.
    let counted = write_requests(&bed);
    let applies: u64 =
        counted.iter().filter(|(key, _)| key.starts_with("APPLY ")).map(|(_, count)| count).sum();
    assert_eq!(applies, 11, "{counted:?}");
    own.handsctl(&["up"]).exits(0).says("10 unchanged");
    assert_eq!(write_requests(&bed), counted, "write requests of an unchanged run");
    assert_eq!(versions_in(&bed, "openhands"), before);

    own.config("[llm]\nmodel = \"openai/gpt-5\"\n");
    own.handsctl(&["up"]).exits(0).says("1 created, 1 configured, 8 unchanged");
    let changed = changed_objects(&before, &versions_in(&bed, "openhands"));
    assert_eq!(changed.len(), 2, "{changed:?}");
    let configuration = only_with_prefix(&changed, "ConfigMap/openhands-config-");
    assert!(!before.contains_key(&configuration), "a changed ConfigMap gets a new name");
    assert!(changed.contains("Deployment/openhands"), "{changed:?}");
    own.handsctl(&["up"]).exits(0).says("10 unchanged");
}

#[test]
fn diff_and_dry_run_name_a_differing_local_cluster() {
    let own = OwnCluster::new("differs", "");
    own.handsctl(&["cluster", "up"]).exits(0);
    own.handsctl(&["diff"]).exits(1).never_says("HC2021");
    let set = ["--set", "cluster.workers=2"];
    for command in [&["diff"][..], &["deploy", "--dry-run"]] {
        let run = own.command(&[command, &set].concat()).run();
        let run = run.says("HC2021").says("differs from the configuration (workers: 0, configured 2)");
        run.says("handsctl cluster up --set cluster.workers=2 --recreate deletes everything in the cluster");
    }
}

#[test]
fn second_deploy_changes_nothing() {
    let namespace = Bed::shared().namespace("twice");
    namespace.handsctl(&["deploy"]).exits(0).says("10 created").says("deployment.apps/oh 1/1");
    let before = versions(&namespace);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    assert_eq!(versions(&namespace), before);
}

#[test]
fn second_deploy_of_each_configuration_changes_nothing() {
    let configs = [
        "[deploy]\nexpose = \"nodeport\"\nexposure = \"acknowledged\"\nnetwork_policy = false\nmin_ready_seconds = 1\n",
        "[deploy]\nexpose = \"loadbalancer\"\nload_balancer = \"internal\"\nsource_ranges = [\"203.0.113.0/24\"]\nsandbox_egress = \"none\"\nimage_pull_policy = \"Always\"\nimage_pull_secrets = [\"b\", \"a\"]\n",
        "[deploy]\nexpose = \"none\"\nsandbox_egress = \"all\"\nclient_namespaces = [\"login\"]\nstorage_class = \"standard\"\nstorage_size = \"1024Mi\"\n\
         resources = { requests = { cpu = \"0.1\", memory = \"1000000k\" }, limits = { cpu = \"2000m\", memory = \"2048Mi\" } }\n",
        "[deploy]\nhost = \"example.org\"\ntls_secret = \"t\"\ningress_class = \"c\"\ningress_namespace = \"i\"\n\
         env = { EMPTY = \"\", WORKSPACE_BASE = \"\", B = \"b\" }\nnode_selector = { \"kubernetes.io/os\" = \"linux\" }\n\
         [llm]\napi_key = \"k\"\n",
        "[deploy]\ntopology_spread = [{ topology_key = \"kubernetes.io/hostname\" }]\n\
         [[deploy.tolerations]]\nkey = \"gpu\"\noperator = \"Exists\"\neffect = \"NoExecute\"\ntoleration_seconds = 30\n\
         [deploy.quota]\npods = \"20\"\n\"requests.cpu\" = \"4000m\"\n\"limits.memory\" = \"32768Mi\"\n\
         [deploy.limit_range]\ndefault = { cpu = \"1000m\" }\nmax = { cpu = \"4\", memory = \"8Gi\" }\nmin = { cpu = \"1m\" }\n\
         [[deploy.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution]]\nweight = 1\n\
         preference = { matchExpressions = [{ key = \"disk\", operator = \"In\", values = [\"ssd\"] }] }\n",
        "[deploy]\nimage = \"acme/openhands:1.6\"\nstrategy = \"RollingUpdate\"\n\
         [deploy.storage]\nkind = \"s3\"\nbucket = \"b\"\nendpoint = \"http://minio:9000\"\n\
         credentials = { access_key_id = \"a\", secret_access_key = \"s\" }\n\
         [deploy.database]\nhost = \"db.example.com\"\npassword = \"p\"\nssl_mode = \"require\"\n\
         [deploy.autoscaling]\nmin = 2\nmax = 3\n",
        "[deploy]\nimage = \"acme/openhands:1.6\"\nreplicas = 2\n\
         [deploy.storage]\nkind = \"google_cloud\"\nbucket = \"b\"\ncredentials = { key_json = \"{}\" }\n\
         [deploy.database]\nhost = \"db\"\n",
        // Settings for a local cluster.
        "[llm]\nmodel = \"anthropic/claude-sonnet-4\"\napi_key = \"k\"\n[kubernetes]\nresource_memory_limit = \"4Gi\"\n\
         pvc_storage_size = \"4Gi\"\n[sandbox]\ntimeout = 300\nruntime_startup_env_vars = { GITHUB_TOKEN = \"t\" }\n",
        // Settings for a team's cluster.
        "[core]\nmax_concurrent_conversations = 10\n[llm]\nmodel = \"m\"\n[llm.fast]\nmodel = \"f\"\n[agent]\nllm_config = \"fast\"\n\
         [condenser]\ntype = \"llm\"\nllm_config = \"fast\"\n[kubernetes]\ningress_domain = \"boxes.example.org\"\n\
         tolerations_yaml = \"- key: sandboxes\\n  operator: Exists\\n\"\nnode_selector_key = \"pool\"\nnode_selector_val = \"boxes\"\n\
         [deploy]\nhost = \"hands.example.org\"\ntls_secret = \"tls\"\ningress_class = \"traefik\"\ningress_namespace = \"traefik\"\n\
         quota = { pods = \"40\", \"requests.memory\" = \"64Gi\" }\n",
        // Tools of the agent.
        "[mcp]\nsse_servers = [{ url = \"https://example.com/sse\", api_key = \"k\" }]\nshttp_servers = [\"https://example.com/mcp\"]\n\
         [[mcp.stdio_servers]]\nname = \"fetch\"\ncommand = \"uvx\"\nargs = [\"mcp-server-fetch\"]\n\
         [security]\nconfirmation_mode = true\n[deploy]\nseed_settings = \"never\"\nrollback_on_failure = \"never\"\n",
        // The newest app version, from a private registry.
        "[deploy]\nimage = \"registry.example.org/openhands:1.6\"\nimage_pull_secrets = [\"registry\"]\nprogress_deadline = \"20m\"\n\
         revision_history = 5\n[sandbox]\nruntime_container_image = \"registry.example.org/runtime:1.6-nikolaik\"\n\
         [kubernetes]\nimage_pull_secret = \"registry\"\n",
    ];
    for config in configs {
        let namespace = Bed::shared().namespace("forms");
        namespace.config(config);
        namespace.create(&[("pod-security.kubernetes.io/warn", "restricted")]);
        namespace.handsctl(&["deploy"]).exits(0).never_says("HC3010");
        let before = versions(&namespace);
        let second = namespace.handsctl(&["deploy", "-o", "json"]).exits(0).never_says("HC3010").json();
        let members =
            before.keys().filter(|name| !name.contains("/handsctl-oh") && name.contains("/oh")).cloned();
        assert_eq!(summary_objects(&second, "unchanged"), members.collect(), "{config}");
        assert_eq!(versions(&namespace), before, "{config}");
    }
}

#[test]
fn restricted_namespace_returns_no_warning_and_sandboxes_are_separate() {
    let bed = Bed::shared();
    let (namespace, boxes) = (bed.namespace("restricted"), bed.namespace("sandboxes"));
    let level = |mode: &'static str| (mode, "restricted");
    namespace.create(&[
        level("pod-security.kubernetes.io/enforce"),
        level("pod-security.kubernetes.io/warn"),
        level("pod-security.kubernetes.io/audit"),
    ]);
    namespace.config(&format!("[kubernetes]\nnamespace = \"{}\"\n[llm]\napi_key = \"k\"\n", boxes.name));
    let proxy = Proxy::for_cluster(bed);
    let arguments = ["deploy", "--context", Proxy::CONTEXT, "-n", &namespace.name, "--name", "oh"];
    in_home(namespace.folder.path(), &arguments)
        .env("KUBECONFIG", proxy.kubeconfig())
        .run()
        .exits(0)
        .says("deployment.apps/oh 1/1")
        .never_says("HC3010");
    assert_eq!(proxy.warnings(), Vec::<String>::new());
    assert!(proxy.requests().iter().any(|request| request.path.contains("/deployments/oh?")));

    let (app_objects, sandbox_objects) = (versions(&namespace), versions(&boxes));
    assert!(
        app_objects.contains_key("NetworkPolicy/oh-app")
            && !sandbox_objects.contains_key("NetworkPolicy/oh-app")
    );
    for name in ["Role/oh", "RoleBinding/oh", "NetworkPolicy/oh"] {
        assert!(
            sandbox_objects.contains_key(name) && !app_objects.contains_key(name),
            "{name}: {app_objects:?} {sandbox_objects:?}"
        );
    }
    let subject = &bed.get(&["rolebinding", "oh", "-n", &boxes.name])["subjects"][0];
    assert_eq!(subject["namespace"], namespace.name);

    // The proxy records warnings: a pod that violates the namespace's Pod Security level causes one.
    let kubeconfig = proxy.kubeconfig();
    let deployment = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "bad" },
        "spec": {
            "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "a", "image": "a" }] } },
        },
    });
    bed.kubectl_with(
        &[
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--context",
            Proxy::CONTEXT,
            "create",
            "-n",
            &namespace.name,
            "-f",
            "-",
        ],
        &deployment.to_string(),
    );
    assert_eq!(proxy.warnings().len(), 1);
}

#[test]
fn secret_value_appears_only_in_its_kubernetes_secret() {
    let namespace = Bed::shared().namespace("literal");
    let (first, second, token) = (planted::secret("f1"), planted::secret("f2"), planted::secret("t3"));
    let config = |key: &str| {
        format!("[llm]\napi_key = {key:?}\n[deploy.env]\nGITHUB_TOKEN = {{ env = \"TOKEN_OF_TEST\" }}\n")
    };
    let stream = namespace.folder.path().join("events");
    let deploy = |more: &[&str]| {
        let arguments = [&["deploy", "-v", "--events", stream.to_str().unwrap()], more].concat();
        namespace.command(&arguments).env("TOKEN_OF_TEST", &token).run().exits(0)
    };
    let mut shown = Vec::new();

    namespace.config(&config(&first));
    let run = deploy(&[]).says("11 created");
    shown.extend([run.stdout, run.stderr, std::fs::read_to_string(&stream).unwrap()]);
    let before = versions(&namespace);
    let name =
        only_with_prefix(&before.keys().cloned().collect(), "Secret/oh-env-").split_off("Secret/".len());
    let assert_environment = |name: &str| {
        let variables = template(&namespace)["spec"]["containers"][0]["env"].as_array().unwrap().clone();
        for (variable, value) in [("LLM_API_KEY", "LLM_API_KEY"), ("GITHUB_TOKEN", "GITHUB_TOKEN")] {
            let entry = variables.iter().find(|entry| entry["name"] == variable).unwrap();
            let expected = serde_json::json!({ "secretKeyRef": { "name": name, "key": value } });
            assert_eq!(entry["valueFrom"], expected);
        }
    };
    assert_environment(&name);
    let value = |name: &str, key: &str| {
        use base64::Engine as _;
        let secret = namespace.bed.get(&["secret", name, "-n", &namespace.name]);
        assert_eq!(secret["immutable"], true);
        let bytes = base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str().unwrap());
        String::from_utf8(bytes.unwrap()).unwrap()
    };
    assert_eq!(value(&name, "LLM_API_KEY"), first);
    assert_eq!(value(&name, "GITHUB_TOKEN"), token);
    let first_pods = pods(&namespace);

    let run = deploy(&["-o", "json"]);
    shown.extend([run.stdout, run.stderr]);
    assert_eq!(versions(&namespace), before, "an unchanged value changes nothing");

    namespace.config(&config(&second));
    let run = deploy(&[]).says("1 created, 1 configured, 9 unchanged");
    shown.extend([run.stdout, run.stderr, std::fs::read_to_string(&stream).unwrap()]);
    let changed = changed_objects(&before, &versions(&namespace));
    assert_eq!(changed.len(), 2, "{changed:?}");
    let new_name = only_with_prefix(&changed, "Secret/oh-env-").split_off("Secret/".len());
    assert_environment(&new_name);
    assert_eq!(value(&new_name, "LLM_API_KEY"), second);
    assert!(pods(&namespace).is_disjoint(&first_pods), "a changed value replaces the pod");

    // The name's hash depends on the set's random key: the same content has another name in another set.
    let other = Bed::shared().namespace("literal-other");
    other.config(&config(&second));
    other.command(&["deploy", "--no-wait"]).env("TOKEN_OF_TEST", &token).run().exits(0);
    assert!(!versions(&other).contains_key(&format!("Secret/{new_name}")));

    let everything =
        "configmaps,deployments,replicasets,pods,events,serviceaccounts,services,ingresses,leases";
    shown.push(namespace.bed.get(&[everything, "-n", &namespace.name]).to_string());
    for text in &shown {
        for secret in [&first, &second, &token] {
            planted::assert_hidden(secret, "the deploy", text);
        }
    }
}

#[test]
fn referenced_secret_change_rolls_pod() {
    let namespace = Bed::shared().namespace("reference");
    namespace.create(&[]);
    let bed = namespace.bed;
    bed.kubectl(&["create", "secret", "generic", "theirs", "--from-literal=k=one", "-n", &namespace.name]);
    namespace.config("[llm]\napi_key = { secret = \"theirs\", key = \"k\" }\n");
    namespace.handsctl(&["deploy"]).exits(0).says("10 created");
    let annotation = || template(&namespace)["metadata"]["annotations"]["handsctl.dev/secret-theirs"].clone();
    let secret = bed.get(&["secret", "theirs", "-n", &namespace.name]);
    assert_eq!(annotation(), secret["metadata"]["resourceVersion"]);
    let first_pods = pods(&namespace);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");

    bed.kubectl(&[
        "patch",
        "secret",
        "theirs",
        "-n",
        &namespace.name,
        "-p",
        "{\"stringData\":{\"k\":\"two\"}}",
    ]);
    let before = versions(&namespace);
    namespace.handsctl(&["deploy"]).exits(0).says("1 configured, 9 unchanged");
    let secret = bed.get(&["secret", "theirs", "-n", &namespace.name]);
    assert_eq!(annotation(), secret["metadata"]["resourceVersion"]);
    assert_eq!(changed_objects(&before, &versions(&namespace)), BTreeSet::from(["Deployment/oh".to_owned()]));
    assert!(pods(&namespace).is_disjoint(&first_pods), "a changed Secret replaces the pod");
}

#[test]
fn quiet_deploy_writes_only_the_value() {
    let namespace = Bed::shared().namespace("quiet");
    let silent = namespace.handsctl(&["deploy", "-q"]).exits(0);
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    let value = namespace.handsctl(&["deploy", "-q", "--wait", "-o", "json"]).exits(0);
    assert_eq!((value.json()["exit"].as_u64(), value.stderr.as_str()), (Some(0), ""));
    let refused = namespace.handsctl(&["deploy", "-q", "--set", "deploy.replicas=0.5"]).exits(3);
    assert!(refused.stderr.contains("error[HC"), "{}", refused.stderr);
}

#[test]
fn dry_run_changes_nothing() {
    let namespace = Bed::shared().namespace("dry");
    namespace.config("[llm]\napi_key = \"k\"\n");
    for flag in ["--dry-run=client", "--dry-run=server", "--dry-run"] {
        namespace
            .handsctl(&["deploy", flag])
            .exits(0)
            .says("would be: 11 created")
            .says("serviceaccount/oh would be created")
            .says(&format!("apply it: handsctl deploy -n {} --name oh --context ", namespace.name))
            .never_says("undo:")
            .never_says("logs:");
        let get = namespace.bed.try_kubectl(&["get", "namespace", &namespace.name], "");
        assert!(!get.status.success(), "{flag} created the namespace");
    }
    let secret = planted::secret("dry-run");
    let run = namespace.handsctl(&["deploy", "--dry-run", "--set", &format!("llm.api_key={secret:?}")]);
    run.exits(0)
        .says("the same command without --dry-run applies it")
        .never_says("apply it: ")
        .never_says("***");
    namespace.create(&[]);
    let before = versions(&namespace);
    for flag in ["--dry-run=client", "--dry-run=server"] {
        namespace.handsctl(&["deploy", flag]).exits(0).says("11 created");
        assert_eq!(versions(&namespace), before, "{flag} on an empty namespace");
    }
    namespace.handsctl(&["deploy"]).exits(0);
    let before = versions(&namespace);
    namespace.config("[llm]\napi_key = \"k\"\nmodel = \"m\"\n");
    for flag in ["--dry-run=client", "--dry-run=server"] {
        let run = namespace.handsctl(&["deploy", flag, "-o", "json"]).exits(0).json();
        assert_eq!(
            summary_objects(&run, "configured"),
            BTreeSet::from(["Deployment/oh".to_owned()]),
            "{flag}"
        );
        assert_eq!(summary_objects(&run, "created").len(), 1, "{flag}");
        assert_eq!(summary_objects(&run, "unchanged").len(), 9, "{flag}");
        assert_eq!(versions(&namespace), before, "{flag} on an installation");
    }
}

#[test]
fn labels_and_annotations_of_others_are_kept() {
    let namespace = Bed::shared().namespace("others");
    namespace.handsctl(&["deploy"]).exits(0);
    let bed = namespace.bed;
    for kind in ["serviceaccount", "role", "rolebinding", "deployment", "service", "ingress", "networkpolicy"]
    {
        bed.kubectl(&["label", kind, "oh", "theirs=1", "-n", &namespace.name]);
        bed.kubectl(&["annotate", kind, "oh", "example.io/theirs=1", "-n", &namespace.name]);
    }
    let before = versions(&namespace);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    assert_eq!(versions(&namespace), before);

    // A changed deploy keeps the labels and annotations of others.
    namespace.config("[deploy]\nhost = \"example.org\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("1 configured, 9 unchanged");
    let ingress = bed.get(&["ingress", "oh", "-n", &namespace.name]);
    assert_eq!(ingress["metadata"]["labels"]["theirs"], "1");
    assert_eq!(ingress["metadata"]["annotations"]["example.io/theirs"], "1");
}

#[test]
fn concurrent_status_writes_leave_members_unchanged() {
    let namespace = Bed::shared().namespace("busy");
    namespace.handsctl(&["deploy"]).exits(0);
    let done = AtomicBool::new(false);
    let writes = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let number = writes.fetch_add(1, Ordering::Relaxed);
                for (object, status) in [
                    ("ingress/oh", json!({ "loadBalancer": { "ingress": [{ "ip": format!("10.0.0.{}", number % 250 + 1) }] } })),
                    ("deployment/oh", json!({ "collisionCount": number })),
                ] {
                    let patch = json!({ "status": status }).to_string();
                    let arguments = ["patch", object, "-n", &namespace.name, "--subresource=status", "--type=merge", "-p", &patch];
                    namespace.bed.try_kubectl(&arguments, "");
                }
            }
        });
        let _stop = Stop(&done);
        wait_for("status writes", || writes.load(Ordering::Relaxed) > 2);
        let before = writes.load(Ordering::Relaxed);
        // Deploys until a status was written meanwhile: on a busy computer one deploy is faster than one kubectl.
        while writes.load(Ordering::Relaxed) <= before + 1 {
            namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
        }
        // A change of one member does not make the others configured.
        namespace.config("[llm]\nmodel = \"openai/gpt-5\"\n");
        namespace.handsctl(&["deploy"]).exits(0).says("1 created, 1 configured, 8 unchanged");
    });
}

/// Ends the writing thread when it is dropped, also by a failed assertion.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn fields_of_other_managers_exit_7_and_stay() {
    let namespace = Bed::shared().namespace("taken");
    namespace.handsctl(&["deploy"]).exits(0);
    let bed = namespace.bed;
    bed.kubectl(&["scale", "deployment", "oh", "--replicas=2", "-n", &namespace.name]);
    bed.kubectl(&["set", "image", "deployment/oh", "openhands=example.io/other:1", "-n", &namespace.name]);
    namespace
        .handsctl(&["deploy"])
        .exits(7)
        .says(".spec.replicas")
        .says("kubectl")
        .says(".spec.template.spec.containers[name=\"openhands\"].image");
    let deployment = bed.get(&["deployment", "oh", "-n", &namespace.name]);
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "example.io/other:1");
}

#[test]
fn deleted_member_is_created_again() {
    let namespace = Bed::shared().namespace("missing");
    namespace.handsctl(&["deploy"]).exits(0);
    let before = versions(&namespace);
    let bed = namespace.bed;
    bed.kubectl(&["delete", "service/oh", "networkpolicy/oh", "rolebinding/oh", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0).says("3 created, 7 unchanged");
    let expected = ["NetworkPolicy/oh", "RoleBinding/oh", "Service/oh"].map(str::to_owned);
    assert_eq!(changed_objects(&before, &versions(&namespace)), BTreeSet::from(expected));

    bed.kubectl(&["delete", "deployment/oh", "--cascade=foreground", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0).says("1 created, 9 unchanged").says("deployment.apps/oh 1/1");
    bed.kubectl(&["annotate", "configmap/handsctl-oh", "theirs=1", "-n", &namespace.name]);
    let before = versions(&namespace);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    assert_eq!(versions(&namespace), before);
    bed.kubectl(&["delete", "configmap/handsctl-oh", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    let parent = bed.get(&["configmap", "handsctl-oh", "-n", &namespace.name]);
    let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    assert!(kinds.as_str().unwrap().contains("Deployment.apps"), "{kinds}");
}

#[test]
fn json_summary_lists_actions_alone_on_stdout() {
    let namespace = Bed::shared().namespace("summary");
    let first = namespace.handsctl(&["deploy", "-o", "json"]).exits(0).json();
    let keys: BTreeSet<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        "v command target exit id message error revision url sandboxes model notes objects findings warnings"
            .split(' ')
            .collect();
    assert_eq!(keys, expected);
    assert_eq!((&first["command"], &first["exit"]), (&Value::from("deploy"), &Value::from(0)));
    assert_eq!((&first["id"], &first["url"]), (&Value::Null, &Value::Null), "no URL on simulated nodes");
    // Ten members, their parent, the key and the namespace.
    assert_eq!(summary_objects(&first, "created").len(), 13);
    let live = namespace.bed.get(&[KINDS, "-n", &namespace.name, "-l", PART_OF]);
    for object in live["items"].as_array().unwrap() {
        let name = format!("{}/{}", object["kind"], object["metadata"]["name"]).replace('"', "");
        assert!(summary_objects(&first, "created").contains(&name), "{name}");
    }

    namespace.config("[deploy]\nhots = \"a\"\n");
    let failed = namespace.handsctl(&["deploy", "-o", "json"]).exits(3);
    let summary = failed.json();
    assert_eq!((&summary["command"], &summary["exit"]), (&Value::from("deploy"), &Value::from(3)));
    assert!(summary["id"].as_str().unwrap().starts_with("HC01"), "{summary}");
}

#[test]
fn event_stream_ends_with_finished_for_every_exit_code() {
    let namespace = Bed::shared().namespace("stream");
    let file = namespace.folder.path().join("events.ndjson");
    let path = file.to_str().unwrap();
    let read = || events(&std::fs::read_to_string(&file).unwrap());
    // Other tests use the default host, which would be a second warning.
    namespace.config("[llm]\napi_key = \"k\"\n[deploy]\nhost = \"stream.localhost\"\n");
    namespace.handsctl(&["deploy", "--events", path]).exits(0);
    let done = read();
    let count = |kind: &str| done.iter().filter(|event| event["type"] == kind).count();
    // Eleven members; fourteen objects with the parent, the key and the namespace.
    let warnings: Vec<&Value> = done.iter().filter(|event| event["type"] == "warning").collect();
    assert_eq!((count("planned"), count("object"), warnings.len()), (11, 14, 1), "{warnings:?}");
    assert!(done.iter().any(|event| event["type"] == "rollout" && event["ready"] == true));
    assert_eq!(done.last().unwrap()["exit"], 0);

    // An invalid config.toml, an unreachable cluster, an object of another owner, and a timeout.
    namespace.config("[llm]\nmodel = 1\n");
    namespace.handsctl(&["deploy", "--events", path]).exits(3);
    let events_of_mistake = read();
    assert_eq!(
        (&events_of_mistake.last().unwrap()["exit"], &events_of_mistake[0]["command"]),
        (&Value::from(3), &Value::from("deploy"))
    );
    namespace.config("");
    let unreachable = "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"https://127.0.0.1:1\"}}],\"users\":[{\"name\":\"a\",\"user\":{}}],\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"a\",\"user\":\"a\"}}]}";
    std::fs::write(namespace.folder.path().join("unreachable"), unreachable).unwrap();
    let arguments = ["deploy", "--context", "a", "-n", "a", "--kubeconfig", "unreachable", "--events", path];
    in_home(namespace.folder.path(), &arguments).run().exits(4);
    assert_eq!(read().last().unwrap()["exit"], 4);
    let foreign = Bed::shared().namespace("stream-foreign");
    foreign.create(&[]);
    foreign.bed.kubectl(&["create", "service", "clusterip", "oh", "--tcp=80", "-n", &foreign.name]);
    foreign.handsctl(&["deploy", "--events", path]).exits(7);
    assert_eq!(read().last().unwrap()["exit"], 7);
    foreign.bed.kubectl(&["delete", "service", "oh", "-n", &foreign.name]);
    foreign.config("[deploy.node_selector]\nnowhere = \"a\"\n[deploy.tolerate]\nunschedulable = \"1m\"\n");
    foreign.handsctl(&["deploy", "--events", path, "--timeout", "2s"]).exits(10);
    assert_eq!(read().last().unwrap()["exit"], 10);

    let stdout = namespace.handsctl(&["deploy", "--events", "-", "--dry-run"]).exits(0).stdout;
    assert_eq!(events(&stdout).last().unwrap()["exit"], 0);
}

/// Waits at most 30 s until the condition holds.
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within 30 s");
        std::thread::yield_now();
    }
}

/// `config.template.toml` as OpenHands' documentation tells people to copy it.
#[test]
fn untouched_templates_are_deployed() {
    let model = "[llm.gpt4o-mini]\nmodel = \"gpt-4o\"\n";
    for (template, version, part) in [
        (include_str!("../fixtures/templates/0-embedding.toml"), "0.45", ""),
        (include_str!("../fixtures/templates/1-agent-tools.toml"), "0.45", model),
        (include_str!("../fixtures/templates/2-kubernetes.toml"), "0.59", model),
        (include_str!("../fixtures/templates/3-claude.toml"), "1.0", model),
        (
            include_str!("../fixtures/templates/4-without-models.toml"),
            "1.6",
            "[condenser]\ntype = \"noop\"\n",
        ),
    ] {
        let namespace = Bed::shared().namespace("template");
        namespace.config(template);
        let version = format!("deploy.version={version}");
        namespace.handsctl(&["config", "check", "--set", &version]).exits(0).never_says("error[");
        let deployed = namespace.handsctl(&["deploy", "--set", &version]).exits(0);
        if part == model {
            deployed.says("warning[HC0220]");
        }
        let mounted = ["configmaps", "secrets"].map(|kind| {
            let list = namespace.bed.get(&[kind, "-n", &namespace.name]);
            let objects = list["items"].as_array().unwrap();
            objects.iter().find_map(|object| object["data"]["config.toml"].as_str().map(str::to_owned))
        });
        let [Some(text), secret] = mounted else { panic!("{version}: no config.toml") };
        assert!(text.contains(part) && !text.contains("api_key"), "{version}: {text}");
        let has_keys_of_models = template.contains("your-api-key");
        assert_eq!(secret.is_some(), has_keys_of_models, "{version}: only real keys are secrets");
    }
}
