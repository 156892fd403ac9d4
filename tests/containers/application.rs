//! The configuration loader of the real application, compared with handsctl's reports on a config.toml: OpenHands 0.59
//! in its image.
//!
//! The tests need the engine and the image, and no cluster.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use handsctl::settings::{KeyReference, ValueForm};
use serde_json::Value;

use crate::bed::run_in_home;

const IMAGE: &str = "docker.all-hands.dev/all-hands-ai/openhands:0.59";

/// Runs a script with the application's Python in the Deployment's environment. Returns the JSON after each `mark`.
fn run_python(script: &str, mark: &str, mount: &str, environment: &BTreeMap<String, String>) -> Vec<Value> {
    let mut command = Command::new("docker");
    command.args([
        "run",
        "--rm",
        "-i",
        "--user",
        "42420",
        "--read-only",
        "--tmpfs",
        "/tmp:mode=1777",
        "-v",
        mount,
    ]);
    for (name, value) in environment {
        command.arg("-e").arg(format!("{name}={value}"));
    }
    // The script stores no files.
    command.args(["-e", "FILE_STORE=memory", "--entrypoint", "python", IMAGE, "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("docker");
    child.stdin.take().expect("stdin").write_all(script.as_bytes()).expect("the script");
    let output = child.wait_with_output().expect("the output");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    stdout
        .lines()
        .filter_map(|line| line.strip_prefix(mark))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The configuration that the application loads from the user's config.toml, by table, and its warnings.
fn loaded(home: &Path) -> (Value, String) {
    let split = home.join("manifests");
    run_in_home(home, &["render", "--split", "manifests"]).exits(0);
    let mut configuration = None;
    let mut environment = BTreeMap::new();
    for file in std::fs::read_dir(split).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let object: Value = serde_saphyr::from_str(&text).unwrap();
        if object["kind"] == "ConfigMap" {
            configuration = object["data"]["config.toml"].as_str().map(str::to_owned);
        }
        if object["kind"] == "Deployment" {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            for variable in container["env"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let value = if variable["valueFrom"].is_null() {
                    text(&variable["value"])
                } else {
                    "redacted".into()
                };
                environment.insert(text(&variable["name"]), value);
            }
        }
    }
    let path = home.join("application.toml");
    std::fs::write(&path, configuration.expect("a ConfigMap")).unwrap();
    let mount = format!("{}:/app/config.toml:ro", path.display());
    let mut reports = run_python(include_str!("application/believes.py"), "BELIEVED ", &mount, &environment);
    let report = reports.pop().expect("a report");
    (report["tables"].clone(), report["warnings"].as_str().unwrap().to_owned())
}

/// A value as `config show` prints it, as JSON.
fn value_of(toml: &str) -> Value {
    let document: toml::Table =
        format!("v = {toml}").parse().unwrap_or_else(|error| panic!("{toml}: {error}"));
    serde_json::to_value(&document["v"]).unwrap()
}

/// Whether the loaded value contains the shown one. Additional entries are defaults.
fn contains_value(shown: &Value, loaded: &Value) -> bool {
    match (shown, loaded) {
        (Value::Object(shown), Value::Object(_)) => {
            shown.iter().all(|(name, value)| contains_value(value, &loaded[name]))
        }
        (Value::Array(shown), Value::Array(loaded)) => {
            shown.len() == loaded.len()
                && shown.iter().zip(loaded).all(|(shown, loaded)| contains_value(shown, loaded))
        }
        (Value::Number(shown), Value::Number(loaded)) => shown.as_f64() == loaded.as_f64(),
        // A string is the URL of a server.
        (Value::String(_), Value::Object(server)) => server.get("url") == Some(shown),
        (shown, loaded) => shown == loaded,
    }
}

/// Every table with its kinds of values, and environment variables that override keys.
const FULL_CONFIG: &str = r#"
[core]
max_iterations = 42
init_git_in_empty_workspace = false
debug = false
enable_default_condenser = false
file_uploads_allowed_extensions = [".txt", ",odd", "c,d"]
file_store_web_hook_headers = { X-A = "b" }
max_budget_per_task = 2.5
mcp_host = "openhands:3000"
git_user_name = "quote \" tab \t 😀"
[llm]
model = "anthropic/claude-sonnet-4"
api_key = { env = "KEY" }
base_url = "https://llm.example.com/v1"
num_retries = 3
temperature = 0.5
safety_settings = [{ category = "a", threshold = "b" }]
[llm.fast]
model = "openai/gpt-5-mini"
for_routing = true
[agent]
enable_browsing = false
llm_config = "fast"
disabled_microagents = ["npm"]
[sandbox]
timeout = 300
keep_runtime_alive = true
runtime_startup_env_vars = { LANG = "C.UTF-8", PATH_EXTRA = "/a:/b" }
trusted_dirs = []
[kubernetes]
pvc_storage_size = "3Gi"
resource_cpu_request = "500m"
node_selector_key = "disk"
node_selector_val = "ssd"
tolerations_yaml = """
- key: gpu
  operator: Exists
"""
[security]
confirmation_mode = true
[condenser]
type = "llm"
llm_config = { model = "m" }
max_size = 60
[mcp]
sse_servers = [{ url = "https://example.com/sse" }]
shttp_servers = ["https://example.com/mcp"]
[[mcp.stdio_servers]]
name = "fetch"
command = "uvx"
args = ["mcp-server-fetch", "--user-agent=a b"]
env = { A = "1" }
[extended]
anything = { a = [1, 2] }
[model_routing]
router_name = "multimodal_router"
[deploy.env]
MAX_ITERATIONS = "43"
LLM_NUM_RETRIES = "9"
SANDBOX_TIMEOUT = "301"
AGENT_ENABLE_JUPYTER = "0"
"#;

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn application_loads_what_config_show_prints() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), FULL_CONFIG).unwrap();
    let (loaded, warnings) = loaded(home.path());
    // An unset variable would cause a warning.
    assert_eq!(warnings, "");
    let shown = run_in_home(home.path(), &["config", "show", "-o", "json"]).exits(0).json();
    let mut compared = 0;
    for setting in shown.as_array().unwrap() {
        let (key, value) = (setting["key"].as_str().unwrap(), &setting["value"]);
        let table = key.split('.').next().unwrap();
        // The script overrides the file store.
        if matches!(table, "cluster" | "deploy")
            || value.to_string().contains("(redacted)")
            || key == "core.file_store"
        {
            continue;
        }
        let loaded_value = key.split('.').fold(&loaded, |value, name| &value[name.trim_matches('"')]);
        if loaded_value == "(redacted)" {
            continue;
        }
        assert!(contains_value(value, loaded_value), "{key}: shown {value}, loaded {loaded_value}");
        compared += 1;
    }
    assert!(compared >= 45, "only {compared} keys");
    assert_eq!(loaded["core"]["max_iterations"], 43);
    assert_eq!(loaded["condenser"]["max_size"], 60);
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn manual_defaults_equal_application_defaults() {
    let home = tempfile::tempdir().unwrap();
    let (loaded, _) = loaded(home.path());
    let manual = KeyReference::default();
    let mut compared = 0;
    for key in manual.keys() {
        let path: Vec<&str> = key.split('.').collect();
        let [table, name] = path[..] else { continue };
        let article = manual.doc(&path).unwrap();
        let later = article.since.as_deref().is_some_and(|since| since.starts_with("1.") || since >= "0.60");
        // handsctl's own tables, keys that handsctl or this test sets, and nested tables.
        let excluded = matches!(table, "cluster" | "deploy")
            || matches!(key.as_str(), "core.file_store" | "kubernetes.namespace")
            || matches!(article.value, ValueForm::Table(_));
        let used = article.ignored.is_none();
        let Some(default) = article.default.filter(|_| used && !later && !excluded) else { continue };
        let loaded_value = &loaded[table][name];
        assert!(
            contains_value(&value_of(&default), loaded_value),
            "{key}: the manual says {default}, the application {loaded_value}"
        );
        compared += 1;
    }
    assert!(compared > 60, "only {compared} defaults");
}

