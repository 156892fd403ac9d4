//! Followed logs of ten pods with prefixes (P8): handsctl beside `kubectl` and `stern`, at a server that does nothing else.
//!
//! `cargo bench --bench performance -- logs` prints the table; `logs --write` also writes it to `docs/performance.md`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wait4::Wait4 as _;

use super::paths;
use super::process::{LIMIT, TimeLimit};

const PODS: usize = 10;
/// The lines of each pod.
const LINES: usize = 200_000;
/// The length of a line, with its line break.
const LENGTH: usize = 120;
const ROUNDS: usize = 5;
/// The heading of the section in the page.
pub(crate) const HEADING: &str = "\n## Logs\n";
const SELECTOR: &str = "app.kubernetes.io/instance=bench";

/// The logs of every pod, with and without timestamps.
struct Logs {
    plain: Vec<u8>,
    stamped: Vec<u8>,
}

/// One run of a tool.
#[derive(Clone, Copy)]
struct Run {
    /// None if the time limit ended it.
    wall: Option<Duration>,
    cpu: Duration,
    rss: u64,
}

/// Measures every installed tool; returns the section of the page.
pub(crate) fn compare() -> anyhow::Result<String> {
    let logs = Arc::new(Logs::new());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let logs = logs.clone();
            // A client that disconnects is not an error.
            std::thread::spawn(move || serve(&stream, &logs).ok());
        }
    });
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let cluster = json!([{ "name": "bench", "cluster": { "server": server } }]);
    let context = json!([{ "name": "bench", "context": { "cluster": "bench", "user": "bench" } }]);
    let users = json!([{ "name": "bench", "user": { "token": "bench" } }]);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": cluster, "contexts": context, "users": users,
    });
    std::fs::write(&kubeconfig, config.to_string())?;

    let follow = ["logs", "-f", "-n", "bench"];
    let handsctl = [&follow[..], &["--context", "bench", "--name", "bench"]].concat();
    let most = format!("--max-log-requests={PODS}");
    let kubectl = [&follow[..], &["-l", SELECTOR, "--prefix", "--tail=-1", &most]].concat();
    let stern = ["-n", "bench", "-l", SELECTOR, "--color=never", "--tail=-1", &most];
    let tools: [(&str, &[&str]); 3] = [("handsctl", &handsctl), ("kubectl", &kubectl), ("stern", &stern)];
    let mut rows = Vec::new();
    for (name, arguments) in tools {
        let Some(program) = program(name) else {
            super::report(&format!("{name} was not found: its figures will be missing"));
            continue;
        };
        let mut runs = Vec::new();
        for _ in 0..ROUNDS {
            let run = measure(&program, arguments, folder.path(), &kubeconfig).context(name)?;
            runs.push(run);
            if run.wall.is_none() {
                break;
            }
        }
        rows.push((name, median(&runs), arguments.join(" ")));
        super::report(&format!("{name} is measured"));
    }
    section(&rows)
}

