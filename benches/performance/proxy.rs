//! A proxy in front of the API server that counts and delays requests.
//!
//! It speaks TLS to the server, with the admin's certificate over persistent connections, and plain HTTP to the
//! clients. So no client pays for TLS or for `kubectl proxy`, and all use the same listener.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::{TcpListener, TcpStream};

/// The clients' requests since the last reset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Patches, without dry runs.
    pub(crate) patches: u64,
    /// Watched collections.
    pub(crate) watched: BTreeSet<String>,
}

/// The running proxy. It stops with the runtime.
pub(crate) struct Proxy {
    /// The listening address.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    counts: Mutex<Counts>,
    delay: Mutex<Duration>,
}

impl Proxy {
    /// Starts the proxy in front of the server of this kubeconfig.
    pub(crate) async fn start(kubeconfig: &Path, context: &str) -> anyhow::Result<Self> {
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &options).await?;
        config.default_retry = false;
        let server = Client::try_from(config)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        tokio::spawn(listen(listener, server, Arc::clone(&state)));
        Ok(Self { address, state })
    }

    /// Resets the counts and sets the delay of each request.
    pub(crate) fn reset(&self, delay: Duration) {
        *self.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
        *self.state.counts.lock().unwrap_or_else(PoisonError::into_inner) = Counts::default();
    }

    /// Returns the counts since the last reset.
    pub(crate) fn counts(&self) -> Counts {
        self.state.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(listener: TcpListener, server: Client, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, server.clone(), Arc::clone(&state)));
    }
}

async fn serve(stream: TcpStream, server: Client, state: Arc<State>) {
    let _nodelay = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (server, state) = (server.clone(), Arc::clone(&state));
        async move { Ok::<_, Infallible>(forward(request, server, &state).await) }
    });
    // A client that disconnects during a watch is not an error.
    let _disconnected = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn forward(request: Request<Incoming>, server: Client, state: &State) -> Response<Body> {
    let delay = state.count(&request);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let (mut head, body) = request.into_parts();
    // The client sets the host of the real server.
    head.headers.remove(http::header::HOST);
    let response = async {
        let body = body.collect().await?.to_bytes();
        anyhow::Ok(server.send(Request::from_parts(head, Body::from(body))).await?)
    };
    response.await.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("{error:#}").into_bytes()));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        response
    })
}

impl State {
    /// Counts a request and returns its delay.
    fn count(&self, request: &Request<Incoming>) -> Duration {
        let query = request.uri().query().unwrap_or_default();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        if request.method() == Method::PATCH && !query.contains("dryRun=All") {
            counts.patches += 1;
        }
        if query.split('&').any(|part| matches!(part, "watch=true" | "watch=1" | "watch")) {
            counts.watched.insert(request.uri().path().to_owned());
        }
        *self.delay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
