//! Forwards a local port to the application's ready pod, across restarts of the pod.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::client::api::Api;
use crate::cluster::watch::store::Store;
use crate::cluster::watch::watcher::WatchScope;
use crate::error::{Error, Result};
use crate::object::condition;
use crate::object::kind::POD;

/// How long a connection waits for a ready pod: long enough for a restart of the pod without an image pull.
const POD_WAIT: Duration = Duration::from_secs(120);
/// The pause before retrying the same pod: it may have stopped before the watch reports it.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The name of the ready pod, updated by a [`ReadyPodWatcher`].
pub type ReadyPodName = watch::Receiver<Option<String>>;

/// Watches which pod is ready, until all receivers are dropped.
pub struct ReadyPodWatcher {
    store: Store,
    sender: watch::Sender<Option<String>>,
}

impl ReadyPodWatcher {
    /// Opens the watch of pods with these labels, and finds the ready one.
    ///
    /// # Errors
    /// Fails if pods cannot be watched.
    pub async fn open(
        api: &Api,
        namespace: &str,
        labels: String,
        streaming: bool,
    ) -> Result<(Self, ReadyPodName)> {
        let scope = WatchScope { kind: POD, namespace: Some(namespace.to_owned()), labels, optional: false };
        let store = Store::open(api, vec![scope], streaming).await?;
        let (sender, receiver) = watch::channel(ready_pod(&store));
        Ok((Self { store, sender }, receiver))
    }

    /// Updates the receivers on every change.
    ///
    /// # Errors
    /// Fails if the watch fails for good.
    pub async fn follow(mut self) -> Result<()> {
        while !self.sender.is_closed() {
            self.store.wait_for_change().await?;
            let current = ready_pod(&self.store);
            self.sender.send_if_modified(|previous| {
                let has_changed = *previous != current;
                *previous = current;
                has_changed
            });
        }
        Ok(())
    }
}

/// Returns the newest ready pod, because an older one is about to be deleted.
fn ready_pod(store: &Store) -> Option<String> {
    let ready = store.of_kind(POD).map(|(_, pod)| pod).filter(|pod| is_ready(pod));
    let newest = ready.max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default())?;
    newest["metadata"]["name"].as_str().map(str::to_owned)
}

fn is_ready(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && condition::is_ready(pod)
}

/// Accepts connections without end, and forwards each to this port of the pod that is ready at that time.
///
/// # Errors
/// Fails if the listener cannot accept a connection.
pub async fn serve(
    api: &Api,
    namespace: &str,
    listener: TcpListener,
    pod: ReadyPodName,
    port: u16,
) -> Result<()> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let pods = Arc::new(pods);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, _) = accepted.map_err(|error| Error::io("cannot accept a connection", error))?;
        connections.spawn(connect(pods.clone(), pod.clone(), port, stream));
    }
}

/// Forwards one connection until either side closes it. Closes it if no pod is ready in time.
async fn connect(pods: Arc<kube::Api<Pod>>, pod: ReadyPodName, port: u16, mut stream: TcpStream) {
    if let Ok(Some(mut pod_stream)) =
        tokio::time::timeout(POD_WAIT, connect_to_ready_pod(&pods, pod, port)).await
    {
        let _closed_by_either_side = tokio::io::copy_bidirectional(&mut stream, &mut pod_stream).await;
    }
}

/// Connects to the application in the ready pod, and retries until it succeeds; None if the watcher was dropped.
async fn connect_to_ready_pod(
    pods: &kube::Api<Pod>,
    mut pod: ReadyPodName,
    port: u16,
) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    loop {
        let name = pod.wait_for(Option::is_some).await.ok()?.clone()?;
        if let Ok(mut forwarder) = pods.portforward(&name, &[port]).await
            && let Some(stream) = forwarder.take_stream(port)
        {
            return Some(stream);
        }
        let _changed_or_elapsed = tokio::time::timeout(RETRY_PAUSE, pod.changed()).await;
    }
}
