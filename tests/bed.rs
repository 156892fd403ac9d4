//! A real control plane for the tests: made by the product itself, shared by all tests of the run, and gone with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const HANDSCTL: &str = env!("CARGO_BIN_EXE_handsctl");

/// The shared cluster.
pub(crate) struct Bed {
    home: PathBuf,
    /// Its own kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    /// Its context.
    pub(crate) context: String,
    /// The file that `logs` shows for every pod, in the CRI format.
    pub(crate) pod_log: PathBuf,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Run {
    /// Exit code; None after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    /// Panics with everything that was printed where the exit code is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Panics where stderr does not contain the text.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks {text:?}:\n{}", self.stderr);
        self
    }

    /// Panics where stdout does not contain the text.
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout lacks {text:?}:\n{}", self.stdout);
        self
    }

    /// Panics where stderr contains the text.
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "stderr has {text:?}:\n{}", self.stderr);
        self
    }

    /// Panics where it took longer.
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.took <= limit, "took {:?}, not {limit:?}; stderr:\n{}", self.took, self.stderr);
        self
    }

    /// stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl Bed {
    /// The shared cluster; the first test that asks makes it.
    pub(crate) fn shared() -> &'static Self {
        static BED: OnceLock<Bed> = OnceLock::new();
        BED.get_or_init(|| {
            let name = format!("suite-{}", std::process::id());
            // Outlives every test and is removed by the keeper, which also sees a killed test process.
            let home = std::env::temp_dir().join(format!("handsctl-{name}"));
            std::fs::create_dir_all(&home).unwrap();
            keep_watch(&home, &name);
            let begun = Instant::now();
            let set = format!("cluster.name=\"{name}\"");
            let arguments = [
                "cluster",
                "up",
                "--set",
                &set,
                "--set",
                "cluster.provider=\"kwok\"",
                "--set",
                "cluster.workers=3",
            ];
            let run = with_cluster_variables(&home, &arguments).run();
            assert_eq!(
                run.code,
                Some(0),
                "the tests need a control plane, and it could not be made \
                 (`cargo test -- --skip api_server` runs those that need none):\n{}",
                run.stderr
            );
            eprintln!("bed: cluster {name} is ready after {:?}", begun.elapsed());
            Self::of(home, &name)
        })
    }

    /// The running cluster of this name in this home.
    fn of(home: PathBuf, name: &str) -> Self {
        let set = format!("cluster.name=\"{name}\"");
        let status = hermetic(&home, &["cluster", "status", "--set", &set, "-o", "json"]).exits(0).json();
        let path = |key: &str| PathBuf::from(status[key].as_str().unwrap());
        Self {
            kubeconfig: path("kubeconfig"),
            pod_log: path("pod_log"),
            context: format!("kwok-{name}"),
            home,
        }
    }

    /// A namespace of this test's own. It is deleted with the value, and with it everything in it.
    pub(crate) fn namespace(&'static self, test: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}-{}", COUNT.fetch_add(1, Ordering::Relaxed)).replace('_', "-");
        Namespace { bed: self, name, folder: TempDir::new().unwrap() }
    }

    /// Runs kubectl with admin rights; panics where it fails.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "")
    }

    /// The same with something on stdin.
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

    /// Runs kubectl, whatever comes of it.
    pub(crate) fn try_kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        feed(self.kubectl_command(arguments), stdin)
    }

    /// kubectl with admin rights, not run yet.
    pub(crate) fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.kubectl_path());
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).env("HOME", &self.home);
        command
    }

    /// One object as JSON.
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> =
            ["get", "-o", "json", "--show-managed-fields"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&self.kubectl(&all)).unwrap()
    }

    /// The shared cluster's folder, with its certificates and keys.
    pub(crate) fn kubeconfig_folder(&self) -> PathBuf {
        self.kubeconfig.parent().unwrap().to_owned()
    }

    /// The kubectl that the product's own asset code found or built, beside the API server of this cluster.
    fn kubectl_path(&self) -> PathBuf {
        let apiserver = self.kubeconfig.with_file_name("bin").join("kube-apiserver");
        std::fs::canonicalize(apiserver).unwrap().with_file_name("kubectl")
    }
}

