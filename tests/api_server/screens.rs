//! The screens of `docs/screens`, as they are today: each command on a terminal emulator, as text and as a picture.
//!
//! One cluster serves them all. `up` shows that its nodes are simulated. For the other screens a proxy hides this, and
//! answers what containers would: the application, its metrics and its volume's. Everything else is the API server's own
//! answer, so a command does what it does on a cluster with containers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

use super::sandboxes;
use crate::bed::{Bed, CommandLine, Namespace, OwnCluster, in_home};
use crate::binary::screens::{folder, recorded_names};
use crate::fault::{Fault, Proxy, Request};
use crate::kubelet::{BareNode, kubelet_event, report, wait_for_pod, waiting};
use crate::placeholders::stable;
use crate::pseudo_terminal::Terminal;
use crate::recording::Recording;

/// Wide enough for the usual lines of a cluster with short names.
const COLUMNS: u16 = 100;
/// For a log, whose lines are not wrapped, and for lines with the name of this computer or of its folders: where they
/// were wrapped would follow from its length.
const WIDE: u16 = 132;
/// As [`WIDE`], for a table that has more columns on a wider terminal.
const WIDE_TABLE: u16 = 109;
/// As [`COLUMNS`], where another digit of an age must not wrap the last column in another place.
const COLUMNS_OF_AGES: u16 = COLUMNS + 1;
const MODEL: &str = "anthropic/claude-sonnet-4-20250514";
/// Another image than the deployed one.
const NEWER: &str = "docker.all-hands.dev/all-hands-ai/openhands:0.59.1";
/// An image that the simulated kubelet cannot pull, one whose container ends with an error, and their names there.
const MISTYPED: &str = "docker.all-hands.dev/all-hands-ai/openhands:0.59.9";
const BROKEN: &str = "registry.example/team-a/openhands:0.59-patched";
const SIMULATE: &str = "registry.example/simulate-";
/// The image of the sandboxes.
const RUNTIME: &str = "docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik";

/// The recordings of this run, and how they differ from the committed ones.
#[derive(Default)]
struct Recorder {
    names: BTreeSet<String>,
    differences: String,
}

impl Recorder {
    /// Compares a screen with the recording of this name. `times` are the times of steps that the recording shows.
    fn compare(&mut self, name: &str, times: &[(&str, &str)], typed: &str, screen: &vt100::Screen) {
        let recording = stable(Recording::new(typed, screen), times);
        assert!(self.names.insert(name.to_owned()), "{name} is recorded twice");
        for (suffix, actual) in [("txt", recording.to_text()), ("svg", recording.to_svg())] {
            let file: PathBuf = folder().join(format!("{name}.{suffix}"));
            if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
                std::fs::write(&file, &actual).unwrap();
            }
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            if expected != actual {
                let difference = TextDiff::from_lines(&expected, &actual);
                let header = format!("docs/screens/{name}.{suffix}");
                let difference = difference.unified_diff().header(&header, "this run").to_string();
                write!(self.differences, "{difference}").unwrap();
            }
        }
    }

    /// Runs a command to its end on a terminal and compares its screen.
    fn record(&mut self, name: &str, times: &[(&str, &str)], command: Typed<'_>, code: u32) {
        let ended = Terminal::start(command.line, command.columns).wait_for_end();
        if ended.code != code {
            writeln!(self.differences, "{name}: exit code {}, not {code}", ended.code).unwrap();
        }
        self.compare(name, times, command.text, &ended.screen);
    }

    /// Panics if a screen differs from its recording, or if the page shows other recordings.
    fn finish(self) {
        assert!(
            self.differences.is_empty(),
            "screens differ from their recordings (INSTA_UPDATE=always updates them)\n{}",
            self.differences
        );
        assert_eq!(self.names, recorded_names(), "the recordings that docs/screens/README.md shows");
    }
}

/// A command line as a person types it, and what runs.
struct Typed<'a> {
    /// What stands behind the prompt.
    text: &'a str,
    line: CommandLine,
    columns: u16,
}

impl<'a> Typed<'a> {
    fn new(text: &'a str, line: CommandLine) -> Self {
        Self { text, line: as_ana(line), columns: COLUMNS }
    }

    fn wide(self) -> Self {
        Self { columns: WIDE, ..self }
    }
}

