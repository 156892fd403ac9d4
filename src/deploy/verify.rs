//! Finds out how the application is reached once its rollout is ready: through the API server, and at its URL.

use std::time::Duration;

use super::app_settings::{self, AppSettingsResult};
use super::sandbox_capacity;
use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::probe::{self, ProbeResult};
use crate::cluster::app::url_probe::{self, ProbeResponse, ProbeTarget};
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Phase, Progress};
use crate::flags::Probe;
use crate::plan::checks::sandbox_capacity::SandboxCapacity;
use crate::plan::desired::PlanOrigin;
use crate::session::exposure::{self, Exposure};
use crate::session::runner::Run;
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

/// How the application was found.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    pub(crate) endpoint: Endpoint,
    pub(crate) app_settings: AppSettingsResult,
    /// How many more sandboxes fit; None: not known, or nobody starts any.
    pub(crate) capacity: Option<SandboxCapacity>,
}

/// The application, as far as it was probed.
#[derive(Debug, Clone)]
pub(crate) struct ProbedApp {
    pub(crate) endpoint: Endpoint,
    /// Who takes further requests; None: no container runs, or this account may not send any.
    pub(crate) client: Option<AppClient>,
}

/// Probes the application and estimates how many sandboxes fit, at the same time; then gives the application the
/// settings that it lacks. What is brought back has the settings that it had.
///
/// # Errors
/// As [`probe_application`].
pub(crate) async fn verify(
    run: &Run<'_>,
    when: Probe,
    origin: PlanOrigin,
    observed: &ObservedSet,
) -> Result<Verification> {
    let capacity = async {
        let starts_sandboxes = run.settings().deploy.profile != Profile::Dev;
        if starts_sandboxes { sandbox_capacity::estimate(run).await } else { None }
    };
    let (probed, capacity) = tokio::join!(probe_application(run, when, observed), capacity);
    let ProbedApp { endpoint, client } = probed?;
    let app_settings = match &client {
        Some(client) if origin == PlanOrigin::Configuration => app_settings::seed(run, client).await,
        _ => AppSettingsResult::default(),
    };
    Ok(Verification { endpoint, app_settings, capacity })
}

/// Asks `/alive` and the version's configuration, then the URL.
///
/// # Errors
/// Exit 9 where the pod is ready and the application does not answer, or not at a URL that handsctl made.
pub(crate) async fn probe_application(
    run: &Run<'_>,
    when: Probe,
    observed: &ObservedSet,
) -> Result<ProbedApp> {
    let (api, events) = (run.api(), run.events());
    let deploy = &run.settings().deploy;
    if deploy.profile == Profile::Dev {
        events.step(Phase::Probe, "probe", Progress::Skipped, "profile dev: nothing listens").await;
        return Ok(ProbedApp { endpoint: Endpoint::DevTarget, client: None });
    }
    let ready = observed.get_ready_pod(api, &run.session.set()).await;
    let simulated = match &ready {
        Some(pod) => probe::is_simulated(api, pod).await,
        None => false,
    };
    if simulated && when == Probe::Auto {
        events.step(Phase::Probe, "probe", Progress::Skipped, "simulated nodes: no container runs").await;
        return Ok(ProbedApp { endpoint: Endpoint::Simulated, client: None });
    }
    let exposure = exposure::for_settings(run.settings(), run.session.local);
    let not_probed = |client| {
        let endpoint = match &exposure {
            _ if simulated => Endpoint::Simulated,
            Exposure::Url { target, .. } => Endpoint::NotProbed(target.url.clone()),
            Exposure::ClusterOnly => Endpoint::ClusterOnly,
        };
        Ok(ProbedApp { endpoint, client })
    };
    if when == Probe::Never {
        events.step(Phase::Probe, "probe", Progress::Skipped, "--probe never").await;
        return not_probed(None);
    }
    let client = AppClient {
        namespace: deploy.namespace.to_string(),
        service: deploy.name.to_string(),
        pod: ready.and_then(|pod| pod.metadata.name),
    };
    events.begin(Phase::Probe, "probe", "").await;
    let Some(mut answers) = inside(run, &client).await? else { return not_probed(None) };
    let endpoint = match &exposure {
        _ if simulated => Endpoint::Simulated,
        Exposure::ClusterOnly => Endpoint::ClusterOnly,
        Exposure::Url { target, managed } => outside(run, target, *managed, &mut answers).await?,
    };
    events.done(Phase::Probe, "probe", answers.join(" · ")).await;
    Ok(ProbedApp { endpoint, client: Some(client) })
}

/// Through the API server; None: this account may not ask.
async fn inside(run: &Run<'_>, client: &AppClient) -> Result<Option<Vec<String>>> {
    let events = run.events();
    let mut answers = Vec::new();
    for path in ["/alive", config_endpoint(run.settings().app_version())] {
        match probe::probe(run.api(), client, path).await {
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
                return Err(silent(path, &why, &client.service));
            }
        }
    }
    Ok(Some(answers))
}

/// At the URL, from this computer.
async fn outside(
    run: &Run<'_>,
    target: &ProbeTarget,
    managed: bool,
    answers: &mut Vec<String>,
) -> Result<Endpoint> {
    let events = run.events();
    let patience = if managed { OPENING } else { Duration::ZERO };
    match url_probe::probe_url(target, patience).await {
        ProbeResponse::Answers { status, took } => {
            let message = format!("{status} in {} ms", took.as_millis());
            answers.push(format!("{} {message}", target.url));
            events.send(Event::Probe { target: target.url.clone(), healthy: true, message }).await;
            warn_of_name(run, target).await;
            Ok(Endpoint::Answers(target.url.clone()))
        }
        ProbeResponse::Unreachable(why) if managed => {
            failed(&target.url, &why, events).await;
            let message = format!("the application answers inside the cluster, and not at {}", target.url);
            Err(Error::new(Id::UrlSilent, Kind::Rollout, message)
                .fact("object", format!("ingress.networking.k8s.io/{}", run.settings().deploy.name))
                .fact("evidence", why)
                .hint("handsctl cluster up looks after the ingress controller")
                .hint("handsctl open leads to the application without it"))
        }
        ProbeResponse::Unreachable(why) => {
            let message = format!("{} does not answer from this computer: {why}", target.url);
            events.warn(Id::UrlSilent, message).await;
            Ok(Endpoint::Unreachable(target.url.clone()))
        }
    }
}

/// A local cluster answers under any name; a browser has to find it under this one.
async fn warn_of_name(run: &Run<'_>, target: &ProbeTarget) {
    let host = run.settings().deploy.host.as_str();
    let Some(local) = target.local.filter(|_| !exposure::is_localhost(host)) else { return };
    let found = tokio::net::lookup_host((host, local.port())).await;
    if found.is_ok_and(|mut addresses| addresses.any(|address| address.ip() == local.ip())) {
        return;
    }
    let message =
        format!("{host} does not lead to this computer yet: `{} {host}` in /etc/hosts does it", local.ip());
    run.events().warn(Id::NameNotResolved, message).await;
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
