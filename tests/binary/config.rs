//! `config init`, `explain` and `schema`, and `rbac`, without a cluster.

use handsctl::plan::{self, SecretNaming};
use handsctl::settings::{KeyReference, Request, read_without_secrets};
use serde_json::Value;

use crate::bed::{in_home, run_in_home};

#[test]
fn config_init_writes_the_keys_that_people_need() {
    let home = tempfile::tempdir().unwrap();
    run_in_home(home.path(), &["config", "init"])
        .exits(0)
        .says("config.toml  written")
        .says("next: export LLM_API_KEY=…\nnext: handsctl up\n");
    let text = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
    let expected = [
        "[llm]",
        "model = \"anthropic/claude-sonnet-4-20250514\"",
        "api_key = { env = \"LLM_API_KEY\" }",
        "[deploy]",
        "#host = \"localhost\"",
        "#storage_size = \"5Gi\"",
        "[kubernetes]",
        "#resource_memory_limit = \"2Gi\"",
    ];
    assert_eq!(lines, expected);
    assert!(text.lines().count() <= 28, "{text}");
    let key = in_home(home.path(), &["config", "check"]).env("LLM_API_KEY", "sk-planted").run().exits(0);
    key.prints("config.toml  (2 keys set)  ok").hides("sk-planted");
    run_in_home(home.path(), &["config", "check"])
        .exits(0)
        .says("warning[HC0330]")
        .says("`handsctl deploy` would fail")
        .says("the environment variable LLM_API_KEY is not set");
    let google = run_in_home(home.path(), &["config", "init", "-", "--profile", "gke", "--yes"]).exits(0);
    assert!(google.stdout.contains("\nprofile = \"gke\"\n"), "{}", google.stdout);
}

#[test]
fn config_init_all_writes_neutral_file_and_overwrites_none() {
    let home = tempfile::tempdir().unwrap();
    run_in_home(home.path(), &["config", "init", "--all"]).exits(0).says("config.toml  written");
    let file = home.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\n[deploy]\n") && text.contains("\n#storage_size = \"5Gi\"\n"), "{text}");

    run_in_home(home.path(), &["config", "check"]).exits(0).prints("config.toml  (0 keys set)  ok");
    run_in_home(home.path(), &["config", "init"]).exits(2).says("it already exists").says("--force");
    std::fs::write(&file, "").unwrap();
    run_in_home(home.path(), &["config", "init", "--all", "--force"]).exits(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let google = run_in_home(home.path(), &["config", "init", "--all", "-", "--profile", "gke"]).exits(0);
    assert!(google.stdout.contains("\nprofile = \"gke\"\n"), "{}", google.stdout);
    assert!(google.stdout.contains("\n#exposure = \"rejected\"\n"), "{}", google.stdout);
    let printed = run_in_home(home.path(), &["config", "init", "--all", "-"]).exits(0);
    assert_eq!(printed.stdout, text);
    let example = "No default; for example:\n#max_budget_per_task = 5.0\n";
    assert!(text.contains(example) && text.contains("\n[mcp]\n"), "{text}");
    run_in_home(home.path(), &["config", "init", "no/such/folder.toml"])
        .exits(3)
        .says("cannot write no/such/folder.toml");
}

/// A key that is uncommented below the commented header of its table.
#[test]
fn key_below_commented_table_names_the_line() {
    let home = tempfile::tempdir().unwrap();
    run_in_home(home.path(), &["config", "init", "--all"]).exits(0);
    let file = home.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    for (commented, key, header) in [
        ("\n#max = 3\n", "max", "#[deploy.autoscaling]"),
        ("\n#max_size = 100\n", "max_size", "#[condenser]"),
        ("\n#router_name = \"noop_router\"\n", "router_name", "#[model_routing]"),
    ] {
        assert!(text.contains(commented), "{commented}");
        let line = text.lines().position(|line| line == header).unwrap() + 1;
        std::fs::write(&file, text.replace(commented, &commented.replace("\n#", "\n"))).unwrap();
        run_in_home(home.path(), &["config", "check"])
            .exits(3)
            .says(&format!("unknown key `{key}`"))
            .says(&format!("remove the `#` of its header in line {line}, `{header}`"));
    }
}

const SETTINGS: &str =
    "# Ours.\n[llm]\nmodel = 'm'  # the model\n\n[deploy]\n# Public.\n#host = \"localhost\"\n";

#[test]
fn config_set_changes_keys_and_keeps_comments() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    run_in_home(home.path(), &["config", "set", "llm.model=x"])
        .exits(3)
        .says("handsctl config init writes one");
    std::fs::write(&file, SETTINGS).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let set = |arguments: &[&str]| run_in_home(home.path(), &[&["config", "set"], arguments].concat());
    set(&["llm.model=openai/gpt-5", "deploy.host=a.localhost"]).exits(0).says("set llm.model, deploy.host");
    let expected = SETTINGS
        .replace("'m'", "\"openai/gpt-5\"")
        .replace("#host = \"localhost\"", "host = \"a.localhost\"");
    let read = || std::fs::read_to_string(&file).unwrap();
    assert_eq!(read(), expected);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    set(&["llm.model=openai/gpt-5"]).exits(0).says("config.toml  unchanged");
    set(&["llm.api_key=sk-planted"])
        .exits(0)
        .says("warning[HC0213]")
        .says("set llm.api_key")
        .hides("sk-planted");
    assert!(read().contains("api_key = \"sk-planted\""), "{}", read());
}

