//! The state of the set for programs: `status -o json`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use super::judge::drifted_fields;
use super::print::{describe_verdict, next_command};
use super::read::StatusReport;
use crate::cluster::app::conversation_count::ConversationCount;
use crate::cluster::app::probe::ProbeResult;
use crate::plan::inventory::provenance::Provenance;
use crate::plan::inventory::revision::Revision;
use crate::session::cluster_session::Session;
use crate::status::{
    ClaimHealth, ComponentHealth, ContainerExit, EndpointsHealth, Finding, Metric, Reading, SandboxHealth,
};

/// The result of `status`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusObject<'a> {
    /// `healthy`, `degraded`, `down` or `not deployed`.
    verdict: &'static str,
    reasons: &'a [String],
    name: &'a str,
    namespace: &'a str,
    context: &'a str,
    /// Whether the nodes are simulated: every object is real, no container runs.
    simulated: bool,
    components: Vec<ComponentObject<'a>>,
    /// The newest revision; null if there is none, or if the account may not read it.
    revision: Option<RevisionObject<'a>>,
    gauges: Vec<GaugeObject<'a>>,
    volumes: Vec<VolumeObject<'a>>,
    endpoints: Vec<EndpointObject<'a>>,
    /// The URL that the live objects serve; null if there is none, or if no container runs.
    url: Option<&'a str>,
    /// The result of probing the application; null if it was not probed.
    alive: Option<AliveObject<'a>>,
    findings: Vec<StatusFinding<'a>>,
    /// Facts that do not change the verdict.
    notes: Vec<StatusFinding<'a>>,
    /// The number of fields that others changed since the deploy; null if no revision tells what was deployed.
    drift: Option<usize>,
    sandboxes: Option<SandboxesObject<'a>>,
    /// The version of agent-server, as the application reports it; null for another application.
    server_version: Option<&'a str>,
    /// The conversations of an application that runs them in its own pod; null if their number is unknown.
    conversations: Option<ConversationsObject>,
    /// The manager that applied the objects, if it is not handsctl.
    installer: Option<&'a str>,
    /// The run that changes the objects now.
    running: Option<&'a str>,
    /// The next command, if no finding has one.
    next: Option<String>,
    /// The objects of which nothing tells whether they work.
    unwatched: Vec<String>,
    /// The kinds that the account may not read.
    unknown: Vec<&'static str>,
}

/// A workload of the application.
#[derive(Debug, Serialize, JsonSchema)]
struct ComponentObject<'a> {
    name: &'a str,
    object: String,
    desired: u32,
    ready: u32,
    image: &'a str,
    digest: Option<&'a str>,
    /// When its newest pod was created.
    created: Option<String>,
    restarts: u32,
    last_exit: Option<ExitObject<'a>>,
    message: &'a str,
}

/// How a container last ended before a restart.
#[derive(Debug, Serialize, JsonSchema)]
struct ExitObject<'a> {
    time: String,
    cause: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RevisionObject<'a> {
    number: u64,
    result: &'static str,
    by: &'a str,
    created: Option<String>,
    provenance: Option<ProvenanceObject<'a>>,
}

/// The origin of a revision in CI, and its note.
#[derive(Debug, Serialize, JsonSchema)]
struct ProvenanceObject<'a> {
    actor: Option<&'a str>,
    commit: Option<&'a str>,
    run_url: Option<&'a str>,
    note: Option<&'a str>,
}

/// A measured value; null with the reason if it is unknown.
#[derive(Debug, Serialize, JsonSchema)]
struct GaugeObject<'a> {
    name: &'a str,
    value: Option<Number>,
    unit: &'static str,
    why: Option<&'a str>,
    bad: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VolumeObject<'a> {
    name: &'a str,
    phase: &'a str,
    capacity: Option<&'a str>,
    class: Option<&'a str>,
    /// The used bytes; null if the kubelet does not measure the volume, or the account may not ask it.
    used_bytes: Option<u64>,
    message: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EndpointObject<'a> {
    service: &'a str,
    ready: usize,
    all: usize,
}

/// The answer of the application; `answers` is null if the account may not ask.
#[derive(Debug, Serialize, JsonSchema)]
struct AliveObject<'a> {
    answers: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct StatusFinding<'a> {
    id: &'static str,
    title: &'static str,
    object: String,
    container: Option<&'a str>,
    message: &'a str,
    evidence: &'a [String],
    log: &'a [String],
    hints: &'a [String],
}

#[derive(Debug, Serialize, JsonSchema)]
struct SandboxesObject<'a> {
    running: usize,
    /// Those that have not started yet, or cannot.
    waiting: usize,
    ended: &'a [String],
}

/// The conversations in the application's pod.
#[derive(Debug, Serialize, JsonSchema)]
struct ConversationsObject {
    all: u32,
    /// Those whose agent is at work.
    running: u32,
}

