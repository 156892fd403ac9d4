//! The part of `deploy` that asks the application whether it answers: through the API server, and where people reach it.

use std::time::Duration;

use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::probe::{self, ProbeResult};
use crate::cluster::app::url_probe::{self, ProbeResponse, ProbeTarget};
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Phase, Progress};
use crate::flags::Probe;
use crate::session::cluster_session::Session;
use crate::session::exposure::{self, Exposure};
use crate::settings::AppVersion;
use crate::settings::handsctl::Profile;

/// How long a door of our own may take to open: the controller has to notice the Ingress and its endpoints.
const OPENING: Duration = Duration::from_secs(20);

/// Where the application answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Nowhere: it is the pod of profile `dev`, in which nothing listens.
    DevTarget,
    /// Nowhere: its node is simulated.
    Simulated,
    /// At this URL.
    Answers(String),
    /// It should at this URL, and does not from this computer.
    Unreachable(String),
    /// It should at this URL, which was not asked.
    NotProbed(String),
    /// Inside the cluster only, or at an address that is not known.
    ClusterOnly,
}

impl Endpoint {
    /// The URL, where there is one.
    pub(crate) fn into_url(self) -> Option<String> {
        match self {
            Endpoint::Answers(url) | Endpoint::Unreachable(url) | Endpoint::NotProbed(url) => Some(url),
            Endpoint::DevTarget | Endpoint::Simulated | Endpoint::ClusterOnly => None,
        }
    }

