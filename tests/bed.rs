//! A real control plane for the tests. The product itself creates it, all tests of the run share it, and a cleanup
//! process deletes it at the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::planted;

/// The binary under test.
pub(crate) const HANDSCTL: &str = env!("CARGO_BIN_EXE_handsctl");

const WORKERS: usize = 3;
/// The number of simulated nodes of the shared cluster.
pub(crate) const NODES: usize = 1 + WORKERS;

/// The shared cluster.
pub(crate) struct Bed {
    home: PathBuf,
    /// The cluster's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    /// The cluster's context.
    pub(crate) context: String,
    /// The file that `logs` shows for every pod, in the CRI format.
    pub(crate) pod_log: PathBuf,
}

/// A run of the binary that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// Exit code; None after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    /// Panics with all output if the exit code differs.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Panics if stderr does not contain the text.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks {text:?}:\n{}", self.stderr);
        self
    }

    /// Panics if stdout does not contain the text.
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout lacks {text:?}:\n{}", self.stdout);
        self
    }

    /// Panics if an output shows the planted secret.
    pub(crate) fn hides(self, secret: &str) -> Self {
        planted::assert_hidden(secret, "stdout", &self.stdout);
        planted::assert_hidden(secret, "stderr", &self.stderr);
        self
    }

    /// Panics if stderr contains the text.
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "stderr has {text:?}:\n{}", self.stderr);
        self
    }

    /// Panics if the run took longer. The limit is an order of magnitude: hundreds of tests share the processors.
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.took <= limit, "took {:?}, not {limit:?}; stderr:\n{}", self.took, self.stderr);
        self
    }

    /// Parses stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl Bed {
    /// The shared cluster, created by the first test that needs it.
    pub(crate) fn shared() -> &'static Self {
        static BED: OnceLock<Bed> = OnceLock::new();
        BED.get_or_init(|| {
            let name = format!("suite-{}", std::process::id());
            // No test owns the home: the cleanup process removes it, even after a kill of the test process.
            let home = std::env::temp_dir().join(format!("handsctl-{name}"));
            std::fs::create_dir_all(&home).unwrap();
            spawn_cleanup_process(&home, &name);
            let begin = Instant::now();
            let set = format!("cluster.name=\"{name}\"");
            let arguments = [
                "cluster",
                "up",
                "--set",
                &set,
                "--set",
                "cluster.provider=\"kwok\"",
                "--set",
                &format!("cluster.workers={WORKERS}"),
            ];
            let run = cluster_command(&home, &arguments).run();
            assert_eq!(
                run.code,
                Some(0),
                "cannot create the control plane of the tests \
                 (`cargo test -- --skip api_server` runs the tests without one):\n{}",
                run.stderr
            );
            eprintln!("bed: cluster {name} is ready after {:?}", begin.elapsed());
            Self::of_cluster(home, &name)
        })
    }

    /// Reads the paths of the running cluster with this name from this home.
    fn of_cluster(home: PathBuf, name: &str) -> Self {
        let set = format!("cluster.name=\"{name}\"");
        let status = run_in_home(&home, &["cluster", "status", "--set", &set, "-o", "json"]).exits(0).json();
        let path = |key: &str| PathBuf::from(status[key].as_str().unwrap());
        Self {
            kubeconfig: path("kubeconfig"),
            pod_log: path("pod_log"),
            context: format!("kwok-{name}"),
            home,
        }
    }

    /// A namespace name for one test. The namespace is not created yet; dropping the value deletes it.
    pub(crate) fn namespace(&'static self, test: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}-{}", COUNT.fetch_add(1, Ordering::Relaxed)).replace('_', "-");
        Namespace { bed: self, name, folder: TempDir::new().unwrap() }
    }

    /// Runs kubectl with admin rights; panics if it fails.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl with admin rights and this stdin; panics if it fails.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], stdin: &str) -> String {
        let output = self.try_kubectl(arguments, stdin);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs kubectl with admin rights and this stdin; a failure is part of the output.
    pub(crate) fn try_kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        run_with_stdin(self.kubectl_command(arguments), stdin)
    }

    /// The kubectl command with admin rights.
    pub(crate) fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.kubectl_path());
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).env("HOME", &self.home);
        command
    }

    /// Gets an object or a list as JSON.
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> =
            ["get", "-o", "json", "--show-managed-fields"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&self.kubectl(&all)).unwrap()
    }

    /// The shared cluster's folder, with its certificates and keys.
    pub(crate) fn kubeconfig_folder(&self) -> PathBuf {
        self.kubeconfig.parent().unwrap().to_owned()
    }

    /// The kubectl that the product found or built, in the folder of this cluster's API server.
    fn kubectl_path(&self) -> PathBuf {
        let apiserver = self.kubeconfig.with_file_name("bin").join("kube-apiserver");
        std::fs::canonicalize(apiserver).unwrap().with_file_name("kubectl")
    }
}

