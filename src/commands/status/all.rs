//! `status -A`: the verdict of every installation of the cluster.

use futures::StreamExt as _;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::judge::{exit_code, judged};
use super::print::{self, describe_verdict};
use super::read::{Probing, StatusReport, read_status};
use crate::cluster::installations;
use crate::error::{Error, Result};
use crate::event::Finished;
use crate::phrase;
use crate::plan::inventory::installation::Installation;
use crate::report::{Streams, table};
use crate::session::cluster_session::Session;
use crate::settings::format::DnsLabel;

/// How many installations are read at a time: each needs about as many requests as it has kinds.
const AT_A_TIME: usize = 8;

/// An installation with its status, or with the reason why it is unknown.
pub(super) struct JudgedInstallation {
    installation: Installation,
    status: Result<StatusReport>,
}

/// Reads the status of each installation in all namespaces, sorted by namespace and name.
///
/// # Errors
/// Exit 6 if the account may not list them; exit 4 if the server is unreachable.
pub(super) async fn read(session: &Session) -> Result<Vec<JudgedInstallation>> {
    session.server_version().await?;
    let found = installations::list(&session.connection.api, None).await?;
    let reads = found.into_iter().map(async |installation| {
        let status = read_one(session, &installation).await;
        JudgedInstallation { installation, status }
    });
    Ok(futures::stream::iter(reads).buffered(AT_A_TIME).collect().await)
}

async fn read_one(session: &Session, installation: &Installation) -> Result<StatusReport> {
    let label = |text: &str| {
        DnsLabel::parse(text).map_err(|_| Error::internal(format!("`{text}` is not the name of an object")))
    };
    let session = session.for_installation(label(&installation.name)?, label(&installation.namespace)?);
    read_status(&session, Probing::AnswerOnly).await.map(judged)
}

/// Returns the exit code and the sentence of the worst verdict. An unknown one counts only if all are: what the account
/// may not read says nothing about the rest. Without an installation it is that of `not deployed`.
pub(super) fn finished(judged: &[JudgedInstallation]) -> Finished {
    let known: Vec<u8> = judged
        .iter()
        .filter_map(|one| one.status.as_ref().ok())
        .map(|report| exit_code(&report.health.verdict))
        .collect();
    let unknown =
        judged.iter().filter_map(|one| one.status.as_ref().err()).map(|error| error.kind().exit_code());
    let worst = known.iter().copied().max().or_else(|| unknown.max());
    let is_healthy = |exit: &&u8| **exit == 0;
    let healthy = known.iter().filter(is_healthy).count();
    let message = format!("{} of {} healthy", healthy, phrase::count(judged.len(), "installation"));
    Finished {
        exit: worst.unwrap_or_else(|| exit_code(&crate::status::HealthVerdict::Absent)),
        message,
        ..Finished::default()
    }
}

/// Returns the table of all installations, and below it the reasons of those that are not healthy.
pub(super) fn text(judged: &[JudgedInstallation], now: Timestamp, streams: &Streams) -> String {
    let headers = ["namespace", "name", "verdict", "ready", "restarts", "revision", "age", "image"];
    let rows: Vec<Vec<String>> = judged.iter().map(|one| row(one, now)).collect();
    let mut text = table(&headers, &rows, streams.width());
    let reasons = judged.iter().filter_map(|one| Some((one, reasons(one)?)));
    for (index, (one, reasons)) in reasons.enumerate() {
        let (namespace, name) = (&one.installation.namespace, &one.installation.name);
        let line = format!("{namespace}/{name}  {}: {}", verdict(one), reasons.join(", "));
        text += if index == 0 { "\n" } else { "" };
        text += &streams.wrapped_row(&line, 2);
        text += &format!("\n  handsctl status -n {namespace} --name {name}\n");
    }
    streams.sanitized(&text).into_owned()
}

fn verdict(one: &JudgedInstallation) -> &'static str {
    one.status.as_ref().map_or("unknown", |report| describe_verdict(&report.health.verdict).0)
}

fn simulated_text(one: &JudgedInstallation) -> &'static str {
    one.status.as_ref().map_or("", print::simulated_text)
}

/// Returns why an installation is not healthy, or unknown.
fn reasons(one: &JudgedInstallation) -> Option<Vec<String>> {
    let reasons = match &one.status {
        Ok(report) => describe_verdict(&report.health.verdict).1.to_vec(),
        Err(error) => vec![error.with_causes()],
    };
    (!reasons.is_empty()).then_some(reasons)
}

