//! What a command waits for ends at its deadline and at a signal: a plugin, a pipe, a server, a reader of its output.

use std::ffi::OsString;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::in_home;

/// Far above the second that a command needs, and below everything that it waits for.
const LIMIT: Duration = Duration::from_secs(10);
/// `--timeout 3s` ends within this time.
const AT_DEADLINE: Duration = Duration::from_secs(4);
/// A signal ends a command within this time.
const AT_SIGNAL: Duration = Duration::from_secs(1);

/// A situation in which `deploy` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// A credential plugin that does not end.
    Plugin,
    /// A secret from a standard input that stays open.
    StandardInput,
    /// A secret from a named pipe without a writer.
    SecretPipe,
    /// The configuration is such a pipe.
    ConfigPipe,
    /// The kubeconfig is such a pipe.
    KubeconfigPipe,
    /// The token file is such a pipe.
    TokenPipe,
    /// The API server accepts connections and never responds.
    Server,
    /// The same, and nobody reads stderr.
    Stderr,
}

/// How a process has ended.
#[derive(Debug)]
struct End {
    code: Option<i32>,
    signal: Option<i32>,
    took: Duration,
    stderr: String,
}

/// Measures once more if the first time is above the limit: other tests use the processors as well.
fn within(limit: Duration, measure: impl Fn() -> End) -> End {
    let end = measure();
    eprintln!("{:?}, at most {limit:?}: {}", end.took, end.stderr);
    if end.took < limit { end } else { measure() }
}

impl Wait {
    const ALL: [Wait; 8] = [
        Wait::Plugin,
        Wait::StandardInput,
        Wait::SecretPipe,
        Wait::ConfigPipe,
        Wait::KubeconfigPipe,
        Wait::TokenPipe,
        Wait::Server,
        Wait::Stderr,
    ];

    /// The exit code at the deadline. A server that has never responded is unreachable.
    fn code(self) -> i32 {
        if self == Wait::Server { 4 } else { 10 }
    }
}

/// A `deploy` that waits, with everything that keeps it waiting.
struct Waiting {
    child: Child,
    home: TempDir,
    stderr: Option<PipeReader>,
    _server: TcpListener,
    _stderr_is_full: Option<PipeWriter>,
}

impl Waiting {
    /// Starts `deploy` with this time limit.
    fn start(wait: Wait, timeout: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        write_kubeconfig(home.path(), &server, wait);
        let secret = match wait {
            Wait::StandardInput => "api_key = { file = \"-\" }\n",
            Wait::SecretPipe => "api_key = { file = \"pipe\" }\n",
            _ => "",
        };
        let config = format!("[llm]\n{secret}[cluster]\ncontext = \"slow\"\n[deploy]\nnamespace = \"n\"\n");
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        make_pipe(&home.path().join("pipe"));
        let config = if wait == Wait::ConfigPipe { "pipe" } else { "config.toml" };
        let kubeconfig = if wait == Wait::KubeconfigPipe { "pipe" } else { "kubeconfig" };
        let arguments = ["deploy", "--config", config, "--kubeconfig", kubeconfig, "--events", "events"];
        let arguments = [&arguments[..], &["--timeout", timeout]].concat();
        let mut command = in_home(home.path(), &arguments).into_command();
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let (reader, writer) = std::io::pipe().unwrap();
        if wait == Wait::Stderr {
            fill(&writer);
        }
        let kept = (wait == Wait::Stderr).then(|| writer.try_clone().unwrap());
        let child = command.stderr(writer).spawn().unwrap();
        Self { child, home, stderr: Some(reader), _server: server, _stderr_is_full: kept }
    }

