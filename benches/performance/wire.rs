//! A bare HTTP/1.1 client that sends only the requests of an apply.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::bail;
use bytes::Bytes;
use handsctl::object::labels;
use handsctl::plan::inventory::apply_set::PART_OF;
use handsctl::plan::{Member, Plan};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::set::{self, Edition};

/// The number of connections: as many as the engine has simultaneous requests.
const CONNECTIONS: usize = 16;

/// One request, ready to send.
struct Prepared {
    path: String,
    body: Bytes,
}

/// Sends each object of the set to the server once, create-only.
pub(crate) async fn run(server: SocketAddr, objects: usize, namespace: &str) -> anyhow::Result<()> {
    let requests = Arc::new(prepare(&set::plan(objects, namespace, Edition::First)));
    let next = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..CONNECTIONS.min(objects))
        .map(|_| tokio::spawn(send(server, Arc::clone(&requests), Arc::clone(&next))))
        .collect();
    for sender in senders {
        sender.await??;
    }
    Ok(())
}

fn prepare(plan: &Plan) -> Vec<Prepared> {
    let request = |member: &Member| {
        let mut manifest = member.manifest.clone();
        manifest["metadata"]["labels"][PART_OF] = json!(plan.set.id());
        manifest["metadata"]["resourceVersion"] = json!("1");
        Prepared {
            path: format!(
                "{}/{}?fieldManager={}&fieldValidation=Strict",
                member.kind.collection(member.id.namespace.as_deref()).path(),
                member.id.name,
                labels::MANAGER
            ),
            body: Bytes::from(manifest.to_string()),
        }
    };
    plan.members.iter().map(request).collect()
}

async fn send(
    server: SocketAddr,
    requests: Arc<Vec<Prepared>>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    while let Some(prepared) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(&prepared.path)
            .header(http::header::HOST, server.to_string())
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
            .body(Full::new(prepared.body.clone()))?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::CREATED {
            bail!("{}: {status}: {}", prepared.path, String::from_utf8_lossy(&body));
        }
    }
    Ok(())
}
