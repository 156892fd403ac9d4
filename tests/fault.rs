//! A proxy between the binary and the API server. It records every request and injects the faults of networks and
//! overloaded servers, by rules that the test sets. The proxy forwards to a `kubectl proxy`, which uses TLS and the
//! admin's certificate. So the proxy sees plain HTTP and the responses of the real server.

use std::convert::Infallible;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, Response, StatusCode, header, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::bed::{Bed, CommandLine, Namespace, in_home};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The proxy. Dropping it closes its connections and ends its `kubectl proxy`.
pub(crate) struct Proxy {
    folder: TempDir,
    /// `http://127.0.0.1:41234`.
    address: String,
    kubectl: Child,
    exchange: Arc<Exchange>,
    runtime: Option<Runtime>,
}

/// A request of the binary and the status of its response.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) received: Instant,
    /// The status that the binary received; None without a response.
    pub(crate) status: Option<u16>,
}

/// A fault that the proxy injects into one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Forwards the request after this delay.
    Delay(Duration),
    /// Responds with this error and does not forward the request.
    Respond(ErrorResponse),
    /// Responds with this object, or the application's answer, and does not forward the request.
    Answer(Value),
    /// Responds with this status and answer of the application, and does not forward the request.
    AnswerWith(u16, Value),
    /// Closes the connection and does not forward the request.
    Drop,
    /// Forwards the request, then closes the connection without the response.
    LoseResponse,
    /// Never responds and does not forward the request.
    Hang,
    /// Sends the response body at one byte per second after this many lines.
    Trickle(usize),
    /// Cuts the response body within the line after this many. A line is an event of a watch.
    Cut(usize),
    /// Ends a watch after this many events with an error event: the resourceVersion is too old.
    Expire(usize),
    /// Forwards the request when the gate opens.
    Hold(Gate),
    /// Forwards the request and sends the response when the gate opens.
    HoldResponse(Gate),
}

/// An error response in the API server's own form.
#[derive(Debug, Clone)]
pub(crate) enum ErrorResponse {
    /// 409 without causes: a precondition failed.
    Conflict,
    /// 403 of an account without a role.
    Forbidden,
    /// 410: the resourceVersion of a list or watch is too old.
    Expired,
    /// 429 of API priority and fairness: no `Status`, only a `Retry-After` header with these seconds.
    TooManyRequests(u32),
    /// 403 of an admission webhook with this message.
    Denied(String),
    /// 404 of an API that the cluster does not have.
    NotFound,
    /// 503.
    Unavailable,
}

/// A gate at which requests wait until the test opens it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    waiting: Arc<(Mutex<Vec<Request>>, Condvar)>,
    open: watch::Sender<bool>,
}

/// Requests that wait at a gate. Dropping the value opens the gate.
#[must_use = "dropping it releases the requests"]
pub(crate) struct HeldRequests(Gate);

/// A rule without its fault.
#[must_use = "without a fault the rule does nothing"]
pub(crate) struct RuleBuilder<'a> {
    proxy: &'a Proxy,
    matches: Box<Matches>,
    occurrences: Occurrences,
}

type Matches = dyn Fn(&Request) -> bool + Send + Sync;

/// The matching requests that a rule applies to, counted from the rule's creation; the first is 1.
#[derive(Debug, Clone, Copy)]
enum Occurrences {
    All,
    First(usize),
    Only(usize),
}

struct Rule {
    matches: Box<Matches>,
    matched: usize,
    occurrences: Occurrences,
    fault: Fault,
}

/// Pairs of texts: what the binary sends and receives, and what the server has in its place.
#[derive(Debug, Clone, Default)]
struct Renames(Vec<(String, String)>);

/// The rules of the test and the recorded traffic.
#[derive(Default)]
struct Exchange {
    rules: Mutex<Vec<Rule>>,
    renames: Mutex<Renames>,
    round_trip: Mutex<Duration>,
    /// Until when no byte passes.
    silent: watch::Sender<Option<Instant>>,
    requests: Mutex<Vec<Request>>,
    warnings: Mutex<Vec<String>>,
}

impl Proxy {
    /// The context of the proxy's kubeconfig. Its name is not that of a local cluster.
    pub(crate) const CONTEXT: &'static str = "recorded";

