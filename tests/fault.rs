//! A proxy between the binary and the API server. It keeps what is asked, and does with it what networks and servers
//! under stress do: by rules that the test sets. `kubectl proxy` behind it speaks TLS with the admin's certificate,
//! so what is kept is what the binary says over plain HTTP, and what the real server answers.

use std::convert::Infallible;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, Response, header, request};
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

use crate::bed::{Bed, Namespace, Typed, alone};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Listens until it is dropped; with it everything ends that it began.
pub(crate) struct Proxy {
    folder: TempDir,
    /// `http://127.0.0.1:41234`.
    address: String,
    behind: Child,
    script: Arc<Script>,
    runtime: Option<Runtime>,
}

/// A request of the binary, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) came: Instant,
    /// The status that the binary got; None where it got nothing, or nothing yet.
    pub(crate) answered: Option<u16>,
}

/// What happens to a request instead of being passed on and answered.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is passed on this much later.
    Delay(Duration),
    /// It is answered with this and not passed on.
    Refuse(Refusal),
    /// The connection is closed; the server never hears of the request.
    Drop,
    /// The server acts and answers; then the connection is closed and the answer is lost.
    LoseAnswer,
    /// There is never an answer; the server never hears of the request.
    Hang,
    /// After this many lines the answer's body comes with a byte a second.
    Trickle(usize),
    /// The answer is cut off within the line after this many; a line is an event of a watch.
    Cut(usize),
    /// After this many events a watch says that its resourceVersion is too old, and ends.
    Expire(usize),
    /// It is passed on when the gate is opened.
    Hold(Gate),
    /// It is passed on, and its answer is handed over when the gate is opened.
    HoldAnswer(Gate),
}

/// An answer of the API server's that is no 2xx, in the form that it has there.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// 409, without causes: a precondition is not met.
    Conflict,
    /// 403 for an account that no role names.
    Forbidden,
    /// 410: a list or a watch from a resourceVersion that is too old.
    Expired,
    /// 429 of priority and fairness: no `Status`, only the header says when to come again, in seconds.
    TooManyRequests(u32),
    /// 503.
    Unavailable,
}

/// Where requests wait until the test opens it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    held: Arc<(Mutex<Vec<Request>>, Condvar)>,
    open: watch::Sender<bool>,
}

/// Requests that are held back, until this is dropped.
#[must_use = "dropping it releases what it holds"]
pub(crate) struct Held(Gate);

/// A rule that is not complete yet.
#[must_use = "without a fault it does nothing"]
pub(crate) struct When<'a> {
    proxy: &'a Proxy,
    matches: Box<Matches>,
    turns: Turns,
}

type Matches = dyn Fn(&Request) -> bool + Send + Sync;

/// Which of the requests that match, counted from when the rule is set; the first is 1.
#[derive(Debug, Clone, Copy)]
enum Turns {
    All,
    First(usize),
    Only(usize),
}

struct Rule {
    matches: Box<Matches>,
    matched: usize,
    turns: Turns,
    fault: Fault,
}

/// What the test wants, and what happened.
#[derive(Default)]
struct Script {
    rules: Mutex<Vec<Rule>>,
    round_trip: Mutex<Duration>,
    requests: Mutex<Vec<Request>>,
    warnings: Mutex<Vec<String>>,
}

impl Proxy {
    /// The context of its kubeconfig; by its name it is no local cluster.
    pub(crate) const CONTEXT: &'static str = "recorded";

    /// Begins to listen in front of this cluster.
    pub(crate) fn before(bed: &Bed) -> Self {
        let mut behind = bed.kubectl_command(&["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(behind.stdout.take().unwrap()).read_line(&mut line).unwrap();
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
        let script = Arc::new(Script::default());
        runtime.spawn(listen(listener, server, Arc::clone(&script)));
        Self { folder, address, behind, script, runtime: Some(runtime) }
    }

    /// A kubeconfig whose server is this proxy.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// From now on whoever uses the cluster's own kubeconfig is led here. The bed itself keeps to the old one.
    pub(crate) fn stands_before(&self, bed: &mut Bed) {
        let direct = bed.kubeconfig.with_extension("direct");
        std::fs::copy(&bed.kubeconfig, &direct).unwrap();
        let text = std::fs::read_to_string(&direct).unwrap();
        let led = |line: &str| match line.split_once("server: ") {
            Some((indent, _)) => format!("{indent}server: {}\n", self.address),
            None => format!("{line}\n"),
        };
        std::fs::write(&bed.kubeconfig, text.lines().map(led).collect::<String>()).unwrap();
        bed.kubeconfig = direct;
    }

    /// Asks the server for an object or a list, with all its fields; None where there is none. Quicker than kubectl.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        match ureq::get(format!("{}{path}", self.address)).call() {
            Ok(mut answer) => {
                Some(serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap())
            }
            Err(ureq::Error::StatusCode(404)) => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// The binary through this proxy, in the test's folder, with its namespace and the set `oh`.
    pub(crate) fn command(&self, namespace: &Namespace, arguments: &[&str]) -> Typed {
        let place = ["--context", Self::CONTEXT, "-n", &namespace.name, "--name", "oh"];
        alone(namespace.folder.path(), &[arguments, &place].concat()).env("KUBECONFIG", self.kubeconfig())
    }

    /// Begins a rule. Of several rules for a request the oldest holds whose turn it is.
    pub(crate) fn on(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> When<'_> {
        When { proxy: self, matches: Box::new(matches), turns: Turns::All }
    }

    /// Every request from now on is passed on this much later.
    pub(crate) fn round_trip(&self, time: Duration) {
        *self.script.round_trip.lock().unwrap() = time;
    }

    /// Everything that was asked so far, in the order of its coming.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.script.requests.lock().unwrap().clone()
    }

    /// The same, but for what does not match.
    pub(crate) fn requests_that(&self, matches: impl Fn(&Request) -> bool) -> Vec<Request> {
        self.requests().into_iter().filter(matches).collect()
    }

    /// The texts of all `Warning` headers so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.script.warnings.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test may be asynchronous itself, and must not wait in its drops.
            runtime.shutdown_background();
        }
        self.behind.kill().unwrap();
        self.behind.wait().unwrap();
    }
}