    /// Waits until the command has begun.
    fn wait_until_started(&self) {
        let (events, begin) = (self.home.path().join("events"), Instant::now());
        while !std::fs::read_to_string(&events).is_ok_and(|text| text.contains("started")) {
            assert!(begin.elapsed() < Duration::from_secs(30), "deploy never starts");
            std::thread::sleep(Duration::from_millis(10));
        }
        // It is now on its way to what it waits for.
        std::thread::sleep(Duration::from_millis(300));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process; returns its exit code, the signal that ended it, and the time since `begin`.
    fn end(&mut self, begin: Instant) -> (Option<i32>, Option<i32>, Duration) {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > Duration::from_secs(60) {
                self.child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (status.code(), status.signal(), begin.elapsed())
    }

    /// Panics unless the program that the credential plugin has started ends, too.
    fn assert_plugin_ends(&self, wait: Wait) {
        if wait != Wait::Plugin {
            return;
        }
        let id = std::fs::read_to_string(self.home.path().join("sleeping")).unwrap();
        let id = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        let begin = Instant::now();
        while is_running(id) {
            assert!(begin.elapsed() < Duration::from_secs(30), "process {id:?} of the plugin still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stderr(mut self, wait: Wait) -> String {
        if wait == Wait::Stderr {
            return String::new();
        }
        std::io::read_to_string(self.stderr.take().unwrap()).unwrap()
    }
}

/// Whether a process exists and is no zombie that nobody awaits.
fn is_running(id: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero()));
    match stat {
        Ok(stat) => !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')),
        Err(_) => !Path::new("/proc/self/stat").exists() && test_kill_process(id).is_ok(),
    }
}

fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Fills a pipe so that the next write to it blocks.
fn fill(mut pipe: &PipeWriter) {
    let flags = fcntl_getfl(pipe).unwrap();
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK).unwrap();
    while pipe.write(&[b'x'; 1024]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    fcntl_setfl(pipe, flags).unwrap();
}

fn write_kubeconfig(home: &Path, server: &TcpListener, wait: Wait) {
    let user = match wait {
        Wait::Plugin => json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
            // A script whose child waits: `; true` keeps the shell from becoming it.
            "args": ["-c", "sleep 600 & echo $! > sleeping; wait; true"], "interactiveMode": "IfAvailable",
        } }),
        Wait::TokenPipe => json!({ "tokenFile": "pipe" }),
        _ => json!({ "token": "t" }),
    };
    let url = format!("http://{}", server.local_addr().unwrap());
    let kubeconfig: Value = json!({
        "clusters": [{ "name": "slow", "cluster": { "server": url } }],
        "users": [{ "name": "slow", "user": user }],
        "contexts": [{ "name": "slow", "context": { "cluster": "slow", "user": "slow" } }],
    });
    std::fs::write(home.join("kubeconfig"), kubeconfig.to_string()).unwrap();
}

#[test]
fn every_wait_ends_at_the_deadline() {
    for wait in Wait::ALL {
        let end = within(AT_DEADLINE, || {
            let begin = Instant::now();
            let mut waiting = Waiting::start(wait, "3s");
            let (code, signal, took) = waiting.end(begin);
            waiting.assert_plugin_ends(wait);
            End { code, signal, took, stderr: waiting.stderr(wait) }
        });
        assert_eq!((end.code, end.signal), (Some(wait.code()), None), "{wait:?}: {end:?}");
        assert!(end.took > Duration::from_secs(3) && end.took < AT_DEADLINE, "{wait:?}: {end:?}");
    }
}

#[test]
fn sigterm_ends_every_wait() {
    for wait in Wait::ALL {
        let end = within(AT_SIGNAL, || {
            let mut waiting = Waiting::start(wait, "10m");
            waiting.wait_until_started();
            let begin = Instant::now();
            waiting.signal(Signal::TERM);
            let (code, signal, took) = waiting.end(begin);
            waiting.assert_plugin_ends(wait);
            End { code, signal, took, stderr: waiting.stderr(wait) }
        });
        assert_eq!((end.code, end.signal), (Some(143), None), "{wait:?}: {end:?}");
        assert!(end.took < AT_SIGNAL, "{wait:?}: {end:?}");
    }
}

/// Runs a command of local clusters whose kubeconfig is a pipe without a writer. With a signal it is sent after the
/// command has begun.
fn run_with_kubeconfig_pipe(command: &[&str], timeout: &str, signal: Option<Signal>) -> End {
    let home = tempfile::tempdir().unwrap();
    make_pipe(&home.path().join("pipe"));
    let set = ["--set", "cluster.provider=\"kwok\"", "--kubeconfig", "pipe", "--timeout", timeout];
    let begin = Instant::now();
    let mut command = in_home(home.path(), &[command, &set].concat()).into_command();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begin = signal.map_or(begin, |signal| {
        std::thread::sleep(Duration::from_secs(1));
        assert!(child.try_wait().unwrap().is_none(), "the command does not wait for the pipe");
        let begin = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        begin
    });
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = begin.elapsed();
    let stderr = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    End { code: status.code(), signal: status.signal(), took, stderr }
}

#[test]
fn kubeconfig_pipe_ends_commands_of_local_clusters() {
    for command in [&["cluster", "up"][..], &["cluster", "down", "--yes"], &["up"]] {
        let end = within(AT_DEADLINE, || run_with_kubeconfig_pipe(command, "3s", None));
        assert_eq!((end.code, end.signal), (Some(10), None), "{command:?}: {end:?}");
        assert!(end.took > Duration::from_secs(3) && end.took < AT_DEADLINE, "{command:?}: {end:?}");
        let end = within(AT_SIGNAL, || run_with_kubeconfig_pipe(command, "10m", Some(Signal::TERM)));
        assert_eq!((end.code, end.signal), (Some(143), None), "{command:?}: {end:?}");
        assert!(end.took < AT_SIGNAL, "{command:?}: {end:?}");
    }
}

