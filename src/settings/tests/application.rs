//! The config.toml of the application, and the origins of its values.

use super::{read_set, read_text};
use crate::settings::format::ImageRef;
use crate::settings::resolved::KeyOrigin;

#[test]
fn app_config_has_needed_keys_without_handsctl_and_secrets() {
    let text = "[llm]\nmodel = \"m\"\napi_key = \"sk-1\"\n[llm.fast]\nmodel = \"f\"\n[cluster]\nname = \"a\"\n\
                [deploy]\nnamespace = \"hands\"\n[core]\nmax_iterations = 0x10\nunknown = 1\n[agent]\n\
                [deploy.env]\nX = \"y\"\n[sandbox.runtime_startup_env_vars]\n\"A\" = \"quote \\\" tab \\t 😀 \\u0001\"\n";
    let settings = read_text(text).expect("settings").settings;
    let expected = "\
[core]
max_iterations = 16
runtime = \"kubernetes\"
unknown = 1

[kubernetes]
namespace = \"hands\"

[llm]
model = \"m\"

[llm.fast]
model = \"f\"

[sandbox]
runtime_container_image = \"docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik\"

[sandbox.runtime_startup_env_vars]
A = \"quote \\\" tab \\t 😀 \\u0001\"
";
    assert_eq!(settings.app_config_toml(), expected);
    // Reading the written file again gives the same settings.
    let again = read_text(&expected.replace("\nunknown = 1", "")).expect("settings").settings;
    assert_eq!(again.openhands.core.max_iterations, Some(16));
    assert_eq!(again.app_config_toml(), expected.replace("\nunknown = 1", ""));
}

#[test]
fn unedited_file_of_config_init_changes_nothing() {
    let written = |text: &str| read_text(text).expect("settings").settings.app_config_toml();
    for name in ["", "[agent]\n[llm]\n[security]\n[mcp]\n[extended]\n"] {
        assert_eq!(written(name), written(""));
    }
    let reference = crate::settings::KeyReference::default();
    assert_eq!(written(&reference.file(None)), written(""));
    // These empty tables have a meaning: another type, and a model with a name.
    assert!(written("[condenser]\n").contains("[condenser]"));
    assert!(written("[llm.fast]\n").contains("[llm.fast]"));
}

#[test]
fn user_values_are_not_replaced() {
    let text = "[kubernetes]\nnamespace = \"runtime\"\n[sandbox]\nruntime_container_image = \"a/b:1\"\n";
    let settings = read_text(text).expect("settings").settings;
    assert_eq!(settings.runtime_namespace(), "runtime");
    let written = settings.app_config_toml();
    assert!(
        written.contains("namespace = \"runtime\"")
            && written.contains("runtime_container_image = \"a/b:1\"")
    );
}

#[test]
fn local_cluster_lowers_only_default_cpu_requests() {
    let local = |text: &str| {
        let settings = read_text(text).expect("settings").settings.for_local_cluster(true);
        let app = settings.deploy.resources.requests.cpu.clone().map(|cpu| cpu.to_string());
        (app, settings.openhands.kubernetes.resource_cpu_request.to_string(), settings.app_config_toml())
    };
    let (app, sandbox, written) = local("");
    assert_eq!((app.as_deref(), sandbox.as_str()), (Some("250m"), "250m"));
    assert!(written.contains("resource_cpu_request = \"250m\""), "{written}");
    let (app, sandbox, _) =
        local("[deploy.resources.requests]\ncpu = \"2\"\n[kubernetes]\nresource_cpu_request = \"3\"\n");
    assert_eq!((app.as_deref(), sandbox.as_str()), (Some("2"), "3"));
    let (app, ..) = local("[deploy.resources.limits]\ncpu = \"100m\"\n");
    assert_eq!(app.as_deref(), Some("100m"));

    let remote = read_text("").expect("settings").settings.for_local_cluster(false);
    assert_eq!(
        remote.deploy.resources.requests.cpu.clone().map(|cpu| cpu.to_string()).as_deref(),
        Some("500m")
    );
    assert!(!remote.app_config_toml().contains("resource_cpu_request"));
}

#[test]
fn resource_defaults_respect_given_requests_and_limits() {
    let memory = |text: &str| {
        let resources = read_text(text).expect("settings").settings.deploy.resources;
        let text =
            |amount: Option<crate::settings::format::Quantity>| amount.map(|amount| amount.to_string());
        (text(resources.requests.memory), text(resources.limits.memory))
    };
    let pair = |request: &str, limit: &str| (Some(request.to_owned()), Some(limit.to_owned()));
    assert_eq!(memory(""), pair("1Gi", "4Gi"));
    assert_eq!(memory("[deploy.resources.limits]\nmemory = \"512Mi\"\n"), pair("512Mi", "512Mi"));
    assert_eq!(memory("[deploy.resources.requests]\nmemory = \"8Gi\"\n"), pair("8Gi", "8Gi"));
}