/// A home and the name of a cluster of a test's own, for what concerns a whole cluster. The test makes the cluster;
/// it ends with the value, or with the process.
pub(crate) struct Own {
    pub(crate) home: PathBuf,
    pub(crate) cluster: String,
    provider: &'static str,
}

impl Own {
    /// Makes the home, with the cluster's name in a `config.toml`; the cluster is not made yet.
    pub(crate) fn new(test: &str, config: &str) -> Self {
        Self::made_by("kwok", test, config)
    }

    /// The same for a cluster that this provider will make.
    pub(crate) fn made_by(provider: &'static str, test: &str, config: &str) -> Self {
        let cluster = format!("{test}-{}", std::process::id());
        let home = std::env::temp_dir().join(format!("handsctl-{cluster}"));
        std::fs::create_dir_all(&home).unwrap();
        keep_watch(&home, &cluster);
        let own = Self { home, cluster, provider };
        own.config(config);
        own
    }

    /// Writes `config.toml`: the cluster, and this.
    pub(crate) fn config(&self, text: &str) {
        let (name, provider) = (&self.cluster, self.provider);
        let text = format!("[cluster]\nname = \"{name}\"\nprovider = \"{provider}\"\n{text}");
        std::fs::write(self.home.join("config.toml"), text).unwrap();
    }

    /// Runs the binary in this home.
    pub(crate) fn handsctl(&self, arguments: &[&str]) -> Run {
        self.typed(arguments).run()
    }

    /// The same, to be changed before it is run.
    pub(crate) fn typed(&self, arguments: &[&str]) -> Typed {
        with_cluster_variables(&self.home, arguments)
    }

    /// The cluster, once it is made.
    pub(crate) fn bed(&self) -> Bed {
        Bed::of(self.home.clone(), &self.cluster)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let set = format!("cluster.name=\"{}\"", self.cluster);
        // Without the test's config.toml, which may be wrong.
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
    /// Whether `deployment/oh` is in it.
    pub(crate) fn has(&self, object: &str) -> bool {
        self.bed.try_kubectl(&["get", object, "-n", &self.name], "").status.success()
    }

    /// Runs the binary on the shared cluster, in the test's folder, with this namespace and the set `oh`.
    pub(crate) fn handsctl(&self, arguments: &[&str]) -> Run {
        self.command(arguments).run()
    }

    /// The same, to be changed before it is run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Typed {
        let mut command = command(&self.bed.home, arguments);
        command.current_dir(self.folder.path()).env("KUBECONFIG", &self.bed.kubeconfig).args([
            "--context",
            &self.bed.context,
            "-n",
            &self.name,
            "--name",
            "oh",
        ]);
        Typed(command)
    }

    /// Writes `config.toml` into the test's folder.
    pub(crate) fn config(&self, text: &str) {
        std::fs::write(self.folder.path().join("config.toml"), text).unwrap();
    }

    /// Makes the namespace by somebody else's hand, with labels.
    pub(crate) fn make(&self, labels: &[(&str, &str)]) {
        self.bed.kubectl(&["create", "namespace", &self.name]);
        for (key, value) in labels {
            self.bed.kubectl(&["label", "namespace", &self.name, &format!("{key}={value}")]);
        }
    }
}

/// A `CustomResourceDefinition` of a namespaced kind, which the server has only while the test runs.
pub(crate) struct Definition<'a> {
    bed: &'a Bed,
    /// `crd/gadgets.example.com`.
    object: String,
}

impl<'a> Definition<'a> {
    /// The plural is the kind in small letters with an `s`.
    pub(crate) fn make(bed: &'a Bed, group: &str, version: &str, kind: &str) -> Self {
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
        let _gone = self.bed.try_kubectl(&["delete", &self.object, "--ignore-not-found", "--wait=false"], "");
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
        let _gone = self
            .bed
            .try_kubectl(&["delete", "namespace", &self.name, "--ignore-not-found", "--wait=false"], "");
    }
}

