//! The state of the set as text.

use std::fmt::Display;

use jiff::Timestamp;

use super::judge::drifted_fields;
use super::read::StatusReport;
use crate::cluster::app::conversation_count::ConversationCount;
use crate::cluster::app::probe::ProbeResult;
use crate::diagnostic::Severity;
use crate::phrase;
use crate::plan::inventory::provenance::Provenance;
use crate::plan::inventory::revision::{Revision, RevisionResult};
use crate::report::{Streams, sparkline};
use crate::session::cluster_session::Session;
use crate::status::{
    ComponentHealth, HealthVerdict, Metric, MetricHistory, Reading, SandboxHealth, Threshold,
};

/// The column at which the text after a label begins.
const LABELLED: usize = 13;

/// Returns the verdict in one word or two, and its reasons.
pub(super) fn describe_verdict(verdict: &HealthVerdict) -> (&'static str, &[String]) {
    match verdict {
        HealthVerdict::Healthy => ("healthy", &[]),
        HealthVerdict::Degraded(reasons) => ("degraded", reasons),
        HealthVerdict::Down(reasons) => ("down", reasons),
        HealthVerdict::Absent => ("not deployed", &[]),
    }
}

/// Returns the verdict with its reasons: `degraded: app 0/1, memory 91 %, more than 85 %`.
pub(super) fn verdict_text(verdict: &HealthVerdict) -> String {
    match describe_verdict(verdict) {
        (word, []) => word.to_owned(),
        (word, reasons) => format!("{word}: {}", reasons.join(", ")),
    }
}

/// Returns what follows the verdict if no container runs: every other verdict has reasons, which say more.
pub(super) fn simulated_text(report: &StatusReport) -> &'static str {
    let is_simulation = report.simulated && report.health.verdict == HealthVerdict::Healthy;
    if is_simulation { " (simulated)" } else { "" }
}

/// Returns the report as text. `history` are the readings of the metrics until now, if they were read before.
pub(super) fn text(
    session: &Session,
    report: &StatusReport,
    history: &MetricHistory,
    streams: &Streams,
) -> String {
    let deploy = &session.settings.deploy;
    let target = format!("{} / {}", session.connection.choice.context, deploy.namespace);
    let now = session.connection.api.clock().now();
    let revision = report.revision.as_ref().map_or_else(String::new, |revision| revision_text(revision, now));
    let simulated = simulated_text(report);
    let verdict = verdict_text(&report.health.verdict);
    let verdict = format!("{}  {verdict}{simulated}   {target}{revision}", deploy.name);
    let mut text = streams.wrapped_row(&verdict, 2) + "\n";
    for line in lines(session, report, history, now) {
        text += &streams.wrapped_row(&format!("  {line}"), LABELLED);
        text.push('\n');
    }
    if let Some(command) = next_command(report) {
        text += &format!("  {command}\n");
    }
    for finding in &report.findings {
        text += &format!("\n{}", streams.finding(finding, Severity::Error));
    }
    for note in &report.notes {
        text += &format!("\n{}", streams.finding(note, Severity::Warning));
    }
    streams.sanitized(&text).into_owned()
}

/// Returns the next command of a set without a finding, whose findings would have one.
pub(super) fn next_command(report: &StatusReport) -> Option<String> {
    let has_application = !report.health.components.is_empty();
    if let Some(commands) =
        report.unfinished.as_ref().filter(|_| !has_application && report.running.is_none())
    {
        return Some(commands.join("; "));
    }
    let command = match report.health.verdict {
        HealthVerdict::Absent if report.running.is_some() => "handsctl status shows it once it is deployed",
        // `up` has the images of this computer loaded before the pod needs them.
        HealthVerdict::Absent if report.is_own_cluster => "handsctl up creates it",
        HealthVerdict::Absent => "handsctl deploy creates it",
        // There is no Deployment to restart, and no pod with a log.
        HealthVerdict::Down(_) if report.findings.is_empty() && report.health.components.is_empty() => {
            "handsctl deploy creates it again; handsctl history shows what was deployed"
        }
        HealthVerdict::Down(_) if report.findings.is_empty() => {
            "handsctl status -w shows each change; handsctl logs shows what it says"
        }
        // The application answers; its log says nothing about the way to it.
        HealthVerdict::Degraded(_) if report.findings.is_empty() && is_only_ingress_exceeded(report) => {
            "handsctl open tells why the URL does not answer"
        }
        HealthVerdict::Degraded(_) if report.findings.is_empty() => "handsctl logs shows what it says",
        _ => return None,
    };
    Some(command.to_owned())
}