#[test]
fn config_set_writes_nothing_after_a_mistake() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, SETTINGS).unwrap();
    let set = |arguments: &[&str]| run_in_home(home.path(), &[&["config", "set"], arguments].concat());
    set(&["deploy.replcas=1"])
        .exits(3)
        .says("--> argument:1:1")
        .says("did you mean `replicas`?")
        .says("config.toml was not changed: 1 error");
    set(&["deploy.host=a.localhost", "deploy.storage_size=10GB"]).exits(3).says("is not a quantity");
    set(&["llm.api_kye=sk-planted"]).exits(3).hides("sk-planted");
    set(&["deploy.host"]).exits(3).says("config set takes KEY=VALUE").says("--> argument:1:1");
    set(&["deploy.storage_size", "10Gi"])
        .exits(3)
        .says("1 | deploy.storage_size")
        .says("config.toml was not changed: 1 error")
        .says("hint: handsctl config set deploy.storage_size=10Gi");
    set(&["storage_size=10Gi"])
        .exits(3)
        .says("1 | storage_size=10Gi")
        .says("hint: handsctl config set deploy.storage_size=10Gi");
    set(&["llm.api_key", "sk-planted"])
        .exits(3)
        .says("hint: handsctl config set llm.api_key=VALUE")
        .hides("sk-planted");
    set(&["api_key=sk-planted"]).exits(3).says("llm.api_key=VALUE").hides("sk-planted");
    set(&["sk-planted"]).exits(3).says("config set takes KEY=VALUE").hides("sk-planted");
    set(&[]).exits(2);
    set(&["--config", "a.toml", "--config", "b.toml", "deploy.host=x"]).exits(2).says("2 config files");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), SETTINGS);
    // A mistake that was there before does not stop a change.
    std::fs::write(&file, "[deploy]\nreplcas = 1\n").unwrap();
    set(&["deploy.host=a.localhost"]).exits(0).says("it still has 1 error: handsctl config check");
    std::fs::write(&file, "[deploy\n").unwrap();
    set(&["deploy.host=a.localhost"]).exits(3).says("not TOML");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[deploy\n");
}

#[test]
fn config_set_warns_of_a_variable_that_overrides_it() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), SETTINGS).unwrap();
    let set = in_home(home.path(), &["config", "set", "llm.model=x"]).env("HANDSCTL_LLM__MODEL", "y").run();
    set.exits(0).says("set llm.model").says("warning[HC0332]").says("HANDSCTL_LLM__MODEL overrides the file");
    run_in_home(home.path(), &["config", "set", "llm.model=z"]).exits(0).never_says("HC0332");
    run_in_home(home.path(), &["config", "set", "deploy.env.LLM_MODEL=z"]).exits(0);
    run_in_home(home.path(), &["config", "set", "llm.model=a"])
        .exits(0)
        .says("`deploy.env.LLM_MODEL` overrides it");
}

#[test]
fn config_get_prints_the_effective_value() {
    let home = tempfile::tempdir().unwrap();
    let text =
        "[llm]\nmodel = \"m\"\napi_key = \"sk-planted\"\n[deploy]\nnode_selector = { \"a.b/c\" = \"d\" }\n";
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    let get =
        |arguments: &[&str]| run_in_home(home.path(), &[&["config", "get"], arguments].concat()).exits(0);
    assert_eq!(get(&["llm.model"]).stdout, "m\n");
    assert_eq!(get(&["deploy.host"]).stdout, "localhost\n");
    assert_eq!(get(&["deploy.host", "--set", "deploy.host=b.localhost"]).stdout, "b.localhost\n");
    assert_eq!(get(&["core.max_iterations"]).stdout, "500\n", "OpenHands' default");
    assert_eq!(get(&["llm.base_url"]).stdout, "", "not set");
    assert_eq!(get(&["llm.api_key"]).hides("sk-planted").stdout, "(redacted)\n");
    assert_eq!(get(&["deploy.node_selector.\"a.b/c\""]).stdout, "d\n");
    let table = get(&["kubernetes"]);
    table.prints("kubernetes.resource_memory_limit = \"2Gi\"  # default\n");
    assert_eq!(get(&["deploy.replicas", "-o", "json"]).json(), 1);
    run_in_home(home.path(), &["config", "get", "deploy.hots"])
        .exits(2)
        .says("handsctl config get deploy.host");
}

