//! The API requests during the start of a local cluster: waits for `/readyz` and deletes old node leases.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result, Source};
use crate::object::kind::LEASE;
use crate::phrase;

/// How long the API server may take to become ready after its cluster was created or started.
const READY: Duration = Duration::from_secs(60);
/// Interval between two readiness requests.
const POLL: Duration = Duration::from_millis(50);
/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns a client for the cluster's own kubeconfig.
pub(super) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    connect(kubeconfig).await.map_err(|cause| {
        Error::internal(format!("cannot use the kubeconfig {}", kubeconfig.display())).caused_by(cause)
    })
}

async fn connect(kubeconfig: &Path) -> Result<kube::Client, Source> {
    let read = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    // The API server is on loopback: a proxy from the environment does not apply.
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

/// Checks that the API server reports ready.
///
/// # Errors
/// The cause: no connection, no response within 2 s, or the checks that fail.
pub(super) async fn ready(client: &kube::Client) -> Result<(), Source> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    tokio::time::timeout(REQUEST_TIMEOUT, client.request_text(request)).await??;
    Ok(())
}

/// Deletes the leases of all nodes. A new kwok process ignores a node while its predecessor's lease is valid, and
/// checks again only every 10 s.
pub(super) async fn delete_node_leases(client: &kube::Client) -> Result<()> {
    let delete = async || -> Result<(), Source> {
        let leases = LEASE.in_namespace("kube-node-lease");
        let request = http::Request::delete(leases.path()).body(Vec::new())?;
        tokio::time::timeout(REQUEST_TIMEOUT, client.request_text(request)).await??;
        Ok(())
    };
    delete().await.map_err(|cause| {
        Error::internal("cannot delete the leases of the old simulated kubelets").caused_by(cause)
    })
}

/// Waits until the API server of a cluster's own kubeconfig is ready.
///
/// # Errors
/// `HC2020` if it is not ready within a minute.
pub(super) async fn wait_until_ready(kubeconfig: &Path, name: &str) -> Result<()> {
    let client = client(kubeconfig).await?;
    let started = Instant::now();
    loop {
        let Err(cause) = ready(&client).await else { return Ok(()) };
        if started.elapsed() > READY {
            let message = format!("the local cluster {name} is not ready after {}", phrase::span(READY));
            return Err(Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message).caused_by(cause));
        }
        tokio::time::sleep(POLL).await;
    }
}
