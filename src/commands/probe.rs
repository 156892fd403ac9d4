//! The part of `deploy` that asks the application whether it answers, and where people reach it.

use super::session::Session;
use crate::catalogue::Id;
use crate::cli::Probe;
use crate::cluster::live;
use crate::cluster::probe::{self, Answer, Application};
use crate::cluster::track::Rollout;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Phase, Progress};
use crate::settings::ours::Expose;
use crate::settings::{AppVersion, Settings};

/// Where the application answers.
pub(super) enum Where {
    /// Nowhere: its node is simulated.
    Simulated,
    /// At this URL.
    At(String),
    /// Inside the cluster only, or at an address that is not known.
    Inside,
}

impl Where {
    /// The URL, where there is one.
    pub(super) fn into_url(self) -> Option<String> {
        match self {
            Where::At(url) => Some(url),
            Where::Simulated | Where::Inside => None,
        }
    }
}

/// Asks `/alive` and the version's configuration.
///
/// # Errors
/// Exit 9 where the pod is ready and the application does not answer.
pub(super) async fn ask(session: &Session, rollout: &Rollout, when: Probe, events: &Events) -> Result<Where> {
    let api = &session.connection.api;
    let deploy = &session.settings.deploy;
    let ready = live::ready_pod(api, &session.set(), &rollout.world).await;
    let simulated = match &ready {
        Some(pod) => probe::is_simulated(api, pod).await,
        None => false,
    };
    if simulated && when == Probe::Auto {
        events.step(Phase::Probe, "probe", Progress::Skipped, "simulated nodes: no container runs").await;
        return Ok(Where::Simulated);
    }
    let there = if simulated { Where::Simulated } else { address(&session.settings) };
    if when == Probe::Never {
        events.step(Phase::Probe, "probe", Progress::Skipped, "--probe never").await;
        return Ok(there);
    }
    let application = Application {
        namespace: deploy.namespace.to_string(),
        service: deploy.name.to_string(),
        pod: ready.and_then(|pod| pod.metadata.name),
    };
    events.begin(Phase::Probe, "probe", "").await;
    let mut answers = Vec::new();
    for path in ["/alive", config_endpoint(session.settings.app_version())] {
        match probe::ask(api, &application, path).await {
            Answer::Alive { status, took } => {
                let message = format!("{status} in {} ms", took.as_millis());
                answers.push(format!("{path} {message}"));
                events.send(Event::Probe { target: path.to_owned(), healthy: true, message }).await;
            }
            Answer::Unasked(why) => {
                events.step(Phase::Probe, "probe", Progress::Skipped, "not allowed").await;
                events.warn(Id::ProbeFailed, format!("the application could not be asked: {why}")).await;
                return Ok(there);
            }
            Answer::Dead(why) => {
                events
                    .send(Event::Probe { target: path.to_owned(), healthy: false, message: why.clone() })
                    .await;
                events.step(Phase::Probe, "probe", Progress::Failed, "").await;
                return Err(silent(path, &why, deploy.name.as_str()));
            }
        }
    }
    events.done(Phase::Probe, "probe", answers.join(" · ")).await;
    Ok(there)
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

fn address(settings: &Settings) -> Where {
    let deploy = &settings.deploy;
    match deploy.expose {
        Expose::Ingress => {
            let scheme = if deploy.tls_secret.is_some() { "https" } else { "http" };
            Where::At(format!("{scheme}://{}/", deploy.host))
        }
        Expose::NodePort | Expose::LoadBalancer | Expose::None => Where::Inside,
    }
}