#[test]
fn locate_returns_position_in_last_layer() {
    let text = "[deploy]\nimage = \"a:0.59\"\n\n[deploy.resources]\nlimits = { memory = \"2Gi\" }\n";
    let settings = read_text(text).expect("settings").settings;
    let position = |key: &str| settings.locate(key).map(|position| position.to_string());
    assert_eq!(position("deploy.image").as_deref(), Some("config.toml:2:9"));
    assert_eq!(position("deploy.resources").as_deref(), Some("config.toml:4:9"));
    assert_eq!(position("deploy.resources.limits.memory").as_deref(), Some("config.toml:5:21"));
    assert_eq!((position("deploy.replicas"), position("core.runtime"), position("")), (None, None, None));
    let settings = read_set(text, &["deploy.image=b:0.58"]).expect("settings").settings;
    assert_eq!(
        settings.locate("deploy.image").map(|position| position.to_string()).as_deref(),
        Some("--set:1:14")
    );
}

#[test]
fn origins_show_values_that_the_application_uses() {
    let text = "[core]\ndebug = false\nrun_as_openhands = true\n[deploy.env]\nDEBUG = \"1\"\nLLM_NUM_RETRIES = \"7\"\n\
                AGENT_ENABLE_BROWSING = \"no\"\nMAX_ITERATIONS = \"\"\n";
    let settings = read_text(text).expect("settings").settings;
    let origins: std::collections::BTreeMap<String, (String, KeyOrigin)> = settings
        .origins()
        .into_iter()
        .map(|setting| (setting.key, (setting.value, setting.origin)))
        .collect();
    let value = |key: &str| origins.get(key).map(|(value, _)| value.as_str());
    assert_eq!(value("core.debug"), Some("true"));
    assert_eq!(value("llm.num_retries"), Some("7"));
    assert_eq!(value("agent.enable_browsing"), Some("false"));
    assert_eq!(value("core.max_iterations"), None, "an empty variable is skipped");
    assert_eq!(origins["core.run_as_openhands"], ("false".to_owned(), KeyOrigin::Handsctl));
    assert_eq!(origins["core.file_store_path"], ("\"/.openhands\"".to_owned(), KeyOrigin::Handsctl));
    assert!(
        matches!(&origins["core.debug"].1, KeyOrigin::File(position) if position.to_string() == "config.toml:5:9")
    );
}

/// The application reads its file with Python's `toml` 0.10, which loses inline tables in arrays if they contain
/// certain strings, and splits arrays at a comma at the beginning of a string.
#[test]
fn arrays_are_written_for_python_toml_0_10() {
    let text = "[extended]\nservers = [{ name = \"'a\", args = [\",b\", \"c,d\"] }, { name = \"e\", env = { F = \"g\" } }]\n\
                [core]\nfile_uploads_allowed_extensions = []\n";
    let written = read_text(text).expect("settings").settings.app_config_toml();
    let expected = "\
[[extended.servers]]
args = [\"\\u002Cb\", \"c,d\"]
name = \"'a\"

[[extended.servers]]
name = \"e\"

[extended.servers.env]
F = \"g\"
";
    assert!(written.contains(expected), "{written}");
    let again = read_text(&written).expect("settings").settings.app_config_toml();
    assert_eq!(again, written);
}

#[test]
fn version_key_overrides_the_images_tag() {
    let text = "[deploy]\nimage = \"acme/openhands:1.6-dev\"\nversion = \"0.59.1\"\n";
    let loaded = read_text(text).expect("settings");
    assert_eq!(loaded.warnings.len(), 0, "1.6 would run without V1");
    let settings = loaded.settings;
    assert_eq!(settings.app_version().to_string(), "0.59");
    let sandboxes = settings.openhands.sandbox.runtime_container_image.as_ref().expect("an image");
    assert_eq!(sandboxes.as_str(), "docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik");
    let version = |image: &str| settings.version_of(&ImageRef::parse(image).expect(image)).to_string();
    assert_eq!(version("acme/openhands:1.6-dev"), "0.59");
    assert_eq!(version("acme/openhands:1.5"), "1.5", "the key describes only the configured image");
}