    /// Starts a proxy for this cluster.
    pub(crate) fn for_cluster(bed: &Bed) -> Self {
        let mut kubectl = bed.kubectl_command(&["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(kubectl.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let server: SocketAddr = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let folder = TempDir::new().unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "a", "cluster": { "server": address } }],
            "users": [{ "name": "a", "user": {} }],
            "contexts": [{ "name": Self::CONTEXT, "context": { "cluster": "a", "user": "a" } }],
            "current-context": "",
        });
        std::fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        let exchange = Arc::new(Exchange::default());
        runtime.spawn(listen(listener, server, Arc::clone(&exchange)));
        Self { folder, address, kubectl, exchange, runtime: Some(runtime) }
    }

    /// The path of a kubeconfig whose server is this proxy.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Points the cluster's own kubeconfig to this proxy. The bed itself keeps a copy with the direct server.
    pub(crate) fn redirect_kubeconfig(&self, bed: &mut Bed) {
        let direct = bed.kubeconfig.with_extension("direct");
        std::fs::copy(&bed.kubeconfig, &direct).unwrap();
        let text = std::fs::read_to_string(&direct).unwrap();
        let redirected = |line: &str| match line.split_once("server: ") {
            Some((indent, _)) => format!("{indent}server: {}\n", self.address),
            None => format!("{line}\n"),
        };
        std::fs::write(&bed.kubeconfig, text.lines().map(redirected).collect::<String>()).unwrap();
        bed.kubeconfig = direct;
    }

    /// Gets an object or a list with all its fields; None if it does not exist. Faster than kubectl.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        match ureq::get(format!("{}{path}", self.address)).call() {
            Ok(mut response) => {
                Some(serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap())
            }
            Err(ureq::Error::StatusCode(404)) => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// The command line of the binary in the test's folder, for the set `oh` of the namespace, through this proxy.
    pub(crate) fn command(&self, namespace: &Namespace, arguments: &[&str]) -> CommandLine {
        let target = ["--context", Self::CONTEXT, "-n", &namespace.name, "--name", "oh"];
        in_home(namespace.folder.path(), &[arguments, &target].concat()).env("KUBECONFIG", self.kubeconfig())
    }

    /// Starts a rule. If several rules apply to a request, the oldest one counts.
    pub(crate) fn on(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> RuleBuilder<'_> {
        RuleBuilder { proxy: self, matches: Box::new(matches), occurrences: Occurrences::All }
    }

    /// Replaces a text in the body of every request and response from now on.
    pub(crate) fn rename(&self, ours: &str, of_the_server: &str) {
        self.exchange.renames.lock().unwrap().0.push((ours.to_owned(), of_the_server.to_owned()));
    }

    /// Hides that the nodes are simulated.
    pub(crate) fn hide_simulation(&self) {
        self.rename("example.io/started", "handsctl.dev/Simulated");
        self.rename("example.io/node", "kwok.x-k8s.io/node");
    }

    /// Delays every request from now on.
    pub(crate) fn round_trip(&self, time: Duration) {
        *self.exchange.round_trip.lock().unwrap() = time;
    }

    /// Lets no byte pass in either direction from now on for this time. Connections stay open.
    pub(crate) fn silence(&self, time: Duration) {
        self.exchange.silent.send_replace(Some(Instant::now() + time));
    }

    /// All requests so far, in the order of their arrival.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.exchange.requests.lock().unwrap().clone()
    }

    /// The matching requests so far, in the order of their arrival.
    pub(crate) fn requests_that(&self, matches: impl Fn(&Request) -> bool) -> Vec<Request> {
        self.requests().into_iter().filter(matches).collect()
    }

    /// The texts of all `Warning` headers so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.exchange.warnings.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // An asynchronous test must not block in a drop.
            runtime.shutdown_background();
        }
        self.kubectl.kill().unwrap();
        self.kubectl.wait().unwrap();
    }
}

