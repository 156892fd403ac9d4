//! `status`: prints one verdict with its reasons and exits with the verdict's code.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::thresholds;
use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::probe::{self, ProbeResult};
use crate::cluster::apply::inventory;
use crate::cluster::rollout::follow;
use crate::cluster::watch::observed_set::{self, ObservedSet};
use crate::deploy::rollout;
use crate::diagnostic::Severity;
use crate::error::{Error, Kind, Result};
use crate::flags::{Format, Global, ReadArgs};
use crate::object::kind::DEPLOYMENT;
use crate::phrase;
use crate::plan::inventory::revision::{self, Revision, RevisionResult};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::step::Deadline;
use crate::settings::handsctl::Profile;
use crate::status::{self, Finding, Health, HealthVerdict, Metric, Reading, evaluate};

/// Show whether the application is healthy: exit 0 healthy, 11 degraded, 12 down or nothing deployed
///
/// In order: read the set's objects, probe the application, measure the metrics of [deploy.thresholds], print the
/// verdict with its reasons.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl status\n  handsctl status -o json | jq .verdict")]
pub struct StatusArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// The state of the set, as `status` prints it.
struct StatusReport {
    health: Health,
    findings: Vec<Finding>,
    /// Plurals of the kinds that the account may not read.
    unknown: Vec<&'static str>,
    simulated: bool,
    /// The newest revision; None if there is none, or if the account may not read it.
    revision: Option<Revision>,
    /// The result of probing `/alive`; None if it was not probed.
    alive: Option<ProbeResult>,
    /// The metrics of a running application; empty if no container runs.
    metrics: Vec<Metric>,
}

/// Runs `status`.
pub(crate) async fn run(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    let deadline = Deadline::after(arguments.read.limit());
    let session = Session::to_read(global, loaded).await?.until(deadline);
    let report = read_until(deadline, &session.connection, streams, read_status(&session)).await;
    let mut report = report.map_err(|error| session.with_credentials_hint(error))?;
    let mut reasons: Vec<String> = report.metrics.iter().filter_map(Metric::reason).collect();
    if let Some(ProbeResult::Unreachable(why)) = &report.alive {
        reasons.insert(0, format!("/alive does not answer: {why}"));
    }
    if report.health.verdict == HealthVerdict::Healthy && !reasons.is_empty() {
        report.health.verdict = HealthVerdict::Degraded(reasons);
    }
    let _written = match output_form(Some(arguments.output)) {
        Output::Human => streams.out(&text(&session, &report, streams))?,
        output => streams.value(&value(&session, &report), output)?,
    };
    Ok(exit_code(&report.health.verdict))
}

async fn read_status(session: &Session) -> Result<StatusReport> {
    let api = &session.connection.api;
    let version = session.server_version().await?;
    let (mut observed, forbidden) =
        observed_set::open_deployed(api, &session.set(), version.streams_lists()).await?;
    let unknown: Vec<&str> = forbidden.iter().map(|scope| scope.kind.plural).collect();
    let expected = observed_set::expected_unchanged(&observed.members);
    let mut health = status::health(&observed.state, &expected);
    if health.verdict == HealthVerdict::Absent && unknown.contains(&DEPLOYMENT.plural) {
        return Err(status_unknown(session));
    }
    let mut findings = Vec::new();
    if health.verdict != HealthVerdict::Healthy {
        observed.load_past_events(api, &session.set()).await?;
        health = status::health(&observed.state, &expected);
        let grace = rollout::grace_periods(&session.settings, Timestamp::UNIX_EPOCH);
        findings = evaluate(&observed.state, &expected, &grace, api.clock().now()).findings;
        follow::collect_evidence(api, &mut findings).await;
    }
    let (app_status, revision) =
        tokio::join!(read_app_status(session, &observed, &health), latest_revision(session));
    let AppStatus { simulated, alive, metrics } = app_status;
    Ok(StatusReport { health, findings, unknown, simulated, revision: revision?, alive, metrics })
}

