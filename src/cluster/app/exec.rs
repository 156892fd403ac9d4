//! Runs a command in a container through the API server, with its streams and its exit code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use kube::api::AttachParams;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError, not_built};
use crate::cluster::client::request;
use crate::error::{Error, Kind, Result};
use crate::object::kind::POD;
use crate::reason;

/// The time limit for the API server to connect to the container's kubelet.
const CONNECT: Duration = Duration::from_secs(30);
/// The bytes of one stream that wait for its reader.
const BUFFER: usize = 64 * 1024;
/// The bytes of standard input in one message, as kubectl sends them.
const CHUNK: usize = 32 * 1024;
/// The pause between two pings. A load balancer often closes a connection that is idle for a minute.
const PING: Duration = Duration::from_secs(20);
/// Without any message for this long, an answer to a ping among them, the connection is lost.
const SILENCE: Duration = Duration::from_secs(60);
/// The API server reads no ping while the command does not read its standard input. Up to this many bytes fit into the
/// buffers on the way, so that silence is no sign of a command that does not read.
const BUFFERED_ON_THE_WAY: usize = 16 * 1024;

/// The channels of `v4.channel.k8s.io` and `v5.channel.k8s.io` (k8s.io/apimachinery/pkg/util/remotecommand).
mod channel {
    pub(super) const STDIN: u8 = 0;
    pub(super) const STDOUT: u8 = 1;
    pub(super) const STDERR: u8 = 2;
    pub(super) const STATUS: u8 = 3;
    pub(super) const RESIZE: u8 = 4;
    /// Closes the channel that its message names. Only in v5.
    pub(super) const CLOSE: u8 = 255;
}

/// A command to run in a container.
#[derive(Debug, Clone)]
pub struct ExecRequest<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// Name of the pod.
    pub pod: &'a str,
    /// The container; None for the pod's default one.
    pub container: Option<&'a str>,
    /// The program and its arguments.
    pub command: &'a [String],
    /// Whether the command reads a standard input.
    pub stdin: bool,
    /// The size of the terminal in which the command runs, and its changes; None without a terminal. A terminal has no
    /// separate standard error.
    pub terminal: Option<watch::Receiver<TerminalSize>>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Number of columns.
    pub columns: u16,
    /// Number of rows.
    pub rows: u16,
}

/// A command that runs in a container. Dropping it closes the connection; the command may continue without streams.
///
/// All output must be read: a stream that nobody reads holds back the others. A dropped output is discarded.
#[derive(Debug)]
pub struct RemoteCommand {
    /// Its standard input, if it was requested. Shut it down or drop it to end the input.
    pub stdin: Option<DuplexStream>,
    /// Its standard output; None once taken.
    pub stdout: Option<DuplexStream>,
    /// Its standard error; None once taken, or with a terminal.
    pub stderr: Option<DuplexStream>,
    relay: Relay,
}

/// The task that moves the bytes, ended when it is dropped.
#[derive(Debug)]
struct Relay(JoinHandle<CommandEnd>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnd {
    /// It ran and exited with this code.
    Exited(i32),
    /// It was not started; the reason of the container runtime.
    NotStarted(String),
    /// The connection ended before the command's exit code arrived. The command may still run.
    ConnectionLost(String),
}

/// Why a container has no process of a command, with the exit code of a shell (POSIX, "Exit Status for Commands").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartFailure {
    /// 127 for a program that does not exist, 126 for one that cannot be executed.
    pub code: i32,
    /// What is wrong with the program.
    pub reason: &'static str,
}

/// A program that the container does not have.
pub const NO_PROGRAM: StartFailure = StartFailure { code: 127, reason: "the container has no such program" };
/// A file that is no program.
const NOT_EXECUTABLE: StartFailure =
    StartFailure { code: 126, reason: "the container cannot execute this file" };

/// How runc and crun report the program of a command.
const START_FAILURES: &[(&str, StartFailure)] = &[
    ("executable file not found", NO_PROGRAM),
    ("no such file or directory", NO_PROGRAM),
    ("attempted to invoke a command that was not found", NO_PROGRAM),
    ("permission denied", NOT_EXECUTABLE),
    ("exec format error", NOT_EXECUTABLE),
    ("is a directory", NOT_EXECUTABLE),
];