#[test]
fn config_edit_checks_the_copy_before_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, SETTINGS).unwrap();
    // A rejected copy stays in the folder for temporary files.
    let edit_in_home = || in_home(home.path(), &["config", "edit"]).env("TMPDIR", home.path());
    let edit = |editor: &str| edit_in_home().env("EDITOR", editor).run();
    edit("true").exits(0).says("config.toml  unchanged");
    // Without a terminal vi would wait for ever.
    let without = edit_in_home().run().exits(14);
    without.says("no editor is named").says("export EDITOR=").says("handsctl config set KEY=VALUE");
    // Ctrl-C in the editor is for the editor.
    edit("kill -INT $PPID; sed -i s/Ours/Mine/").exits(0).says("config.toml  changed");
    let edited = SETTINGS.replace("Ours", "Mine");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
    let wrong = edit("sed -i s/#host/hots/").exits(3);
    let wrong = wrong.says("did you mean `host`?").says("config.toml was not changed: 1 error");
    let (_, copy) = wrong.stderr.split_once("your edited copy is ").unwrap();
    let copy = copy.lines().next().unwrap();
    assert!(std::fs::read_to_string(copy).unwrap().contains("\nhots = "));
    std::fs::remove_file(copy).unwrap();
    edit("false").exits(14).says("error[HC0331]").says("the editor `false` failed");
    // An editor that fails in another way loses neither the file nor the work.
    for (editor, text) in [
        ("rm", "the editor deleted the copy"),
        ("truncate -s 0", "the editor left an empty copy"),
        ("sh -c 'rm $0; mkdir $0'", "cannot read the edited copy"),
        ("sh -c 'printf \"\\377\" > $0'", "is not UTF-8 text"),
    ] {
        let run = edit(editor).exits(14).says(text).says("state     config.toml was not changed");
        run.says("hint: handsctl config edit opens it again");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), edited, "{editor}");
    }
    edit("no-such-editor-of-test").exits(14).says("export EDITOR=");
    // VISUAL wins. Another program changes the file meanwhile.
    let both = edit_in_home().env("EDITOR", "false");
    let change = format!("echo '# theirs' >> {}; sed -i s/Mine/Yours/", file.display());
    let changed = both.env("VISUAL", change).run().exits(3).says("another program changed it meanwhile");
    let (_, copy) = changed.stderr.split_once("your edited copy is ").unwrap();
    std::fs::remove_file(copy.lines().next().unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{edited}# theirs\n"));
}

#[test]
fn config_explain_describes_key_and_suggests_similar_one() {
    let home = tempfile::tempdir().unwrap();
    let explain = |key: &str| run_in_home(home.path(), &["config", "explain", key]);
    explain("deploy.storage_size")
        .exits(0)
        .prints("a quantity, as a string")
        .prints("\"5Gi\"")
        .prints("HANDSCTL_DEPLOY__STORAGE_SIZE");
    explain("core.file_store")
        .exits(0)
        .prints("\"google_cloud\"")
        .prints("silently keep everything in memory");
    explain("[kubernetes]").exits(0).prints("pvc_storage_class").prints("would crash at start");
    explain("sandbox.volumes").exits(0).prints("a sandbox has a volume of its own");
    explain("mcp.shttp_servers").exits(0).prints("MCP_SHTTP_SERVERS");
    explain("llm.fast.model").exits(0).prints("llm.NAME.model");
    explain("agent.enable_stuck_detection").exits(0).prints("OpenHands 1.0");
    explain("deploy.storage_sice").exits(2).says("has no key").says("config explain deploy.storage_size");
    explain("pvc_storage_size").exits(0).prints("kubernetes.pvc_storage_size\n").prints("\"2Gi\"");
    explain("pvc_storage_sise").exits(2).says("config explain kubernetes.pvc_storage_size");
    let memory = explain("memory").exits(0).prints("KEY").prints("deploy.resources.limits.memory");
    let first = memory.stdout.lines().nth(1).unwrap();
    assert!(
        first.starts_with("kubernetes.resource_memory_limit ") && first.contains("Most memory"),
        "{first}"
    );
    let keys = run_in_home(home.path(), &["config", "explain", "host", "-o", "json"]).exits(0).json();
    assert_eq!(keys[0]["key"], "deploy.host");
    run_in_home(home.path(), &["config", "explain"]).exits(0).prints("deploy").prints("model_routing");
    let run = run_in_home(home.path(), &["config", "explain", "deploy.expose", "-o", "json"]).exits(0);
    let article: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(article["default"], "\"ingress\"");
    assert_eq!(article["allowed"][0]["value"], "ingress");
}