impl RuleBuilder<'_> {
    /// Applies the rule only to the nth matching request from now on; the first is 1.
    pub(crate) fn nth(self, number: usize) -> Self {
        Self { occurrences: Occurrences::Only(number), ..self }
    }

    /// Applies the rule only to the first matching requests from now on.
    pub(crate) fn first(self, count: usize) -> Self {
        Self { occurrences: Occurrences::First(count), ..self }
    }

    /// Completes the rule with this fault.
    pub(crate) fn inject(self, fault: Fault) {
        let rule = Rule { matches: self.matches, matched: 0, occurrences: self.occurrences, fault };
        self.proxy.exchange.rules.lock().unwrap().push(rule);
    }

    /// Holds the requests before they are forwarded.
    pub(crate) fn hold(self) -> HeldRequests {
        let gate = Gate::default();
        self.inject(Fault::Hold(gate.clone()));
        HeldRequests(gate)
    }

    /// Forwards the requests and holds their responses.
    pub(crate) fn hold_response(self) -> HeldRequests {
        let gate = Gate::default();
        self.inject(Fault::HoldResponse(gate.clone()));
        HeldRequests(gate)
    }
}

impl HeldRequests {
    /// Waits until a request is held and returns the first one.
    pub(crate) fn wait_for_request(&self, limit: Duration) -> Request {
        let (waiting, arrival) = &*self.0.waiting;
        let (waiting, _) =
            arrival.wait_timeout_while(waiting.lock().unwrap(), limit, |waiting| waiting.is_empty()).unwrap();
        waiting.first().unwrap_or_else(|| panic!("no matching request within {limit:?}")).clone()
    }

    /// Returns whether a request is held.
    pub(crate) fn has_request(&self) -> bool {
        !self.0.waiting.0.lock().unwrap().is_empty()
    }

    /// Releases the held requests and all later ones.
    pub(crate) fn release(self) {
        drop(self);
    }
}

impl Drop for HeldRequests {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

impl Gate {
    async fn pass(&self, request: Request) {
        let mut open = self.open.subscribe();
        let (waiting, arrival) = &*self.waiting;
        waiting.lock().unwrap().push(request);
        arrival.notify_all();
        open.wait_for(|open| *open).await.unwrap();
    }
}

impl Request {
    /// Parses the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the request has this method and this end of its path, without the query, and is no dry run.
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.split('?').next().unwrap().ends_with(path) && !self.is_dry_run()
    }

    /// Whether the server only checks the request.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.path.contains("dryRun=All")
    }

    /// Whether the request watches this kind.
    pub(crate) fn watches(&self, plural: &str) -> bool {
        self.is("GET", &format!("/{plural}")) && self.path.contains("watch=true")
    }
}

impl Occurrences {
    fn include(self, number: usize) -> bool {
        match self {
            Occurrences::All => true,
            Occurrences::First(count) => number <= count,
            Occurrences::Only(only) => number == only,
        }
    }
}

impl Renames {
    fn for_the_server(&self, head: &mut request::Parts, body: Bytes) -> Bytes {
        if self.0.is_empty() {
            return body;
        }
        let pairs = self.0.iter().map(|(ours, of_the_server)| (ours, of_the_server));
        let body = replaced(&body, pairs);
        // The renamed response is text, and the length of the request may differ.
        head.headers.remove(header::ACCEPT_ENCODING);
        if head.headers.contains_key(header::CONTENT_LENGTH) {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        body
    }

    /// Renames line by line, so that the events of a watch pass at once.
    fn in_response(&self, response: Response<Incoming>) -> Response<Body> {
        let mut response = response.map(unchanged);
        if self.0.is_empty() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let renames = self.clone();
        let renamed = move |line: &[u8]| {
            replaced(line, renames.0.iter().map(|(ours, of_the_server)| (of_the_server, ours)))
        };
        response.map(|body| streamed(whole_lines(chunks(body)).map_ok(move |line| renamed(&line))))
    }
}

fn replaced<'a>(text: &[u8], pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Bytes {
    let text = String::from_utf8_lossy(text).into_owned();
    pairs.fold(text, |text, (from, to)| text.replace(from.as_str(), to)).into()
}

impl Exchange {
    /// Waits until the silence is over.
    async fn pass_silence(&self) {
        let end = *self.silent.borrow();
        if let Some(end) = end {
            tokio::time::sleep_until(end.into()).await;
        }
    }

    /// Records the request; returns its position and its fault.
    fn record_request(&self, request: Request) -> (usize, Option<Fault>) {
        let mut fault = None;
        for rule in self.rules.lock().unwrap().iter_mut().filter(|rule| (rule.matches)(&request)) {
            rule.matched += 1;
            if fault.is_none() && rule.occurrences.include(rule.matched) {
                fault = Some(rule.fault.clone());
            }
        }
        let mut requests = self.requests.lock().unwrap();
        requests.push(request);
        (requests.len() - 1, fault)
    }

