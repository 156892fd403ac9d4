//! Reads the cluster, probes and measures the application, and compares the set with its record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::assess::{self, Assessment, SetView};
use super::{routes, thresholds};
use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::conversation_count::{self, ConversationCount};
use crate::cluster::app::probe::{self, ProbeResult};
use crate::cluster::app::sandbox_objects::{self, OtherApplications};
use crate::cluster::app::{sandbox_pods, server_version, volume_usage};
use crate::cluster::rollout::follow;
use crate::cluster::watch::deployed::{self, DeployedMembers};
use crate::cluster::watch::observed_set;
use crate::cluster::watch::watcher::Watches;
use crate::deploy::{replaced_images, rollout, verify};
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::{DEPLOYMENT, INGRESS, SECRET};
use crate::phrase;
use crate::plan::inventory::app_keys::AppKeys;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::first_deploy::DeployProgress;
use crate::plan::inventory::revision::{ForeignRevision, Revision};
use crate::plan::ownership::policy::Ownership;
use crate::session::cluster_session::Session;
use crate::session::exposure::{self, Exposure};
use crate::session::{hidden_keys, local_state, set_lock};
use crate::settings::edition::{Configuration, Edition};
use crate::settings::handsctl::{Expose, Profile, Provider};
use crate::status::{
    self, Expected, Finding, Health, HealthVerdict, Metric, SandboxCleanup, SandboxHealth, VolumeUsage,
    evaluate,
};

/// The state of the set, as `status` prints it.
pub(in crate::commands) struct StatusReport {
    pub(in crate::commands) health: Health,
    pub(in crate::commands) findings: Vec<Finding>,
    /// Facts that do not change the verdict.
    pub(in crate::commands) notes: Vec<Finding>,
    /// The manager that applied the set, if it is not handsctl.
    pub(super) installer: Option<String>,
    /// The holder of the set's lock, with the time since when: `ana@laptop, process 12, for 3 s`.
    pub(super) running: Option<String>,
    /// The members of which nothing tells whether they work.
    pub(super) unwatched: Vec<ObjectId>,
    /// Plurals of the kinds that the account may not read.
    pub(super) unknown: BTreeSet<&'static str>,
    pub(super) simulated: bool,
    /// Whether `up` deploys to this cluster: the local one of the configuration.
    pub(super) is_own_cluster: bool,
    /// The sandboxes of conversations; None if the account may not list their pods.
    pub(super) sandboxes: Option<SandboxHealth>,
    /// The newest revision; None if there is none, or if the account may not read it.
    pub(in crate::commands) revision: Option<Revision>,
    /// What to run next if no deploy has succeeded yet.
    pub(super) unfinished: Option<Vec<String>>,
    /// The result of probing `/alive`; None if it was not probed.
    pub(super) alive: Option<ProbeResult>,
    /// The metrics of a running application; empty if no container runs.
    pub(super) metrics: Vec<Metric>,
    /// How full the application's volumes are, by the name of the claim; without those that nobody measures.
    pub(super) volumes: BTreeMap<String, VolumeUsage>,
    /// The version of agent-server, as it reports it; None for another application.
    pub(super) server_version: Option<String>,
    /// The conversations of an application that runs them in its own pod, or why it did not tell their number; None for
    /// another application, or without its key.
    pub(super) conversations: Option<Result<ConversationCount, String>>,
    /// The URL of a running application.
    pub(super) url: Option<ServedUrl>,
    /// The running watches of the set's objects: they report the next change.
    pub(super) watches: Watches,
}

impl StatusReport {
    /// Changes the hints of all findings and notes.
    pub(super) fn map_hints(&mut self, map: impl Fn(&str) -> String) {
        for finding in self.findings.iter_mut().chain(&mut self.notes) {
            *finding = finding.map_hints(&map);
        }
    }
}

/// What is asked of a running application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probing {
    /// Whether it answers, at its URL too, and its metrics.
    Measured,
    /// Whether it answers: nothing tells the limits, thresholds and URL of an installation that the configuration does not
    /// describe.
    AnswerOnly,
}

