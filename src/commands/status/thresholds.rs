//! The part of `status` that measures: each metric of `[deploy.thresholds]`, or the reason why it is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use crate::cluster::app::client::AppClient;
use crate::cluster::app::metrics;
use crate::cluster::app::probe::ProbeResult;
use crate::cluster::app::url_probe::{self, ProbeResponse, ProbeTarget};
use crate::session::cluster_session::Session;
use crate::session::exposure::Exposure;
use crate::settings::format::Quantity;
use crate::status::{ComponentHealth, Health, Metric, Reading, Threshold, VolumeUsage};

/// The number of URL probes from which the share of answers is computed.
const URL_PROBES: usize = 5;

/// Measures all metrics. `alive` is the result of probing `/alive`; if it did not answer, disk and ingress are not
/// measured. The disk is the fullest of the volumes in `volumes`; where the kubelet measured none, it is the one that the
/// application measures.
pub(crate) async fn measure(
    session: &Session,
    health: &Health,
    application: &AppClient,
    exposure: &Exposure,
    alive: &ProbeResult,
    volumes: &BTreeMap<String, VolumeUsage>,
) -> Vec<Metric> {
    let api = &session.connection.api;
    let thresholds = &session.settings.deploy.thresholds;
    let timeout = Duration::from_secs(thresholds.latency.as_secs());
    let set = session.set();
    let (usage, disk, ingress) = tokio::join!(
        within(timeout, metrics::get_pod_usage(api, &set)),
        within(timeout, async {
            let fullest = volumes.values().map(|usage| usage.percent()).max_by(f64::total_cmp);
            if let Some(percent) = fullest {
                return Ok(percent);
            }
            ensure_answers(alive)?;
            metrics::get_disk_usage(api, application).await
        }),
        within(timeout, async {
            ensure_answers(alive)?;
            ingress_share(exposure).await
        }),
    );
    let limits = &session.settings.deploy.resources.limits;
    let share = |amount: fn(&metrics::PodUsage) -> i128, limit: Option<&Quantity>, no_limit: &str| match (
        &usage, limit,
    ) {
        (Err(why), _) => Reading::Unknown(why.clone()),
        (Ok(_), None) => Reading::Unknown(no_limit.to_owned()),
        (Ok(usage), Some(limit)) => Reading::Percent(percent(amount(usage), limit.nanos())),
    };
    let metric = |name, reading, bound| Metric { name, reading, threshold: bound };
    vec![
        metric(
            "cpu",
            share(|usage| usage.cpu, limits.cpu.as_ref(), "no limit is set"),
            Threshold::AtMost(thresholds.cpu),
        ),
        metric(
            "memory",
            share(|usage| usage.memory, limits.memory.as_ref(), "no limit is set"),
            Threshold::AtMost(thresholds.memory),
        ),
        metric(
            "disk",
            disk.map_or_else(Reading::Unknown, Reading::Percent),
            Threshold::AtMost(thresholds.disk),
        ),
        metric("ready", ready(health), Threshold::AtLeast(thresholds.ready)),
        metric("latency", latency(alive), Threshold::Within(thresholds.latency.as_secs() * 1000)),
        metric(
            "ingress",
            ingress.map_or_else(Reading::Unknown, Reading::Percent),
            Threshold::AtLeast(thresholds.ingress),
        ),
    ]
}

/// Returns the share in percent. The numbers are far below the limit up to which an `f64` is exact.
#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
fn percent(part: i128, whole: i128) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

fn ready(health: &Health) -> Reading {
    let sum = |count: fn(&ComponentHealth) -> u32| health.components.iter().map(count).sum::<u32>();
    let (ready, desired) = (sum(|component| component.ready), sum(|component| component.desired));
    if desired == 0 {
        return Reading::Unknown("scaled to 0 pods".to_owned());
    }
    Reading::Percent(percent(ready.into(), desired.into()))
}

fn latency(alive: &ProbeResult) -> Reading {
    match alive {
        ProbeResult::Alive { duration: took, .. } => {
            Reading::Milliseconds(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        }
        ProbeResult::Unreachable(why) | ProbeResult::Forbidden(why) => Reading::Unknown(why.clone()),
    }
}

fn ensure_answers(alive: &ProbeResult) -> Result<(), String> {
    match alive {
        ProbeResult::Unreachable(_) => Err("/alive does not answer".to_owned()),
        ProbeResult::Alive { .. } | ProbeResult::Forbidden(_) => Ok(()),
    }
}

/// Runs a measurement with a time limit.
async fn within<T>(
    timeout: Duration,
    measurement: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let timed_out = |_| Err(format!("no answer within {} ms", timeout.as_millis()));
    tokio::time::timeout(timeout, measurement).await.unwrap_or_else(timed_out)
}

/// Returns the share of successful URL probes in percent.
///
/// # Errors
/// The reason why the share is unknown. No answer at a URL that handsctl does not manage is such a reason: the URL may
/// be unreachable from this computer only.
async fn ingress_share(exposure: &Exposure) -> Result<f64, String> {
    let Exposure::Url { target, managed } = exposure else {
        return Err("there is no URL".to_owned());
    };
    let answers = count_answers(target).await;
    if answers == 0 && !*managed {
        return Err(format!("{} does not answer from this computer", target.url));
    }
    Ok(percent(answers as i128, URL_PROBES as i128))
}

async fn count_answers(target: &ProbeTarget) -> usize {
    let responses = join_all((0..URL_PROBES).map(|_| url_probe::probe_url(target, Duration::ZERO))).await;
    responses.iter().filter(|response| matches!(response, ProbeResponse::Answers { .. })).count()
}