    fn record_response<B>(&self, position: usize, response: &Response<B>) {
        self.requests.lock().unwrap()[position].status = Some(response.status().as_u16());
        let texts = response.headers().get_all(header::WARNING).iter();
        self.warnings.lock().unwrap().extend(texts.map(|text| text.to_str().unwrap().to_owned()));
    }
}

/// Accepts connections until the runtime ends.
async fn listen(
    listener: TcpListener,
    server: SocketAddr,
    exchange: Arc<Exchange>,
) -> Result<Infallible, io::Error> {
    loop {
        let (stream, _) = listener.accept().await?;
        let exchange = Arc::clone(&exchange);
        let service = service_fn(move |request| handle(server, Arc::clone(&exchange), request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // Errors are injected faults, or the binary has ended.
        tokio::spawn(connection.with_upgrades());
    }
}

/// Handles one request. An error closes the connection.
async fn handle(
    server: SocketAddr,
    exchange: Arc<Exchange>,
    request: http::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let recorded = Request {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        body: body.to_vec(),
        received: Instant::now(),
        status: None,
    };
    let (position, fault) = exchange.record_request(recorded.clone());
    let round_trip = *exchange.round_trip.lock().unwrap();
    sleep(round_trip).await;
    exchange.pass_silence().await;
    let is_watch = recorded.path.contains("watch=true");
    let renames = exchange.renames.lock().unwrap().clone();
    let body = renames.for_the_server(&mut head, body);
    let forwarded = async { Ok::<_, io::Error>(renames.in_response(forward(server, head, body).await?)) };
    let response = match fault {
        None if is_watch => {
            let exchange = Arc::clone(&exchange);
            forwarded.await?.map(|body| streamed(audible(chunks(body), exchange)))
        }
        None => forwarded.await?,
        Some(Fault::Delay(time)) => {
            sleep(time).await;
            forwarded.await?
        }
        Some(Fault::Respond(error)) => error.to_response(),
        Some(Fault::Answer(answer)) => response(200, "application/json", answer.to_string()),
        Some(Fault::AnswerWith(status, answer)) => response(status, "application/json", answer.to_string()),
        Some(Fault::Drop) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Some(Fault::LoseResponse) => {
            forwarded.await?.into_body().collect().await.map_err(io::Error::other)?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Trickle(lines)) => forwarded.await?.map(|body| streamed(trickle(chunks(body), lines))),
        Some(Fault::Cut(lines)) => forwarded.await?.map(|body| streamed(cut(chunks(body), lines))),
        Some(Fault::Expire(lines)) => forwarded.await?.map(|body| streamed(expire(chunks(body), lines))),
        Some(Fault::Hold(gate)) => {
            gate.pass(recorded).await;
            forwarded.await?
        }
        Some(Fault::HoldResponse(gate)) => {
            let response = forwarded.await?;
            gate.pass(recorded).await;
            response
        }
    };
    exchange.record_response(position, &response);
    Ok(response)
}

/// Forwards the request to the server on a new connection.
async fn forward(
    server: SocketAddr,
    mut head: request::Parts,
    body: Bytes,
) -> io::Result<Response<Incoming>> {
    let client = head.extensions.remove::<OnUpgrade>();
    let upstream = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(upstream).await.map_err(io::Error::other)?;
    // Ends with the response body, which also carries the error.
    tokio::spawn(connection.with_upgrades());
    let request = http::Request::from_parts(head, Full::new(body));
    let mut response = sender.send_request(request).await.map_err(io::Error::other)?;
    if let (Some(client), Some(upstream)) = (client, response.extensions_mut().remove::<OnUpgrade>()) {
        tokio::spawn(connect_streams(client, upstream));
    }
    Ok(response)
}

/// Copies both ways after a protocol upgrade, for example of a port-forward.
async fn connect_streams(client: OnUpgrade, upstream: OnUpgrade) {
    if let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) {
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        let _side_closed = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
    }
}

fn unchanged(body: Incoming) -> Body {
    body.map_err(io::Error::other).boxed_unsync()
}

fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

fn chunks(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    body.into_data_stream().map_err(io::Error::other)
}

/// Joins and splits the chunks so that each one ends at the end of a line, or of the body.
fn whole_lines(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((chunks, Vec::new()), |(mut chunks, mut rest)| async move {
        while let Some(chunk) = chunks.try_next().await? {
            rest.extend_from_slice(&chunk);
            if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                let lines: Vec<u8> = rest.drain(..=end).collect();
                return Ok(Some((lines.into(), (chunks, rest))));
            }
        }
        let last = std::mem::take(&mut rest);
        Ok((!last.is_empty()).then(|| (last.into(), (chunks, rest))))
    })
}

