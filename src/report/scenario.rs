//! Test commands as lists of events, each with the milliseconds since the start.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity, SourceText};
use crate::error::{Error, Kind};
use crate::event::{
    Action, CheckVerdict, ContainerChange, Event, Finished, KubernetesEvent, Phase, Progress, RunChanges,
};
use crate::object::ObjectId;
use crate::status::{ContainerReport, EventReport, Finding};
use crate::timeline::{Row, RowKind, RunRecord, Span, SpanState};

/// Compares a text with its snapshot in tests/fixtures/report.
macro_rules! assert_recorded {
    ($name:literal, $text:expr) => {
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!($name, $text) })
    };
}
pub(super) use assert_recorded;

pub(super) type Scenario = Vec<(i64, Event)>;

pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_763_700_000_000 + milliseconds).unwrap()
}

pub(super) fn deployment() -> ObjectId {
    ObjectId::namespaced("apps", "Deployment", "hands", "openhands")
}

pub(super) fn step(phase: Phase, name: &str, progress: Progress, message: &str) -> Event {
    Event::Step { phase, name: name.into(), progress, message: message.into() }
}

pub(super) fn object(action: Action, object: ObjectId, message: Option<&str>) -> Event {
    Event::Object { phase: Phase::Apply, object, action, message: message.map(Into::into), dry_run: false }
}

fn rollout(ready: bool, message: &str) -> Event {
    Event::Rollout { object: deployment(), ready, message: message.into(), fails_in: None }
}

fn target(command: &str) -> Event {
    let target = "openhands → kwok-local-hands / openhands".into();
    Event::Target { command: command.into(), target }
}

fn pod() -> ObjectId {
    ObjectId::namespaced("", "Pod", "hands", "openhands-6d5f9c7b9-x2kqp")
}

/// The pod's container, `age` milliseconds in its state.
pub(super) fn container(state: SpanState, message: &str, age: u64, usually: Option<u64>) -> Event {
    let report = ContainerReport {
        pod: pod(),
        workload: Some(deployment()),
        container: "openhands".into(),
        image: "openhands:0.59".into(),
        state,
        message: message.into(),
        since: None,
    };
    let usually = usually.map(Duration::from_secs);
    Event::Container(Box::new(ContainerChange { report, age: Duration::from_millis(age), usually }))
}

pub(super) fn kubernetes_event(reason: &str, is_warning: bool, message: &str, count: u32) -> Event {
    let report = EventReport {
        object: pod(),
        workload: Some(deployment()),
        container: Some("openhands".into()),
        is_warning,
        reason: reason.into(),
        message: message.into(),
        count,
        last: timestamp(0),
    };
    Event::KubernetesEvent(Box::new(KubernetesEvent { report, age: Duration::ZERO }))
}

fn pod_created() -> Event {
    let report = EventReport {
        object: ObjectId::namespaced("apps", "ReplicaSet", "hands", "openhands-6d5f9c7b9"),
        workload: Some(deployment()),
        container: None,
        is_warning: false,
        reason: "SuccessfulCreate".into(),
        message: "Created pod: openhands-6d5f9c7b9-x2kqp".into(),
        count: 1,
        last: timestamp(0),
    };
    Event::KubernetesEvent(Box::new(KubernetesEvent { report, age: Duration::ZERO }))
}

/// The changes of revision 4, with the times of revision 3.
fn changes() -> Event {
    let span = |state, from: u64, to: u64| Span {
        state,
        text: String::new(),
        from: Duration::from_millis(from),
        to: Some(Duration::from_millis(to)),
    };
    let container = RowKind::Container {
        pod: "openhands-5c".into(),
        workload: deployment().to_string(),
        image: "openhands:0.58".into(),
    };
    let rows = vec![
        Row { spans: vec![span(SpanState::Done, 0, 98)], ..Row::new(RowKind::Step, "preflight".into()) },
        Row { spans: vec![span(SpanState::Done, 300, 64_300)], ..Row::new(RowKind::Step, "rollout".into()) },
        Row {
            spans: vec![span(SpanState::Pulling, 1_300, 61_300), span(SpanState::Starting, 61_300, 64_000)],
            ..Row::new(container, "openhands".into())
        },
    ];
    let record = RunRecord { started: None, took: Duration::from_millis(64_500), rows, omitted: 0 };
    Event::Changes(Box::new(RunChanges {
        revision: Some(4),
        against: Some(3),
        changed: Some(vec!["deploy.image".into(), "llm.model".into()]),
        by: "octocat".into(),
        commit: Some("0123456789abcdef".into()),
        run_url: None,
        note: Some("the new model".into()),
        usual: Some((3, record)),
    }))
}