/// A home and a cluster name of one test, for tests that change a whole cluster. The test creates the cluster;
/// dropping the value, or the end of the process, deletes it.
pub(crate) struct OwnCluster {
    pub(crate) home: PathBuf,
    pub(crate) cluster: String,
    provider: &'static str,
}

impl OwnCluster {
    /// Creates the home and a `config.toml` with the cluster's name. The provider is kwok.
    pub(crate) fn new(test: &str, config: &str) -> Self {
        Self::for_provider("kwok", test, config)
    }

    /// Creates the home and a `config.toml` with the cluster's name and this provider.
    pub(crate) fn for_provider(provider: &'static str, test: &str, config: &str) -> Self {
        let cluster = format!("{test}-{}", std::process::id());
        Self::in_new_home(provider, test, cluster, config)
    }

    /// Like [`Self::new`], with a cluster of this name. No other home knows it.
    pub(crate) fn with_name(test: &str, cluster: &str, config: &str) -> Self {
        Self::in_new_home("kwok", test, cluster.to_owned(), config)
    }

    fn in_new_home(provider: &'static str, test: &str, cluster: String, config: &str) -> Self {
        let home = std::env::temp_dir().join(format!("handsctl-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        spawn_cleanup_process(&home, &cluster);
        let own = Self { home, cluster, provider };
        own.config(config);
        own
    }

    /// Writes `config.toml`: the `[cluster]` table with name and provider, followed by this text.
    pub(crate) fn config(&self, text: &str) {
        let (name, provider) = (&self.cluster, self.provider);
        let text = format!("[cluster]\nname = \"{name}\"\nprovider = \"{provider}\"\n{text}");
        std::fs::write(self.home.join("config.toml"), text).unwrap();
    }

    /// Runs the binary in this home.
    pub(crate) fn handsctl(&self, arguments: &[&str]) -> Run {
        self.command(arguments).run()
    }

    /// The command line of the binary in this home.
    pub(crate) fn command(&self, arguments: &[&str]) -> CommandLine {
        cluster_command(&self.home, arguments)
    }

    /// The cluster; it must be running.
    pub(crate) fn bed(&self) -> Bed {
        Bed::of_cluster(self.home.clone(), &self.cluster)
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        let set = format!("cluster.name=\"{}\"", self.cluster);
        // The test's config.toml may be invalid.
        std::fs::write(self.home.join("config.toml"), "").unwrap();
        let run = self.handsctl(&["cluster", "down", "--yes", "--set", &set]);
        if run.code == Some(0) {
            std::fs::remove_dir_all(&self.home).unwrap();
        } else {
            eprintln!("cluster {} was not deleted: {}", self.cluster, run.stderr);
        }
    }
}

/// A namespace's name, and a folder for the test's files.
pub(crate) struct Namespace {
    pub(crate) bed: &'static Bed,
    pub(crate) name: String,
    pub(crate) folder: TempDir,
}

impl Namespace {
    /// Whether the namespace contains the object, for example `deployment/oh`.
    pub(crate) fn has(&self, object: &str) -> bool {
        self.bed.try_kubectl(&["get", object, "-n", &self.name], "").status.success()
    }

    /// Runs the binary in the test's folder on the set `oh` of this namespace of the shared cluster.
    pub(crate) fn handsctl(&self, arguments: &[&str]) -> Run {
        self.command(arguments).run()
    }

    /// The command line of the binary in the test's folder, for the set `oh` of this namespace of the shared cluster.
    pub(crate) fn command(&self, arguments: &[&str]) -> CommandLine {
        let mut command = command(&self.bed.home, arguments);
        command.current_dir(self.folder.path()).env("KUBECONFIG", &self.bed.kubeconfig);
        // A cluster of another account: handsctl stores no secret in the simulated clusters of its own.
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.args(["-n", &self.name, "--name", "oh"]);
        // These commands use no cluster, and reject the choice of one.
        if !matches!(arguments.first(), Some(&"config" | &"render" | &"rbac")) {
            command.args(["--context", &self.bed.context]);
        }
        CommandLine(command)
    }

    /// kubectl as messages suggest it: it names the cluster of [`Self::command`].
    pub(crate) fn suggested_kubectl(&self) -> String {
        format!("kubectl --context {}", self.bed.context)
    }

    /// A command as messages suggest it: it repeats the flags of [`Self::command`].
    pub(crate) fn suggested(&self, command: &str, rest: &str) -> String {
        let (name, context) = (&self.name, &self.bed.context);
        format!("handsctl {command} -n {name} --name oh --context {context} {rest}")
    }

    /// Writes `config.toml` into the test's folder.
    pub(crate) fn config(&self, text: &str) {
        std::fs::write(self.folder.path().join("config.toml"), text).unwrap();
    }

    /// Creates the namespace with labels. It does not belong to handsctl. Returns when the controller manager has added
    /// the objects of every namespace: without its account no pod can be created.
    pub(crate) fn create(&self, labels: &[(&str, &str)]) {
        self.bed.kubectl(&["create", "namespace", &self.name]);
        for object in ["configmap/kube-root-ca.crt", "serviceaccount/default"] {
            self.bed.kubectl(&["wait", "--for=create", object, "-n", &self.name, "--timeout=60s"]);
        }
        for (key, value) in labels {
            self.bed.kubectl(&["label", "namespace", &self.name, &format!("{key}={value}")]);
        }
    }
}

/// A `CustomResourceDefinition` of a namespaced kind; dropping the value deletes it.
pub(crate) struct Definition<'a> {
    bed: &'a Bed,
    /// `crd/gadgets.example.com`.
    object: String,
}

impl<'a> Definition<'a> {
    /// Creates the definition and waits until it is established. The plural is the lowercase kind with an `s`.
    pub(crate) fn create(bed: &'a Bed, group: &str, version: &str, kind: &str) -> Self {
        let singular = kind.to_ascii_lowercase();
        let plural = format!("{singular}s");
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let manifest = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": singular },
                "versions": [{ "name": version, "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
            },
        });
        let definition = Self { bed, object: format!("crd/{plural}.{group}") };
        bed.kubectl_with(&["apply", "-f", "-"], &manifest.to_string());
        bed.kubectl(&["wait", "--for=condition=Established", &definition.object, "--timeout=30s"]);
        definition
    }
}