/// Reads the state of the set.
///
/// # Errors
/// Exit 6 if the account may not read Deployments and none is known; exit 4 if the server is unreachable.
pub(super) async fn read_status(session: &Session, probing: Probing) -> Result<StatusReport> {
    let api = &session.connection.api;
    let set = session.set();
    let (version, record, sandboxes) =
        tokio::join!(session.server_version(), deployed::read_record(api, &set), read_sandboxes(session));
    // The error of the version request comes first, because it explains a failed connection.
    let streaming = version?.streams_lists();
    let mut record = record?;
    record.lease = record.lease.filter(|lease| !set_lock::is_abandoned(lease));
    let sandboxes = sandboxes?;
    let mut deployed = deployed::open(api, &set, &record, streaming).await?;
    let now = api.clock().now();
    let missing = assess::missing(&deployed.set, &record, &deployed, now);
    let routes = async {
        if session.accepts_exposure() {
            return Ok(None);
        }
        deployed::list_routes(api, &deployed.set).await.map(Some)
    };
    let (unlabelled, routes) =
        tokio::try_join!(deployed::read_by_name(api, &deployed.set, &missing), routes)?;
    let ownership = Ownership::new(&session.settings.deploy.ownership, false, false);
    let view = SetView::new(&record, &deployed, &unlabelled, &ownership, routes.as_deref(), now);
    let expected = view.without_pruned(observed_set::expected_unchanged(&deployed.observed.members));
    let extras = view.extras(&expected);
    let mut health = status::health(&deployed.observed.state, &expected, &extras);
    if health.verdict == HealthVerdict::Absent && deployed.unknown.contains(DEPLOYMENT.plural) {
        return Err(status_unknown(session));
    }
    let is_unknown_name = health.verdict == HealthVerdict::Absent && record.parent.is_none();
    let sandboxes =
        if is_unknown_name { without_those_of_others(session, sandboxes).await? } else { sandboxes };
    // Those of another installation in the namespace are not of an edition without sandboxes.
    let sandboxes = if edition_of(session, &deployed).has_sandbox_pods() {
        sandboxes
    } else {
        Some(SandboxHealth::default())
    };
    let has_keys = edition_of(session, &deployed).has_keys();
    let keys = if has_keys { hidden_keys::read_and_hide(session).await? } else { None };
    let mut findings = Vec::new();
    if health.verdict != HealthVerdict::Healthy {
        (health, findings) = find_causes(session, &mut deployed, &expected, &extras).await?;
    }
    let view = SetView::new(&record, &deployed, &unlabelled, &ownership, routes.as_deref(), now);
    let (app, replaced, route_notes) = tokio::join!(
        read_app_status(session, &deployed, &health, probing, keys.as_ref()),
        replaced_images::observed(session, &deployed.observed.state),
        routes::notes(session, &deployed.observed.members)
    );
    let mut assessment = view.assess(&expected);
    assessment.notes.extend(route_notes);
    let images = replaced.iter().map(|image| status::replaced_image_finding(image, &set.namespace));
    assessment.notes.extend(images);
    assessment.notes.extend(record.foreign_revisions.iter().map(|foreign| foreign_revision(foreign, &set)));
    if health.verdict != HealthVerdict::Absent {
        assessment.add_stuck_conversations(sandboxes.as_ref());
    }
    health.verdict = verdict(&view, health.verdict, &assessment);
    let running = record.lease.as_ref().filter(|_| view.is_running()).map(|lease| {
        let since = lease.since.map(|since| format!(", for {}", phrase::age(since, now)));
        format!("{}{}", lease.holder(), since.unwrap_or_default())
    });
    let unwatched = view.unwatched();
    let unfinished =
        view.deploy_progress().filter(|progress| matches!(progress, DeployProgress::Unfinished(_)));
    let unfinished = unfinished.map(DeployProgress::next_commands);
    let findings = view.with_held_claims(findings);
    let (mut findings, notes) = with_commands(findings, assessment);
    let AppStatus { simulated, alive, metrics, volumes, beside, server_version, conversations, url } = app;
    if let Some((path, ProbeResult::Unreachable(why))) = &beside {
        findings.push(status::automation_down(&set.namespace, &set.name, path, why));
        let reason = "the automation does not answer".to_owned();
        health.verdict = health.verdict.degraded_by(vec![reason]);
    }
    let revision = record.revisions.and_then(|mut revisions| revisions.pop());
    let DeployedMembers { installer, unknown, observed, .. } = deployed;
    Ok(StatusReport {
        health,
        findings,
        notes,
        installer,
        running,
        unwatched,
        unknown,
        simulated,
        is_own_cluster: is_own_cluster(session),
        sandboxes,
        revision,
        unfinished,
        alive,
        metrics,
        volumes,
        server_version,
        conversations,
        url,
        watches: observed.watches,
    })
}

/// Reads the sandboxes; None if the account may not list their pods.
async fn read_sandboxes(session: &Session) -> Result<Option<SandboxHealth>> {
    let api = &session.connection.api;
    let namespace = session.settings.runtime_namespace();
    // The pods are listed last: the application creates a sandbox's pod before its Services.
    let services = sandbox_pods::list_services(api, namespace).await?.unwrap_or_default();
    let pods = sandbox_pods::list(api, namespace).await?;
    let cleanup = sandbox_cleanup(session);
    Ok(pods.map(|pods| status::sandbox_health(&pods, &services, namespace, cleanup)))
}

