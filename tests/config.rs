//! `config init`, `explain`, `schema`: the file to begin with, the manual, the schema; without a cluster.

use serde_json::Value;

use crate::bed::hermetic;

#[test]
fn config_init_writes_a_file_that_changes_nothing_and_replaces_none() {
    let home = tempfile::tempdir().unwrap();
    hermetic(home.path(), &["config", "init"]).exits(0).says("config.toml  written");
    let file = home.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\n[deploy]\n") && text.contains("\n#storage_size = \"5Gi\"\n"), "{text}");

    hermetic(home.path(), &["config", "check"]).exits(0).prints("config.toml  (0 keys set)  ok");
    hermetic(home.path(), &["config", "init"]).exits(2).says("it is there already").says("--force");
    std::fs::write(&file, "").unwrap();
    hermetic(home.path(), &["config", "init", "--force"]).exits(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let printed = hermetic(home.path(), &["config", "init", "-"]).exits(0);
    assert_eq!(printed.stdout, text);
    hermetic(home.path(), &["config", "init", "no/such/folder.toml"])
        .exits(3)
        .says("cannot write no/such/folder.toml");
}

#[test]
fn config_explain_says_what_a_key_is_and_what_was_perhaps_meant() {
    let home = tempfile::tempdir().unwrap();
    let explain = |key: &str| hermetic(home.path(), &["config", "explain", key]);
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
    explain("pvc_storage_size").exits(2).says("config explain kubernetes.pvc_storage_size");
    hermetic(home.path(), &["config", "explain"]).exits(0).prints("deploy").prints("model_routing");
    let run = hermetic(home.path(), &["config", "explain", "deploy.expose", "-o", "json"]).exits(0);
    let article: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(article["default"], "\"ingress\"");
    assert_eq!(article["allowed"][0]["value"], "ingress");
}

#[test]
fn rbac_names_the_account_that_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let rbac = |account: &str| hermetic(home.path(), &["rbac", account]);
    rbac("user:ana@example.org").exits(0).prints("kind: User").prints("name: ana@example.org");
    rbac("group:ops").exits(0).prints("kind: Group");
    rbac("serviceaccount:ci:deployer").exits(0).prints("namespace: ci").prints("name: deployer");
    for wrong in ["ana", "user:", "serviceaccount:deployer", "serviceaccount::deployer", "role:x"] {
        rbac(wrong).exits(2).says("is no account").says("serviceaccount:NAMESPACE:NAME");
    }
    hermetic(home.path(), &["rbac", "-o", "table"])
        .exits(0)
        .prints("(cluster)")
        .prints("nothing can be deployed");
}

#[test]
fn config_schema_is_a_json_schema_with_descriptions() {
    let home = tempfile::tempdir().unwrap();
    let run = hermetic(home.path(), &["config", "schema"]).exits(0);
    let schema: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{schema}");
    assert_eq!(schema["$defs"]["Deploy"]["properties"]["replicas"]["default"], 1);
    assert!(schema["$defs"]["Core"]["properties"]["max_iterations"]["description"].is_string());
}