impl Drop for Definition<'_> {
    fn drop(&mut self) {
        let _deleted_already =
            self.bed.try_kubectl(&["delete", &self.object, "--ignore-not-found", "--wait=false"], "");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = self
                .bed
                .try_kubectl(&["get", "all,pvc,cm,ingress,events", "-n", &self.name, "-o", "wide"], "");
            eprintln!("--- state of namespace {} ---\n{}", self.name, String::from_utf8_lossy(&state.stdout));
        }
        let _already_deleted = self
            .bed
            .try_kubectl(&["delete", "namespace", &self.name, "--ignore-not-found", "--wait=false"], "");
    }
}

/// A command line of the binary that has not been run.
pub(crate) struct CommandLine(Command);

impl CommandLine {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// The command for a terminal of its own. Nothing else of the tester's environment reaches it, in which `CI` may be
    /// set.
    pub(crate) fn into_terminal_command(self) -> CommandBuilder {
        let mut builder = CommandBuilder::new(self.0.get_program());
        builder.args(self.0.get_args());
        builder.cwd(self.0.get_current_dir().unwrap_or(Path::new("/")));
        builder.env_clear();
        builder.env("TERM", "xterm-256color");
        for (name, value) in self.0.get_envs() {
            if let Some(value) = value {
                builder.env(name, value);
            }
        }
        builder
    }

    /// The command, for tests that set its streams themselves.
    pub(crate) fn into_command(self) -> Command {
        self.0
    }

    /// Runs the command to its end, without a terminal and with an empty stdin.
    pub(crate) fn run(self) -> Run {
        self.run_with("")
    }

    /// Runs the command to its end, without a terminal.
    pub(crate) fn run_with(self, stdin: &str) -> Run {
        let begin = Instant::now();
        let output = run_with_stdin(self.0, stdin);
        run_from_output(&output, begin.elapsed())
    }

    /// Runs the command to its end with a stdout whose reader is closed before the process starts.
    pub(crate) fn run_with_closed_stdout(mut self) -> Run {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let begin = Instant::now();
        let output = self.0.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        run_from_output(&output, begin.elapsed())
    }

    /// Starts the command with piped stdout and stderr.
    pub(crate) fn spawn(mut self) -> Child {
        self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts the command; it is killed if the value is dropped before its end.
    pub(crate) fn spawn_in_background(self) -> BackgroundRun {
        BackgroundRun(Some(self.spawn()))
    }
}

/// A run of the binary in the background. Dropping it kills the process.
pub(crate) struct BackgroundRun(Option<Child>);

impl BackgroundRun {
    /// Waits for the end of the process. The run's time counts from this call.
    pub(crate) fn finish(mut self) -> Run {
        finish(self.0.take().unwrap())
    }
}

impl Drop for BackgroundRun {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ended_already = child.kill();
            let _status = child.wait();
        }
    }
}