    /// What the last line says.
    pub(crate) fn words(&self) -> String {
        match self {
            Endpoint::DevTarget => {
                "ubuntu-dev is ready; handsctl dev -- COMMAND runs a command of this computer as if in it"
                    .to_owned()
            }
            Endpoint::Simulated => {
                "deployed to simulated nodes: every object is real, no container runs".to_owned()
            }
            Endpoint::Answers(url) => format!("OpenHands is ready at {url}"),
            Endpoint::Unreachable(url) => {
                format!("OpenHands is ready; {url} does not answer from this computer")
            }
            Endpoint::NotProbed(url) => format!("OpenHands is ready; its URL {url} was not asked"),
            Endpoint::ClusterOnly => {
                "OpenHands is ready inside the cluster; handsctl open leads there from here".to_owned()
            }
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone)]
pub(crate) struct ProbedApp {
    pub(crate) place: Endpoint,
    /// Who can be asked more; None: nobody runs, or nobody may ask.
    pub(crate) application: Option<AppClient>,
}

/// Asks `/alive` and the version's configuration, then the URL.
///
/// # Errors
/// Exit 9 where the pod is ready and the application does not answer, or not at a URL that handsctl made.
pub(crate) async fn probe_application(
    session: &Session,
    rollout: &RolloutWatch,
    when: Probe,
    events: &Events,
) -> Result<ProbedApp> {
    let api = &session.connection.api;
    let deploy = &session.settings.deploy;
    if deploy.profile == Profile::Dev {
        events.step(Phase::Probe, "probe", Progress::Skipped, "profile dev: nothing listens").await;
        return Ok(ProbedApp { place: Endpoint::DevTarget, application: None });
    }
    let ready = observed_set::get_ready_pod(api, &session.set(), &rollout.state).await;
    let simulated = match &ready {
        Some(pod) => probe::is_simulated(api, pod).await,
        None => false,
    };
    if simulated && when == Probe::Auto {
        events.step(Phase::Probe, "probe", Progress::Skipped, "simulated nodes: no container runs").await;
        return Ok(ProbedApp { place: Endpoint::Simulated, application: None });
    }
    let place = exposure::for_settings(&session.settings, session.local);
    let unasked = |application| {
        let place = match &place {
            _ if simulated => Endpoint::Simulated,
            Exposure::Url { door, .. } => Endpoint::NotProbed(door.url.clone()),
            Exposure::ClusterOnly => Endpoint::ClusterOnly,
        };
        Ok(ProbedApp { place, application })
    };
    if when == Probe::Never {
        events.step(Phase::Probe, "probe", Progress::Skipped, "--probe never").await;
        return unasked(None);
    }
    let application = AppClient {
        namespace: deploy.namespace.to_string(),
        service: deploy.name.to_string(),
        pod: ready.and_then(|pod| pod.metadata.name),
    };
    events.begin(Phase::Probe, "probe", "").await;
    let Some(mut answers) = inside(session, &application, events).await? else { return unasked(None) };
    let place = match &place {
        _ if simulated => Endpoint::Simulated,
        Exposure::ClusterOnly => Endpoint::ClusterOnly,
        Exposure::Url { door, ours } => outside(session, door, *ours, &mut answers, events).await?,
    };
    events.done(Phase::Probe, "probe", answers.join(" · ")).await;
    Ok(ProbedApp { place, application: Some(application) })
}

/// Through the API server; None: this account may not ask.
async fn inside(session: &Session, application: &AppClient, events: &Events) -> Result<Option<Vec<String>>> {
    let mut answers = Vec::new();
    for path in ["/alive", config_endpoint(session.settings.app_version())] {
        match probe::probe(&session.connection.api, application, path).await {
            ProbeResult::Alive { status, took } => {
                let message = format!("{status} in {} ms", took.as_millis());
                answers.push(format!("{path} {message}"));
                events.send(Event::Probe { target: path.to_owned(), healthy: true, message }).await;
            }
            ProbeResult::Forbidden(why) => {
                events.step(Phase::Probe, "probe", Progress::Skipped, "not allowed").await;
                events.warn(Id::ProbeFailed, format!("the application could not be asked: {why}")).await;
                return Ok(None);
            }
            ProbeResult::Unreachable(why) => {
                failed(path, &why, events).await;
                return Err(silent(path, &why, &application.service));
            }
        }
    }
    Ok(Some(answers))
}

/// At the URL, from this computer.
async fn outside(
    session: &Session,
    door: &ProbeTarget,
    ours: bool,
    answers: &mut Vec<String>,
    events: &Events,
) -> Result<Endpoint> {
    let patience = if ours { OPENING } else { Duration::ZERO };
    match url_probe::probe_url(door, patience).await {
        ProbeResponse::Answers { status, took } => {
            let message = format!("{status} in {} ms", took.as_millis());
            answers.push(format!("{} {message}", door.url));
            events.send(Event::Probe { target: door.url.clone(), healthy: true, message }).await;
            warn_of_name(session, door, events).await;
            Ok(Endpoint::Answers(door.url.clone()))
        }
        ProbeResponse::Unreachable(why) if ours => {
            failed(&door.url, &why, events).await;
            let message = format!("the application answers inside the cluster, and not at {}", door.url);
            Err(Error::new(Id::UrlSilent, Kind::Rollout, message)
                .fact("object", format!("ingress.networking.k8s.io/{}", session.settings.deploy.name))
                .fact("evidence", why)
                .hint("handsctl cluster up looks after the ingress controller")
                .hint("handsctl open leads to the application without it"))
        }
        ProbeResponse::Unreachable(why) => {
            let message = format!("{} does not answer from this computer: {why}", door.url);
            events.warn(Id::UrlSilent, message).await;
            Ok(Endpoint::Unreachable(door.url.clone()))
        }
    }
}

/// A local cluster answers under any name; a browser has to find it under this one.
async fn warn_of_name(session: &Session, door: &ProbeTarget, events: &Events) {
    let host = session.settings.deploy.host.as_str();
    let Some(local) = door.local.filter(|_| !exposure::is_localhost(host)) else { return };
    let found = tokio::net::lookup_host((host, local.port())).await;
    if found.is_ok_and(|mut addresses| addresses.any(|address| address.ip() == local.ip())) {
        return;
    }
    let message =
        format!("{host} does not lead to this computer yet: `{} {host}` in /etc/hosts does it", local.ip());
    events.warn(Id::NameNotResolved, message).await;
}

async fn failed(target: &str, why: &str, events: &Events) {
    events.send(Event::Probe { target: target.to_owned(), healthy: false, message: why.to_owned() }).await;
    events.step(Phase::Probe, "probe", Progress::Failed, "").await;
}

/// `/ready` proves nothing below 1.5, so the version's own configuration is asked for.
fn config_endpoint(version: AppVersion) -> &'static str {
    if version.is_at_least(1, 3) { "/api/v1/web-client/config" } else { "/api/options/config" }
}

fn silent(path: &str, why: &str, service: &str) -> Error {
    Error::new(Id::ProbeFailed, Kind::Rollout, format!("the pod is ready, but {path} does not answer"))
        .fact("object", format!("service/{service}"))
        .fact("evidence", why)
        .hint("handsctl logs --tail 50")
}
