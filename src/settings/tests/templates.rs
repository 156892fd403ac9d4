//! tests/fixtures/templates: OpenHands' own `config.template.toml`, as its documentation tells people to copy it.

use std::path::PathBuf;

use super::{all_rendered, read_set};
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::plan::{self, SecretKey, SecretNaming};
use crate::settings::{Request, Settings, read};

/// The releases with the Kubernetes runtime.
fn releases() -> Vec<String> {
    let zero = (45..=62).map(|minor| format!("0.{minor}"));
    let one = (0..=6).map(|minor| format!("1.{minor}"));
    zero.chain(one).collect()
}

fn templates() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates");
    let mut templates: Vec<_> = std::fs::read_dir(folder)
        .expect("the templates")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("text"))
        })
        .collect();
    templates.sort();
    assert_eq!(templates.len(), 5, "a template was added or removed");
    templates
}

/// The application's config.toml as a table.
fn written(settings: &Settings) -> toml::Table {
    settings.app_config_toml().parse().expect("TOML")
}

#[test]
fn every_template_passes_at_every_release() {
    for (name, text) in templates() {
        for release in releases() {
            let result = read_set(&text, &[&format!("deploy.version={release}")]);
            let Ok(loaded) = &result else { panic!("{name} with {release}:\n{}", all_rendered(&result)) };
            assert!(loaded.warnings.iter().all(|warning| warning.severity == Severity::Warning));
            plan::build(&loaded.settings, SecretNaming::Placeholder, &[]).expect("a plan");
        }
    }
}

#[test]
fn template_keys_reach_the_application_except_unsupported_ones() {
    for (name, text) in templates().into_iter().filter(|(name, _)| !name.starts_with('0')) {
        for release in releases() {
            let loaded = read_set(&text, &[&format!("deploy.version={release}")]).expect("settings");
            let written = written(&loaded.settings);
            assert_eq!(written["agent"]["enable_jupyter"], true.into(), "{name} with {release}");
            assert_eq!(
                written["agent"]["CustomAgent"]["classpath"],
                "my_package.my_module.MyCustomAgent".into()
            );
            assert_eq!(written["condenser"]["type"], "noop".into());
            let models = written.get("llm").and_then(toml::Value::as_table);
            assert_eq!(models.is_some(), !name.starts_with('4'), "{name}");
            let Some(models) = models else { continue };
            assert_eq!(models["gpt4o-mini"], toml::Value::Table(toml::toml! { model = "gpt-4o" }));
            let has_editor =
                models.get("draft_editor").is_some_and(|editor| editor.get("correct_num").is_some());
            let supports_editor = loaded.settings.app_version().is_at_least(0, 60);
            assert_eq!(has_editor, supports_editor && !name.starts_with('1'), "{name} with {release}");
        }
    }
}

#[test]
fn template_warns_about_missing_model_once() {
    for (name, text) in templates() {
        let loaded = read_set(&text, &[]).expect("settings");
        let missing = loaded.warnings.iter().filter(|warning| warning.message.contains("[llm.gpt3]"));
        let count = missing.clone().count();
        assert_eq!(count, usize::from(!name.starts_with('4')), "{name}");
        assert!(missing.into_iter().all(|warning| warning.id == Id::IgnoredByApp));
        assert!(
            loaded.settings.secrets.values().all(|_| name.starts_with('0')),
            "an empty text is no secret"
        );
    }
}

#[test]
fn empty_texts_give_the_defaults() {
    let path = super::fixtures().join("empty-texts-of-charts.toml");
    let text = std::fs::read_to_string(path).expect("the fixture");
    let loaded = read_set(&text, &[]).expect("settings");
    let default = read_set("", &[]).expect("settings");
    assert_eq!(loaded.settings.deploy.image, default.settings.deploy.image);
    assert_eq!(loaded.settings.deploy.replicas, 1);
    assert_eq!(loaded.settings.cluster.provider, default.settings.cluster.provider);
    assert_eq!(loaded.settings.openhands.kubernetes.ingress_domain.as_str(), "localhost");
    assert!(loaded.settings.secrets.is_empty());
    // Empty texts that the application itself reads as unset stay, so that existing files keep their names.
    let written = written(&loaded.settings);
    let kubernetes = toml::toml! { image_pull_secret = "" namespace = "openhands" tolerations_yaml = "" };
    assert_eq!(written["kubernetes"], toml::Value::Table(kubernetes));
    assert_eq!(written["core"], toml::Value::Table(toml::toml! { runtime = "kubernetes" }));
}

