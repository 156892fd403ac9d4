//! A separate control plane for the bench, created by handsctl, behind the proxy. It is deleted when the value is
//! dropped.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use handsctl::cluster::client::api::Api;
use handsctl::cluster::client::connect;
use handsctl::object::kind::{
    CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, LEASE, NAMESPACE, NETWORK_POLICY, NODE, POD,
    REPLICA_SET, ROLE, ROLE_BINDING, SECRET, SERVICE, SERVICE_ACCOUNT,
};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::paths::{CONTEXT, FOLDER, HANDSCTL};
use super::proxy::Proxy;

/// Time limit of each wait of the bench itself.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The objects that the bench creates at once.
const AT_ONCE: usize = 16;
/// Interval of the polls of a wait.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The kinds that are deleted between two tools' rounds, in this order.
const KINDS: &[KindInfo] = &[
    DEPLOYMENT,
    INGRESS,
    SERVICE,
    NETWORK_POLICY,
    ROLE_BINDING,
    ROLE,
    CONFIG_MAP,
    SECRET,
    CLAIM,
    SERVICE_ACCOUNT,
    LEASE,
    POD,
];

/// The cluster, its proxy, and the home folder of all measured processes.
pub(crate) struct Bed {
    /// The proxy that counts requests.
    pub(crate) proxy: Proxy,
    /// The proxy's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    api: Api,
    // Drop order: the cluster is deleted before its folder.
    keeper: Keeper,
    folder: TempDir,
}

