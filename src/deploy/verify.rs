//! Probes the application after its rollout: through the API server, and at its URL.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::timeout;

use super::api_settings::{self, KeysInUse};
use super::app_settings::{self, AppSettingsResult};
use super::sandbox_capacity;
use crate::catalogue::Id;
use crate::cluster::app::client::AppClient;
use crate::cluster::app::node_port;
use crate::cluster::app::probe::{self, ProbeResult};
use crate::cluster::app::url_probe::{self, ProbeResponse, ProbeTarget};
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow;
use crate::cluster::rollout::route::{self, Controllers};
use crate::cluster::watch::observed_set::ObservedSet;
use crate::error::{Error, Result};
use crate::event::{Event, Events, Phase, Progress};
use crate::flags::Probe;
use crate::object::ObjectId;
use crate::object::kind::{DEPLOYMENT, INGRESS};
use crate::plan::checks::sandbox_capacity::SandboxCapacity;
use crate::plan::desired::PlanOrigin;
use crate::session::exposure::{self, Exposure};
use crate::session::runner::Run;
use crate::settings::edition::{Configuration, Edition, in_release};
use crate::settings::format::ImageRef;
use crate::settings::handsctl::{Expose, Profile};
use crate::settings::{AppVersion, Settings};
use crate::status::{self, Finding};

/// Time limit for the first answer at a managed URL: the controller must first process the Ingress and its endpoints.
const INGRESS_STARTUP: Duration = Duration::from_secs(20);
/// Time limit for what explains a URL that does not respond.
const EXPLANATION: Duration = Duration::from_secs(2);
/// Time limit for the first answer at a node port: every node must first process the changed Service.
const NODE_PORT_STARTUP: Duration = Duration::from_secs(3);

/// The address at which the application answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// None: the pod of profile `dev`, in which nothing listens.
    DevTarget,
    /// None: the node is simulated.
    Simulated,
    /// This URL.
    Answers(String),
    /// This URL, but it does not answer from this computer.
    Unreachable(String),
    /// This URL, but something else than the application responds to this computer.
    OtherAnswer(String),
    /// This URL, but it was not probed.
    NotProbed(String),
    /// Inside the cluster only, or at an unknown address.
    ClusterOnly,
}

impl Endpoint {
    /// Returns the URL, if there is one.
    pub(crate) fn into_url(self) -> Option<String> {
        match self {
            Endpoint::Answers(url)
            | Endpoint::Unreachable(url)
            | Endpoint::OtherAnswer(url)
            | Endpoint::NotProbed(url) => Some(url),
            Endpoint::DevTarget | Endpoint::Simulated | Endpoint::ClusterOnly => None,
        }
    }

    /// Returns the result of a command as one sentence: what it did, and whether the application answers.
    pub(crate) fn result_of(&self, done: &str) -> String {
        match self {
            Endpoint::Simulated => format!("{done}, as a simulation: OpenHands does not run"),
            endpoint => format!("{done}: {}", endpoint.describe()),
        }
    }

    /// Returns the text of the summary's last line.
    pub(crate) fn describe(&self) -> String {
        match self {
            Endpoint::DevTarget => {
                "ubuntu-dev is ready; handsctl dev -- COMMAND runs a command on this computer as if in the pod"
                    .to_owned()
            }
            Endpoint::Simulated => {
                "deployed as a simulation: OpenHands itself does not run".to_owned()
            }
            Endpoint::Answers(url) => format!("OpenHands is ready at {url}"),
            Endpoint::Unreachable(url) => {
                format!("OpenHands is ready; {url} does not answer from this computer")
            }
            Endpoint::OtherAnswer(url) => {
                format!("OpenHands is ready; a login or a proxy responds at its URL {url}")
            }
            Endpoint::NotProbed(url) => format!("OpenHands is ready; its URL {url} was not probed"),
            Endpoint::ClusterOnly => {
                "OpenHands is ready inside the cluster; handsctl open forwards a port to it".to_owned()
            }
        }
    }
}

/// The results of probing the application after a rollout.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    pub(crate) endpoint: Endpoint,
    /// The edition of the deployed application.
    pub(crate) edition: &'static Edition,
    pub(crate) app_settings: AppSettingsResult,
    /// The number of sandboxes that still fit; None if it is unknown, or if no sandboxes are started.
    pub(crate) capacity: Option<SandboxCapacity>,
}

