//! The API requests during the start of a local cluster: waits for `/readyz` and deletes old node leases.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result, Source};
use crate::object::kind::LEASE;
use crate::phrase;

/// How long the API server may take to become ready after its cluster was created or started.
pub(super) const READY: Duration = Duration::from_secs(60);
/// Interval between two readiness requests.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// Timeout of one request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns a client for the cluster's own kubeconfig.
pub(super) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    connect(kubeconfig).await.map_err(|cause| {
        Error::internal(format!("cannot use the kubeconfig {}", kubeconfig.display())).caused_by(cause)
    })
}

async fn connect(kubeconfig: &Path) -> Result<kube::Client, Source> {
    let mut read = Kubeconfig::read_from(kubeconfig)?;
    // kube would parse the environment's proxies, and fail if they are invalid.
    for cluster in read.clusters.iter_mut().filter_map(|entry| entry.cluster.as_mut()) {
        cluster.proxy_url = Some("http://proxy.invalid".to_owned());
    }
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    // The API server is on loopback: a proxy from the environment does not apply.
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

/// The response of an API server to `/readyz`.
#[derive(Debug)]
pub(super) enum Readiness {
    /// It is ready.
    Ready,
    /// It responds that it is not ready: it is starting or ending. The checks that fail.
    NotReady(Vec<String>),
    /// No response: no connection, or none in time. The cause.
    Silent(Source),
}

/// The check that fails while an API server shuts down.
const SHUTDOWN: &str = "shutdown";

impl Readiness {
    /// Whether the API server reports that it shuts down.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self, Self::NotReady(checks) if checks.iter().any(|check| check == SHUTDOWN))
    }
}

/// Requests `/readyz` once, and waits at most `limit` for the response.
pub(super) async fn readiness(client: &kube::Client, limit: Duration) -> Readiness {
    match request(client, limit).await {
        Ok(()) => Readiness::Ready,
        Err(cause) => match cause.downcast::<kube::Error>() {
            Ok(error) => match *error {
                kube::Error::Api(status) => Readiness::NotReady(failed_checks(&status.message)),
                other => Readiness::Silent(other.into()),
            },
            Err(cause) => Readiness::Silent(cause),
        },
    }
}

async fn request(client: &kube::Client, limit: Duration) -> Result<(), Source> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    let response = tokio::time::timeout(limit, client.request_text(request)).await;
    response.map_err(|_elapsed| format!("no response within {}", phrase::span(limit)))??;
    Ok(())
}

/// Returns the names of the failed checks. A response of `/readyz` has a line per check: `[-]etcd failed: reason withheld`.
fn failed_checks(response: &str) -> Vec<String> {
    let checks = response.split("[-]").skip(1);
    checks.filter_map(|check| Some(check.split_whitespace().next()?.to_owned())).collect()
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
        match readiness(&client, REQUEST_TIMEOUT).await {
            Readiness::Ready => return Ok(()),
            not_ready if started.elapsed() > READY => return Err(not_ready_error(name, not_ready)),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// Returns the error for an API server that is not ready in time.
pub(super) fn not_ready_error(name: &str, readiness: Readiness) -> Error {
    let message = format!("the local cluster {name} is not ready after {}", phrase::span(READY));
    let error = Error::new(Id::ClusterCreateFailed, Kind::Prerequisite, message);
    match readiness {
        Readiness::Ready => error,
        Readiness::NotReady(checks) => error.fact("not ready", checks.join(", ")),
        Readiness::Silent(cause) => error.caused_by(cause),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A client of a server that sends this response to each request; None: it accepts and never responds.
    async fn client_of(response: Option<&'static str>) -> kube::Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _request_is_not_parsed = stream.read(&mut [0; 1024]).await;
                match response {
                    Some(response) => stream.write_all(response.as_bytes()).await.unwrap(),
                    None => std::future::pending().await,
                }
            }
        });
        kube::Client::try_from(kube::Config::new(url)).unwrap()
    }

    #[tokio::test]
    async fn response_of_readyz_distinguishes_starting_from_silent() {
        let starting = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\nconnection: close\r\n\
                        content-length: 60\r\n\r\n[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check fail";
        let readiness_of =
            async |response| readiness(&client_of(response).await, Duration::from_secs(1)).await;
        let answer = readiness_of(Some(starting)).await;
        assert!(matches!(&answer, Readiness::NotReady(checks) if checks == &["etcd"]), "{answer:?}");
        let answer = readiness_of(None).await;
        assert!(
            matches!(&answer, Readiness::Silent(cause) if cause.to_string().contains("no response")),
            "{answer:?}"
        );
        let ready = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        assert!(matches!(readiness_of(Some(ready)).await, Readiness::Ready));
    }

    #[test]
    fn failed_checks_of_a_response_are_listed() {
        let response = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]shutdown failed: reason withheld\nreadyz check failed";
        assert_eq!(failed_checks(response), ["etcd", "shutdown"]);
        assert_eq!(failed_checks(&format!("{response:?}")), ["etcd", "shutdown"]);
        assert!(Readiness::NotReady(failed_checks(response)).is_ending());
        assert!(!Readiness::NotReady(vec!["etcd".to_owned()]).is_ending());
    }
}