#[test]
fn second_signal_ends_the_process_at_once() {
    let mut ends = Vec::new();
    // Two threads that handle both signals at the same instant each take theirs for the first one; the command then ends
    // in order.
    for _ in 0..5 {
        let mut waiting = Waiting::start(Wait::Server, "10m");
        waiting.wait_until_started();
        // Both arrive together: the command cannot end in order between them.
        for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
            waiting.signal(signal);
        }
        let (code, signal, took) = waiting.end(Instant::now());
        if code.is_none() && signal.is_some() {
            return;
        }
        ends.push((code, took));
    }
    panic!("exit codes {ends:?}");
}

#[test]
fn events_pipe_without_a_reader_ends_at_the_deadline() {
    let home = tempfile::tempdir().unwrap();
    make_pipe(&home.path().join("events"));
    let arguments = ["deploy", "--events", "events", "--timeout", "1s", "-n", "n", "--name", "oh"];
    in_home(home.path(), &arguments).run().exits(10).says("a pipe without a reader").within(LIMIT);
}

#[test]
fn diff_waits_for_a_secret_only_until_its_deadline() {
    let home = tempfile::tempdir().unwrap();
    make_pipe(&home.path().join("pipe"));
    std::fs::write(home.path().join("config.toml"), "[llm]\napi_key = { file = \"pipe\" }\n").unwrap();
    let run = in_home(home.path(), &["diff", "--timeout", "1s"]).run().exits(10).within(LIMIT);
    run.says("the configuration has not been read");
}

/// Returns the options with which `unshare` may mount here: the superuser needs no namespace of users.
fn mount_options() -> Vec<&'static str> {
    let all = [vec!["--mount"], vec!["--user", "--map-root-user", "--mount"]];
    let is_allowed = |options: &Vec<&str>| {
        Command::new("unshare").args(options).arg("true").output().is_ok_and(|output| output.status.success())
    };
    all.into_iter().find(is_allowed).expect("this account may not mount in a namespace of its own")
}

/// Needs a mount namespace, so that only the command's resolver has a name server that never answers.
#[test]
#[ignore = "mounts in a namespace of its own, which not every account may"]
fn silent_name_server_ends_at_the_deadline_and_at_sigterm() {
    let options = mount_options();
    let home = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    write_kubeconfig(home.path(), &server, Wait::Server);
    let text = std::fs::read_to_string(home.path().join("kubeconfig")).unwrap();
    let port = server.local_addr().unwrap().port();
    let text = text.replace(&format!("127.0.0.1:{port}"), "k8s.silent.example:6443");
    std::fs::write(home.path().join("kubeconfig"), text).unwrap();
    std::fs::write(home.path().join("resolv.conf"), "nameserver 192.0.2.1\noptions timeout:30\n").unwrap();
    let deploy = |timeout: &str| {
        let arguments =
            ["deploy", "--kubeconfig", "kubeconfig", "--context", "slow", "-n", "n", "--name", "oh"];
        let line = in_home(home.path(), &[&arguments[..], &["--timeout", timeout]].concat());
        // A proxy would resolve the name instead.
        let command = line.without("HTTP_PROXY").without("http_proxy").into_command();
        let words: Vec<OsString> =
            std::iter::once(command.get_program()).chain(command.get_args()).map(OsString::from).collect();
        let mut inside = Command::new("unshare");
        let script = "mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
        inside.args(&options).args(["sh", "-c", script, "sh"]);
        inside.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
            .args(words)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let end = |mut child: Child, begin: Instant| {
        let status = child.wait().unwrap();
        End { code: status.code(), signal: status.signal(), took: begin.elapsed(), stderr: String::new() }
    };
    let at_deadline = within(AT_DEADLINE, || {
        let begin = Instant::now();
        end(deploy("3s"), begin)
    });
    let took = at_deadline.took;
    let is_in_time = took > Duration::from_secs(3) && took < AT_DEADLINE;
    assert!(at_deadline.code == Some(4) && is_in_time, "{at_deadline:?}");
    let at_signal = within(AT_SIGNAL, || {
        let child = deploy("10m");
        std::thread::sleep(Duration::from_secs(2));
        let begin = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        end(child, begin)
    });
    assert!(at_signal.code == Some(143) && at_signal.took < AT_SIGNAL, "{at_signal:?}");
}