/// The result of probing the application.
#[derive(Debug, Clone)]
pub(crate) struct ProbedApp {
    pub(crate) endpoint: Endpoint,
    /// The client for further requests; None if no container runs, the account may not send any, or probing is off.
    pub(crate) client: Option<AppClient>,
}

/// Probes the application and estimates how many sandboxes fit, at the same time; then posts the settings that the
/// application lacks, except after a rollback, which keeps the application's settings.
///
/// # Errors
/// As [`probe_application`]. Exit 9 if the page of an application with a login gives its key away, or the application does
/// not accept its key.
pub(crate) async fn verify(
    run: &Run<'_>,
    when: Probe,
    origin: PlanOrigin,
    observed: &ObservedSet,
    edition: &'static Edition,
    keys: Option<&KeysInUse<'_>>,
) -> Result<Verification> {
    let capacity = async {
        let starts_sandboxes = run.settings().deploy.profile != Profile::Dev && edition.has_sandbox_pods();
        if starts_sandboxes { sandbox_capacity::estimate(run).await } else { None }
    };
    let (probed, capacity) = tokio::join!(probe_application(run, when, observed, edition), capacity);
    let ProbedApp { endpoint, client } = probed?;
    let app_settings = match (&client, edition.configuration, keys) {
        (Some(client), Configuration::Api, Some(keys)) => {
            api_settings::verify(run, client, keys, origin).await?
        }
        (Some(client), Configuration::File, _) if origin == PlanOrigin::Configuration => {
            app_settings::seed(run, client).await
        }
        _ => AppSettingsResult::default(),
    };
    Ok(Verification { endpoint, edition, app_settings, capacity })
}

/// Returns the edition of an application, which after a rollback may be another than the configured one. `object` returns
/// the planned or the live object of an id.
pub(crate) fn edition_of<'a>(
    settings: &Settings,
    object: impl FnOnce(&ObjectId) -> Option<&'a Value>,
) -> &'static Edition {
    let deploy = &settings.deploy;
    let id = DEPLOYMENT.id(deploy.namespace.as_str(), deploy.name.as_str());
    object(&id).map_or(settings.edition(), Edition::of_deployment)
}

/// Probes `/alive` and the configuration path of the app version through the API server, then the URL.
///
/// # Errors
/// Exit 9 if the pod is ready but the application does not answer, or does not answer at a URL that handsctl manages.
pub(crate) async fn probe_application(
    run: &Run<'_>,
    when: Probe,
    observed: &ObservedSet,
    edition: &'static Edition,
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
    let proxies = &run.session.environment.proxies;
    let exposure = exposure::for_settings(run.settings(), edition, run.session.local, proxies);
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
    let version = running_version(ready.as_ref(), run.settings(), edition);
    let pod = ready.as_ref().and_then(|pod| pod.metadata.name.clone());
    let client = AppClient::new(deploy, pod, edition);
    events.begin(Phase::Probe, "probe", "").await;
    let mut answers = match probe_inside(run, &client, version).await {
        InsideProbe::Answers(answers) => answers,
        InsideProbe::Forbidden => return not_probed(None),
        InsideProbe::Unanswered { path, why } => {
            let AppClient { namespace, service, .. } = &client;
            let finding = status::unanswered_probe(ready.as_ref(), namespace, service, path, &why);
            return Err(failed(run, observed, finding).await);
        }
    };
    let endpoint = match &exposure {
        _ if simulated => Endpoint::Simulated,
        Exposure::ClusterOnly if deploy.expose == Expose::NodePort => {
            let (namespace, service) = (client.namespace.as_str(), client.service.as_str());
            let url =
                node_port::answering_url(api, namespace, service, client.edition, NODE_PORT_STARTUP).await;
            url.map_or(Endpoint::ClusterOnly, Endpoint::Answers)
        }
        Exposure::ClusterOnly => Endpoint::ClusterOnly,
        Exposure::Url { target, managed } => match probe_outside(run, target, *managed, &mut answers).await {
            Ok(endpoint) => endpoint,
            Err(finding) => return Err(failed(run, observed, *finding).await),
        },
    };
    events.done(Phase::Probe, "probe", answers.join(" · ")).await;
    Ok(ProbedApp { endpoint, client: Some(client) })
}

