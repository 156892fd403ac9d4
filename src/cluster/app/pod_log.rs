//! Reads the log of a pod that never restarts: that of a sandbox.

use bytes::Bytes;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::sync::mpsc;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::error::{Error, Kind, Result};
use crate::logs::line_buffer::LineBuffer;
use crate::reason;

const BUFFER: usize = 64 * 1024;

/// An open log.
pub struct PodLog<R> {
    stream: R,
    pod: String,
}

/// Opens the log of a container of a pod.
///
/// # Errors
/// Fails if the pod has no log, the account may not read it, or the server does not respond in time.
pub async fn open(
    api: &Api,
    namespace: &str,
    pod: &str,
    params: &LogParams,
) -> Result<PodLog<impl futures::AsyncRead + Unpin + Send + use<>>> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let action = format!("cannot read the log of pod/{pod} in namespace {namespace}");
    match tokio::time::timeout_at(api.end_of_call(), pods.log_stream(pod, params)).await {
        Ok(Ok(stream)) => Ok(PodLog { stream: Box::pin(stream), pod: pod.to_owned() }),
        Ok(Err(error)) => Err(ApiError::from(error).into_error(&action)),
        Err(_elapsed) => {
            Err(Error::new(Id::Unreachable, Kind::Unreachable, action)
                .caused_by("the log did not begin in time"))
        }
    }
}

impl<R: futures::AsyncRead + Unpin> PodLog<R> {
    /// Sends complete lines until the log ends or the receiver is dropped.
    ///
    /// # Errors
    /// Exit 4 if the connection is lost.
    pub async fn read(mut self, sender: mpsc::Sender<Bytes>) -> Result<()> {
        let (mut lines, mut buffer) = (LineBuffer::default(), vec![0; BUFFER]);
        loop {
            let count = self.stream.read(&mut buffer).await.map_err(|error| {
                let message = format!("the log of pod/{} is not complete: the connection was lost", self.pod);
                Error::new(Id::ConnectionLost, Kind::Unreachable, message)
                    .caused_by(reason::of_connection(&error))
                    .hint("--since DURATION prints only the newest lines")
            })?;
            let complete = if count == 0 { lines.finish() } else { lines.push(&buffer[..count]) };
            let is_closed = !complete.is_empty() && sender.send(complete).await.is_err();
            if is_closed || count == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::scripted;

    #[tokio::test(start_paused = true)]
    async fn log_ends_with_its_last_line() {
        let (api, mut server) = scripted();
        let params = LogParams { tail_lines: Some(2), ..LogParams::default() };
        let script = async {
            let exchange = server.expect("GET /api/v1/namespaces/n/pods/p/log").await;
            assert!(exchange.query.contains("tailLines=2"), "{}", exchange.query);
            let log = exchange.watch();
            log.text("one\ntw");
            log.text("o\nthree");
        };
        let reading = async {
            let log = open(&api, "n", "p", &params).await.unwrap();
            let (sender, mut receiver) = mpsc::channel(8);
            let reading = tokio::spawn(log.read(sender));
            let mut text = Vec::new();
            while let Some(lines) = receiver.recv().await {
                text.extend_from_slice(&lines);
            }
            reading.await.unwrap().unwrap();
            String::from_utf8(text).unwrap()
        };
        let (text, ()) = tokio::join!(reading, script);
        assert!(text.starts_with("one\ntwo\nthree"), "{text:?}");
    }
}
