//! The requests that the start of a local cluster needs: whether the API server is ready, and the removal of old node
//! leases.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result, Source};
use crate::phrase;

/// How long the API server may take to be ready after its cluster was made or started.
const READY: Duration = Duration::from_secs(60);
/// How often readiness is asked for.
const ASK: Duration = Duration::from_millis(50);
/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(2);

/// A client for the cluster's own kubeconfig.
pub(super) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    connect(kubeconfig).await.map_err(|cause| {
        Error::internal(format!("cannot use {}, which kwokctl wrote", kubeconfig.display())).caused_by(cause)
    })
}

async fn connect(kubeconfig: &Path) -> Result<kube::Client, Source> {
    let read = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    // It is on loopback, whatever proxy the environment names.
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

/// Whether the API server says that it is ready.
///
/// # Errors
/// Why not: no connection, no answer in 2 s, or the checks that fail.
pub(super) async fn ready(client: &kube::Client) -> Result<(), Source> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    tokio::time::timeout(ANSWER, client.request_text(request)).await??;
    Ok(())
}

/// Deletes the leases of all nodes. A new kwok leaves a node alone while a lease of the one before is valid, and looks
/// again only every 10 s.
pub(super) async fn delete_node_leases(client: &kube::Client) -> Result<()> {
    let delete = async || -> Result<(), Source> {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        let request = http::Request::delete(leases).body(Vec::new())?;
        tokio::time::timeout(ANSWER, client.request_text(request)).await??;
        Ok(())
    };
    delete().await.map_err(|cause| {
        Error::internal("cannot delete the leases of the old simulated kubelets").caused_by(cause)
    })
}

/// Waits until the API server that a cluster's own kubeconfig names is ready.
///
/// # Errors
/// `HC2020` where it is not within a minute.
pub(super) async fn wait_until_ready(kubeconfig: &Path, name: &str) -> Result<()> {
    let client = client(kubeconfig).await?;
    let begin = Instant::now();
    loop {
        let Err(cause) = ready(&client).await else { return Ok(()) };
        if begin.elapsed() > READY {
            let message = format!("the local cluster {name} is not ready after {}", phrase::span(READY));
            return Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message).caused_by(cause));
        }
        tokio::time::sleep(ASK).await;
    }
}