#[test]
fn later_empty_text_unsets_earlier_value() {
    let text = "[deploy]\nhost = \"hands.example.com\"\n[kubernetes]\ningress_domain = \"example.com\"\n";
    let loaded = read_set(text, &["deploy.host=", "kubernetes.ingress_domain="]).expect("settings");
    assert_eq!(loaded.settings.deploy.host.as_str(), "localhost");
    assert!(!loaded.settings.app_config_toml().contains("ingress_domain"));
}

/// No variable of the application reaches these keys, so that the whole file is part of the Secret.
#[test]
fn keys_of_several_models_reach_the_file() {
    let text = "[llm]\nmodel = \"m\"\napi_key = { env = \"A\" }\n[llm.eval]\nmodel = \"e\"\napi_key = { env = \"B\" }\n\
                [llm.bare]\napi_key = { file = \"key\" }\n[condenser]\ntype = \"llm\"\nllm_config = { model = \"c\", api_key = \"sk-inline\" }\n";
    let folder = super::folder(text);
    std::fs::write(folder.path().join("key"), "sk-file\n").expect("a file");
    let environment = super::variables(&[("A", "sk-variable"), ("B", "sk-of-eval")]);
    let loaded = read(&Request::default(), &environment, folder.path()).expect("settings");
    let literals: Vec<&str> = loaded.warnings.iter().map(|warning| warning.id.entry().code).collect();
    assert_eq!(literals, ["HC0213"], "only the key in the file is visible");
    let settings = &loaded.settings;
    let file = settings.secret_app_config().expect("secrets");
    for part in [
        "[llm.eval]\napi_key = \"sk-of-eval\"\nmodel = \"e\"\n",
        "[llm.bare]\napi_key = \"sk-file\"\n",
        "[condenser.llm_config]\napi_key = \"sk-inline\"\nmodel = \"c\"\n",
    ] {
        assert!(file.expose().contains(part), "{part}\n{}", file.expose());
    }
    assert!(!file.expose().contains("sk-variable"), "a variable reaches it");
    assert!(!settings.app_config_toml().contains("sk-"), "the ConfigMap has no secret");
    assert_eq!(settings.redacted("sk-of-eval sk-inline sk-file"), "(redacted) (redacted) (redacted)");
    assert!(!format!("{loaded:?} {:?}", settings.origins()).contains("sk-"));

    let (key, versions) = (SecretKey(vec![1; 32]), std::collections::BTreeMap::new());
    let naming = SecretNaming::Keyed { key: &key, versions: &versions };
    let plan = plan::build(settings, naming, &[]).expect("a plan");
    let member =
        |kind: &str| &plan.members.iter().find(|member| member.id.kind == kind).expect(kind).manifest;
    let secret = member("Secret");
    assert!(
        secret["data"]["config.toml"].is_string() && secret["data"]["LLM_API_KEY"].is_string(),
        "{secret}"
    );
    let template = &member("Deployment")["spec"]["template"];
    let volumes = template["spec"]["volumes"].as_array().expect("volumes");
    let config = volumes.iter().find(|volume| volume["name"] == "config").expect("the volume");
    assert_eq!(config["secret"]["secretName"], secret["metadata"]["name"]);
    assert_eq!(
        template["metadata"]["annotations"]["handsctl.dev/config"],
        member("ConfigMap")["metadata"]["name"]
    );
    assert!(!member("ConfigMap").to_string().contains("sk-"));
}

#[test]
fn model_without_own_key_keeps_the_config_map() {
    let environment = super::variables(&[("A", "sk-variable")]);
    let folder =
        super::folder("[llm]\napi_key = { env = \"A\" }\n[llm.eval]\nmodel = \"e\"\napi_key = \"\"\n");
    let settings = read(&Request::default(), &environment, folder.path()).expect("settings").settings;
    assert_eq!(settings.secret_app_config(), None);
    let plan = plan::build(&settings, SecretNaming::Placeholder, &[]).expect("a plan");
    let deployment = plan.members.iter().find(|member| member.id.kind == "Deployment").expect("a Deployment");
    assert!(deployment.manifest.to_string().contains("\"configMap\""));
    // A Secret of the cluster cannot be a part of a file that handsctl writes.
    let error = read_set("[llm.eval]\napi_key = { secret = \"s\", key = \"k\" }\n", &[]).unwrap_err();
    assert_eq!(error.diagnostics()[0].id, Id::SecretUnavailable);
}
