//! The container image of handsctl: it deploys from inside the cluster, with no more rights than `rbac` prints.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::kind::{READY, Site, docker, shared, wait_until};
use crate::bed::HANDSCTL;

/// The namespace of the deployed application.
const NAMESPACE: &str = "in-cluster";
/// The namespace of the account that `rbac` prints.
const ACCOUNT_NAMESPACE: &str = "in-cluster-deployer";
const ACCOUNT: &str = "openhands-deployer";
const CONFIG: &str = r#"
[llm]
model = "openai/gpt-4o"
api_key = { env = "LLM_API_KEY" }

[deploy]
namespace = "in-cluster"
expose = "none"
# How full the computer of the tests is does not matter here.
thresholds = { disk = 100 }
"#;
/// The shared libraries of the distroless base that the Containerfile names
/// (<https://github.com/GoogleContainerTools/distroless/blob/main/cc/README.md>).
const LIBRARIES_OF_BASE: &[&str] = &["libc.so.6", "libgcc_s.so.1", "libm.so.6", "ld-linux"];

/// Runs a program with this stdin; returns stdout. Panics if it fails.
fn run_with(program: &str, arguments: &[&str], stdin: &[u8]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Images of this test. Dropping the value removes them from the engine.
struct Images {
    base: String,
    handsctl: String,
}

impl Images {
    /// Builds the Containerfile's image with the binary under test. No registry can be asked for the base, so the base is
    /// made of the libraries that the binary needs, and nothing else: no shell, no certificate authorities.
    fn build(cluster: &str) -> Self {
        let images = Self {
            base: format!("acme/handsctl-base:{cluster}"),
            handsctl: format!("acme/handsctl:{cluster}"),
        };
        let libraries = libraries();
        let mut tar = vec!["--create", "--dereference", "--absolute-names", "--file=-"];
        tar.extend(libraries.iter().map(String::as_str));
        let archive = Command::new("tar").args(&tar).output().unwrap();
        assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
        run_with("docker", &["import", "-", &images.base], &archive.stdout);
        let context = TempDir::new().unwrap();
        std::fs::copy(HANDSCTL, context.path().join("handsctl")).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Containerfile");
        let base = format!("BASE={}", images.base);
        docker(&[
            "build",
            "--network=none",
            "--target=prebuilt",
            "--build-arg",
            &base,
            "--build-arg",
            "BINARY=handsctl",
            "--tag",
            &images.handsctl,
            "--file",
            file.to_str().unwrap(),
            context.path().to_str().unwrap(),
        ]);
        images
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.handsctl, &self.base]);
    }
}

/// Paths of the shared libraries that the binary under test needs. Panics if the Containerfile's base lacks one.
fn libraries() -> Vec<String> {
    let listed = run_with("ldd", &[HANDSCTL], b"");
    let is_path = |word: &&str| word.starts_with('/');
    let paths: Vec<String> =
        listed.lines().filter_map(|line| line.split_whitespace().find(is_path)).map(str::to_owned).collect();
    for path in &paths {
        let name = path.rsplit('/').next().unwrap();
        assert!(LIBRARIES_OF_BASE.iter().any(|known| name.starts_with(known)), "{path}: {listed}");
    }
    assert!(paths.len() > 2, "{listed}");
    paths
}

/// The account with its roles, and the installation that it deploys. Dropping the value deletes both.
struct Deployer<'a>(&'a Site);

impl<'a> Deployer<'a> {
    /// Creates exactly what `rbac` prints for this configuration, and the configuration with its key as a job has them.
    fn create(site: &'a Site) -> Self {
        std::fs::write(site.own.home.join("in-cluster.toml"), CONFIG).unwrap();
        let manifests = site.handsctl(&["rbac", "--config", "in-cluster.toml"]).exits(0).stdout;
        let deployer = Self(site);
        deployer.apply(&manifests);
        let metadata = json!({ "name": "handsctl", "namespace": ACCOUNT_NAMESPACE });
        deployer.apply(
            &json!({ "apiVersion": "v1", "kind": "List", "items": [
                { "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "config.toml": CONFIG } },
                { "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "LLM_API_KEY": "sk-in-cluster" } },
            ] })
            .to_string(),
        );
        deployer
    }

    fn apply(&self, manifests: &str) {
        let node = format!("{}-control-plane", self.0.own.cluster);
        let kubectl = ["exec", "-i", &node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"];
        run_with("docker", &[&kubectl[..], &["apply", "-f", "-"]].concat(), manifests.as_bytes());
    }

    /// Runs the command of the image as a job under the account; returns its log. Panics if the job fails.
    fn run(&self, name: &str, image: &str, arguments: &[&str]) -> String {
        self.apply(&job(name, image, arguments).to_string());
        let mut status = Value::Null;
        wait_until(&format!("job {name} ends"), READY + Duration::from_secs(180), || {
            status = self.0.get(&["job", name, "-n", ACCOUNT_NAMESPACE])["status"].clone();
            status["succeeded"] == 1 || status["failed"] == 1
        });
        let log = self.0.kubectl(&["logs", &format!("job/{name}"), "-n", ACCOUNT_NAMESPACE]);
        let mut pods = self.0.kubectl(&["get", "pods", "-A", "-o", "wide"]);
        write!(pods, "{status}").unwrap();
        assert_eq!(status["succeeded"], 1, "{log}\n{pods}");
        log
    }
}

impl Drop for Deployer<'_> {
    fn drop(&mut self) {
        let name = format!("{NAMESPACE}-{ACCOUNT}");
        let kinds = ["namespace", "clusterrole", "clusterrolebinding"];
        for (kind, names) in kinds.into_iter().zip([&[NAMESPACE, ACCOUNT_NAMESPACE][..], &[&name], &[&name]])
        {
            self.0.kubectl(&[&["delete", kind, "--ignore-not-found"], names].concat());
        }
    }
}

/// A job with the permissions of a namespace that enforces *restricted*.
fn job(name: &str, image: &str, arguments: &[&str]) -> Value {
    let container = json!({
        "name": "handsctl", "image": image, "imagePullPolicy": "Never", "args": arguments,
        "envFrom": [{ "secretRef": { "name": "handsctl" } }],
        "volumeMounts": [{ "name": "config", "mountPath": "/config" }],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        },
    });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": ACCOUNT_NAMESPACE },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "serviceAccountName": ACCOUNT, "restartPolicy": "Never",
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
            "volumes": [{ "name": "config", "configMap": { "name": "handsctl" } }],
        } } },
    })
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn image_deploys_in_cluster_with_only_printed_roles() {
    let (site, _, _guard) = shared();
    let images = Images::build(&site.own.cluster);
    let version = docker(&["run", "--rm", "--network=none", &images.handsctl, "version", "--client"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    site.handsctl(&["image", "load", &images.handsctl]).exits(0).says("1 image loaded");

    let deployer = Deployer::create(site);
    let log = deployer.run("deploy", &images.handsctl, &["deploy", "--in-cluster"]);
    assert!(log.contains("revision 1"), "{log}");
    let log = deployer.run("status", &images.handsctl, &["status", "--in-cluster"]);
    assert!(log.contains("healthy"), "{log}");
    let pods = site.get(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=app"]);
    assert_eq!(pods["items"].as_array().map(Vec::len), Some(1), "{pods}");
}