impl When<'_> {
    /// Only the nth request that matches from now on; the first is 1.
    pub(crate) fn nth(self, number: usize) -> Self {
        Self { turns: Turns::Only(number), ..self }
    }

    /// Only the first requests that match from now on.
    pub(crate) fn first(self, count: usize) -> Self {
        Self { turns: Turns::First(count), ..self }
    }

    /// The rule is complete.
    pub(crate) fn answer(self, fault: Fault) {
        let rule = Rule { matches: self.matches, matched: 0, turns: self.turns, fault };
        self.proxy.script.rules.lock().unwrap().push(rule);
    }

    /// Requests are held back and not passed on.
    pub(crate) fn hold(self) -> Held {
        let gate = Gate::default();
        self.answer(Fault::Hold(gate.clone()));
        Held(gate)
    }

    /// Requests are passed on and their answers held back.
    pub(crate) fn hold_answer(self) -> Held {
        let gate = Gate::default();
        self.answer(Fault::HoldAnswer(gate.clone()));
        Held(gate)
    }
}

impl Held {
    /// Waits until a request is held; the first of them.
    pub(crate) fn reached(&self, limit: Duration) -> Request {
        let (held, arrival) = &*self.0.held;
        let (held, _) =
            arrival.wait_timeout_while(held.lock().unwrap(), limit, |held| held.is_empty()).unwrap();
        held.first().unwrap_or_else(|| panic!("no such request within {limit:?}")).clone()
    }

    /// Lets everything pass that is held or will come.
    pub(crate) fn release(self) {
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

impl Gate {
    async fn pass(&self, request: Request) {
        let mut open = self.open.subscribe();
        let (held, arrival) = &*self.held;
        held.lock().unwrap().push(request);
        arrival.notify_all();
        open.wait_for(|open| *open).await.unwrap();
    }
}

impl Request {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether it has this method, and a path that ends like this before its query.
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.split('?').next().unwrap().ends_with(path)
    }

    /// Whether it watches this kind.
    pub(crate) fn watches(&self, plural: &str) -> bool {
        self.is("GET", &format!("/{plural}")) && self.path.contains("watch=true")
    }
}

impl Turns {
    fn include(self, number: usize) -> bool {
        match self {
            Turns::All => true,
            Turns::First(count) => number <= count,
            Turns::Only(only) => number == only,
        }
    }
}

impl Script {
    /// Keeps the request; its position, and what happens to it.
    fn take(&self, request: Request) -> (usize, Option<Fault>) {
        let mut fault = None;
        for rule in self.rules.lock().unwrap().iter_mut().filter(|rule| (rule.matches)(&request)) {
            rule.matched += 1;
            if fault.is_none() && rule.turns.include(rule.matched) {
                fault = Some(rule.fault.clone());
            }
        }
        let mut requests = self.requests.lock().unwrap();
        requests.push(request);
        (requests.len() - 1, fault)
    }