fn is_only_ingress_exceeded(report: &StatusReport) -> bool {
    let exceeded: Vec<&str> =
        report.metrics.iter().filter(|metric| metric.is_exceeded()).map(|metric| metric.name).collect();
    exceeded == ["ingress"]
}

/// Returns the rows of the report for the summary of a GitHub workflow's step.
pub(super) fn rows(report: &StatusReport, exit: u8) -> Vec<(String, String)> {
    let (word, reasons) = describe_verdict(&report.health.verdict);
    let mut rows = vec![
        ("verdict".to_owned(), format!("{word} (exit {exit})")),
        ("reasons".to_owned(), reasons.join(", ")),
    ];
    rows.extend(report.revision.iter().map(|revision| {
        let text = format!("{} ({}) by {}", revision.number, revision.result.as_str(), revision.author());
        ("revision".to_owned(), text)
    }));
    rows.extend(report.health.components.iter().map(|component| {
        (component.name.clone(), format!("{}, image {}", component.message, component.image))
    }));
    for finding in report.findings.iter().chain(&report.notes) {
        let text = format!("{}: {}: {}", finding.object, finding.id.title(), finding.message);
        rows.push((finding.id.code().to_owned(), text));
        rows.extend(finding.hints.iter().map(|hint| ("next".to_owned(), hint.clone())));
    }
    rows.extend(next_command(report).map(|command| ("next".to_owned(), command)));
    rows
}