pub(super) fn image_missing() -> Finding {
    Finding {
        id: Id::ImageNotFound,
        object: ObjectId::namespaced("", "Pod", "hands", "openhands-6d5f9c7b9-x2kqp"),
        container: Some("openhands".into()),
        message: "Failed to pull image \"openhands:0.95\":\n manifest \u{1b}[31munknown".into(),
        evidence: vec!["2 times in 14 s".into()],
        log: Vec::new(),
        affected: None,
        lookups: Vec::new(),
        hints: vec!["fix the tag and run `handsctl deploy`".into()],
        member: None,
        keys: Vec::new(),
        claims: Vec::new(),
        taints: Vec::new(),
        exhibits: Vec::new(),
    }
}

pub(super) fn literal_secret() -> Event {
    let text = "[llm]\napi_key = \"sk-very-secret\"\n";
    let source = Arc::new(SourceText { name: "config.toml".into(), text: text.into() });
    let diagnostic = Diagnostic {
        id: Id::LiteralSecret,
        severity: Severity::Warning,
        message: "`[llm] api_key` is written in the file".into(),
        location: Some(Location { source, span: 16..32 }),
        label: "moved to a Secret".into(),
        masked: true,
    };
    let message = diagnostic.message.clone();
    Event::Warning { id: Id::LiteralSecret, message, diagnostic: Some(Box::new(diagnostic)) }
}

/// A successful deploy: one object is kept, and pulling the image takes 40 seconds.
pub(super) fn deploy() -> Scenario {
    let config_map = ObjectId::namespaced("", "ConfigMap", "hands", "openhands-config-7f9c2ab104");
    let service = ObjectId::namespaced("", "Service", "hands", "openhands");
    let claim = ObjectId::namespaced("", "PersistentVolumeClaim", "hands", "openhands-state");
    let plain = Event::Warning {
        id: Id::SimulatedNodes,
        message: "nodes are simulated: no container runs".into(),
        diagnostic: None,
    };
    vec![
        (0, Event::Started { command: "deploy".into() }),
        (0, Event::Config { message: "config.toml  (12 keys set, 1 warning)".into() }),
        (1, literal_secret()),
        (3, target("deploy")),
        (4, step(Phase::Preflight, "preflight", Progress::Started, "")),
        (5, plain),
        (110, step(Phase::Preflight, "preflight", Progress::Done, "api v1.34.4, 4 objects, rights ok")),
        (110, changes()),
        (111, Event::Planned { phase: Phase::Apply, objects: vec![config_map.clone(), deployment()] }),
        (112, step(Phase::Apply, "apply", Progress::Started, "")),
        (310, object(Action::Created, config_map, None)),
        (311, object(Action::Configured, deployment(), Some("restarts the pod: image"))),
        (312, object(Action::Unchanged, service, None)),
        (313, object(Action::Kept, claim, Some("5Gi (reclaim Delete)"))),
        (330, step(Phase::Apply, "apply", Progress::Done, "")),
        (331, step(Phase::Track, "rollout", Progress::Started, "")),
        (332, rollout(false, "0/1: pulling image")),
        (333, rollout(false, "0/1: pulling image")),
        (334, container(SpanState::Waiting, "waiting for a node", 0, None)),
        (900, pod_created()),
        (1_400, container(SpanState::Pulling, "pulling image", 0, Some(60))),
        (1_400, kubernetes_event("Pulling", false, "Pulling image \"openhands:0.59\"", 1)),
        (10_000, waiting("0/1: pulling image 9 s", 890)),
        (30_333, waiting("0/1: pulling image 29 s", 870)),
        (38_900, container(SpanState::Starting, "container not ready", 0, None)),
        (39_950, kubernetes_event("Unhealthy", true, "Startup probe failed: HTTP 503", 2)),
        (41_019, container(SpanState::Ready, "ready", 0, None)),
        (41_020, rollout(true, "1/1")),
        (41_021, step(Phase::Track, "rollout", Progress::Done, "deployment.apps/openhands 1/1")),
        (41_022, step(Phase::Probe, "probe", Progress::Started, "")),
        (41_060, probe()),
        (41_061, step(Phase::Probe, "probe", Progress::Done, "")),
        (41_062, step(Phase::Settings, "settings", Progress::Done, "model anthropic/claude-sonnet-4 given")),
        (41_063, wire()),
        (41_200, Event::Finished(finished())),
    ]
}