/// Returns the newest revision. An account that may not read Secrets gets none and no warning: that is the usual right
/// of accounts that only look at the status, and the verdict does not depend on the revision.
async fn latest_revision(session: &Session) -> Result<Option<Revision>> {
    match inventory::list_own_secrets(&session.connection.api, &session.set()).await {
        Ok(secrets) => Ok(revision::read_all(&secrets)?.pop()),
        Err(error) if error.kind() == Kind::Forbidden => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the error for an account that may not read Deployments: the missing Deployment may exist.
fn status_unknown(session: &Session) -> Error {
    let deploy = &session.settings.deploy;
    let message = format!(
        "cannot determine the status of {}: no right to read deployments in namespace {}",
        deploy.name, deploy.namespace
    );
    let command = format!("kubectl auth can-i watch deployments.apps -n {}", deploy.namespace);
    Error::new(Id::Forbidden, Kind::Forbidden, message).hint(format!("{command}  checks the right"))
}

/// The answers of the running application.
#[derive(Default)]
struct AppStatus {
    simulated: bool,
    alive: Option<ProbeResult>,
    metrics: Vec<Metric>,
}

async fn read_app_status(session: &Session, observed: &ObservedSet, health: &Health) -> AppStatus {
    let api = &session.connection.api;
    let pods = observed.ready_pods(&session.set());
    let Some(pod) = pods.first() else { return AppStatus::default() };
    if probe::is_simulated(api, pod).await {
        return AppStatus { simulated: true, ..AppStatus::default() };
    }
    if session.settings.deploy.profile == Profile::Dev {
        return AppStatus::default();
    }
    let deploy = &session.settings.deploy;
    let application = AppClient {
        namespace: deploy.namespace.to_string(),
        service: deploy.name.to_string(),
        pod: pod.metadata.name.clone(),
    };
    // A slower answer would exceed the latency threshold anyway.
    let timeout = Duration::from_secs(deploy.thresholds.latency.as_secs());
    let alive = probe::probe_within(api, &application, "/alive", timeout).await;
    let metrics = thresholds::measure(session, health, &application, &alive).await;
    AppStatus { simulated: false, alive: Some(alive), metrics }
}

fn exit_code(verdict: &HealthVerdict) -> u8 {
    match verdict {
        HealthVerdict::Healthy => 0,
        HealthVerdict::Degraded(_) => Kind::Degraded.exit_code(),
        HealthVerdict::Down(_) | HealthVerdict::Absent => Kind::Down.exit_code(),
    }
}

fn describe_verdict(verdict: &HealthVerdict) -> (&'static str, &[String]) {
    match verdict {
        HealthVerdict::Healthy => ("healthy", &[]),
        HealthVerdict::Degraded(reasons) => ("degraded", reasons),
        HealthVerdict::Down(reasons) => ("down", reasons),
        HealthVerdict::Absent => ("not deployed", &[]),
    }
}

fn text(session: &Session, report: &StatusReport, streams: &Streams) -> String {
    let deploy = &session.settings.deploy;
    let (word, reasons) = describe_verdict(&report.health.verdict);
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    let target = format!("{} / {}", session.connection.choice.context, deploy.namespace);
    let now = session.connection.api.clock().now();
    let revision = report.revision.as_ref().map_or_else(String::new, |revision| revision_text(revision, now));
    let mut text = format!("{}  {word}{reasons}   {target}{revision}\n", deploy.name);
    for line in lines(report) {
        text += &format!("  {line}\n");
    }
    for finding in &report.findings {
        text += &format!("\n{}", streams.finding(finding, Severity::Error));
    }
    if report.health.verdict == HealthVerdict::Absent {
        text += "  handsctl deploy creates it\n";
    }
    streams.sanitized(&text).into_owned()
}

/// Returns ` · revision 4, 2 h ago by ana@laptop`, with the revision's result unless it is good.
fn revision_text(revision: &Revision, now: Timestamp) -> String {
    let age =
        revision.created.map_or_else(String::new, |created| format!(", {} ago", phrase::age(created, now)));
    let result = match revision.result {
        RevisionResult::Good => String::new(),
        other => format!(" ({})", other.as_str()),
    };
    format!(" · revision {}{result}{age} by {}", revision.number, revision.by)
}

fn lines(report: &StatusReport) -> Vec<String> {
    let mut lines = Vec::new();
    for component in &report.health.components {
        let digest =
            component.digest.as_deref().map(|digest| format!(" ({})", digest.get(..19).unwrap_or(digest)));
        lines.push(format!(
            "{:<9}  {}/{}   {}{}   {}",
            component.name,
            component.ready,
            component.desired,
            component.image,
            digest.unwrap_or_default(),
            phrase::count(component.restarts, "restart")
        ));
    }
    for claim in &report.health.claims {
        let size = claim.capacity.as_deref().unwrap_or("size unknown");
        let class = claim.class.as_deref().unwrap_or("no class");
        lines.push(format!("{:<9}  {}  {size}  {class}  {}", "volume", claim.id.name, claim.message));
    }
    for endpoints in &report.health.endpoints {
        lines.push(format!(
            "{:<9}  service/{}  {}/{} pods{}",
            "endpoint",
            endpoints.service,
            endpoints.ready,
            endpoints.all,
            alive_text(report)
        ));
    }
    let (measured, unmeasured): (Vec<&Metric>, Vec<&Metric>) =
        report.metrics.iter().partition(|metric| !matches!(metric.reading, Reading::Unknown(_)));
    if !measured.is_empty() {
        let value_text = |metric: &&Metric| format!("{} {}", metric.name, metric.value());
        let list = measured.iter().map(value_text).collect::<Vec<_>>().join(", ");
        lines.push(format!("{:<9}  {list}", "measured"));
    }
    if !unmeasured.is_empty() {
        let reason_text = |metric: &&Metric| format!("{} ({})", metric.name, metric.value());
        let list = unmeasured.iter().map(reason_text).collect::<Vec<_>>().join(", ");
        lines.push(format!("{:<9}  {list}", "unmeasured"));
    }
    if report.simulated {
        lines.push("simulated  nodes are simulated: every object is real, no container runs".to_owned());
    }
    if !report.unknown.is_empty() {
        lines.push(format!(
            "{:<9}  no right to read {}: the verdict does not include them",
            "unknown",
            report.unknown.join(", ")
        ));
    }
    lines
}

fn alive_text(report: &StatusReport) -> String {
    match &report.alive {
        Some(ProbeResult::Alive { status, duration: took }) => {
            format!("   /alive {status} in {} ms", took.as_millis())
        }
        Some(ProbeResult::Unreachable(why)) => format!("   /alive does not answer: {why}"),
        Some(ProbeResult::Forbidden(why)) => format!("   /alive not probed: {why}"),
        None => String::new(),
    }
}

fn metric_value(metric: &Metric) -> Value {
    let (value, unit, why) = match &metric.reading {
        Reading::Percent(percent) => (json!(percent), "percent", None),
        Reading::Milliseconds(milliseconds) => (json!(milliseconds), "milliseconds", None),
        Reading::Unknown(why) => (Value::Null, "unknown", Some(why)),
    };
    json!({ "name": metric.name, "value": value, "unit": unit, "why": why, "bad": metric.is_exceeded() })
}

fn value(session: &Session, report: &StatusReport) -> Value {
    let deploy = &session.settings.deploy;
    let (word, reasons) = describe_verdict(&report.health.verdict);
    let components: Vec<Value> = report
        .health
        .components
        .iter()
        .map(|component| {
            json!({
                "name": component.name, "object": component.id.to_string(), "desired": component.desired,
                "ready": component.ready, "image": component.image, "digest": component.digest,
                "restarts": component.restarts, "message": component.message,
            })
        })
        .collect();
    let volumes: Vec<Value> = report
        .health
        .claims
        .iter()
        .map(|claim| {
            json!({
                "name": claim.id.name, "phase": claim.phase, "capacity": claim.capacity, "class": claim.class,
                "message": claim.message,
            })
        })
        .collect();
    let endpoints: Vec<Value> = report
        .health
        .endpoints
        .iter()
        .map(|endpoints| json!({ "service": endpoints.service, "ready": endpoints.ready, "all": endpoints.all }))
        .collect();
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "id": finding.id.code(), "title": finding.id.title(), "object": finding.object.to_string(),
                "container": finding.container, "message": finding.message, "evidence": finding.evidence, "log": finding.log,
            })
        })
        .collect();
    let alive = match &report.alive {
        Some(ProbeResult::Alive { duration: took, .. }) => {
            json!({ "answers": true, "milliseconds": took.as_millis() })
        }
        Some(ProbeResult::Unreachable(why)) => json!({ "answers": false, "why": why }),
        Some(ProbeResult::Forbidden(why)) => json!({ "answers": null, "why": why }),
        None => Value::Null,
    };
    json!({
        "verdict": word, "reasons": reasons, "name": deploy.name.as_str(), "namespace": deploy.namespace.as_str(),
        "context": session.connection.choice.context, "simulated": report.simulated, "components": components,
        "revision": report.revision.as_ref().map(|revision| json!({
            "number": revision.number, "result": revision.result.as_str(), "by": revision.by,
            "created": revision.created.map(|created| created.to_string()),
        })),
        "gauges": report.metrics.iter().map(metric_value).collect::<Vec<_>>(),
        "volumes": volumes, "endpoints": endpoints, "alive": alive, "findings": findings, "unknown": report.unknown,
    })
}