fn program(name: &str) -> Option<PathBuf> {
    if name == "handsctl" {
        return Some(PathBuf::from(paths::HANDSCTL));
    }
    let folders: Vec<PathBuf> = match std::env::var_os(paths::FOLDER) {
        Some(folder) => vec![folder.into()],
        None => std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
    };
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Follows the logs until their last line, or until the time limit.
fn measure(program: &Path, arguments: &[&str], home: &Path, kubeconfig: &Path) -> anyhow::Result<Run> {
    let begin = Instant::now();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(home).env_clear().env("HOME", home).env("KUBECONFIG", kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let limit = TimeLimit::start(&child);
    let mut stdout = child.stdout.take().context("no stdout")?;
    let (mut lines, mut buffer) = (0, vec![0; 1 << 20]);
    while lines < PODS * LINES {
        let read = stdout.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count();
    }
    let wall = begin.elapsed();
    let is_over = limit.end()?;
    anyhow::ensure!(is_over || lines >= PODS * LINES, "it ended after {lines} lines");
    if !is_over {
        kill_process(Pid::from_child(&child), Signal::INT)?;
    }
    drop(stdout);
    let used = child.wait4()?;
    let wall = (!is_over).then_some(wall);
    Ok(Run { wall, cpu: used.rusage.utime + used.rusage.stime, rss: used.rusage.maxrss })
}

/// Returns the medians; no time if one of the runs was ended.
fn median(runs: &[Run]) -> Run {
    let of = |mut values: Vec<Duration>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let walls: Option<Vec<Duration>> = runs.iter().map(|run| run.wall).collect();
    Run {
        wall: walls.map(of),
        cpu: of(runs.iter().map(|run| run.cpu).collect()),
        rss: runs.iter().map(|run| run.rss).max().unwrap_or_default(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn section(rows: &[(&str, Run, String)]) -> anyhow::Result<String> {
    let megabytes = (PODS * LINES * LENGTH) as f64 / 1e6;
    let mut text = HEADING.to_owned();
    write!(
        text,
        "\nP8: {PODS} pods, each with {LINES} lines of {LENGTH} bytes, {megabytes:.0} MB in all, followed with prefixes until the last line; \
         medians of {ROUNDS} runs. The server is a program of the bench that answers the requests of these commands over plain HTTP and \
         has the lines in memory, because a real API server and its kubelets are slower than each of the tools. It runs on the same \
         processors as the tool. handsctl and stern also receive a timestamp with each line, to continue after a lost connection. \
         A run of more than {} s is ended. `cargo bench --bench performance -- logs --write` measures again.\n\n\
         | tool | time | lines | processor time | memory | command |\n|---|---:|---:|---:|---:|---|\n",
        LIMIT.as_secs()
    )?;
    for (name, run, arguments) in rows {
        let (over, bound) = if run.wall.is_none() { ("> ", "< ") } else { ("", "") };
        let wall = run.wall.unwrap_or(LIMIT).as_secs_f64();
        let (time, rate) = (format!("{over}{wall:.1} s"), format!("{bound}{:.0} MB/s", megabytes / wall));
        let (cpu, memory) = (run.cpu.as_secs_f64(), run.rss as f64 / 1e6);
        writeln!(text, "| {name} | {time} | {rate} | {cpu:.2} s | {memory:.0} MB | `{name} {arguments}` |")?;
    }
    let find = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1);
    if let (Some(ours), Some(kubectl)) = (find("handsctl"), find("kubectl"))
        && let Some(own_time) = ours.wall
    {
        let faster = kubectl.wall.unwrap_or(LIMIT).as_secs_f64() / own_time.as_secs_f64();
        let less = kubectl.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
        let verdict = if faster >= 10.0 && less >= 10.0 { "met" } else { "**missed**" };
        writeln!(
            text,
            "\nThe goal is 10 × the rate of kubectl at 1/10 of its processor time: {faster:.1} × at 1/{less:.1}, {verdict}."
        )?;
    }
    Ok(text)
}

impl Logs {
    fn new() -> Self {
        let (mut plain, mut stamped) = (Vec::new(), Vec::new());
        for number in 0..LINES {
            let line = format!("{number:08} {}\n", "x".repeat(LENGTH - 10));
            plain.extend_from_slice(line.as_bytes());
            let (second, nanos) = (number / 10_000, number % 10_000 * 100_000);
            stamped.extend_from_slice(format!("2026-01-01T00:00:{second:02}.{nanos:09}Z {line}").as_bytes());
        }
        Self { plain, stamped }
    }
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, logs: &Logs) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let has = |name: &str| {
            query.split('&').any(|part| part == format!("{name}=true") || part == format!("{name}=1"))
        };
        if path.ends_with("/log") {
            let log = if has("timestamps") { &logs.stamped } else { &logs.plain };
            return stream_log(stream, log);
        }
        if path.ends_with("/pods") && has("watch") {
            // A watch from no version begins with the present objects, as stern expects it.
            let is_from_version = query.split('&').any(|part| part.starts_with("resourceVersion="));
            return watch(stream, has("sendInitialEvents") || !is_from_version);
        }
        answer(stream, path)?;
    }
}

const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Sends a log, and then nothing until the client disconnects.
fn stream_log(mut stream: &TcpStream, log: &[u8]) -> std::io::Result<()> {
    stream.write_all(CHUNKED)?;
    for part in log.chunks(32 * 1024) {
        let mut chunk = format!("{:x}\r\n", part.len()).into_bytes();
        chunk.extend_from_slice(part);
        chunk.extend_from_slice(b"\r\n");
        stream.write_all(&chunk)?;
    }
    wait_for_end(stream)
}

fn watch(mut stream: &TcpStream, has_initial_events: bool) -> std::io::Result<()> {
    stream.write_all(CHUNKED)?;
    if has_initial_events {
        let added = (0..PODS).map(|number| json!({ "type": "ADDED", "object": pod(number) }));
        let annotations = json!({ "k8s.io/initial-events-end": "true" });
        let metadata = json!({ "resourceVersion": "1", "annotations": annotations });
        let end = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata });
        let mut events = String::new();
        for event in added.chain([json!({ "type": "BOOKMARK", "object": end })]) {
            events += &format!("{event}\n");
        }
        write!(stream, "{:x}\r\n{events}\r\n", events.len())?;
    }
    wait_for_end(stream)
}

fn wait_for_end(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut rest = [0; 64];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

fn answer(mut stream: &TcpStream, path: &str) -> std::io::Result<()> {
    let resource = |name: &str, kind: &str| json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list", "watch"] });
    let number = path.rsplit_once("/pods/bench-").and_then(|(_, number)| number.parse().ok());
    let body = match (path, number) {
        ("/version", _) => {
            json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.4", "platform": "linux/amd64" })
        }
        ("/api", _) => json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
        ("/apis", _) => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
        ("/api/v1", _) => json!({
            "kind": "APIResourceList", "groupVersion": "v1",
            "resources": [resource("pods", "Pod"), resource("pods/log", "Pod")],
        }),
        (_, Some(number)) => pod(number),
        (path, _) if path.ends_with("/pods") => json!({
            "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" },
            "items": (0..PODS).map(pod).collect::<Vec<Value>>(),
        }),
        _ => {
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404 })
        }
    };
    let status = if body["kind"] == "Status" { "404 Not Found" } else { "200 OK" };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn pod(number: usize) -> Value {
    let name = format!("bench-{number}");
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": "bench", "uid": name, "resourceVersion": "1",
            "labels": { "app.kubernetes.io/instance": "bench" },
        },
        "spec": { "containers": [{ "name": "app", "image": "app" }], "nodeName": "node" },
        "status": {
            "phase": "Running",
            "containerStatuses": [{
                "name": "app", "image": "app", "imageID": "", "ready": true, "restartCount": 0, "containerID": format!("a://{name}"),
                "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
            }],
        },
    })
}