    fn answered<B>(&self, position: usize, answer: &Response<B>) {
        self.requests.lock().unwrap()[position].answered = Some(answer.status().as_u16());
        let texts = answer.headers().get_all(header::WARNING).iter();
        self.warnings.lock().unwrap().extend(texts.map(|text| text.to_str().unwrap().to_owned()));
    }
}

/// Takes connections for as long as the runtime lives.
async fn listen(
    listener: TcpListener,
    server: SocketAddr,
    script: Arc<Script>,
) -> Result<Infallible, io::Error> {
    loop {
        let (near, _) = listener.accept().await?;
        let script = Arc::clone(&script);
        let service = service_fn(move |request| answer(server, Arc::clone(&script), request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), service);
        // Its errors are the faults, or a binary that has ended.
        tokio::spawn(connection.with_upgrades());
    }
}

/// One request, from its coming to its answer; an error closes the connection.
async fn answer(
    server: SocketAddr,
    script: Arc<Script>,
    request: http::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let kept = Request {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        body: body.to_vec(),
        came: Instant::now(),
        answered: None,
    };
    let (position, fault) = script.take(kept.clone());
    let round_trip = *script.round_trip.lock().unwrap();
    sleep(round_trip).await;
    let passed_on = pass_on(server, head, body);
    let answer = match fault {
        None => passed_on.await?.map(whole),
        Some(Fault::Delay(time)) => {
            sleep(time).await;
            passed_on.await?.map(whole)
        }
        Some(Fault::Refuse(refusal)) => refusal.answer(),
        Some(Fault::Drop) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Some(Fault::LoseAnswer) => {
            passed_on.await?.into_body().collect().await.map_err(io::Error::other)?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Trickle(lines)) => passed_on.await?.map(|body| streamed(trickle(chunks(body), lines))),
        Some(Fault::Cut(lines)) => passed_on.await?.map(|body| streamed(cut(chunks(body), lines))),
        Some(Fault::Expire(lines)) => passed_on.await?.map(|body| streamed(expire(chunks(body), lines))),
        Some(Fault::Hold(gate)) => {
            gate.pass(kept).await;
            passed_on.await?.map(whole)
        }
        Some(Fault::HoldAnswer(gate)) => {
            let answer = passed_on.await?;
            gate.pass(kept).await;
            answer.map(whole)
        }
    };
    script.answered(position, &answer);
    Ok(answer)
}

/// Sends the request to the server, on a connection of its own.
async fn pass_on(
    server: SocketAddr,
    mut head: request::Parts,
    body: Bytes,
) -> io::Result<Response<Incoming>> {
    let near = head.extensions.remove::<OnUpgrade>();
    let far = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(far).await.map_err(io::Error::other)?;
    // Ends with the answer's body; what goes wrong is seen there.
    tokio::spawn(connection.with_upgrades());
    let request = http::Request::from_parts(head, Full::new(body));
    let mut answer = sender.send_request(request).await.map_err(io::Error::other)?;
    if let (Some(near), Some(far)) = (near, answer.extensions_mut().remove::<OnUpgrade>()) {
        tokio::spawn(join(near, far));
    }
    Ok(answer)
}

/// Copies both ways after a change of protocols, as for a port-forward; nothing where there is no change.
async fn join(near: OnUpgrade, far: OnUpgrade) {
    if let (Ok(near), Ok(far)) = tokio::join!(near, far) {
        let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
        let _one_side_has_gone = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

fn whole(body: Incoming) -> Body {
    body.map_err(io::Error::other).boxed_unsync()
}

fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

fn chunks(body: Incoming) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    body.into_data_stream().map_err(io::Error::other)
}

/// So many lines, and then a byte a second.
fn trickle(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let mut left = count;
    let pieces = move |mut chunk: Bytes| {
        let whole = chunk.split_to(lines_end(&chunk, &mut left));
        let slow = stream::iter(chunk).then(|byte| async move {
            sleep(Duration::from_secs(1)).await;
            Ok(Bytes::from(vec![byte]))
        });
        stream::once(async move { Ok(whole) }).chain(slow)
    };
    chunks.map_ok(pieces).try_flatten()
}

/// So many lines, a piece of the next, and then the connection is closed.
fn cut(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let end = stream::once(async {
        // What stands before is written out while this waits.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    lines(chunks, count).chain(stream::once(async { Ok(Bytes::from_static(b"{\"type\":\"MOD")) })).chain(end)
}

/// So many lines, and then the word of a server that no longer has the changes since.
fn expire(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    count: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let event = json!({ "type": "ERROR", "object": Refusal::expired() });
    lines(chunks, count).chain(stream::once(async move { Ok(Bytes::from(format!("{event}\n"))) }))
}

/// The first lines of a stream, each whole.
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

/// How much of the chunk belongs to the lines that are left; takes its lines off them.
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

impl Refusal {
    fn answer(&self) -> Response<Body> {
        match self {
            Refusal::Conflict => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict", "code": 409,
                "message": "Operation cannot be fulfilled on deployments.apps \"oh\": Precondition failed: UID in precondition: a, UID in object meta: b",
                "details": { "name": "oh", "group": "apps", "kind": "deployments" },
            })),
            Refusal::Forbidden => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "deployments.apps is forbidden: User \"x\" cannot watch resource \"deployments\" in API group \"apps\" in the namespace \"n\"",
                "details": { "group": "apps", "kind": "deployments" },
            })),
            Refusal::Expired => status(&Self::expired()),
            Refusal::Unavailable => status(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "ServiceUnavailable", "code": 503,
                "message": "the server is currently unable to handle the request",
            })),
            Refusal::TooManyRequests(seconds) => {
                let text = "Too many requests, please try again later.\n";
                let mut answer = response(429, "text/plain; charset=utf-8", text.to_owned());
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                answer
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
    let answer = Response::builder().status(code).header(header::CONTENT_TYPE, content);
    answer.body(body).unwrap()
}
