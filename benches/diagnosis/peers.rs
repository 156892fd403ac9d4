//! The compared tools: `helm upgrade --install --wait` deploys what handsctl renders, and `kubectl rollout status` follows
//! it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::bed::{Bed, Namespace};
use super::failures::{Failure, Site};

/// The environment variable with the folder of `helm`; without it `helm` is searched in `PATH`.
pub(crate) const FOLDER: &str = "BENCH_PEERS";
/// The peers' `--timeout`.
pub(crate) const CAP: Duration = Duration::from_secs(60);
/// Name of the Helm release, and of handsctl's installation.
const NAME: &str = "oh";

/// What a peer said about a failure, and when.
pub(crate) struct PeerRun {
    pub(crate) exit: i32,
    /// Its last words, without the names of namespaces.
    pub(crate) says: String,
    /// From the report to the exit. None: it had ended before the report.
    pub(crate) after: Option<Duration>,
    /// Whether it waited until its timeout.
    pub(crate) is_capped: bool,
}

/// The installed peers.
pub(crate) struct Peers {
    helm: Option<PathBuf>,
}

impl Peers {
    pub(crate) fn find() -> Self {
        let folders: Vec<PathBuf> = match std::env::var_os(FOLDER) {
            Some(folder) => vec![folder.into()],
            None => std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
        };
        Self { helm: folders.iter().map(|folder| folder.join("helm")).find(|path| path.is_file()) }
    }

    /// Returns the names of the missing programs. The bed has a kubectl of the server's version.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        if self.helm.is_none() { vec!["helm"] } else { Vec::new() }
    }

    /// Returns the version of every peer: `helm v4.3.1`.
    pub(crate) fn versions(&self, bed: &Bed) -> Vec<String> {
        let kubectl = bed.kubectl(&["version", "--client"]);
        let helm = self.helm.as_ref().map(|helm| {
            let output = Command::new(helm).args(["version", "--short"]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        let version = |tool: &str, text: &str| {
            let number =
                text.split_whitespace().find(|word| word.starts_with('v')).unwrap_or("of unknown version");
            format!("{tool} {}", number.split('+').next().unwrap_or(number))
        };
        let mut versions = vec![version("kubectl", &kubectl)];
        versions.extend(helm.map(|helm| version("helm", &helm)));
        versions
    }

    /// Produces the failure in a namespace of the peers. Returns what kubectl and helm say.
    pub(crate) fn run(
        &self,
        bed: &'static Bed,
        failure: &'static Failure,
    ) -> (Option<PeerRun>, Option<PeerRun>) {
        let Some(helm) = &self.helm else { return (None, None) };
        let site = Site::new(bed, failure);
        let namespace = &site.namespace;
        let chart = namespace.folder.path().join("chart");
        if failure.is_update {
            write_chart(namespace, &chart);
            let output = upgrade(helm, namespace, &chart).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            namespace.config(&failure.config(&namespace.name));
        }
        write_chart(namespace, &chart);
        (failure.prepare)(&site);
        let sighting = site.sighting(failure);
        std::thread::scope(|scope| {
            let helm = scope.spawn(|| timed(upgrade(helm, namespace, &chart)));
            let kubectl = scope.spawn(|| {
                wait_for_generation(namespace, workload(failure), if failure.is_update { 2 } else { 1 });
                let timeout = format!("--timeout={}s", CAP.as_secs());
                let status = ["rollout", "status", workload(failure), "-n", &namespace.name, &timeout];
                timed(namespace.bed.kubectl_command(&status))
            });
            (failure.play)(&site);
            let reported = sighting.time();
            let run = |ended: (Output, Duration, Instant)| peer_run(namespace, reported, &ended);
            (Some(run(kubectl.join().unwrap())), Some(run(helm.join().unwrap())))
        })
    }
}

/// Returns the workload that `kubectl rollout status` follows: the one that fails.
fn workload(failure: &Failure) -> &'static str {
    if failure.extra.contains("kind: Deployment") { "deployment/helper" } else { "deployment/oh" }
}

/// Writes a chart with what handsctl renders.
fn write_chart(namespace: &Namespace, chart: &Path) {
    let manifests = namespace.handsctl(&["render"]).exits(0).stdout;
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("templates/set.yaml"), manifests).unwrap();
    let about = format!("apiVersion: v2\nname: {NAME}\nversion: 0.1.0\n");
    std::fs::write(chart.join("Chart.yaml"), about).unwrap();
}

fn upgrade(helm: &Path, namespace: &Namespace, chart: &Path) -> Command {
    let mut command = Command::new(helm);
    command.args(["upgrade", "--install", NAME]).arg(chart).args(["-n", &namespace.name]);
    command.args(["--wait", "--wait-for-jobs", "--timeout", &format!("{}s", CAP.as_secs())]);
    command
        .arg("--kubeconfig")
        .arg(&namespace.bed.kubeconfig)
        .args(["--kube-context", &namespace.bed.context]);
    command.env("HOME", namespace.folder.path());
    command
}

/// Waits until the workload exists in this generation.
fn wait_for_generation(namespace: &Namespace, workload: &str, generation: u64) {
    let read = ["get", workload, "-n", &namespace.name, "-o", "jsonpath={.metadata.generation}"];
    let deadline = Instant::now() + CAP;
    loop {
        let output = namespace.bed.try_kubectl(&read, "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.parse().is_ok_and(|number: u64| number >= generation) {
            return;
        }
        assert!(Instant::now() < deadline, "no {workload}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a command. Returns its output, how long it ran, and when it ended.
fn timed(mut command: Command) -> (Output, Duration, Instant) {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output, started.elapsed(), Instant::now())
}

fn peer_run(namespace: &Namespace, reported: Instant, ended: &(Output, Duration, Instant)) -> PeerRun {
    let (output, took, end) = ended;
    let exit = output.status.code().unwrap_or_default();
    let text = if exit == 0 { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text).replace(&namespace.name, "NAMESPACE");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let says = if exit == 0 {
        lines
            .iter()
            .find(|line| line.contains("successfully rolled out") || line.starts_with("STATUS:"))
            .copied()
    } else {
        lines.iter().rfind(|line| line.to_lowercase().starts_with("error")).copied()
    };
    let rest = lines.iter().rposition(|line| Some(*line) == says).map(|at| lines[at..].join("; "));
    let says = if exit == 0 {
        says.unwrap_or_default().to_owned()
    } else {
        rest.unwrap_or_else(|| lines.join("; "))
    };
    PeerRun {
        exit,
        says,
        after: end.checked_duration_since(reported),
        is_capped: *took + Duration::from_secs(1) >= CAP,
    }
}