/// Holds the chunks that arrive during a silence.
fn audible(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send,
    exchange: Arc<Exchange>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    chunks.and_then(move |chunk| {
        let exchange = Arc::clone(&exchange);
        async move {
            exchange.pass_silence().await;
            Ok(chunk)
        }
    })
}

/// This many lines at once, then one byte per second.
fn trickle(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let mut left = count;
    let pieces = move |mut chunk: Bytes| {
        let unchanged = chunk.split_to(lines_end(&chunk, &mut left));
        let slow = stream::iter(chunk).then(|byte| async move {
            sleep(Duration::from_secs(1)).await;
            Ok(Bytes::from(vec![byte]))
        });
        stream::once(async move { Ok(unchanged) }).chain(slow)
    };
    chunks.map_ok(pieces).try_flatten()
}

/// This many lines and a part of the next one, then an error that closes the connection.
fn cut(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let end = stream::once(async {
        // Lets the connection send the earlier chunks first.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    lines(chunks, count).chain(stream::once(async { Ok(Bytes::from_static(b"{\"type\":\"MOD")) })).chain(end)
}

/// This many lines, then an error event: the server no longer has the later changes.
fn expire(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let event = json!({ "type": "ERROR", "object": ErrorResponse::expired() });
    lines(chunks, count).chain(stream::once(async move { Ok(Bytes::from(format!("{event}\n"))) }))
}

/// The first `count` lines of a stream.
fn lines(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((chunks, count), |(mut chunks, mut left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(mut chunk) = chunks.try_next().await? else { return Ok(None) };
        chunk.truncate(lines_end(&chunk, &mut left));
        Ok(Some((chunk, (chunks, left))))
    })
}

/// The length of the chunk's part that belongs to the remaining lines. Subtracts the chunk's lines from `left`.
fn lines_end(chunk: &[u8], left: &mut usize) -> usize {
    if *left == 0 {
        return 0;
    }
    for (at, _) in chunk.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        *left -= 1;
        if *left == 0 {
            return at + 1;
        }
    }
    chunk.len()
}

impl ErrorResponse {
    fn to_response(&self) -> Response<Body> {
        match self {
            ErrorResponse::Conflict => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict", "code": 409,
                "message": "Operation cannot be fulfilled on deployments.apps \"oh\": Precondition failed: UID in precondition: a, UID in object meta: b",
                "details": { "name": "oh", "group": "apps", "kind": "deployments" },
            })),
            ErrorResponse::Forbidden => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "deployments.apps is forbidden: User \"x\" cannot watch resource \"deployments\" in API group \"apps\" in the namespace \"n\"",
                "details": { "group": "apps", "kind": "deployments" },
            })),
            ErrorResponse::Denied(message) => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": format!("admission webhook \"a.example.com\" denied the request: {message}"),
            })),
            ErrorResponse::Expired => status(&Self::expired()),
            ErrorResponse::NotFound => {
                response(404, "text/plain; charset=utf-8", "404 page not found\n".to_owned())
            }
            ErrorResponse::Unavailable => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "ServiceUnavailable", "code": 503,
                "message": "the server is currently unable to handle the request",
            })),
            ErrorResponse::TooManyRequests(seconds) => {
                let text = "Too many requests, please try again later.\n";
                let mut response = response(429, "text/plain; charset=utf-8", text.to_owned());
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                response
            }
        }
    }

    fn expired() -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
            "message": "too old resource version: 1 (2)",
        })
    }
}

fn status(status: &Value) -> Response<Body> {
    let code = status["code"].as_u64().unwrap().try_into().unwrap();
    response(code, "application/json", status.to_string())
}

fn response(code: u16, content: &'static str, text: String) -> Response<Body> {
    let body = Full::from(text).map_err(|never: Infallible| match never {}).boxed_unsync();
    let response = Response::builder().status(code).header(header::CONTENT_TYPE, content);
    response.body(body).unwrap()
}