fn joined(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// Returns ` · revision 4, 2 h ago by octocat, commit 1a2b3c4`, with the revision's result unless it is good.
fn revision_text(revision: &Revision, now: Timestamp) -> String {
    let age =
        revision.created.map_or_else(String::new, |created| format!(", {} ago", phrase::age(created, now)));
    let result = match revision.result {
        RevisionResult::Good => String::new(),
        other => format!(" ({})", other.as_str()),
    };
    let commit = revision.provenance().and_then(Provenance::short_commit);
    let commit = commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
    format!(" · revision {}{result}{age} by {}{commit}", revision.number, revision.author())
}

/// Returns the line about the sandboxes; None if there is none.
fn sandboxes_line(session: &Session, sandboxes: Option<&SandboxHealth>) -> Option<String> {
    let Some(sandboxes) = sandboxes else {
        let namespace = session.settings.runtime_namespace();
        return Some(format!(
            "{:<9}  no right to list pods in namespace {namespace}: conversations whose sandbox ended are not found",
            "unknown"
        ));
    };
    let list = if sandboxes.waiting + sandboxes.ended.len() > 0 { "; handsctl sandbox list" } else { "" };
    sandboxes.counts().map(|counts| format!("{:<9}  {counts}{list}", "sandboxes"))
}

/// Returns `activity   3 conversations, 1 running`.
fn conversations_line(conversations: &Result<ConversationCount, String>) -> String {
    match conversations {
        Ok(ConversationCount { all, running }) => {
            format!("{:<9}  {}, {running} running", "activity", phrase::count(*all, "conversation"))
        }
        Err(why) => format!("{:<9}  conversations: {why}", "unknown"),
    }
}

/// Returns `drift      2 fields that others changed`.
fn drift_line(fields: usize) -> String {
    let text = match fields {
        0 => "none".to_owned(),
        fields => format!("{} that others changed since the deploy", phrase::count(fields, "field")),
    };
    format!("{:<9}  {text}", "drift")
}

/// Returns `2 restarts, last 3 m ago: exit code 1`.
fn restarts_text(component: &ComponentHealth, now: Timestamp) -> String {
    let count = phrase::count(component.restarts, "restart");
    match &component.last_exit {
        Some(end) => format!("{count}, last {} ago: {}", phrase::age(end.time, now), end.cause),
        None => count,
    }
}

fn lines(session: &Session, report: &StatusReport, history: &MetricHistory, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for component in &report.health.components {
        let digest =
            component.digest.as_deref().map(|digest| format!(" ({})", digest.get(..19).unwrap_or(digest)));
        lines.push(format!(
            "{:<9}  {}/{}   {}{}   {}{}",
            component.name,
            component.ready,
            component.desired,
            component.image,
            digest.unwrap_or_default(),
            restarts_text(component, now),
            component.created.map_or_else(String::new, |at| format!("   {} old", phrase::age(at, now)))
        ));
    }
    for claim in &report.health.claims {
        let size = claim.capacity.as_deref().unwrap_or("size unknown");
        let class = claim.class.as_deref().unwrap_or("no class");
        let usage = report.volumes.get(&claim.id.name).map_or_else(String::new, |usage| {
            format!("  {:.0} % used ({})", usage.percent(), phrase::size(usage.used))
        });
        lines.push(format!("{:<9}  {}  {size}  {class}  {}{usage}", "volume", claim.id.name, claim.message));
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
    if let Some(served) = &report.url {
        let differs = served.configured.as_ref().map(|configured| {
            format!("   config.toml has {configured}: handsctl diff shows it, handsctl deploy applies it")
        });
        lines.push(format!("{:<9}  {}{}", "url", served.url, differs.unwrap_or_default()));
    }
    let (measured, unmeasured): (Vec<&Metric>, Vec<&Metric>) =
        report.metrics.iter().partition(|metric| !matches!(metric.reading, Reading::Unknown(_)));
    if history.is_comparable() {
        lines.extend(measured.iter().map(|metric| gauge_line(metric, history)));
    } else if !measured.is_empty() {
        let value_text = |metric: &&Metric| format!("{} {}", metric.name, metric.value());
        let list = measured.iter().map(value_text).collect::<Vec<_>>().join(", ");
        lines.push(format!("{:<9}  {list}", "measured"));
    }
    if !unmeasured.is_empty() {
        lines.push(format!("{:<9}  {}", "unknown", unmeasured_text(&unmeasured)));
    }
    lines.extend(drifted_fields(report).map(drift_line));
    lines.extend(sandboxes_line(session, report.sandboxes.as_ref()));
    let server = report.server_version.as_ref();
    lines.extend(server.map(|version| format!("{:<9}  agent-server {version}", "server")));
    lines.extend(report.conversations.as_ref().map(conversations_line));
    if report.simulated {
        lines.push("simulated  every object is real, but OpenHands itself does not run".to_owned());
    }
    if let Some(holder) = &report.running {
        lines.push(format!("{:<9}  another run changes the installation: {holder}", "running"));
    }
    if let Some(manager) = &report.installer {
        lines.push(format!(
            "{:<9}  installed by {manager}; handsctl deploy --adopt makes it a member",
            "manager"
        ));
    }
    if !report.unwatched.is_empty() {
        lines.push(format!("{:<9}  {}: applied, not watched", "unwatched", joined(&report.unwatched)));
    }
    if !report.unknown.is_empty() {
        lines.push(format!(
            "{:<9}  no right to read {}: the verdict does not include them",
            "unknown",
            joined(&report.unknown)
        ));
    }
    lines
}

/// Returns a metric with its readings until now: `memory     91 %  ▂▃▅▇  memory 91 %, more than 85 %`.
fn gauge_line(metric: &Metric, history: &MetricHistory) -> String {
    let highest = history.of(metric.name).flatten().fold(0.0, f64::max);
    let top = match metric.threshold {
        Threshold::AtMost(_) | Threshold::AtLeast(_) => 100.0,
        Threshold::Within(_) => highest,
    };
    let bars = sparkline(history.of(metric.name), top);
    let reason = metric.reason().map_or_else(String::new, |reason| format!("  {reason}"));
    format!("{:<9}  {:>7}  {bars}{reason}", metric.name, metric.value())
}

/// Returns `cpu, memory: the cluster has no metrics API`, once for each reason.
fn unmeasured_text(metrics: &[&Metric]) -> String {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for metric in metrics {
        let reason = metric.value();
        match reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, names)) => names.push(metric.name),
            None => reasons.push((reason, vec![metric.name])),
        }
    }
    let texts = reasons.iter().map(|(reason, names)| format!("{}: {reason}", names.join(", ")));
    texts.collect::<Vec<_>>().join("; ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_that_two_metrics_share_is_said_once() {
        let unknown = |name, reason: &str| Metric {
            name,
            reading: Reading::Unknown(reason.to_owned()),
            threshold: Threshold::AtMost(80),
        };
        let (cpu, memory) = (unknown("cpu", "no metrics API"), unknown("memory", "no metrics API"));
        let disk = unknown("disk", "no right");
        assert_eq!(unmeasured_text(&[&cpu, &disk, &memory]), "cpu, memory: no metrics API; disk: no right");
    }
}