fn waiting(message: &str, left: u64) -> Event {
    let left = Some(Duration::from_secs(left));
    Event::Waiting { object: Some(deployment()), message: message.into(), left }
}

pub(super) fn probe() -> Event {
    Event::Probe { target: "/alive".into(), healthy: true, message: "200 in 6 ms".into() }
}

fn check(name: &'static str, verdict: CheckVerdict, detail: &str, problem: Option<Error>) -> Event {
    Event::Check { category: "storage", name, verdict, detail: detail.into(), problem: problem.map(Arc::new) }
}

/// A check of each verdict.
pub(super) fn checks() -> Scenario {
    let problem = |message: &str| {
        let error = Error::new(Id::NoStorageClass, Kind::Prerequisite, message);
        Some(error.hint("kubectl get storageclass"))
    };
    vec![
        (0, Event::Started { command: "doctor".into() }),
        (1, check("class", CheckVerdict::Passed, "standard", None)),
        (2, check("snapshots", CheckVerdict::Noted, "no class", None)),
        (3, check("quota", CheckVerdict::Unknown, "no right to list", None)),
        (4, check("room", CheckVerdict::Warning, "", problem("1Gi is left"))),
        (5, check("volume", CheckVerdict::Failed, "", problem("no class"))),
        (6, Event::Finished(Finished { exit: 14, message: "1 error".into(), ..Finished::default() })),
    ]
}

pub(super) fn wire() -> Event {
    Event::Wire { requests: 23, bytes_in: 42_000, bytes_out: 9_300, slowest: "PATCH deployment 34 ms".into() }
}

fn finished() -> Finished {
    Finished {
        exit: 0,
        id: None,
        revision: Some(4),
        url: Some("http://localhost/".into()),
        sandboxes: Some(4),
        model: Some("anthropic/claude-sonnet-4".into()),
        message: "OpenHands is ready at http://localhost/".into(),
        notes: vec!["room for 4 sandboxes of 250m cpu, 1Gi".into()],
        next: vec![
            ("logs".into(), "handsctl logs -f".into()),
            ("undo".into(), "handsctl teardown            (keeps the 5Gi volume)".into()),
        ],
        error: None,
    }
}

/// `up`: creating the cluster succeeds, the deploy fails.
pub(super) fn up_with_a_bad_image() -> Scenario {
    let id = Some(Id::ImageNotFound);
    vec![
        (0, Event::Started { command: "up".into() }),
        (0, target("cluster")),
        (1, step(Phase::Cluster, "control plane", Progress::Started, "building etcd")),
        (2_000, step(Phase::Cluster, "control plane", Progress::Started, "building kubectl")),
        (24_000, step(Phase::Cluster, "control plane", Progress::Done, "v1.34.4")),
        (24_001, target("deploy")),
        (24_002, step(Phase::Track, "rollout", Progress::Started, "")),
        (24_500, container(SpanState::Pulling, "pulling image", 0, None)),
        (26_000, container(SpanState::Failed, "the image does not exist", 0, None)),
        (26_000, Event::Finding(Box::new(image_missing()))),
        (26_001, Event::Finding(Box::new(image_missing()))),
        (26_500, step(Phase::Track, "rollout", Progress::Failed, "deployment.apps/openhands 0/1")),
        (
            26_501,
            Event::Finished(Finished { exit: 9, id, message: "not shown".into(), ..Finished::default() }),
        ),
    ]
}
