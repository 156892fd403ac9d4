//! `status`: one verdict with reasons; the exit code says it.

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
use crate::flags::{Format, Global};
use crate::object::kind::DEPLOYMENT;
use crate::phrase;
use crate::plan::inventory::revision::{self, Revision, RevisionResult};
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::output::output_form;
use crate::settings::handsctl::Profile;
use crate::status::{self, Finding, Health, HealthVerdict, Metric, Reading, evaluate};

/// Is it healthy? The exit code says so: 0 healthy, 11 degraded, 12 down or nothing deployed
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl status\n  handsctl status -o json | jq .verdict")]
pub struct StatusArgs {
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Everything that `status` has found out.
struct StatusReport {
    health: Health,
    findings: Vec<Finding>,
    /// What may not be read, and so is not known.
    unknown: Vec<&'static str>,
    simulated: bool,
    /// The newest revision; None where there is none, or the account may not read it.
    revision: Option<Revision>,
    /// What `/alive` answered, where it was asked.
    alive: Option<ProbeResult>,
    /// The figures of a running application; empty where no container runs.
    gauges: Vec<Metric>,
}

/// Runs `status`.
pub(crate) async fn run(global: &Global, arguments: &StatusArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    let session = Session::to_read(global, loaded).await?;
    let mut seen = read_status(&session).await.map_err(|error| session.with_credentials_hint(error))?;
    let mut reasons: Vec<String> = seen.gauges.iter().filter_map(Metric::reason).collect();
    if let Some(ProbeResult::Unreachable(why)) = &seen.alive {
        reasons.insert(0, format!("/alive does not answer: {why}"));
    }
    if seen.health.verdict == HealthVerdict::Healthy && !reasons.is_empty() {
        seen.health.verdict = HealthVerdict::Degraded(reasons);
    }
    let _written = match output_form(Some(arguments.output)) {
        Output::Human => streams.out(&text(&session, &seen, streams))?,
        output => streams.value(&value(&session, &seen), output)?,
    };
    Ok(exit_code(&seen.health.verdict))
}

async fn read_status(session: &Session) -> Result<StatusReport> {
    let api = &session.connection.api;
    let version = session.server_version().await?;
    let (mut observed, refused) =
        observed_set::open_deployed(api, &session.set(), version.streams_lists()).await?;
    let unknown: Vec<&str> = refused.iter().map(|scope| scope.kind.plural).collect();
    let expected = observed_set::expected_unchanged(&observed.members);
    let mut health = status::health(&observed.state, &expected);
    if health.verdict == HealthVerdict::Absent && unknown.contains(&DEPLOYMENT.plural) {
        return Err(nobody_knows(session));
    }
    let mut findings = Vec::new();
    if health.verdict != HealthVerdict::Healthy {
        observed.load_past_events(api, &session.set()).await?;
        health = status::health(&observed.state, &expected);
        let grace = rollout::grace_periods(&session.settings, Timestamp::UNIX_EPOCH);
        findings = evaluate(&observed.state, &expected, &grace, api.clock().now()).findings;
        follow::collect_evidence(api, &mut findings).await;
    }
    let (asked, revision) =
        tokio::join!(read_app_status(session, &observed, &health), latest_revision(session));
    let AppStatus { simulated, alive, gauges } = asked;
    Ok(StatusReport { health, findings, unknown, simulated, revision: revision?, alive, gauges })
}

/// Whoever may not read Secrets is not told of it: most who look at a status may not, and the verdict is the same.
async fn latest_revision(session: &Session) -> Result<Option<Revision>> {
    match inventory::list_own_secrets(&session.connection.api, &session.set()).await {
        Ok(own) => Ok(revision::read_all(&own)?.pop()),
        Err(error) if error.kind() == Kind::Forbidden => Ok(None),
        Err(error) => Err(error),
    }
}

/// Not to see a Deployment is no proof that there is none.
fn nobody_knows(session: &Session) -> Error {
    let deploy = &session.settings.deploy;
    let message = format!(
        "cannot tell how {} is: deployments in namespace {} may not be read",
        deploy.name, deploy.namespace
    );
    let right = format!("kubectl auth can-i watch deployments.apps -n {}", deploy.namespace);
    Error::new(Id::Forbidden, Kind::Forbidden, message).hint(format!("{right}  asks about the right"))
}

/// What a container was asked.
#[derive(Default)]
struct AppStatus {
    simulated: bool,
    alive: Option<ProbeResult>,
    gauges: Vec<Metric>,
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
    // Longer than its threshold nobody waits for it.
    let patience = Duration::from_secs(deploy.thresholds.latency.as_secs());
    let alive = probe::probe_within(api, &application, "/alive", patience).await;
    let gauges = thresholds::measure(session, health, &application, &alive).await;
    AppStatus { simulated: false, alive: Some(alive), gauges }
}

fn exit_code(verdict: &HealthVerdict) -> u8 {
    match verdict {
        HealthVerdict::Healthy => 0,
        HealthVerdict::Degraded(_) => Kind::Degraded.exit_code(),
        HealthVerdict::Down(_) | HealthVerdict::Absent => Kind::Down.exit_code(),
    }
}

fn verdict_words(verdict: &HealthVerdict) -> (&'static str, &[String]) {
    match verdict {
        HealthVerdict::Healthy => ("healthy", &[]),
        HealthVerdict::Degraded(reasons) => ("degraded", reasons),
        HealthVerdict::Down(reasons) => ("down", reasons),
        HealthVerdict::Absent => ("not deployed", &[]),
    }
}

fn text(session: &Session, seen: &StatusReport, streams: &Streams) -> String {
    let deploy = &session.settings.deploy;
    let (word, reasons) = verdict_words(&seen.health.verdict);
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    let place = format!("{} / {}", session.connection.choice.context, deploy.namespace);
    let now = session.connection.api.clock().now();
    let revision = seen.revision.as_ref().map_or_else(String::new, |revision| about(revision, now));
    let mut text = format!("{}  {word}{reasons}   {place}{revision}\n", deploy.name);
    for line in lines(seen) {
        text += &format!("  {line}\n");
    }
    for finding in &seen.findings {
        text += &format!("\n{}", streams.finding(finding, Severity::Error));
    }
    if seen.health.verdict == HealthVerdict::Absent {
        text += "  handsctl deploy creates it\n";
    }
    streams.sanitized(&text).into_owned()
}

/// ` · revision 4, 2 h ago by ana@laptop`, and what came of it where that is not good.
fn about(revision: &Revision, now: Timestamp) -> String {
    let age =
        revision.created.map_or_else(String::new, |created| format!(", {} ago", phrase::age(created, now)));
    let outcome = match revision.result {
        RevisionResult::Good => String::new(),
        other => format!(" ({})", other.word()),
    };
    format!(" · revision {}{outcome}{age} by {}", revision.number, revision.by)
}

fn lines(seen: &StatusReport) -> Vec<String> {
    let mut lines = Vec::new();
    for component in &seen.health.components {
        let digest =
            component.digest.as_deref().map(|digest| format!(" ({})", digest.get(..19).unwrap_or(digest)));
        lines.push(format!(
            "{:<9}  {}/{}   {}{}   {} restarts",
            component.name,
            component.ready,
            component.desired,
            component.image,
            digest.unwrap_or_default(),
            component.restarts
        ));
    }
    for claim in &seen.health.claims {
        let size = claim.capacity.as_deref().unwrap_or("size unknown");
        let class = claim.class.as_deref().unwrap_or("no class");
        lines.push(format!("{:<9}  {}  {size}  {class}  {}", "volume", claim.id.name, claim.message));
    }
    for endpoints in &seen.health.endpoints {
        lines.push(format!(
            "{:<9}  service/{}  {}/{} pods{}",
            "endpoint",
            endpoints.service,
            endpoints.ready,
            endpoints.all,
            alive(seen)
        ));
    }
    let (known, unknown): (Vec<&Metric>, Vec<&Metric>) =
        seen.gauges.iter().partition(|gauge| !matches!(gauge.reading, Reading::Unknown(_)));
    let words = |gauge: &&Metric| format!("{} {}", gauge.name, gauge.value());
    if !known.is_empty() {
        lines.push(format!("{:<9}  {}", "measured", known.iter().map(words).collect::<Vec<_>>().join(", ")));
    }
    if !unknown.is_empty() {
        let words = |gauge: &&Metric| format!("{} ({})", gauge.name, gauge.value());
        let list = unknown.iter().map(words).collect::<Vec<_>>().join(", ");
        lines.push(format!("{:<9}  {list}", "unmeasured"));
    }
    if seen.simulated {
        lines.push("simulated  nodes are simulated: every object is real, no container runs".to_owned());
    }
    if !seen.unknown.is_empty() {
        lines.push(format!(
            "{:<9}  {} may not be read: what they would show is not in this verdict",
            "unknown",
            seen.unknown.join(", ")
        ));
    }
    lines
}

fn alive(seen: &StatusReport) -> String {
    match &seen.alive {
        Some(ProbeResult::Alive { status, took }) => format!("   /alive {status} in {} ms", took.as_millis()),
        Some(ProbeResult::Unreachable(why)) => format!("   /alive does not answer: {why}"),
        Some(ProbeResult::Forbidden(why)) => format!("   /alive not asked: {why}"),
        None => String::new(),
    }
}

fn gauge(gauge: &Metric) -> Value {
    let (figure, unit, why) = match &gauge.reading {
        Reading::Percent(percent) => (json!(percent), "percent", None),
        Reading::Milliseconds(took) => (json!(took), "milliseconds", None),
        Reading::Unknown(why) => (Value::Null, "unknown", Some(why)),
    };
    json!({ "name": gauge.name, "value": figure, "unit": unit, "why": why, "bad": gauge.is_bad() })
}

fn value(session: &Session, seen: &StatusReport) -> Value {
    let deploy = &session.settings.deploy;
    let (word, reasons) = verdict_words(&seen.health.verdict);
    let components: Vec<Value> = seen
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
    let volumes: Vec<Value> = seen
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
    let endpoints: Vec<Value> = seen
        .health
        .endpoints
        .iter()
        .map(|endpoints| json!({ "service": endpoints.service, "ready": endpoints.ready, "all": endpoints.all }))
        .collect();
    let findings: Vec<Value> = seen
        .findings
        .iter()
        .map(|finding| {
            json!({
                "id": finding.id.code(), "title": finding.id.title(), "object": finding.object.to_string(),
                "container": finding.container, "message": finding.message, "evidence": finding.evidence, "log": finding.log,
            })
        })
        .collect();
    let alive = match &seen.alive {
        Some(ProbeResult::Alive { took, .. }) => json!({ "answers": true, "milliseconds": took.as_millis() }),
        Some(ProbeResult::Unreachable(why)) => json!({ "answers": false, "why": why }),
        Some(ProbeResult::Forbidden(why)) => json!({ "answers": null, "why": why }),
        None => Value::Null,
    };
    json!({
        "verdict": word, "reasons": reasons, "name": deploy.name.as_str(), "namespace": deploy.namespace.as_str(),
        "context": session.connection.choice.context, "simulated": seen.simulated, "components": components,
        "revision": seen.revision.as_ref().map(|revision| json!({
            "number": revision.number, "result": revision.result.word(), "by": revision.by,
            "created": revision.created.map(|created| created.to_string()),
        })),
        "gauges": seen.gauges.iter().map(gauge).collect::<Vec<_>>(),
        "volumes": volumes, "endpoints": endpoints, "alive": alive, "findings": findings, "unknown": seen.unknown,
    })
}
