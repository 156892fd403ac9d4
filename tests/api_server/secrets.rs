//! Existing Secrets that the configuration references, and a secret from standard input.

use base64::Engine as _;

use crate::bed::Bed;
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
         [deploy.env]\nA = {{ secret = \"keys\", key = \"present\" }}\nB = {{ secret = \"keys\", key = \"absent\" }}\n\
         [kubernetes]\nnamespace = \"{}\"\nimage_pull_secret = \"box-pull\"\ningress_tls_secret = \"nothing\"\n",
        boxes.name
    ));
    let run = namespace.handsctl(&["deploy", "--dry-run=server"]).exits(0);
    let (own, other) = (&namespace.name, &boxes.name);
    for text in [
        format!("secret/keys in namespace {own} has no key absent; it has present; the pod will wait for it"),
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
    assert_eq!(run.stderr.matches("warning   HC4203").count(), 6, "{}", run.stderr);
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
    let secret = items.iter().find(is_env).expect("the set's Secret");
    for key in ["LLM_API_KEY", "OTHER_TOKEN"] {
        let bytes = base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str().unwrap());
        assert_eq!(String::from_utf8(bytes.unwrap()).unwrap(), value, "{key}");
    }
    namespace.command(&["deploy"]).run_with("").exits(3).says("standard input is empty");
}