/// The manifests of a configuration, each with its kind in lowercase.
fn rendered(text: &str) -> Vec<(String, Value)> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    let loaded = read_without_secrets(&Request::default(), &[], home.path())
        .unwrap_or_else(|error| panic!("{:?}\n{text}", error.diagnostics()));
    let plan = plan::build(&loaded.settings, SecretNaming::Placeholder, &[]).unwrap();
    plan.members.into_iter().map(|member| (member.id.kind.to_ascii_lowercase(), member.manifest)).collect()
}

/// The values at `deployment spec.template.spec.containers[0].env`, of every object of the kind.
fn field<'a>(objects: &'a [(String, Value)], field: &str) -> Vec<&'a Value> {
    let (kind, path) = field.split_once(' ').unwrap();
    let pointer = format!("/{}", path.replace("[0]", ".0").replace('.', "/"));
    let of_kind = objects.iter().filter(|(other, _)| other == kind);
    of_kind.filter_map(|(_, manifest)| manifest.pointer(&pointer)).collect()
}

/// Every key of [deploy] whose article names fields changes these fields.
#[test]
fn key_changes_the_fields_that_explain_names() {
    const SHARED: &str = "image = \"acme/openhands:1.6\"\nstorage = { kind = \"s3\", bucket = \"b\" }\n\
        database = { host = \"db\" }\n";
    const ACKNOWLEDGED: &str = "exposure = \"acknowledged\"\n";
    const LOAD_BALANCER: &str = "expose = \"loadbalancer\"\nexposure = \"acknowledged\"\n";
    let plain = "image = \"acme/openhands:1.6\"\n";
    // Key, the configuration before, and the added line.
    let changes: &[(&str, &str, &str)] = &[
        ("image", "", "image = \"acme/openhands:0.58\""),
        ("image_pull_policy", "", "image_pull_policy = \"Always\""),
        ("image_pull_secrets", "", "image_pull_secrets = [\"a\"]"),
        ("replicas", SHARED, "replicas = 3"),
        ("expose", ACKNOWLEDGED, "expose = \"nodeport\""),
        ("load_balancer", LOAD_BALANCER, "load_balancer = \"internal\""),
        ("source_ranges", LOAD_BALANCER, "source_ranges = [\"203.0.113.0/24\"]"),
        ("client_namespaces", "", "client_namespaces = [\"login\"]"),
        ("sandbox_egress", "", "sandbox_egress = \"none\""),
        ("host", "", "host = \"hands.example.org\""),
        ("ingress_class", "", "ingress_class = \"nginx\""),
        ("ingress_namespace", "", "ingress_namespace = \"traefik\""),
        ("service_account", "", "service_account = \"hands\""),
        ("node_port", "expose = \"nodeport\"\nexposure = \"acknowledged\"\n", "node_port = 30100"),
        ("tls_secret", "", "tls_secret = \"tls\""),
        ("storage_size", "", "storage_size = \"9Gi\""),
        ("storage_class", "", "storage_class = \"fast\""),
        ("existing_claim", "", "existing_claim = \"mine\""),
        ("volume", "", "volume = \"pv-1\""),
        ("storage", plain, "storage = { kind = \"s3\", bucket = \"b\" }"),
        ("database", plain, "database = { host = \"db\" }"),
        ("autoscaling", SHARED, "autoscaling = { max = 3 }"),
        ("resources", "", "resources = { limits = { memory = \"8Gi\" } }"),
        ("node_selector", "", "node_selector = { disk = \"ssd\" }"),
        ("tolerations", "", "tolerations = [{ operator = \"Exists\" }]"),
        ("affinity", "", "affinity = { nodeAffinity = { a = 1 } }"),
        ("topology_spread", "", "topology_spread = [{ topology_key = \"zone\" }]"),
        ("quota", "", "quota = { pods = \"9\" }"),
        ("limit_range", "", "limit_range = { default = { cpu = \"1\" } }"),
        ("network_policy", "", "network_policy = false"),
        ("strategy", SHARED, "strategy = \"RollingUpdate\""),
        ("min_ready_seconds", "", "min_ready_seconds = 5"),
        ("revision_history", "", "revision_history = 9"),
        ("progress_deadline", "", "progress_deadline = \"20m\""),
        ("on_stop", "", "on_stop = \"clean\""),
        ("env", "", "env = { A = \"b\" }"),
    ];
    let manual = KeyReference::default();
    for (key, before, change) in changes {
        let article = manual.doc(&["deploy", key]).unwrap();
        assert!(!article.fields.is_empty(), "deploy.{key} names no field");
        let without = rendered(&format!("[deploy]\n{before}"));
        let with = rendered(&format!("[deploy]\n{before}{change}\n"));
        for name in &article.fields {
            assert_ne!(field(&without, name), field(&with, name), "deploy.{key} does not change {name}");
        }
    }
    let keys_with_fields = manual.keys().into_iter().filter(|key| {
        let path: Vec<&str> = key.split('.').collect();
        path.len() == 2 && path[0] == "deploy" && !manual.doc(&path).unwrap().fields.is_empty()
    });
    assert_eq!(keys_with_fields.count(), changes.len(), "the table lacks a key that names a field");
}