/// Returns the sandboxes for an installation of which nothing exists: none, if those of the namespace can be of another one.
async fn without_those_of_others(
    session: &Session,
    sandboxes: Option<SandboxHealth>,
) -> Result<Option<SandboxHealth>> {
    if sandboxes.as_ref().and_then(SandboxHealth::counts).is_none() {
        return Ok(sandboxes);
    }
    let (namespace, own) = (session.settings.runtime_namespace(), session.settings.deploy.name.as_str());
    let others = sandbox_objects::other_applications(&session.connection.api, namespace, own).await?;
    let are_of_others = matches!(others, OtherApplications::Named(_));
    Ok(if are_of_others { Some(SandboxHealth::default()) } else { sandboxes })
}

/// Returns what deletes ended sandboxes: `up` for the local cluster that the configuration names, `sandbox gc` for others.
fn sandbox_cleanup(session: &Session) -> SandboxCleanup {
    if is_own_cluster(session) { SandboxCleanup::Up } else { SandboxCleanup::Gc }
}

/// Returns whether `up` brings the session's cluster up.
fn is_own_cluster(session: &Session) -> bool {
    let cluster = &session.settings.cluster;
    local_state::is_own(&session.connection.choice.context, cluster, &session.environment)
        && cluster.provider != Provider::Existing
}

/// Returns the note about a Secret that only looks like a revision.
fn foreign_revision(foreign: &ForeignRevision, set: &ApplySet) -> Finding {
    let message = format!("it is not a revision of the installation and is ignored: {}", foreign.reason);
    Finding::new(Id::ForeignRevision, SECRET.id(&set.namespace, &foreign.name), message)
        .hint(foreign.remedy(set))
}

/// Evaluates a set that is not healthy: with the Events of the past, and with evidence from logs and nodes.
async fn find_causes(
    session: &Session,
    deployed: &mut DeployedMembers,
    expected: &[Expected],
    extras: &BTreeSet<ObjectId>,
) -> Result<(Health, Vec<Finding>)> {
    let api = &session.connection.api;
    let observed = &mut deployed.observed;
    let unread = observed.load_past_events(api, &deployed.set).await?;
    let health = status::health(&observed.state, expected, extras);
    let grace = rollout::grace_periods(&session.settings, Timestamp::UNIX_EPOCH);
    let evaluation = evaluate(&observed.state, expected, &grace, api.clock().now());
    // No run waits for faults that may heal: they are what keeps the set from being healthy now.
    let mut findings = evaluation.findings;
    findings.extend(evaluation.symptoms);
    follow::collect_evidence(api, Some(&session.settings), &mut findings).await;
    if let Some(first) = findings.first_mut() {
        first.evidence.extend(unread.iter().map(Error::with_causes));
    }
    Ok((health, findings))
}

/// Adds the reasons of the comparison to the verdict of the observed objects.
fn verdict(view: &SetView<'_>, verdict: HealthVerdict, assessment: &Assessment) -> HealthVerdict {
    let verdict = match verdict {
        HealthVerdict::Absent if view.names_application() => HealthVerdict::Down(vec![view.absence_reason()]),
        // The namespace may still exist when nothing else does.
        HealthVerdict::Absent if !assessment.reasons.is_empty() => HealthVerdict::Down(Vec::new()),
        verdict => verdict,
    };
    verdict.degraded_by(assessment.reasons.clone())
}