/// Waits for the end of a process. The run's time counts from this call.
pub(crate) fn finish(child: Child) -> Run {
    let begin = Instant::now();
    let output = child.wait_with_output().unwrap();
    run_from_output(&output, begin.elapsed())
}

/// Runs the binary in this folder as its home, isolated from the tester's environment.
pub(crate) fn run_in_home(home: &Path, arguments: &[&str]) -> Run {
    in_home(home, arguments).run()
}

/// The command line of the binary in this folder as its home, isolated from the tester's environment.
pub(crate) fn in_home(home: &Path, arguments: &[&str]) -> CommandLine {
    let mut command = command(home, arguments);
    command.current_dir(home);
    CommandLine(command)
}

/// Runs `render` without a kubeconfig and with an empty home. Panics if it writes into the home.
pub(crate) fn render(folder: &Path, arguments: &[&str]) -> Run {
    let home = TempDir::new().unwrap();
    let all: Vec<&str> = std::iter::once("render").chain(arguments.iter().copied()).collect();
    let run = in_home(folder, &all).env("HOME", home.path()).env("KUBECONFIG", "/nowhere/at/all").run();
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "render wrote into the home");
    run
}

/// The variables of the tester's environment that every command inherits: paths of programs and temporary files, and
/// the certificate authorities of this computer.
const INHERITED: &[&str] = &["PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// The variables that commands on clusters inherit too. Programs are found, downloaded or built once per computer, with
/// the tester's Go settings, proxies, container engine and node image.
const INHERITED_BY_CLUSTERS: &[&str] =
    &["HANDSCTL_ASSETS", "KUBEBUILDER_ASSETS", "DOCKER_HOST", "CONTAINER_HOST", "KIND_NODE_IMAGE"];
const GO_SETTINGS: &[&str] =
    &["GOPROXY", "GOFLAGS", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOTOOLCHAIN", "GOCACHE", "GOMODCACHE"];
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
/// No program listens here: a request to loopback that uses the environment's proxy fails.
const DEAD_PROXY: &str = "http://127.0.0.1:9";
/// The variables that name the dead proxy.
const DEAD_PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// The binary with this home and otherwise only the variables of `INHERITED`, and a dead proxy.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(HANDSCTL);
    command.env_clear().args(arguments).env("HOME", home).env("NO_COLOR", "1");
    command.envs(DEAD_PROXIES.map(|name| (name, DEAD_PROXY)));
    let inherited = |name: &str| INHERITED.contains(&name);
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(inherited)));
    command
}

/// The command line of the binary in this home, with the variables that the creation of a cluster needs.
fn cluster_command(home: &Path, arguments: &[&str]) -> CommandLine {
    let mut command = command(home, arguments);
    // These commands may have to download a program.
    if matches!(arguments.first(), None | Some(&"cluster" | &"image" | &"up")) {
        for name in DEAD_PROXIES {
            command.env_remove(name);
        }
    }
    let real = std::env::home_dir().unwrap();
    for (name, below_home) in [("XDG_CACHE_HOME", ".cache"), ("GOPATH", "go"), ("GOENV", ".config/go/env")] {
        command.env(name, std::env::var_os(name).unwrap_or_else(|| real.join(below_home).into()));
    }
    let inherited = |name: &str| {
        INHERITED_BY_CLUSTERS.contains(&name)
            || GO_SETTINGS.contains(&name)
            || PROXIES.contains(&name.to_uppercase().as_str())
    };
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(inherited)));
    command.current_dir(home);
    CommandLine(command)
}

fn run_with_stdin(mut command: Command, stdin: &str) -> Output {
    use std::io::Write as _;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let text = stdin.to_owned();
    let writer = std::thread::spawn(move || {
        let _closed_early = pipe.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// The run of a process that has ended.
pub(crate) fn run_from_output(output: &Output, took: Duration) -> Run {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), took }
}

/// Starts a process that deletes the cluster when its stdin closes. That is when the test process ends, even by a kill.
fn spawn_cleanup_process(home: &Path, name: &str) {
    let script = format!(
        "cat >/dev/null; '{HANDSCTL}' cluster down --yes --set 'cluster.name=\"{name}\"' >'{0}/down.log' 2>&1 && rm -rf '{0}'",
        home.display()
    );
    let mut cleanup = Command::new("sh");
    cleanup.env_clear().envs(
        cluster_command(home, &[])
            .into_command()
            .get_envs()
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.to_owned()))),
    );
    cleanup.args(["-c", &script]).env("KUBECONFIG", home.join(".kube/config"));
    let child = cleanup.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::mem::forget(child);
}