#[test]
fn rbac_names_the_given_account() {
    let home = tempfile::tempdir().unwrap();
    let rbac = |account: &str| run_in_home(home.path(), &["rbac", account]);
    rbac("user:ana@example.org").exits(0).prints("kind: User").prints("name: ana@example.org");
    rbac("group:ops").exits(0).prints("kind: Group");
    rbac("serviceaccount:ci:deployer").exits(0).prints("namespace: ci").prints("name: deployer");
    let sandboxes = "serviceaccount:openhands:deployer";
    rbac(sandboxes).exits(2).says("error[HC0171]").says("OpenHands may start pods in namespace openhands");
    let new = run_in_home(home.path(), &["rbac"]).exits(0);
    new.prints("  namespace: openhands-deployer\n").prints("name: openhands-deployer\n---");
    for invalid in ["ana", "user:", "serviceaccount:deployer", "serviceaccount::deployer", "role:x"] {
        rbac(invalid).exits(2).says("is not an account").says("serviceaccount:NAMESPACE:NAME");
    }
    run_in_home(home.path(), &["rbac", "-o", "table"])
        .exits(0)
        .prints("(cluster)")
        .prints("nothing can be deployed");
}

#[test]
fn config_schema_has_descriptions_and_defaults() {
    let home = tempfile::tempdir().unwrap();
    let run = run_in_home(home.path(), &["config", "schema"]).exits(0);
    let schema: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{schema}");
    assert_eq!(schema["$defs"]["Deploy"]["properties"]["replicas"]["default"], 1);
    assert!(schema["$defs"]["Core"]["properties"]["max_iterations"]["description"].is_string());
}

/// An extra manifest that `deploy` would reject before it sends anything.
#[test]
fn config_check_finds_what_deploy_rejects() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[deploy]\nextra_manifests = [\"x.yaml\"]\n").unwrap();
    let definition =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.c}\n";
    let object = "apiVersion: b.c/v1\nkind: A\nmetadata: {name: own}\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n";
    for (manifest, message) in [
        (
            format!("{definition}---\n{object}"),
            "x.yaml#1 is a CustomResourceDefinition, which is cluster-scoped",
        ),
        ("apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: a}\n".to_owned(), "is cluster-scoped"),
        (map.replace("name: own", "name: own, namespace: other"), "is for namespace other"),
        (map.replace("own", "handsctl-openhands"), "which handsctl keeps about the installation"),
        (format!("{map}---\n{map}"), "which the installation already has"),
        (map.replace("own", "Own"), "invalid `metadata.name` `Own`"),
        (map.replace("own", "own, labels: {a: b c}"), "invalid label `a`"),
    ] {
        std::fs::write(home.path().join("x.yaml"), &manifest).unwrap();
        for command in [&["config", "check"][..], &["render"]] {
            run_in_home(home.path(), command).exits(3).says("error[HC0112]").says(message);
        }
        let value = run_in_home(home.path(), &["config", "check", "-o", "json"]).exits(3).json();
        assert!(value.is_object(), "{value}");
    }
    std::fs::write(home.path().join("x.yaml"), format!("{definition}---\n{object}")).unwrap();
    run_in_home(home.path(), &["config", "check"]).says("apply that with kubectl first");
    std::fs::write(home.path().join("x.yaml"), format!("{object}---\n{map}")).unwrap();
    run_in_home(home.path(), &["config", "check"]).exits(0);
}