impl CommandEnd {
    /// Returns what is wrong with the program, if the container runtime rejects the program itself. Another cause, such as a
    /// missing working directory, is none of the program.
    #[must_use]
    pub fn start_failure(&self, program: &str) -> Option<StartFailure> {
        let Self::NotStarted(why) = self else { return None };
        let named = [
            format!("exec: \"{program}\""),
            format!("exec {program}:"),
            format!("executable file `{program}`"),
        ];
        let names_program = named.iter().any(|name| why.contains(name));
        let failure = START_FAILURES.iter().find(|(words, _)| why.contains(words)).filter(|_| names_program);
        failure.map(|(_, failure)| *failure)
    }

    /// Returns the exit code. `action` names what could not be done: `cannot run tar in pod/a`.
    ///
    /// # Errors
    /// Exit 8 if the command was not started, exit 4 if the connection was lost.
    pub fn exit_code(self, action: &str) -> Result<i32> {
        match self {
            CommandEnd::Exited(code) => Ok(code),
            CommandEnd::NotStarted(why) => {
                Err(Error::new(Id::CommandNotStarted, Kind::Rejected, action).caused_by(why))
            }
            CommandEnd::ConnectionLost(why) => Err(Error::new(
                Id::ConnectionLost,
                Kind::Unreachable,
                format!("{action}: the connection was lost before it ended"),
            )
            .caused_by(why)
            .hint("the command may still run in the container")),
        }
    }
}

impl RemoteCommand {
    /// Waits for the command's end. Take its streams before, and read them meanwhile; what is left of them is dropped.
    pub async fn end(self) -> CommandEnd {
        let Self { stdin, stdout, stderr, mut relay } = self;
        drop((stdin, stdout, stderr));
        match (&mut relay.0).await {
            Ok(end) => end,
            Err(error) => CommandEnd::ConnectionLost(error.to_string()),
        }
    }
}

/// Starts a command in a container. The request is sent once, because the command must not run twice.
///
/// # Errors
/// Fails if the pod or the container does not exist, the account lacks the right to `pods/exec`, or the server does not
/// respond in time.
pub async fn start(api: &Api, request: ExecRequest<'_>) -> Result<RemoteCommand> {
    let ExecRequest { namespace, pod, .. } = request;
    let action = || format!("cannot run a command in pod/{pod} in namespace {namespace}");
    let http_request = http_request(&request).map_err(|error| not_built(error).into_error(&action()))?;
    let entry = api.traffic().calls().begin(request::describe(&http_request));
    let started = Instant::now();
    let end = api.end_of_call().min(started + CONNECT);
    let connected = tokio::time::timeout_at(end, api.client().connect(http_request)).await;
    let connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(ApiError::from(error).into_error(&action())),
        Err(_elapsed) => {
            return Err(api.overdue(&entry, ApiError::Timeout(started.elapsed())).into_error(&action()));
        }
    };
    drop(entry);
    let needs_close = request.stdin && request.terminal.is_none();
    if needs_close && !connection.supports_stream_close() {
        // The command sees its standard input end with the connection.
        return Err(Error::new(Id::CommandNotStarted, Kind::Rejected, action())
            .caused_by("the API server cannot pass on the end of standard input")
            .hint("Kubernetes 1.30 and later can"));
    }
    Ok(relay(connection.into_stream(), request.stdin, request.terminal))
}

/// A WebSocket is a GET, for which the API server checks the verb `get`; newer ones also check `create`.
fn http_request(
    request: &ExecRequest<'_>,
) -> std::result::Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let parameters = AttachParams {
        container: request.container.map(str::to_owned),
        stdin: request.stdin,
        stdout: true,
        stderr: request.terminal.is_none(),
        tty: request.terminal.is_some(),
        ..AttachParams::default()
    };
    let pods = POD.in_namespace(request.namespace);
    kube::core::Request::new(pods.path()).exec(request.pod, request.command, &parameters)
}

/// Moves the bytes between the connection and the command's streams.
fn relay<S>(
    socket: WebSocketStream<S>,
    has_stdin: bool,
    terminal: Option<watch::Receiver<TerminalSize>>,
) -> RemoteCommand
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stdin, stdin_reader) = has_stdin.then(|| tokio::io::duplex(BUFFER)).unzip();
    let (stdout, stdout_writer) = tokio::io::duplex(BUFFER);
    let (stderr, stderr_writer) = terminal.is_none().then(|| tokio::io::duplex(BUFFER)).unzip();
    let (sink, messages) = socket.split();
    let task = tokio::spawn(async move {
        let input = AtomicUsize::new(0);
        let sending = async {
            // The reader learns of a broken connection as well, and of an exit code that arrived before.
            let _broken = send(sink, stdin_reader, terminal, &input).await;
            std::future::pending().await
        };
        // In one task, but independent of each other: a command such as `cat` reads only while its output is read.
        tokio::select! {
            end = receive(messages, Some(stdout_writer), stderr_writer, &input) => end,
            never = sending => never,
        }
    });
    RemoteCommand { stdin, stdout: Some(stdout), stderr, relay: Relay(task) }
}

