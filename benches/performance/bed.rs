//! A control plane of the bench's own, made by the product, with the proxy in front of it; gone with the value.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use handsctl::cluster::client::api::Api;
use handsctl::cluster::client::connect;
use handsctl::object::kind::{
    CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, LEASE, NAMESPACE, NETWORK_POLICY, POD, REPLICA_SET,
    ROLE, ROLE_BINDING, SECRET, SERVICE, SERVICE_ACCOUNT,
};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::proxy::Proxy;
use super::tool::FOLDER;

/// The binary that is measured.
pub(crate) const HANDSCTL: &str = env!("CARGO_BIN_EXE_handsctl");
/// The context of the proxy's kubeconfig; by its name it is no local cluster.
pub(crate) const CONTEXT: &str = "bench";
/// Nothing of the bench's own work takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(50);
/// What is deleted before a set is made anew, in this order.
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
];

/// The cluster, its proxy, and a home for everything that is run.
pub(crate) struct Bed {
    /// Requests through this are counted.
    pub(crate) proxy: Proxy,
    /// The proxy's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    api: Api,
    // Dropped in this order: the cluster ends before its folder is gone.
    keeper: Keeper,
    folder: TempDir,
}

impl Bed {
    /// Makes the cluster.
    pub(crate) async fn make() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let name = format!("bench-{}", std::process::id());
        let home = folder.path().join("home");
        std::fs::create_dir_all(&home)?;
        let keeper = Keeper::of(folder.path(), &home, &name)?;
        let cluster = format!("cluster.name=\"{name}\"");
        let up = ["cluster", "up", "--set", &cluster, "--set", "cluster.provider=\"kwok\""];
        product(&home, &[&up[..], &["--set", "cluster.workers=1"]].concat())?;
        let status = product(&home, &["cluster", "status", "--set", &cluster, "-o", "json"])?;
        let status: Value = serde_json::from_slice(&status)?;
        let own = status["kubeconfig"].as_str().context("the cluster's status names no kubeconfig")?;
        let context = format!("kwok-{name}");
        let proxy = Proxy::before(Path::new(own), &context).await?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, in_front(&proxy).to_string())?;
        let api = connect::connect_to_local_cluster(Path::new(own), &context).await?.api;
        Ok(Self { proxy, kubeconfig, api, keeper, folder })
    }

    /// Removes the cluster.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.keeper.end()
    }

    /// Whichever kubectl stands in `PATH` may be years old or a wrapper, and any tool looks quick beside it.
    pub(crate) async fn refuse_other_kubectl(&self, versions: &[String]) -> anyhow::Result<()> {
        let server = self.api.client().apiserver_version().await?.git_version;
        let wanted = format!("kubectl {server}");
        match versions.iter().find(|version| version.starts_with("kubectl ")) {
            Some(found) if *found != wanted => {
                bail!(
                    "the server is {server}, and {found} is not its kubectl: {FOLDER} names a folder with another one"
                )
            }
            _ => Ok(()),
        }
    }

    /// A folder for the bench's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a measured process finds in its environment besides `PATH`.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("HOME", self.folder.path().join("home")), ("KUBECONFIG", self.kubeconfig.clone())]
    }

    /// Makes a namespace.
    pub(crate) async fn make_namespace(&self, name: &str) -> anyhow::Result<()> {
        let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let made = self.api.create(&NAMESPACE.collection(None), &manifest).await;
        made.map_err(|fault| fault.into_error(&format!("cannot create namespace {name}")))?;
        // Pods are refused until it is there.
        let accounts = SERVICE_ACCOUNT.in_namespace(name);
        self.until("the namespace's account", async || Ok(self.api.get(&accounts, "default").await.is_ok()))
            .await
    }

    /// Waits until every Deployment of the namespace is available.
    pub(crate) async fn settle(&self, namespace: &str) -> anyhow::Result<()> {
        let is_available = |deployment: &Value| {
            deployment["status"]["availableReplicas"] == deployment["spec"]["replicas"]
                && deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
        };
        self.until("the Deployments", async || {
            let deployments = self.list(DEPLOYMENT, namespace).await?;
            Ok(deployments.iter().all(is_available))
        })
        .await
    }

    /// Deletes everything in the namespace, whoever made it, and waits until it is gone.
    pub(crate) async fn clear(&self, namespace: &str) -> anyhow::Result<()> {
        for kind in KINDS {
            let collection = kube::core::Request::new(kind.in_namespace(namespace).path());
            let request = collection.delete_collection(&DeleteParams::background(), &others(*kind))?;
            self.api.client().request::<Value>(request).await?;
        }
        for kind in KINDS.iter().chain(&[REPLICA_SET, POD]) {
            self.until(kind.plural, async || Ok(self.list(*kind, namespace).await?.is_empty())).await?;
        }
        Ok(())
    }

    async fn list(&self, kind: KindInfo, namespace: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.api.list(&kind.in_namespace(namespace), &others(kind)).await;
        Ok(list.map_err(|error| error.into_error(&format!("cannot list {}", kind.plural)))?.items)
    }

    async fn until(
        &self,
        what: &str,
        mut reached: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !reached().await? {
            if begun.elapsed() > PATIENCE {
                return Err(anyhow!("{what}: not as expected after {PATIENCE:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Everything but what the cluster puts into every namespace.
fn others(kind: KindInfo) -> ListParams {
    match kind {
        CONFIG_MAP => ListParams::default().fields("metadata.name!=kube-root-ca.crt"),
        SERVICE_ACCOUNT => ListParams::default().fields("metadata.name!=default"),
        _ => ListParams::default(),
    }
}

fn in_front(proxy: &Proxy) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{ "name": CONTEXT, "cluster": { "server": format!("http://{}", proxy.address) } }],
        "users": [{ "name": CONTEXT, "user": {} }],
        "contexts": [{ "name": CONTEXT, "context": { "cluster": CONTEXT, "user": CONTEXT } }],
    })
}

/// Runs the binary outside of any measurement. Programs of the control plane are found or built once per computer.
fn product(home: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let real = std::env::home_dir().context("this account has no home")?;
    let mut command = Command::new(HANDSCTL);
    for (name, below_home) in [("XDG_CACHE_HOME", ".cache"), ("GOPATH", "go"), ("GOENV", ".config/go/env")] {
        command.env(name, std::env::var_os(name).unwrap_or_else(|| real.join(below_home).into()));
    }
    let kubeconfig = home.join(".kube/config");
    command.env("HOME", home).env("KUBECONFIG", kubeconfig).env_remove("XDG_STATE_HOME").current_dir(home);
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("handsctl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// A process that ends the cluster and removes its folder when this one is gone, however it goes: its stdin closes then.
struct Keeper(Child);

impl Keeper {
    fn of(folder: &Path, home: &Path, cluster: &str) -> anyhow::Result<Self> {
        let down = format!(
            "cat >/dev/null; '{HANDSCTL}' cluster down --quiet --yes --set 'cluster.name=\"{cluster}\"' \
             && cd / && rm -rf '{}'",
            folder.display()
        );
        let mut keeper = Command::new("sh");
        keeper.args(["-c", &down]).env("HOME", home).env("KUBECONFIG", home.join(".kube/config"));
        keeper.env_remove("XDG_STATE_HOME").current_dir(home);
        // Ctrl-C at the terminal reaches the bench and not its keeper.
        keeper.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self(keeper.spawn().context("cannot run sh")?))
    }

    /// Ends the cluster and waits until it is gone.
    fn end(&mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(anyhow!("the bench's cluster was not removed: {status}")) }
    }
}

impl Drop for Keeper {
    /// After a failure, which is told; [`Bed::end`] is the usual way.
    fn drop(&mut self) {
        let _the_failure_is_told = self.end();
    }
}