/// The sums over an installation's workloads; None if its status is unknown.
struct Totals {
    ready: u32,
    desired: u32,
    restarts: u32,
}

fn totals(one: &JudgedInstallation) -> Option<Totals> {
    let components = &one.status.as_ref().ok()?.health.components;
    let sum = |count: fn(&crate::status::ComponentHealth) -> u32| components.iter().map(count).sum();
    Some(Totals {
        ready: sum(|component| component.ready),
        desired: sum(|component| component.desired),
        restarts: sum(|component| component.restarts),
    })
}

fn row(one: &JudgedInstallation, now: Timestamp) -> Vec<String> {
    let Installation { namespace, name, workload, .. } = &one.installation;
    let totals = totals(one);
    let revision = one.status.as_ref().ok().and_then(|report| report.revision.as_ref());
    let created = revision.and_then(|revision| revision.created);
    vec![
        namespace.clone(),
        name.clone(),
        format!("{}{}", verdict(one), simulated_text(one)),
        totals.as_ref().map(|totals| format!("{}/{}", totals.ready, totals.desired)).unwrap_or_default(),
        totals.map(|totals| totals.restarts.to_string()).unwrap_or_default(),
        revision.map(|revision| revision.number.to_string()).unwrap_or_default(),
        created.map(|created| phrase::age(created, now)).unwrap_or_default(),
        workload.as_ref().map(|workload| workload.image.clone()).unwrap_or_default(),
    ]
}

/// An item of the result of `status -A`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InstallationStatus<'a> {
    namespace: &'a str,
    name: &'a str,
    /// `healthy`, `degraded`, `down`, `not deployed`, or `unknown` if the account may not read it.
    verdict: &'static str,
    reasons: Vec<String>,
    /// Whether the nodes are simulated: every object is real, no container runs. null if the status is unknown.
    simulated: Option<bool>,
    /// The number of ready pods; null if the status is unknown.
    ready: Option<u32>,
    desired: Option<u32>,
    restarts: Option<u32>,
    /// The application's image; null without a Deployment.
    image: Option<&'a str>,
    /// The number of the newest revision; null if there is none, or if the account may not read it.
    revision: Option<u64>,
    /// When that revision was deployed.
    deployed: Option<String>,
    /// The ids of the findings.
    findings: Vec<&'static str>,
}

/// Returns an installation for programs.
pub(super) fn value(one: &JudgedInstallation) -> InstallationStatus<'_> {
    let totals = totals(one);
    let report = one.status.as_ref().ok();
    let revision = report.and_then(|report| report.revision.as_ref());
    let Installation { namespace, name, workload, .. } = &one.installation;
    InstallationStatus {
        namespace,
        name,
        verdict: verdict(one),
        reasons: reasons(one).unwrap_or_default(),
        simulated: report.map(|report| report.simulated),
        ready: totals.as_ref().map(|totals| totals.ready),
        desired: totals.as_ref().map(|totals| totals.desired),
        restarts: totals.as_ref().map(|totals| totals.restarts),
        image: workload.as_ref().map(|workload| workload.image.as_str()),
        revision: revision.map(|revision| revision.number),
        deployed: revision.and_then(|revision| revision.created).map(|created| created.to_string()),
        findings: report
            .into_iter()
            .flat_map(|report| &report.findings)
            .map(|finding| finding.id.code())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;

    fn unknown(name: &str) -> JudgedInstallation {
        let installation = Installation {
            namespace: "team-a".to_owned(),
            name: name.to_owned(),
            tooling: String::new(),
            created: None,
            workload: None,
        };
        let error = Error::new(Id::Forbidden, Kind::Forbidden, "cannot list pods in namespace team-a");
        JudgedInstallation { installation, status: Err(error) }
    }

    #[test]
    fn unread_installations_are_unknown_and_none_is_not_deployed() {
        let judged = [unknown("one"), unknown("other")];
        assert_eq!((finished(&judged).exit, finished(&[]).exit), (6, 12));
        assert_eq!(finished(&judged).message, "0 of 2 installations healthy");
        let value = serde_json::to_value(value(&judged[0])).unwrap();
        assert_eq!((&value["verdict"], &value["ready"]), (&"unknown".into(), &serde_json::Value::Null));
        assert_eq!(value["reasons"][0], "cannot list pods in namespace team-a");
    }
}