/// A command line that has not been run.
pub(crate) struct Typed(Command);

impl Typed {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// The command itself, for streams of the test's own.
    pub(crate) fn into_command(self) -> Command {
        self.0
    }

    /// Runs it to its end, without a terminal.
    pub(crate) fn run(self) -> Run {
        self.run_with("")
    }

    /// The same with something on stdin.
    pub(crate) fn run_with(self, stdin: &str) -> Run {
        let begun = Instant::now();
        let output = feed(self.0, stdin);
        run_of(&output, begun.elapsed())
    }

    /// Starts it and leaves it running.
    pub(crate) fn spawn(mut self) -> std::process::Child {
        self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Runs the binary with a home of its own and nothing of the tester's environment that could matter.
pub(crate) fn hermetic(home: &Path, arguments: &[&str]) -> Run {
    alone(home, arguments).run()
}

/// The same, to be changed before it is run.
pub(crate) fn alone(home: &Path, arguments: &[&str]) -> Typed {
    let mut command = command(home, arguments);
    command.current_dir(home);
    Typed(command)
}

/// Runs `render` without a kubeconfig and with an empty home, and checks that it writes nothing there.
pub(crate) fn render(folder: &Path, arguments: &[&str]) -> Run {
    let home = TempDir::new().unwrap();
    let all: Vec<&str> = std::iter::once("render").chain(arguments.iter().copied()).collect();
    let run = alone(folder, &all).env("HOME", home.path()).env("KUBECONFIG", "/nowhere/at/all").run();
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "render writes into the home");
    run
}

/// The only variables of the tester's environment that the binary sees: where programs are, where temporary files go,
/// and the certificate authorities of the computer.
const INHERITED: &[&str] = &["PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// More for making a cluster: programs are found, downloaded or built once per computer, with the tester's Go settings,
/// proxies, container engine and node image.
const INHERITED_BY_CLUSTERS: &[&str] =
    &["HANDSCTL_ASSETS", "KUBEBUILDER_ASSETS", "DOCKER_HOST", "CONTAINER_HOST", "KIND_NODE_IMAGE"];
const INHERITED_BY_CLUSTERS_PREFIXES: &[&str] =
    &["GO", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http", "no_proxy"];

/// The binary with a home of its own, otherwise in an empty environment.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(HANDSCTL);
    command.env_clear().args(arguments).env("HOME", home).env("NO_COLOR", "1");
    let inherited = |name: &str| INHERITED.contains(&name);
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(inherited)));
    command
}

/// The same for commands that make a cluster, run in the home.
fn with_cluster_variables(home: &Path, arguments: &[&str]) -> Typed {
    let mut command = command(home, arguments);
    let real = std::env::home_dir().unwrap();
    for (name, below_home) in [("XDG_CACHE_HOME", ".cache"), ("GOPATH", "go"), ("GOENV", ".config/go/env")] {
        command.env(name, std::env::var_os(name).unwrap_or_else(|| real.join(below_home).into()));
    }
    let inherited = |name: &str| {
        INHERITED_BY_CLUSTERS.contains(&name)
            || INHERITED_BY_CLUSTERS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(inherited)));
    command.current_dir(home);
    Typed(command)
}

fn feed(mut command: Command, stdin: &str) -> Output {
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

/// What a process that has ended came to.
pub(crate) fn run_of(output: &Output, took: Duration) -> Run {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr), took }
}

/// A process that ends the cluster when this one is gone, however it goes: its stdin closes then.
fn keep_watch(home: &Path, name: &str) {
    let script = format!(
        "cat >/dev/null; '{HANDSCTL}' cluster down --yes --set 'cluster.name=\"{name}\"' >'{0}/down.log' 2>&1 && rm -rf '{0}'",
        home.display()
    );
    let mut keeper = Command::new("sh");
    keeper.env_clear().envs(
        with_cluster_variables(home, &[])
            .into_command()
            .get_envs()
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.to_owned()))),
    );
    keeper.args(["-c", &script]).env("KUBECONFIG", home.join(".kube/config"));
    let child = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::mem::forget(child);
}
