//! The real application's own loader beside what handsctl says about a config.toml: OpenHands 0.59 in its image.
//!
//! They need the engine and the image, and no cluster.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use handsctl::settings::{KeyReference, ValueForm};
use serde_json::Value;

use crate::bed::run_in_home;

const IMAGE: &str = "docker.all-hands.dev/all-hands-ai/openhands:0.59";

/// Runs a script with the application's Python, as the Deployment runs the application; lines behind `mark` are JSON.
fn ask(script: &str, mark: &str, mount: &str, environment: &BTreeMap<String, String>) -> Vec<Value> {
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
    // Nothing is to be kept.
    command.args(["-e", "FILE_STORE=memory", "--entrypoint", "python", IMAGE, "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("docker");
    child.stdin.take().expect("stdin").write_all(script.as_bytes()).expect("the script");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said.lines()
        .filter_map(|line| line.strip_prefix(mark))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What the application believes of a config.toml of the user's: tables by name, and what it warns of.
fn believed(home: &Path) -> (Value, String) {
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
    let mut answers = ask(include_str!("application/believes.py"), "BELIEVED ", &mount, &environment);
    let answer = answers.pop().expect("an answer");
    (answer["tables"].clone(), answer["warnings"].as_str().unwrap().to_owned())
}

/// A value as `config show` prints it, as JSON.
fn value_of(toml: &str) -> Value {
    let document: toml::Table =
        format!("v = {toml}").parse().unwrap_or_else(|error| panic!("{toml}: {error}"));
    serde_json::to_value(&document["v"]).unwrap()
}

/// Whether everything that was shown is there; what is there beside it are defaults.
fn agrees(shown: &Value, believed: &Value) -> bool {
    match (shown, believed) {
        (Value::Object(shown), Value::Object(_)) => {
            shown.iter().all(|(name, value)| agrees(value, &believed[name]))
        }
        (Value::Array(shown), Value::Array(there)) => {
            shown.len() == there.len() && shown.iter().zip(there).all(|(shown, there)| agrees(shown, there))
        }
        (Value::Number(shown), Value::Number(there)) => shown.as_f64() == there.as_f64(),
        // An address alone is a server with that address.
        (Value::String(_), Value::Object(server)) => server.get("url") == Some(shown),
        (shown, there) => shown == there,
    }
}

/// Every table, its own kinds of values, and variables that win over keys.
const RICH: &str = r#"
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
    std::fs::write(home.path().join("config.toml"), RICH).unwrap();
    let (believed, warnings) = believed(home.path());
    // Of a variable that is not set: the image is run as the Deployment runs it.
    assert_eq!(warnings, "");
    let shown = run_in_home(home.path(), &["config", "show", "-o", "json"]).exits(0).json();
    let mut compared = 0;
    for setting in shown.as_array().unwrap() {
        let (key, value) = (setting["key"].as_str().unwrap(), setting["value"].as_str().unwrap());
        let table = key.split('.').next().unwrap();
        // Only the test keeps nothing.
        if matches!(table, "cluster" | "deploy") || value.contains("(redacted)") || key == "core.file_store" {
            continue;
        }
        let there = key.split('.').fold(&believed, |value, name| &value[name.trim_matches('"')]);
        if there == "(redacted)" {
            continue;
        }
        let value = value_of(value);
        assert!(agrees(&value, there), "{key}: shown {value}, believed {there}");
        compared += 1;
    }
    assert!(compared >= 45, "only {compared} keys");
    assert_eq!(believed["core"]["max_iterations"], 43);
    assert_eq!(believed["condenser"]["max_size"], 60);
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn manual_defaults_equal_application_defaults() {
    let home = tempfile::tempdir().unwrap();
    let (believed, _) = believed(home.path());
    let manual = KeyReference::default();
    let mut compared = 0;
    for key in manual.keys() {
        let path: Vec<&str> = key.split('.').collect();
        let [table, name] = path[..] else { continue };
        let article = manual.doc(&path).unwrap();
        let later = article.since.as_deref().is_some_and(|since| since.starts_with("1.") || since >= "0.60");
        // handsctl's own tables; what handsctl or this test sets; and what is a table of its own.
        let apart = matches!(table, "cluster" | "deploy")
            || matches!(key.as_str(), "core.file_store" | "kubernetes.namespace")
            || matches!(article.value, ValueForm::Table(_));
        let used = article.ignored.is_none();
        let Some(default) = article.default.filter(|_| used && !later && !apart) else { continue };
        let there = &believed[table][name];
        assert!(
            agrees(&value_of(&default), there),
            "{key}: the manual says {default}, the application {there}"
        );
        compared += 1;
    }
    assert!(compared > 60, "only {compared} defaults");
}

/// A file that is said to stop the application does; one that is said to be ignored does not.
#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn application_fails_on_files_reported_as_crashing() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let mount = format!("{}:/configs:ro", fixtures.display());
    let loaded = ask(include_str!("application/loads.py"), "LOADED ", &mount, &BTreeMap::new());
    assert!(loaded.len() >= 120, "only {} files", loaded.len());
    let mut wrong = Vec::new();
    let mut crashes = 0;
    for file in &loaded {
        let name = file["file"].as_str().unwrap();
        let text = std::fs::read_to_string(fixtures.join(name)).unwrap();
        let said = std::fs::read_to_string(fixtures.join(name).with_extension("txt")).unwrap();
        // Another release; references to secrets, which only handsctl understands; a file that the old reader gives up.
        if text.contains("image = ") || said.contains("HC0140") || said.contains("all defaults") {
            continue;
        }
        let said_to_crash = said.contains("would crash at start");
        let crashed = !file["crash"].is_null();
        crashes += usize::from(crashed);
        if said_to_crash != crashed {
            wrong.push(format!("{name}: said to crash: {said_to_crash}; {}", file["crash"]));
        }
        let said_to_be_ignored =
            said.contains("would ignore the whole section") || said.contains("not shorten conv");
        if said_to_be_ignored && file["warnings"].as_str().unwrap().is_empty() && !crashed {
            wrong.push(format!("{name}: said to be ignored, and nothing was warned of"));
        }
    }
    assert!(crashes >= 15, "only {crashes} crashed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