/// Adds the next commands. A note about an object that has the same finding already is left out.
fn with_commands(findings: Vec<Finding>, assessment: Assessment) -> (Vec<Finding>, Vec<Finding>) {
    let mut all = findings;
    let is_new = |known: &[Finding], finding: &Finding| {
        !known.iter().any(|other| other.id == finding.id && other.object == finding.object)
    };
    for finding in assessment.findings {
        if is_new(&all, &finding) {
            all.push(finding);
        }
    }
    let notes = assessment.notes.into_iter().filter(|note| is_new(&all, note)).collect::<Vec<_>>();
    let with_commands =
        |findings: Vec<Finding>| findings.into_iter().map(status::with_next_command).collect();
    (with_commands(all), with_commands(notes))
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

/// The URL that the live objects serve.
pub(super) struct ServedUrl {
    pub(super) url: String,
    /// The URL after the next deploy, if the configuration has another one.
    pub(super) configured: Option<String>,
}

/// The answers of the running application.
#[derive(Default)]
struct AppStatus {
    simulated: bool,
    alive: Option<ProbeResult>,
    metrics: Vec<Metric>,
    volumes: BTreeMap<String, VolumeUsage>,
    /// The part that can be down alone: its path, and the result of probing it.
    beside: Option<(&'static str, ProbeResult)>,
    server_version: Option<String>,
    conversations: Option<Result<ConversationCount, String>>,
    url: Option<ServedUrl>,
}

fn edition_of(session: &Session, deployed: &DeployedMembers) -> &'static Edition {
    verify::edition_of(&session.settings, |id| deployed.observed.members.get(id))
}

async fn read_app_status(
    session: &Session,
    deployed: &DeployedMembers,
    health: &Health,
    probing: Probing,
    keys: Option<&AppKeys>,
) -> AppStatus {
    let api = &session.connection.api;
    let observed = &deployed.observed;
    let pods = observed.ready_pods(&session.set());
    let Some(pod) = pods.first() else { return AppStatus::default() };
    if probe::is_simulated(api, pod).await {
        return AppStatus { simulated: true, ..AppStatus::default() };
    }
    if session.settings.deploy.profile == Profile::Dev {
        return AppStatus::default();
    }
    let deploy = &session.settings.deploy;
    let edition = edition_of(session, deployed);
    let application = AppClient::new(deploy, pod.metadata.name.clone(), edition);
    // A slower answer would exceed the latency threshold anyway.
    let timeout = Duration::from_secs(deploy.thresholds.latency.as_secs());
    let usage = async {
        let (node, name) = (pod.spec.as_ref()?.node_name.as_deref()?, pod.metadata.name.as_deref()?);
        let usage = volume_usage::get_volume_usage(api, node, deploy.namespace.as_str(), name);
        tokio::time::timeout(timeout, usage).await.ok()?
    };
    let conversations = async {
        let counting = conversation_count::get(api, &application, keys?.api());
        let counted = tokio::time::timeout(timeout, counting).await;
        Some(counted.unwrap_or_else(|_| Err(format!("no answer within {}", phrase::span(timeout)))))
    };
    let path = edition.probes.liveness;
    let beside = async {
        let path = edition.beside?;
        Some((path, probe::probe_within(api, &application, path, timeout).await))
    };
    let server_version = async {
        let tells_it = edition.configuration == Configuration::Api && probing != Probing::AnswerOnly;
        let asking = server_version::get(api, &application);
        if tells_it { tokio::time::timeout(timeout, asking).await.ok()? } else { None }
    };
    let (alive, volumes, beside, server_version, conversations) = tokio::join!(
        probe::probe_within(api, &application, path, timeout),
        usage,
        beside,
        server_version,
        conversations
    );
    let volumes = volumes.unwrap_or_default();
    if probing == Probing::AnswerOnly {
        return AppStatus { alive: Some(alive), volumes, beside, conversations, ..AppStatus::default() };
    }
    let proxies = &session.environment.proxies;
    let ingress = observed.members.get(&INGRESS.id(deploy.namespace.as_str(), deploy.name.as_str()));
    let exposure = if lacks_ingress(deploy.expose, ingress, &deployed.unknown) {
        Exposure::ClusterOnly
    } else {
        exposure::for_live(ingress, &session.settings, edition, session.local, proxies)
    };
    let configured = exposure::for_settings(&session.settings, edition, session.local, proxies);
    let metrics = thresholds::measure(session, health, &application, &exposure, &alive, &volumes).await;
    AppStatus {
        simulated: false,
        alive: Some(alive),
        metrics,
        volumes,
        beside,
        server_version,
        conversations,
        url: served_url(exposure, configured),
    }
}

/// Returns whether no URL of the configuration is served, because the Ingress does not exist. One that the account may not
/// read may exist.
fn lacks_ingress(expose: Expose, ingress: Option<&Value>, unknown: &BTreeSet<&'static str>) -> bool {
    expose == Expose::Ingress && ingress.is_none() && !unknown.contains(INGRESS.plural)
}

fn served_url(live: Exposure, configured: Exposure) -> Option<ServedUrl> {
    let url = |exposure| match exposure {
        Exposure::Url { target, .. } => Some(target.url),
        Exposure::ClusterOnly => None,
    };
    let served = url(live)?;
    let configured = url(configured).filter(|configured| *configured != served);
    Some(ServedUrl { url: served, configured })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_an_absent_ingress_is_not_served() {
        let unread = BTreeSet::from([INGRESS.plural]);
        let ingress = Value::Null;
        for (expose, ingress, unknown, lacks) in [
            (Expose::Ingress, None, &BTreeSet::new(), true),
            (Expose::Ingress, Some(&ingress), &BTreeSet::new(), false),
            (Expose::Ingress, None, &unread, false),
            (Expose::Route, None, &BTreeSet::new(), false),
        ] {
            assert_eq!(lacks_ingress(expose, ingress, unknown), lacks, "{expose:?} {ingress:?}");
        }
    }
}