/// A person's home with a kubeconfig and a `config.toml`, and the cluster as this person sees it.
struct Staging<'a> {
    namespace: Namespace,
    proxy: &'a Proxy,
}

impl<'a> Staging<'a> {
    fn new(bed: &'static Bed, proxy: &'a Proxy, namespace: &str) -> Self {
        let namespace = Namespace { bed, name: namespace.to_owned(), folder: tempfile::tempdir().unwrap() };
        let kubeconfig = std::fs::read_to_string(proxy.kubeconfig()).unwrap();
        let staging = Self { namespace, proxy };
        std::fs::write(staging.kubeconfig(), kubeconfig.replace(Proxy::CONTEXT, "staging")).unwrap();
        staging.config("");
        staging
    }

    fn kubeconfig(&self) -> PathBuf {
        self.namespace.folder.path().join("kubeconfig")
    }

    /// Writes the configuration of a team in a cluster of others. `keys` are those of its last table, `[deploy]`.
    fn config(&self, keys: &str) {
        self.namespace.config(&format!(
            "[llm]\nmodel = \"{MODEL}\"\napi_key = {{ env = \"LLM_API_KEY\" }}\n\n\
             [cluster]\nprovider = \"existing\"\ncontext = \"staging\"\n\n\
             [deploy]\nnamespace = \"{}\"\nexpose = \"none\"\n{keys}",
            self.namespace.name
        ));
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.namespace.bed.kubectl(&[arguments, &["-n", &self.namespace.name]].concat())
    }

    fn command<'b>(&self, typed: &'b str) -> Typed<'b> {
        let words: Vec<&str> = typed.split(' ').skip(1).collect();
        let line = in_home(self.namespace.folder.path(), &words).env("KUBECONFIG", self.kubeconfig());
        Typed::new(typed, line.env("LLM_API_KEY", "sk-screens"))
    }

    /// The name of the application's pod.
    fn pod(&self) -> String {
        wait_for_pod(&self.namespace, "app.kubernetes.io/component=app")
    }
}

/// Has the proxy hide that the nodes are simulated, and answer as the application does.
fn play_application(proxy: &Proxy) {
    proxy.hide_simulation();
    proxy.rename(MISTYPED, &format!("{SIMULATE}image-pull-backoff:0.59.9"));
    proxy.rename(BROKEN, &format!("{SIMULATE}crash-loop-backoff:0.59"));
    answer(proxy, "/proxy/alive", &json!("alive"));
    answer(proxy, "/proxy/api/options/config", &json!({}));
    answer(proxy, "/proxy/api/settings", &json!({ "llm_model": MODEL }));
    let known = json!({ "results": [{ "conversation_id": sandboxes::RUNNING }, { "conversation_id": sandboxes::FAILED }] });
    answer(proxy, "/proxy/api/conversations?", &known);
    answer(proxy, "/proxy/api/conversations/", &Value::Null);
}

/// Answers each request whose path has this part.
fn answer(proxy: &Proxy, part: &'static str, answer: &Value) {
    proxy.on(move |request| request.path.contains(part)).inject(Fault::Answer(answer.clone()));
}

/// The command of an account `ana`, in colours.
fn as_ana(command: CommandLine) -> CommandLine {
    command.without("NO_COLOR").env("USER", "ana")
}

/// Runs a command to its end as a CI job does, with both streams in one log.
fn run_in_ci(command: CommandLine) -> vt100::Screen {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = command.env("CI", "true").into_command();
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    // It has the write ends of the pipe.
    drop(command);
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    let text = String::from_utf8(log).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let mut parser = vt100::Parser::new(120.try_into().unwrap(), WIDE.try_into().unwrap(), 0);
    parser.process(text.replace('\n', "\r\n").as_bytes());
    parser.screen().clone()
}

/// Writes the log that every container of the cluster has.
fn write_log(path: &Path, lines: &[&str]) {
    let now = jiff::Timestamp::now();
    let mut log = std::fs::File::create(path).unwrap();
    for line in lines {
        writeln!(log, "{now:.9} stderr F {line}").unwrap();
    }
}