impl Bed {
    /// Creates the cluster.
    pub(crate) async fn create() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let name = format!("bench-{}", std::process::id());
        let home = folder.path().join("home");
        std::fs::create_dir_all(&home)?;
        let keeper = Keeper::start(folder.path(), &home, &name)?;
        let cluster = format!("cluster.name=\"{name}\"");
        let up = ["cluster", "up", "--set", &cluster, "--set", "cluster.provider=\"kwok\""];
        run_handsctl(&home, &[&up[..], &["--set", "cluster.workers=1"]].concat())?;
        let status = run_handsctl(&home, &["cluster", "status", "--set", &cluster, "-o", "json"])?;
        let status: Value = serde_json::from_slice(&status)?;
        let admin_kubeconfig =
            status["kubeconfig"].as_str().context("the cluster's status names no kubeconfig")?;
        let context = format!("kwok-{name}");
        let proxy = Proxy::start(Path::new(admin_kubeconfig), &context).await?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, proxy_kubeconfig(&proxy).to_string())?;
        let api = connect::connect_to_local_cluster(Path::new(admin_kubeconfig), &context).await?.api;
        Ok(Self { proxy, kubeconfig, api, keeper, folder })
    }

    /// Deletes the cluster.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.keeper.end()
    }

    /// Refuses a kubectl of another version than the server: an old kubectl or a wrapper would make the comparison
    /// worthless.
    pub(crate) async fn refuse_other_kubectl(&self, versions: &[String]) -> anyhow::Result<()> {
        let server = self.api.client().apiserver_version().await?.git_version;
        let expected = format!("kubectl {server}");
        match versions.iter().find(|version| version.starts_with("kubectl ")) {
            Some(kubectl) if *kubectl != expected => {
                bail!(
                    "{kubectl} does not match the server {server}: set {FOLDER} to a folder with the same version"
                )
            }
            _ => Ok(()),
        }
    }

    /// Returns the folder of the bench's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the environment of a measured process, without `PATH`.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("HOME", self.folder.path().join("home")), ("KUBECONFIG", self.kubeconfig.clone())]
    }

    /// Creates a namespace and waits for its default ServiceAccount, without which pods are rejected.
    pub(crate) async fn create_namespace(&self, name: &str) -> anyhow::Result<()> {
        let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let response = self.api.create(&NAMESPACE.collection(None), &manifest).await;
        response.map_err(|error| error.into_error(&format!("cannot create namespace {name}")))?;
        let accounts = SERVICE_ACCOUNT.in_namespace(name);
        self.wait_until("the namespace's ServiceAccount", async || {
            Ok(self.api.get(&accounts, "default").await.is_ok())
        })
        .await
    }

    /// Waits until every Deployment of the namespace is available.
    pub(crate) async fn wait_for_deployments(&self, namespace: &str) -> anyhow::Result<()> {
        let is_available = |deployment: &Value| {
            deployment["status"]["availableReplicas"] == deployment["spec"]["replicas"]
                && deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
        };
        self.wait_until("the Deployments", async || {
            let deployments = self.list(DEPLOYMENT, namespace).await?;
            Ok(deployments.iter().all(is_available))
        })
        .await
    }

    /// Returns the name of a simulated node.
    pub(crate) async fn node(&self) -> anyhow::Result<String> {
        let nodes = self.api.list(&NODE.collection(None), &ListParams::default()).await;
        let nodes = nodes.map_err(|error| error.into_error("cannot list nodes"))?;
        let name = nodes.items.first().and_then(|node| node["metadata"]["name"].as_str());
        Ok(name.context("the cluster has no node")?.to_owned())
    }

    /// Creates objects, many at once, and waits until all pods of the namespace run.
    pub(crate) async fn create_all(
        &self,
        namespace: &str,
        objects: &[(KindInfo, Value)],
    ) -> anyhow::Result<()> {
        let creates = objects.iter().map(async |(kind, object)| {
            let created = self.api.create(&kind.in_namespace(namespace), object).await;
            created.map(drop).map_err(|error| error.into_error(&format!("cannot create {}", kind.plural)))
        });
        let () = stream::iter(creates).buffer_unordered(AT_ONCE).try_collect().await?;
        let is_running = |pod: &Value| pod["status"]["phase"] == "Running";
        self.wait_until("the sandboxes", async || Ok(self.list(POD, namespace).await?.iter().all(is_running)))
            .await
    }

    /// Deletes all objects in the namespace, whichever tool created them, and waits until they are gone.
    pub(crate) async fn delete_all(&self, namespace: &str) -> anyhow::Result<()> {
        for kind in KINDS {
            let collection = kube::core::Request::new(kind.in_namespace(namespace).path());
            let request =
                collection.delete_collection(&DeleteParams::background(), &without_defaults(*kind))?;
            self.api.client().request::<Value>(request).await?;
        }
        for kind in KINDS.iter().chain(&[REPLICA_SET]) {
            self.wait_until(kind.plural, async || Ok(self.list(*kind, namespace).await?.is_empty())).await?;
        }
        Ok(())
    }

    async fn list(&self, kind: KindInfo, namespace: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.api.list(&kind.in_namespace(namespace), &without_defaults(kind)).await;
        Ok(list.map_err(|error| error.into_error(&format!("cannot list {}", kind.plural)))?.items)
    }

    async fn wait_until(
        &self,
        subject: &str,
        mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while !condition().await? {
            if started.elapsed() > TIMEOUT {
                return Err(anyhow!("timed out after {TIMEOUT:?} waiting for {subject}"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

/// Selects all objects of a kind except those that the cluster creates in every namespace.
fn without_defaults(kind: KindInfo) -> ListParams {
    match kind {
        CONFIG_MAP => ListParams::default().fields("metadata.name!=kube-root-ca.crt"),
        SERVICE_ACCOUNT => ListParams::default().fields("metadata.name!=default"),
        _ => ListParams::default(),
    }
}

fn proxy_kubeconfig(proxy: &Proxy) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{ "name": CONTEXT, "cluster": { "server": format!("http://{}", proxy.address) } }],
        "users": [{ "name": CONTEXT, "user": {} }],
        "contexts": [{ "name": CONTEXT, "context": { "cluster": CONTEXT, "user": CONTEXT } }],
    })
}

/// Runs the binary without measuring it. It uses the real cache folders, so that the programs of the control plane are
/// downloaded or built only once per computer.
fn run_handsctl(home: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let real_home = std::env::home_dir().context("this account has no home folder")?;
    let mut command = Command::new(HANDSCTL);
    for (name, below_home) in [("XDG_CACHE_HOME", ".cache"), ("GOPATH", "go"), ("GOENV", ".config/go/env")] {
        command.env(name, std::env::var_os(name).unwrap_or_else(|| real_home.join(below_home).into()));
    }
    let kubeconfig = home.join(".kube/config");
    command.env("HOME", home).env("KUBECONFIG", kubeconfig).env_remove("XDG_STATE_HOME").current_dir(home);
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("handsctl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// A process that deletes the cluster and its folder after this process has ended in any way, which closes its stdin.
struct Keeper(Child);

impl Keeper {
    fn start(folder: &Path, home: &Path, cluster: &str) -> anyhow::Result<Self> {
        let down = format!(
            "cat >/dev/null; '{HANDSCTL}' cluster down --quiet --yes --set 'cluster.name=\"{cluster}\"' \
             && cd / && rm -rf '{}'",
            folder.display()
        );
        let mut keeper = Command::new("sh");
        keeper.args(["-c", &down]).env("HOME", home).env("KUBECONFIG", home.join(".kube/config"));
        keeper.env_remove("XDG_STATE_HOME").current_dir(home);
        // Ctrl-C at the terminal ends the bench but not its keeper.
        keeper.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self(keeper.spawn().context("cannot run sh")?))
    }

    /// Deletes the cluster and waits until it is gone.
    fn end(&mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(anyhow!("the bench's cluster was not deleted: {status}")) }
    }
}

impl Drop for Keeper {
    /// Deletes the cluster after an error, which is already being reported. [`Bed::end`] is the usual way.
    fn drop(&mut self) {
        let _status = self.end();
    }
}