/// The result of probing the application through the API server.
enum InsideProbe {
    /// Each path answers.
    Answers(Vec<String>),
    /// The account may not probe.
    Forbidden,
    /// A path does not answer.
    Unanswered { path: &'static str, why: String },
}

/// Returns the paths that prove that the application of this version works.
fn inside_paths(edition: &Edition, version: AppVersion) -> impl Iterator<Item = &'static str> {
    [Some(edition.probes.liveness), in_release(edition.proof, version.release())].into_iter().flatten()
}

/// Probes the application through the API server.
async fn probe_inside(run: &Run<'_>, client: &AppClient, version: AppVersion) -> InsideProbe {
    let events = run.events();
    let mut answers = Vec::new();
    for path in inside_paths(client.edition, version) {
        match probe::probe(run.api(), client, path).await {
            ProbeResult::Alive { status, duration: took } => {
                let message = format!("{status} in {} ms", took.as_millis());
                answers.push(format!("{path} {message}"));
                events.send(Event::Probe { target: path.to_owned(), healthy: true, message }).await;
            }
            ProbeResult::Forbidden(why) => {
                events.step(Phase::Probe, "probe", Progress::Skipped, "not allowed").await;
                events.warn(Id::ProbeFailed, format!("cannot probe the application: {why}")).await;
                return InsideProbe::Forbidden;
            }
            ProbeResult::Unreachable(why) => {
                report_failure(path, &why, events).await;
                return InsideProbe::Unanswered { path, why };
            }
        }
    }
    InsideProbe::Answers(answers)
}

/// Collects the evidence of a failed probe before a rollback replaces the pod, and returns the error.
async fn failed(run: &Run<'_>, observed: &ObservedSet, finding: Finding) -> Error {
    let findings = vec![finding];
    let findings =
        follow::explained_findings(run.api(), Some(run.settings()), &observed.state, findings).await;
    follow::report_findings(&findings, run.events()).await;
    finding_error(&findings)
}

/// Probes the application at its URL from this computer.
///
/// # Errors
/// The finding of a URL that handsctl manages and that does not answer.
async fn probe_outside(
    run: &Run<'_>,
    target: &ProbeTarget,
    managed: bool,
    answers: &mut Vec<String>,
) -> std::result::Result<Endpoint, Box<Finding>> {
    let events = run.events();
    let limit = if managed { INGRESS_STARTUP } else { Duration::ZERO };
    match url_probe::probe_url(target, limit).await {
        ProbeResponse::Answers { status, duration: took } => {
            let message = format!("{status} in {} ms", took.as_millis());
            answers.push(format!("{} {message}", target.url));
            events.send(Event::Probe { target: target.url.clone(), healthy: true, message }).await;
            warn_of_unresolved_host(run, target).await;
            Ok(Endpoint::Answers(target.url.clone()))
        }
        ProbeResponse::LoginPage(why) | ProbeResponse::NotTheApplication(why) if !managed => {
            let message =
                format!("{} responds from this computer, but not the application: {why}", target.url);
            events.warn(Id::UrlUnreachable, message).await;
            Ok(Endpoint::OtherAnswer(target.url.clone()))
        }
        ProbeResponse::LoginPage(why)
        | ProbeResponse::NotTheApplication(why)
        | ProbeResponse::Unreachable(why)
            if managed =>
        {
            report_failure(&target.url, &why, events).await;
            let deploy = &run.settings().deploy;
            let (namespace, name) = (deploy.namespace.as_str(), deploy.name.as_str());
            Err(Box::new(status::unreachable_url(namespace, name, &target.url, &why)))
        }
        ProbeResponse::LoginPage(why)
        | ProbeResponse::NotTheApplication(why)
        | ProbeResponse::Unreachable(why) => {
            let reasons = [vec![why], route_faults(run).await].concat().join("; ");
            let message = format!(
                "{} does not answer from this computer: {reasons}; handsctl doctor checks its Ingress, DNS and certificate",
                target.url
            );
            events.warn(Id::UrlUnreachable, message).await;
            Ok(Endpoint::Unreachable(target.url.clone()))
        }
    }
}