#[test]
fn every_screen_is_as_it_is_recorded() {
    // It has built or downloaded the programs of a control plane, which no recording shows.
    Bed::shared();
    let mut recorder = Recorder::default();
    let own = OwnCluster::with_name("screens", "local-hands", "");
    record_first_commands(&mut recorder);
    let times = [("cluster", "4.2s"), ("control plane", "4.0s"), ("deploy", "2.3s"), ("rollout", "2.0s")];
    let up = Typed::new("handsctl up", own.command(&["up"])).wide();
    recorder.record("up", &times, up, 0);
    let doctor = Typed::new("handsctl doctor", own.command(&["doctor"]));
    recorder.record("doctor", &[], doctor, 0);

    let bed: &'static Bed = Box::leak(Box::new(own.bed()));
    let proxy = Proxy::for_cluster(bed);
    play_application(&proxy);
    let images = json!({ "status": { "images": [{ "names": [RUNTIME] }] } }).to_string();
    bed.kubectl(&[
        "patch",
        "node",
        "local-hands-node",
        "--subresource=status",
        "--type=merge",
        "-p",
        &images,
    ]);
    let other = Staging::new(bed, &proxy, "team-b");
    let (node, mut waiting) = start_waiting(&other);
    let staging = Staging::new(bed, &proxy, "team-a");
    record_deploys(&mut recorder, &staging);
    // After ten seconds it says how much time is left. The time of the step is the last of a frame.
    waiting.wait_for_line("time that is left", |line| {
        line.contains("pulling image") && line.contains(" left ") && line.ends_with('s')
    });
    let times = [("deploy", "13.2s"), ("rollout", "12.9s")];
    recorder.compare("deploy-waiting", &times, "handsctl deploy", waiting.screen.screen());
    drop((waiting, node));
    record_state(&mut recorder, &staging);
    record_changes_of_others(&mut recorder, &staging);
    record_failures(&mut recorder, &staging);
    let times = [("teardown", "2.1s"), ("objects", "2.0s")];
    recorder.record("teardown", &times, staging.command("handsctl teardown"), 0);
    recorder.finish();
}

/// What needs no cluster.
fn record_first_commands(recorder: &mut Recorder) {
    let home = tempfile::tempdir().unwrap();
    let help = Typed::new("handsctl --help", in_home(home.path(), &["--help"]));
    recorder.record("help", &[], help, 0);
    let mut init = Terminal::start(as_ana(in_home(home.path(), &["config", "init"])), COLUMNS);
    for question in ["Model [", "API key ["] {
        init.wait_for_text(question);
        init.type_keys("\r");
    }
    recorder.compare("config-init", &[], "handsctl config init", &init.wait_for_end().exits(0).screen);
}

/// Starts a deploy whose image is pulled all the time. Dropping the node deletes the pod.
fn start_waiting(staging: &Staging<'_>) -> (BareNode, Terminal) {
    staging.config(
        "node_selector = { \"example.io/bare\" = \"yes\" }\ntolerate = { unschedulable = \"10m\" }\n",
    );
    staging.namespace.create(&[]);
    let node = BareNode::with_labels(&staging.namespace, &json!({ "example.io/bare": "yes" }));
    let terminal = Terminal::start(staging.command("handsctl deploy").line, COLUMNS);
    let pod = node.bind_pod(&staging.namespace);
    kubelet_event(&staging.namespace, &pod, "Pulling", Some("openhands"), "Pulling image");
    report(&staging.namespace, &pod, &waiting("ContainerCreating", ""));
    (node, terminal)
}

fn record_deploys(recorder: &mut Recorder, staging: &Staging<'_>) {
    let deploy = || staging.command("handsctl deploy");
    recorder.record("deploy", &[("deploy", "2.3s"), ("rollout", "2.0s")], deploy(), 0);
    recorder.record("deploy-again", &[("deploy", "0.2s")], deploy(), 0);
    staging.config("env = { LOG_LEVEL = \"DEBUG\" }\n");
    let in_ci = run_in_ci(deploy().line);
    recorder.compare("deploy-in-ci", &[], "handsctl deploy", &in_ci);
    staging.config("hots = \"openhands.example.org\"\nimage_pull_polcy = \"Never\"\n");
    recorder.record("configuration-mistakes", &[], deploy(), 3);
    staging.config("");
    deploy().line.run().exits(0);
}

