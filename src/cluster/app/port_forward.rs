//! Leads a port of this computer to whichever pod of the application is ready, over restarts of the pod.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::PORT;
use crate::cluster::client::api::Api;
use crate::cluster::watch::store::Store;
use crate::cluster::watch::watcher::WatchScope;
use crate::error::{Error, Result};
use crate::object::kind::POD;

/// How long a connection waits for a pod that is ready: as long as a restart takes, with its image pulled.
const POD_WAIT: Duration = Duration::from_secs(120);
/// The pause before the same pod is tried again: it may have stopped and not been seen to.
const PAUSE: Duration = Duration::from_millis(500);

/// The name of a pod that is ready, as it is now.
pub type ReadyPodName = watch::Receiver<Option<String>>;

/// Follows which pod is ready; ends with the receivers.
pub struct ReadyPodWatcher {
    view: Store,
    sender: watch::Sender<Option<String>>,
}

impl ReadyPodWatcher {
    /// Looks which pod of these labels is ready.
    ///
    /// # Errors
    /// Where pods may not be watched.
    pub async fn open(
        api: &Api,
        namespace: &str,
        labels: String,
        streaming: bool,
    ) -> Result<(Self, ReadyPodName)> {
        let scope = WatchScope { kind: POD, namespace: Some(namespace.to_owned()), labels, optional: false };
        let view = Store::open(api, vec![scope], streaming).await?;
        let (sender, receiver) = watch::channel(ready_pod(&view));
        Ok((Self { view, sender }, receiver))
    }

    /// Goes on looking.
    ///
    /// # Errors
    /// Where the watch cannot be had any more.
    pub async fn follow(mut self) -> Result<()> {
        while !self.sender.is_closed() {
            self.view.wait_for_change().await?;
            let now = ready_pod(&self.view);
            self.sender.send_if_modified(|before| {
                let is_other = *before != now;
                *before = now;
                is_other
            });
        }
        Ok(())
    }
}

/// The newest: an older one that is ready, too, is about to go.
fn ready_pod(store: &Store) -> Option<String> {
    let ready = store.of_kind(POD).map(|(_, pod)| pod).filter(|pod| is_ready(pod));
    let newest = ready.max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default())?;
    newest["metadata"]["name"].as_str().map(str::to_owned)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

/// Accepts connections for ever and leads each to the pod that is ready then.
///
/// # Errors
/// Where no connection can be accepted any more.
pub async fn serve(api: &Api, namespace: &str, listener: TcpListener, pod: ReadyPodName) -> Result<()> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let pods = Arc::new(pods);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, _) = accepted.map_err(|error| Error::io("cannot accept a connection", error))?;
        connections.spawn(connect(pods.clone(), pod.clone(), stream));
    }
}

/// One connection, from its beginning to its end. Whoever made it sees that it is closed.
async fn connect(pods: Arc<kube::Api<Pod>>, pod: ReadyPodName, mut stream: TcpStream) {
    if let Ok(Some(mut other)) = tokio::time::timeout(POD_WAIT, reach(&pods, pod)).await {
        let _either_side_has_closed = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
    }
}

/// A connection to the application in the pod that is ready, tried until there is one; None: nobody follows the pods
/// any more.
async fn reach(
    pods: &kube::Api<Pod>,
    mut pod: ReadyPodName,
) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    loop {
        let name = pod.wait_for(Option::is_some).await.ok()?.clone()?;
        if let Ok(mut forwarder) = pods.portforward(&name, &[PORT]).await
            && let Some(stream) = forwarder.take_stream(PORT)
        {
            return Some(stream);
        }
        let _another_pod_or_the_same_again = tokio::time::timeout(PAUSE, pod.changed()).await;
    }
}