/// Sends standard input, the terminal's size and pings, until the connection breaks.
async fn send<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut stdin: Option<DuplexStream>,
    mut terminal: Option<watch::Receiver<TerminalSize>>,
    input: &AtomicUsize,
) -> std::result::Result<(), tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(terminal) = &mut terminal {
        let size = *terminal.borrow_and_update();
        sink.send(resize_message(size)).await?;
    }
    let mut buffer = vec![0; CHUNK + 1];
    buffer[0] = channel::STDIN;
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let read = async {
            match &mut stdin {
                Some(stdin) => stdin.read(&mut buffer[1..]).await,
                None => std::future::pending().await,
            }
        };
        let resized = async {
            if let Some(terminal) = &mut terminal
                && terminal.changed().await.is_ok()
            {
                return *terminal.borrow_and_update();
            }
            std::future::pending().await
        };
        let message = tokio::select! {
            read = read => match read {
                Ok(count) if count > 0 => {
                    input.fetch_add(count, Ordering::Relaxed);
                    Message::Binary(Bytes::copy_from_slice(&buffer[..=count]))
                }
                Ok(_) | Err(_) => {
                    stdin = None;
                    Message::Binary(Bytes::from_static(&[channel::CLOSE, channel::STDIN]))
                }
            },
            size = resized => resize_message(size),
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        sink.send(message).await?;
    }
}

fn resize_message(size: TerminalSize) -> Message {
    let size = json!({ "Width": size.columns, "Height": size.rows }).to_string();
    Message::Binary([&[channel::RESIZE], size.as_bytes()].concat().into())
}

/// Receives the output until the command's status arrives or the connection ends.
async fn receive<S>(
    mut messages: SplitStream<WebSocketStream<S>>,
    mut stdout: Option<DuplexStream>,
    mut stderr: Option<DuplexStream>,
    input: &AtomicUsize,
) -> CommandEnd
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = match tokio::time::timeout(SILENCE, messages.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return CommandEnd::ConnectionLost(reason::of_connection(&error)),
            Ok(None) => return CommandEnd::ConnectionLost("the server closed it".to_owned()),
            Err(_) if input.load(Ordering::Relaxed) > BUFFERED_ON_THE_WAY => continue,
            Err(_) => {
                let silence = crate::phrase::span(SILENCE);
                return CommandEnd::ConnectionLost(format!("the server has not answered for {silence}"));
            }
        };
        // Other messages are answers to pings, and the server's own pings.
        let Message::Binary(bytes) = message else { continue };
        let Some((&channel, content)) = bytes.split_first() else { continue };
        match channel {
            channel::STDOUT => write(&mut stdout, content).await,
            channel::STDERR => write(&mut stderr, content).await,
            // A message with its channel only begins the channel.
            channel::STATUS if !content.is_empty() => return end_of(content),
            _ => {}
        }
    }
}

/// Writes to a stream of the command. Output that nobody reads any more is discarded: the command's end is of interest.
async fn write(stream: &mut Option<DuplexStream>, content: &[u8]) {
    if let Some(writer) = stream
        && writer.write_all(content).await.is_err()
    {
        *stream = None;
    }
}