/// Returns what the Ingress lacks: its class, a controller, a certificate for the host. Without an answer nothing: the
/// warning does not depend on it.
async fn route_faults(run: &Run<'_>) -> Vec<String> {
    let deploy = &run.settings().deploy;
    if deploy.expose != Expose::Ingress {
        return Vec::new();
    }
    let reading = async {
        let live =
            run.api().get_opt(&INGRESS.in_namespace(deploy.namespace.as_str()), deploy.name.as_str()).await;
        let live = live.ok().flatten()?;
        Some(route::read(run.api(), &live, Controllers::Listed).await)
    };
    let report = timeout(EXPLANATION, reading).await.ok().flatten().unwrap_or_default();
    report.faults.into_iter().map(|fault| fault.text).collect()
}

/// Warns if the host does not resolve to the local cluster: the probe connects by address, but a browser needs the
/// name.
async fn warn_of_unresolved_host(run: &Run<'_>, target: &ProbeTarget) {
    let host = run.settings().deploy.host.as_str();
    let Some(local) = target.local.filter(|_| !exposure::is_localhost(host)) else { return };
    let resolution = timeout(EXPLANATION, tokio::net::lookup_host((host, local.port()))).await;
    let mut addresses = resolution.ok().and_then(Result::ok).into_iter().flatten();
    if addresses.any(|address| address.ip() == local.ip()) {
        return;
    }
    let message = format!(
        "{host} does not resolve to this computer: add the line `{} {host}` to /etc/hosts",
        local.ip()
    );
    run.events().warn(Id::NameNotResolved, message).await;
}

async fn report_failure(target: &str, why: &str, events: &Events) {
    events.send(Event::Probe { target: target.to_owned(), healthy: false, message: why.to_owned() }).await;
    events.step(Phase::Probe, "probe", Progress::Failed, "").await;
}

/// Returns the app version of a pod. After a rollback or a restart it may differ from the configured one, and a wrong
/// version's path proves nothing: the application answers unknown paths with its page and 200.
fn running_version(pod: Option<&Pod>, settings: &Settings, edition: &'static Edition) -> AppVersion {
    let containers = pod.and_then(|pod| pod.spec.as_ref()).map(|spec| spec.containers.as_slice());
    let image = containers.and_then(|containers| containers.first()?.image.as_deref());
    let image = image.and_then(|image| ImageRef::parse(image).ok());
    match image {
        Some(image) if edition != settings.edition() => AppVersion::from_image(&image, edition),
        Some(image) => settings.version_of(&image),
        None => settings.app_version(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Request, read_without_secrets};

    #[test]
    fn probe_uses_the_version_of_the_running_pod() {
        let pod = |image: &str| -> Pod {
            let spec = serde_json::json!({ "containers": [{ "name": "openhands", "image": image }] });
            serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap()
        };
        let request = Request { set: vec!["deploy.image=a/openhands:1.6".into()], ..Request::default() };
        let folder = tempfile::tempdir().unwrap();
        let settings = read_without_secrets(&request, &[], folder.path()).unwrap().settings;
        let paths = |pod: Option<Pod>| {
            let version = running_version(pod.as_ref(), &settings, settings.edition());
            inside_paths(settings.edition(), version).collect::<Vec<_>>()
        };
        let (old, new) = (["/alive", "/api/options/config"], ["/alive", "/api/v1/web-client/config"]);
        assert_eq!(paths(Some(pod("b/openhands:0.59"))), old);
        assert_eq!(paths(Some(pod("b/openhands:1.2"))), old);
        assert_eq!(paths(Some(pod("b/openhands:1.3"))), new);
        assert_eq!(paths(None), new, "the configured version");

        let request = Request {
            set: vec!["deploy.image=b/own:new".into(), "deploy.version='0.59'".into()],
            ..Request::default()
        };
        let settings = read_without_secrets(&request, &[], folder.path()).unwrap().settings;
        let version = running_version(Some(&pod("b/own:old")), &settings, settings.edition());
        assert!(inside_paths(settings.edition(), version).eq(old), "the image of before the failed one");
    }
}
