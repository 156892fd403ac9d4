//! Existing Secrets that the configuration references, and a secret from standard input.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use crate::bed::{Bed, OwnCluster};
use crate::planted;

#[test]
fn invalid_secret_references_warn_before_apply() {
    let bed = Bed::shared();
    let (namespace, boxes) = (bed.namespace("named-secrets"), bed.namespace("named-boxes"));
    namespace.create(&[]);
    boxes.create(&[]);
    let create = |namespace: &str, arguments: &[&str]| {
        bed.kubectl(&[&["create", "secret", "-n", namespace], arguments].concat());
    };
    create(&namespace.name, &["generic", "keys", "--from-literal=present=x"]);
    create(&namespace.name, &["generic", "opaque", "--from-literal=a=b"]);
    create(&namespace.name, &["docker-registry", "pull", "--docker-username=u", "--docker-password=p"]);
    create(&boxes.name, &["generic", "box-pull", "--from-literal=a=b"]);
    namespace.config(&format!(
        "[deploy]\nimage_pull_secrets = [\"pull\", \"opaque\", \"nowhere\"]\ntls_secret = \"opaque\"\n\
         [deploy.env]\nA = {{ secret = \"keys\", key = \"present\" }}\n\
         [kubernetes]\nnamespace = \"{}\"\nimage_pull_secret = \"box-pull\"\ningress_tls_secret = \"nothing\"\n",
        boxes.name
    ));
    let run = namespace.handsctl(&["deploy", "--dry-run=server"]).exits(0);
    let (own, other) = (&namespace.name, &boxes.name);
    for text in [
        format!(
            "secret/opaque in namespace {own} is of type Opaque, not kubernetes.io/dockerconfigjson: the kubelet ignores it"
        ),
        format!("secret/nowhere in namespace {own} does not exist; images are pulled without it"),
        format!("secret/opaque in namespace {own} is of type Opaque, and an Ingress needs kubernetes.io/tls"),
        format!("secret/box-pull in namespace {other} is of type Opaque"),
        format!(
            "secret/nothing in namespace {other} does not exist; https is served with another certificate"
        ),
    ] {
        assert!(run.stderr.contains(&text), "stderr lacks {text:?}:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("secret/pull "), "{}", run.stderr);
    assert_eq!(run.stderr.matches("warning   HC4203").count(), 5, "{}", run.stderr);
}

#[test]
fn secret_is_read_from_stdin() {
    let namespace = Bed::shared().namespace("stdin");
    let value = planted::secret("in");
    namespace.config("[llm]\napi_key = { file = \"-\" }\n[deploy.env]\nOTHER_TOKEN = { file = \"-\" }\n");
    let run = namespace.command(&["deploy", "-v", "--no-wait"]).run_with(&format!("{value}\n")).exits(0);
    planted::assert_hidden(&value, "deploy", &format!("{}{}", run.stdout, run.stderr));
    let secrets = namespace.bed.get(&["secrets", "-n", &namespace.name]);
    let items = secrets["items"].as_array().unwrap();
    let is_env = |secret: &&serde_json::Value| {
        secret["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("oh-env-"))
    };
    let secret = items.iter().find(is_env).expect("the installation's Secret");
    for key in ["LLM_API_KEY", "OTHER_TOKEN"] {
        let bytes = base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str().unwrap());
        assert_eq!(String::from_utf8(bytes.unwrap()).unwrap(), value, "{key}");
    }
    namespace.command(&["deploy"]).run_with("").exits(3).says("standard input is empty");
}

/// Every file below a folder that contains one of these texts.
fn files_with(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_with(&path, texts));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            if texts.iter().any(|text| holds(text)) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn own_simulated_cluster_gets_placeholders_instead_of_secrets() {
    const PLANTED: [&str; 3] = ["sk-planted-for-main", "sk-planted-for-eval", "planted-password"];
    let own = OwnCluster::new(
        "placeholders",
        "[llm]\nmodel = \"openai/gpt-5\"\napi_key = { file = \"main.key\" }\n\
         [llm.eval]\nmodel = \"openai/o3\"\napi_key = \"sk-planted-for-eval\"\n\
         [deploy.env]\nDATABASE_PASSWORD = \"planted-password\"\n",
    );
    std::fs::write(own.home.join("main.key"), PLANTED[0]).unwrap();
    // The address tells the cluster, not the context's name.
    let renamed = own.home.join("renamed.yaml");
    let deploy_renamed = || {
        let kubeconfig = std::fs::read_to_string(own.home.join(".kube/config")).unwrap();
        std::fs::write(&renamed, kubeconfig.replace(&format!("kwok-{}", own.cluster), "mine")).unwrap();
        own.handsctl(&["deploy", "--kubeconfig", renamed.to_str().unwrap(), "--context", "mine"])
    };
    let outputs = [
        own.handsctl(&["up", "-v"]).exits(0).says("11 created"),
        own.handsctl(&["diff", "-o", "json"]).exits(0),
        own.handsctl(&["deploy"]).exits(0).says("11 unchanged"),
        deploy_renamed().exits(0),
    ];
    for run in outputs {
        assert!(
            !PLANTED.iter().any(|text| run.stdout.contains(text) || run.stderr.contains(text)),
            "{run:?}"
        );
    }

    let bed = own.bed();
    let secrets = bed.get(&["secret", "-n", "openhands", "-l", "app.kubernetes.io/managed-by=handsctl"]);
    let of_the_set = secrets["items"].as_array().unwrap().iter();
    let data: Vec<&Value> =
        of_the_set.map(|secret| &secret["data"]).filter(|data| data["LLM_API_KEY"].is_string()).collect();
    // Both kinds of context leave one: the requests, which are a part of config.toml, differ.
    assert!(!data.is_empty(), "{secrets}");
    for data in data {
        let text = |key: &str| {
            let decoded = base64::engine::general_purpose::STANDARD.decode(data[key].as_str().unwrap());
            String::from_utf8(decoded.unwrap()).unwrap()
        };
        for key in ["LLM_API_KEY", "DATABASE_PASSWORD", "config.toml"] {
            assert!(text(key).contains("handsctl stores no secret in its simulated clusters"), "{key}");
        }
        assert!(text("config.toml").contains("openai/o3"), "the rest of the file is the configuration's");
    }

    // etcd, the logs, the kubeconfig and the records: the two files are the user's own.
    let mut found = files_with(&own.home, &PLANTED);
    found.sort();
    assert_eq!(found, [own.home.join("config.toml"), own.home.join("main.key")]);
}