fn record_state(recorder: &mut Recorder, staging: &Staging<'_>) {
    let proxy = staging.proxy;
    let volume = json!({ "name": "state", "usedBytes": 1_288_490_188_u64, "capacityBytes": 5_368_709_120_u64,
        "pvcRef": { "name": "openhands-state", "namespace": staging.namespace.name } });
    let pod = json!({ "podRef": { "name": staging.pod(), "namespace": staging.namespace.name }, "volume": [volume] });
    answer(proxy, "/proxy/stats/summary", &json!({ "pods": [pod] }));
    let memory = |usage: &str| {
        let container = json!({ "name": "openhands", "usage": { "cpu": "250m", "memory": usage } });
        json!({ "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {},
            "items": [{ "metadata": { "name": "a" }, "containers": [container] }] })
    };
    let asks_for_metrics = |request: &Request| request.path.contains("/metrics.k8s.io/");
    for (number, usage) in [(1, "1638Mi"), (2, "1638Mi"), (3, "2048Mi"), (4, "2867Mi"), (5, "3600Mi")] {
        proxy.on(asks_for_metrics).nth(number).inject(Fault::Answer(memory(usage)));
    }
    // A slow computer measures more often before the screen is recorded. A frame waits for what is measured.
    proxy.on(asks_for_metrics).inject(Fault::Hang);
    recorder.record("status", &[], staging.command("handsctl status").wide(), 0);

    let mut watch = Terminal::start(staging.command("handsctl status -w").line, WIDE);
    for reading in ["memory ", "▄▅", "▄▅▆"] {
        watch.wait_for_text(reading);
        // A change has the status read without its usual pause.
        let mark = format!("example.io/reading={}", reading.trim());
        staging.kubectl(&["annotate", "pod", &staging.pod(), &mark, "--overwrite"]);
    }
    watch.wait_for_text("degraded: memory");
    watch.wait_until_quiet(Duration::from_millis(300));
    recorder.compare("status-watch", &[], "handsctl status -w", watch.screen.screen());
    drop(watch);

    sandboxes::create_conversations(staging.namespace.bed, &staging.namespace.name);
    let list = Typed { columns: COLUMNS_OF_AGES, ..staging.command("handsctl sandbox list") };
    recorder.record("sandbox-list", &[], list, 0);
}

fn record_changes_of_others(recorder: &mut Recorder, staging: &Staging<'_>) {
    let patch = r#"{"spec": {"progressDeadlineSeconds": 60}}"#;
    staging.kubectl(&["patch", "deployment/openhands", "--field-manager=kubectl-edit", "-p", patch]);
    staging.config(&format!("image = \"{NEWER}\"\n"));
    let diff = staging.command("handsctl diff").wide();
    recorder.record("diff", &[], Typed { line: diff.line.env("LLM_API_KEY", "sk-new"), ..diff }, 1);
    staging.config("");
    staging.kubectl(&["scale", "deployment/openhands", "--replicas=3"]);
    recorder.record("conflict", &[("deploy", "0.1s")], staging.command("handsctl deploy"), 7);
    staging.command("handsctl deploy --force-conflicts").line.run().exits(0);
}

fn record_failures(recorder: &mut Recorder, staging: &Staging<'_>) {
    staging.config(&format!("image = \"{MISTYPED}\"\n"));
    recorder.record("image-not-found", &[("deploy", "1.4s")], staging.command("handsctl deploy"), 9);
    write_log(
        &staging.namespace.bed.pod_log,
        &[
            "ValueError: Invalid kubernetes configuration: 1 validation error for KubernetesConfig",
            "resource_cpu_request  Input should be a valid string [type=string_type, input_value=1]",
        ],
    );
    // The simulated kubelet would have the pod that pulls it crash as well.
    staging.config(&format!("image = \"{BROKEN}\"\nprepull = false\n"));
    let times = [("deploy", "9.1s"), ("rollout", "2.0s"), ("rollback", "2.3s")];
    recorder.record("crash", &times, staging.command("handsctl deploy"), 9);
    let history = Typed { columns: WIDE_TABLE, ..staging.command("handsctl history") };
    recorder.record("history", &[], history, 0);
    let times = [("rollback", "2.3s"), ("rollout", "2.0s")];
    recorder.record("rollback", &times, staging.command("handsctl rollback").wide(), 0);
}
