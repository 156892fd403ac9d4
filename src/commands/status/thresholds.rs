//! The part of `status` that measures: each figure of `[deploy.thresholds]`, or why it is not known.

use std::time::Duration;

use futures::future::join_all;

use crate::cluster::app::client::AppClient;
use crate::cluster::app::metrics;
use crate::cluster::app::probe::ProbeResult;
use crate::cluster::app::url_probe::{self, ProbeResponse, ProbeTarget};
use crate::session::cluster_session::Session;
use crate::session::exposure::{self, Exposure};
use crate::settings::format::Quantity;
use crate::status::{ComponentHealth, Health, Metric, Reading, Threshold};

/// How often the URL is asked for its share of answers.
const ASKED: usize = 5;

/// All of them. `alive` is what `/alive` answered: where it does not, nobody else is asked in vain.
pub(crate) async fn measure(
    session: &Session,
    health: &Health,
    application: &AppClient,
    alive: &ProbeResult,
) -> Vec<Metric> {
    let api = &session.connection.api;
    let bounds = &session.settings.deploy.thresholds;
    let patience = Duration::from_secs(bounds.latency.as_secs());
    let set = session.set();
    let (used, disk, ingress) = tokio::join!(
        within(patience, metrics::get_pod_usage(api, &set)),
        within(patience, async {
            answering(alive)?;
            metrics::get_disk_usage(api, application).await
        }),
        within(patience, async {
            answering(alive)?;
            ingress(session).await
        }),
    );
    let limits = &session.settings.deploy.resources.limits;
    let share =
        |of: fn(&metrics::PodUsage) -> i128, limit: Option<&Quantity>, none: &str| match (&used, limit) {
            (Err(why), _) => Reading::Unknown(why.clone()),
            (Ok(_), None) => Reading::Unknown(none.to_owned()),
            (Ok(used), Some(limit)) => Reading::Percent(percent(of(used), limit.nanos())),
        };
    let gauge = |name, measured, bound| Metric { name, reading: measured, bound };
    vec![
        gauge(
            "cpu",
            share(|used| used.cpu, limits.cpu.as_ref(), "no limit is set"),
            Threshold::AtMost(bounds.cpu),
        ),
        gauge(
            "memory",
            share(|used| used.memory, limits.memory.as_ref(), "no limit is set"),
            Threshold::AtMost(bounds.memory),
        ),
        gauge("disk", disk.map_or_else(Reading::Unknown, Reading::Percent), Threshold::AtMost(bounds.disk)),
        gauge("ready", ready(health), Threshold::AtLeast(bounds.ready)),
        gauge("latency", latency(alive), Threshold::Within(bounds.latency.as_secs() * 1000)),
        gauge(
            "ingress",
            ingress.map_or_else(Reading::Unknown, Reading::Percent),
            Threshold::AtLeast(bounds.ingress),
        ),
    ]
}

/// Of figures far below what 64 bits of a float hold exactly.
#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
fn percent(part: i128, whole: i128) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

fn ready(health: &Health) -> Reading {
    let sum = |of: fn(&ComponentHealth) -> u32| health.components.iter().map(of).sum::<u32>();
    let (ready, desired) = (sum(|one| one.ready), sum(|one| one.desired));
    if desired == 0 {
        return Reading::Unknown("no pod is wanted".to_owned());
    }
    Reading::Percent(percent(ready.into(), desired.into()))
}

fn latency(alive: &ProbeResult) -> Reading {
    match alive {
        ProbeResult::Alive { took, .. } => {
            Reading::Milliseconds(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        }
        ProbeResult::Unreachable(why) | ProbeResult::Forbidden(why) => Reading::Unknown(why.clone()),
    }
}

fn answering(alive: &ProbeResult) -> Result<(), String> {
    match alive {
        ProbeResult::Unreachable(_) => Err("/alive does not answer".to_owned()),
        ProbeResult::Alive { .. } | ProbeResult::Forbidden(_) => Ok(()),
    }
}

/// What is there in time, or that it was not.
async fn within<T>(patience: Duration, asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {} ms", patience.as_millis()));
    tokio::time::timeout(patience, asked).await.unwrap_or_else(late)
}

/// The share of answers at the URL. Where nobody answers at one that others made, it may be this computer's fault.
///
/// # Errors
/// Why it is not known.
async fn ingress(session: &Session) -> Result<f64, String> {
    let Exposure::Url { target, managed } = exposure::for_settings(&session.settings, session.local) else {
        return Err("there is no URL".to_owned());
    };
    let answers = answers(&target).await;
    if answers == 0 && !managed {
        return Err(format!("{} does not answer from this computer", target.url));
    }
    Ok(percent(answers as i128, ASKED as i128))
}

async fn answers(target: &ProbeTarget) -> usize {
    let asked = join_all((0..ASKED).map(|_| url_probe::probe_url(target, Duration::ZERO))).await;
    asked.iter().filter(|opened| matches!(opened, ProbeResponse::Answers { .. })).count()
}