/// The application fails on each file that handsctl reports as crashing, and on no other one.
#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn application_fails_on_files_reported_as_crashing() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let mount = format!("{}:/configs:ro", fixtures.display());
    let loaded = run_python(include_str!("application/loads.py"), "LOADED ", &mount, &BTreeMap::new());
    assert!(loaded.len() >= 120, "only {} files", loaded.len());
    let mut mismatches = Vec::new();
    let mut crashes = 0;
    for file in &loaded {
        let name = file["file"].as_str().unwrap();
        let text = std::fs::read_to_string(fixtures.join(name)).unwrap();
        let diagnostics = std::fs::read_to_string(fixtures.join(name).with_extension("txt")).unwrap();
        // Another app version, references to secrets (only handsctl resolves them), files that the loader rejects, and
        // keys with empty texts, which only handsctl leaves out.
        let skipped = ["HC0140", "all defaults", "is empty; handsctl leaves it out"];
        if text.contains("image = ") || skipped.iter().any(|part| diagnostics.contains(part)) {
            continue;
        }
        let reported_as_crash = diagnostics.contains("would crash at start");
        let crashed = !file["crash"].is_null();
        crashes += usize::from(crashed);
        if reported_as_crash != crashed {
            mismatches.push(format!("{name}: reported as crash: {reported_as_crash}; {}", file["crash"]));
        }
        let reported_as_ignored = diagnostics.contains("would ignore the whole section")
            || diagnostics.contains("not shorten conv");
        if reported_as_ignored && file["warnings"].as_str().unwrap().is_empty() && !crashed {
            mismatches.push(format!("{name}: reported as ignored, but the application does not warn"));
        }
    }
    assert!(crashes >= 15, "only {crashes} crashed");
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

/// OpenHands' own templates: the application reads what is mounted without a complaint about a table.
#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn application_reads_mounted_templates() {
    let templates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates");
    let mut compared = 0;
    for entry in std::fs::read_dir(templates).unwrap() {
        let path = entry.unwrap().path();
        // The oldest one has placeholders as keys, so that its file is not in the rendered ConfigMap.
        let is_old = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('0'));
        if is_old || path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let home = tempfile::tempdir().unwrap();
        std::fs::copy(&path, home.path().join("config.toml")).unwrap();
        let (loaded, warnings) = loaded(home.path());
        assert_eq!(loaded["agent"]["enable_jupyter"], true, "{}", path.display());
        assert_eq!(loaded["condenser"]["type"], "noop", "{}", path.display());
        assert!(!warnings.contains("Cannot parse"), "{}: {warnings}", path.display());
        assert!(!warnings.contains("Invalid"), "{}: {warnings}", path.display());
        compared += 1;
    }
    assert!(compared >= 4, "only {compared} templates");
}