/// Returns the command's end by the `Status` that the kubelet sent (k8s.io/kubelet/pkg/cri/streaming/remotecommand).
fn end_of(status: &[u8]) -> CommandEnd {
    let Ok(status) = serde_json::from_slice::<Value>(status) else {
        return CommandEnd::ConnectionLost("the server's last message is not a status".to_owned());
    };
    if status["status"] == "Success" {
        return CommandEnd::Exited(0);
    }
    let mut causes = status["details"]["causes"].as_array().into_iter().flatten();
    let code = causes.find(|cause| cause["reason"] == "ExitCode").and_then(|cause| cause["message"].as_str());
    match code.and_then(|code| code.parse().ok()) {
        Some(code) if status["reason"] == "NonZeroExitCode" => CommandEnd::Exited(code),
        _ => CommandEnd::NotStarted(status["message"].as_str().unwrap_or("no reason").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::cluster::scripted::scripted;

    type Kubelet = WebSocketStream<DuplexStream>;

    /// Returns a command, and the other side of its connection, whose buffers hold 1 KiB.
    async fn connected(stdin: bool) -> (RemoteCommand, Kubelet) {
        let (ours, theirs) = tokio::io::duplex(1024);
        let ours = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let theirs = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        (relay(ours, stdin, None), theirs)
    }

    fn message(channel: u8, content: &[u8]) -> Message {
        Message::Binary([&[channel], content].concat().into())
    }

    async fn read_all(stream: Option<DuplexStream>) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.unwrap().read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    /// Returns each byte of standard input as output, and ends with the input.
    async fn echo(mut kubelet: Kubelet) {
        while let Some(Ok(received)) = kubelet.next().await {
            match received.into_data().split_first() {
                Some((&channel::STDIN, content)) => {
                    kubelet.send(message(channel::STDOUT, content)).await.unwrap();
                }
                Some((&channel::CLOSE, _)) => {
                    kubelet.send(message(channel::STATUS, br#"{"status":"Success"}"#)).await.unwrap();
                    return;
                }
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn output_is_read_while_input_is_held_back() {
        let (mut command, kubelet) = connected(true).await;
        let kubelet = tokio::spawn(echo(kubelet));
        let input: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let (mut stdin, stdout) = (command.stdin.take().unwrap(), command.stdout.take());
        let written = input.clone();
        let writing = tokio::spawn(async move { stdin.write_all(&written).await.unwrap() });
        assert_eq!(read_all(stdout).await, input);
        writing.await.unwrap();
        assert_eq!(command.end().await, CommandEnd::Exited(0));
        kubelet.await.unwrap();
    }

    #[tokio::test]
    async fn output_and_exit_code_arrive_apart() {
        let (mut command, mut kubelet) = connected(false).await;
        let status = json!({
            "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with exit code 3",
            "details": { "causes": [{ "reason": "ExitCode", "message": "3" }] },
        });
        let script = async {
            for channel in [channel::STDOUT, channel::STDERR, channel::STATUS] {
                kubelet.send(message(channel, b"")).await.unwrap();
            }
            kubelet.send(message(channel::STDERR, b"err")).await.unwrap();
            kubelet.send(message(channel::STDOUT, b"out")).await.unwrap();
            kubelet.send(message(channel::STATUS, status.to_string().as_bytes())).await.unwrap();
        };
        let (stdout, stderr) = (command.stdout.take(), command.stderr.take());
        let ((), out, err) = tokio::join!(script, read_all(stdout), read_all(stderr));
        assert_eq!((out.as_slice(), err.as_slice()), (b"out".as_slice(), b"err".as_slice()));
        assert_eq!(command.end().await.exit_code("cannot run x").unwrap(), 3);
    }

    #[test]
    fn missing_program_is_no_exit_code() {
        let why =
            "error executing command in container: exec: \"nosuch\": executable file not found in $PATH";
        let status = json!({ "status": "Failure", "reason": "InternalError", "message": why, "code": 500 });
        let end = end_of(status.to_string().as_bytes());
        assert_eq!(end, CommandEnd::NotStarted(why.to_owned()));
        assert_eq!(end.start_failure("nosuch"), Some(NO_PROGRAM));
        assert_eq!(
            end.start_failure("other"),
            None,
            "another program, such as the runtime itself, is missing"
        );
        let error = end.exit_code("cannot run nosuch").unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::CommandNotStarted, Kind::Rejected));
    }

    #[test]
    fn program_that_cannot_start_has_the_code_of_a_shell() {
        let code = |program: &str, text: &str| {
            let why = format!(
                "Internal error occurred: error executing command in container: failed to exec in container: failed to \
                 start exec \"9a2f\": OCI runtime exec failed: exec failed: unable to start container process: {text}: \
                 unknown"
            );
            CommandEnd::NotStarted(why).start_failure(program).map(|failure| failure.code)
        };
        for (program, text, expected) in [
            ("nope", "exec: \"nope\": executable file not found in $PATH", Some(127)),
            ("/bin/nope", "exec: \"/bin/nope\": stat /bin/nope: no such file or directory", Some(127)),
            ("/etc/passwd", "exec: \"/etc/passwd\": permission denied", Some(126)),
            ("/etc", "exec: \"/etc\": is a directory", Some(126)),
            ("/bin/foreign", "exec /bin/foreign: exec format error", Some(126)),
            ("ls", "exec: \"runc\": executable file not found in $PATH", None),
            ("ls", "chdir to cwd (\"/gone\") set in config.json failed: no such file or directory", None),
            ("ls", "error adding pid 12 to cgroups: cgroup is frozen", None),
        ] {
            assert_eq!(code(program, text), expected, "{text}");
        }
        let crun = "executable file `nope` not found in $PATH: No such file or directory: OCI runtime attempted to invoke \
                    a command that was not found";
        assert_eq!(CommandEnd::NotStarted(crun.to_owned()).start_failure("nope"), Some(NO_PROGRAM));
        assert_eq!(CommandEnd::Exited(127).start_failure("nope"), None);
    }

    #[tokio::test]
    async fn closed_connection_is_no_exit_code() {
        let (command, kubelet) = connected(false).await;
        drop(kubelet);
        let error = command.end().await.exit_code("cannot run x").unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::ConnectionLost, Kind::Unreachable));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_connection_is_lost_and_an_answered_ping_is_not() {
        let (command, mut kubelet) = connected(false).await;
        let end = tokio::spawn(command.end());
        let answering = async { while let Some(Ok(_ping)) = kubelet.next().await {} };
        let _elapsed = tokio::time::timeout(Duration::from_secs(600), answering).await;
        assert!(!end.is_finished(), "the server answers pings");
        tokio::time::sleep(SILENCE + PING).await;
        let CommandEnd::ConnectionLost(why) = end.await.unwrap() else { panic!("the command ended") };
        assert_eq!(why, "the server has not answered for 1 m");
        drop(kubelet);
    }

    #[tokio::test(start_paused = true)]
    async fn command_that_does_not_read_its_input_is_not_lost() {
        let (mut command, kubelet) = connected(true).await;
        let mut stdin = command.stdin.take().unwrap();
        stdin.write_all(&vec![0; BUFFERED_ON_THE_WAY + 1]).await.unwrap();
        let end = tokio::spawn(command.end());
        tokio::time::sleep(10 * SILENCE).await;
        assert!(!end.is_finished());
        drop(kubelet);
    }

    #[tokio::test]
    async fn terminal_sends_its_size_and_every_change() {
        let (ours, theirs) = tokio::io::duplex(1024);
        let ours = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let mut kubelet = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let (sender, sizes) = watch::channel(TerminalSize { columns: 80, rows: 24 });
        let command = relay(ours, true, Some(sizes));
        assert!(command.stderr.is_none());
        let first = kubelet.next().await.unwrap().unwrap().into_data();
        assert_eq!(first[0], channel::RESIZE);
        let size: Value = serde_json::from_slice(&first[1..]).unwrap();
        assert_eq!(size, json!({ "Width": 80, "Height": 24 }));
        sender.send(TerminalSize { columns: 100, rows: 30 }).unwrap();
        let second = kubelet.next().await.unwrap().unwrap().into_data();
        let size: Value = serde_json::from_slice(&second[1..]).unwrap();
        assert_eq!(size, json!({ "Width": 100, "Height": 30 }));
    }

    #[tokio::test(start_paused = true)]
    async fn forbidden_command_names_the_rule() {
        let (api, mut server) = scripted();
        let words = ["id".to_owned(), "-u".to_owned()];
        let request = ExecRequest {
            namespace: "n",
            pod: "a",
            container: Some("app"),
            command: &words,
            stdin: false,
            terminal: None,
        };
        let script = async {
            let exchange = server.expect("GET /api/v1/namespaces/n/pods/a/exec").await;
            assert_eq!(
                exchange.query.trim_start_matches('&'),
                "stdout=true&stderr=true&container=app&command=id&command=-u"
            );
            let message = "pods \"a\" is forbidden: User \"u\" cannot get resource \"pods/exec\" in API group \
                           \"\" in the namespace \"n\"";
            exchange.status(403, "Forbidden", message);
        };
        let (started, ()) = tokio::join!(start(&api, request), script);
        let error = started.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden);
        assert!(error.hints().iter().any(|hint| hint.contains("pods/exec")), "{:?}", error.hints());
    }
}