/// Returns the report for programs.
pub(super) fn value<'a>(session: &'a Session, report: &'a StatusReport) -> StatusObject<'a> {
    let deploy = &session.settings.deploy;
    let (verdict, reasons) = describe_verdict(&report.health.verdict);
    StatusObject {
        verdict,
        reasons,
        name: deploy.name.as_str(),
        namespace: deploy.namespace.as_str(),
        context: &session.connection.choice.context,
        simulated: report.simulated,
        components: report.health.components.iter().map(component).collect(),
        revision: report.revision.as_ref().map(revision),
        gauges: report.metrics.iter().map(gauge).collect(),
        volumes: report.health.claims.iter().map(|claim| volume(claim, report)).collect(),
        endpoints: report.health.endpoints.iter().map(endpoint).collect(),
        url: report.url.as_ref().map(|served| served.url.as_str()),
        alive: report.alive.as_ref().map(alive),
        findings: report.findings.iter().map(finding).collect(),
        notes: report.notes.iter().map(finding).collect(),
        drift: drifted_fields(report),
        sandboxes: report.sandboxes.as_ref().map(sandboxes),
        server_version: report.server_version.as_deref(),
        conversations: report.conversations.as_ref().and_then(conversations),
        installer: report.installer.as_deref(),
        running: report.running.as_deref(),
        next: next_command(report),
        unwatched: report.unwatched.iter().map(ToString::to_string).collect(),
        unknown: report.unknown.iter().copied().collect(),
    }
}

fn component(component: &ComponentHealth) -> ComponentObject<'_> {
    ComponentObject {
        name: &component.name,
        object: component.id.to_string(),
        desired: component.desired,
        ready: component.ready,
        image: &component.image,
        digest: component.digest.as_deref(),
        created: component.created.map(|created| created.to_string()),
        restarts: component.restarts,
        last_exit: component.last_exit.as_ref().map(exit),
        message: &component.message,
    }
}

fn exit(end: &ContainerExit) -> ExitObject<'_> {
    ExitObject { time: end.time.to_string(), cause: &end.cause }
}

fn revision(revision: &Revision) -> RevisionObject<'_> {
    RevisionObject {
        number: revision.number,
        result: revision.result.as_str(),
        by: &revision.by,
        created: revision.created.map(|created| created.to_string()),
        provenance: revision.provenance().map(provenance),
    }
}

fn provenance(provenance: &Provenance) -> ProvenanceObject<'_> {
    ProvenanceObject {
        actor: provenance.actor.as_deref(),
        commit: provenance.commit.as_deref(),
        run_url: provenance.run_url.as_deref(),
        note: provenance.note.as_deref(),
    }
}

fn gauge(metric: &Metric) -> GaugeObject<'_> {
    let (value, unit, why) = match &metric.reading {
        Reading::Percent(percent) => (Number::from_f64(*percent), "percent", None),
        Reading::Milliseconds(milliseconds) => (Some(Number::from(*milliseconds)), "milliseconds", None),
        Reading::Unknown(why) => (None, "unknown", Some(why.as_str())),
    };
    GaugeObject { name: metric.name, value, unit, why, bad: metric.is_exceeded() }
}

fn volume<'a>(claim: &'a ClaimHealth, report: &'a StatusReport) -> VolumeObject<'a> {
    VolumeObject {
        name: &claim.id.name,
        phase: &claim.phase,
        capacity: claim.capacity.as_deref(),
        class: claim.class.as_deref(),
        used_bytes: report.volumes.get(&claim.id.name).map(|usage| usage.used),
        message: &claim.message,
    }
}

fn endpoint(endpoints: &EndpointsHealth) -> EndpointObject<'_> {
    EndpointObject { service: &endpoints.service, ready: endpoints.ready, all: endpoints.all }
}

fn alive(probed: &ProbeResult) -> AliveObject<'_> {
    let unanswered = |answers, why| AliveObject { answers, milliseconds: None, why: Some(why) };
    match probed {
        ProbeResult::Alive { duration, .. } => {
            let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            AliveObject { answers: Some(true), milliseconds: Some(milliseconds), why: None }
        }
        ProbeResult::Unreachable(why) => unanswered(Some(false), why.as_str()),
        ProbeResult::Forbidden(why) => unanswered(None, why.as_str()),
    }
}

fn finding(finding: &Finding) -> StatusFinding<'_> {
    StatusFinding {
        id: finding.id.code(),
        title: finding.id.title(),
        object: finding.object.to_string(),
        container: finding.container.as_deref(),
        message: &finding.message,
        evidence: &finding.evidence,
        log: &finding.log,
        hints: &finding.hints,
    }
}

fn conversations(counted: &Result<ConversationCount, String>) -> Option<ConversationsObject> {
    let ConversationCount { all, running } = *counted.as_ref().ok()?;
    Some(ConversationsObject { all, running })
}

fn sandboxes(sandboxes: &SandboxHealth) -> SandboxesObject<'_> {
    SandboxesObject { running: sandboxes.running, waiting: sandboxes.waiting, ended: &sandboxes.ended }
}
