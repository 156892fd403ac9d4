//! `image pull`: makes every node pull the images, so that no pod waits for them later.

use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use serde_json::Value;

use crate::cluster::nodes::capacity;
use crate::cluster::nodes::image_pull::{self, PullLimits, PullResult};
use crate::cluster::rollout::finding_error::finding_error;
use crate::cluster::rollout::follow;
use crate::deploy::rollout;
use crate::error::{Error, Result};
use crate::event::{Events, Finished, Phase, Progress};
use crate::flags::{Global, ImageArgs};
use crate::phrase;
use crate::plan::manifests::image_pull_pod::{ImagePull, ImageSource, PullDecision, source_of, sources};
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::runner::{Invocation, Run};
use crate::session::step::step;
use crate::status::GracePeriods;

/// Pull images on every node that does not have them
///
/// In order: list the nodes, delete the pods of an interrupted pull, run a short-lived pod on each node that lacks the
/// image, wait until its image is pulled, delete the pod. The application waits 300 s for a sandbox to become ready, including the pull of its image. Nodes on which the
/// image's pods cannot run (taints, labels or state) are skipped and listed.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl image pull\n  handsctl image pull ghcr.io/acme/runtime:dev --timeout 1h"
)]
pub struct ImagePullArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub images: ImageArgs,
}

const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long the kubelet retries a registry that it cannot reach. Shorter than in a rollout: nothing waits for the image,
/// and the command can be repeated.
const REGISTRY_GRACE: Duration = Duration::from_secs(15);
/// The number of simultaneous pulls, limited because all nodes share the connection to the registry.
const AT_ONCE: usize = 8;

/// Runs `image pull`.
pub(crate) async fn run(global: &Global, arguments: &ImagePullArgs, streams: &Streams) -> anyhow::Result<u8> {
    let arguments = &arguments.images;
    let invocation = Invocation {
        global,
        command: "image pull",
        output: arguments.output,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| {
        let target = format!("nodes of {}", run.session.connection.choice.context);
        run.events().target("image pull", target).await;
        pull_everywhere(run, &arguments.images).await
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

async fn pull_everywhere(run: &Run<'_>, named: &[String]) -> Result<Finished> {
    let (settings, events) = (run.settings(), run.events());
    let sources = if named.is_empty() {
        sources(settings)
    } else {
        named.iter().map(|image| source_of(settings, image)).collect()
    };
    let (streaming, nodes) = step(events, Phase::Preflight, "preflight", prepare(run, &sources)).await?;
    let (pulls, present) = partition(&sources, &nodes, settings.deploy.name.as_str(), events).await;
    let outcomes: Vec<Result<()>> = futures::stream::iter(&pulls)
        .map(|image_pull| pull(run, image_pull, streaming))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let errors: Vec<Error> = outcomes.into_iter().filter_map(Result::err).collect();
    let mut parts = vec![format!("{} pulled", pulls.len() - errors.len())];
    if present > 0 {
        parts.push(format!("{present} already present"));
    }
    let message = format!(
        "{} on {}: {}",
        phrase::count(sources.len(), "image"),
        phrase::count(nodes.len(), "node"),
        parts.join(", ")
    );
    match errors.into_iter().reduce(|first, other| first.fact("also", other.message().to_owned())) {
        None => Ok(Finished { message, ..Finished::default() }),
        Some(error) => Err(error.state(message)),
    }
}

/// Lists the nodes and deletes pull pods that an earlier run left behind.
async fn prepare(run: &Run<'_>, sources: &[ImageSource]) -> Result<((bool, Vec<Value>), String)> {
    let version = run.session.server_version().await?;
    let nodes = capacity::nodes(run.api()).await?;
    let set = run.settings().deploy.name.as_str();
    for source in sources {
        image_pull::delete_leftover_pods(run.api(), &source.namespace, set).await?;
    }
    let message = format!("api {}, {}", version.text, phrase::count(nodes.len(), "node"));
    Ok(((version.streams_lists(), nodes), message))
}

/// Returns the needed pulls, and the number of images that are already on their node.
async fn partition(
    sources: &[ImageSource],
    nodes: &[Value],
    set: &str,
    events: &Events,
) -> (Vec<ImagePull>, usize) {
    let (mut pulls, mut present) = (Vec::new(), 0);
    for (source, node) in sources.iter().flat_map(|source| nodes.iter().map(move |node| (source, node))) {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        match source.on_node(node, set) {
            PullDecision::Pull(pull) => pulls.push(*pull),
            PullDecision::Present => {
                present += 1;
                events
                    .done(
                        Phase::Apply,
                        &step_name(name, &source.image),
                        format!("{} already present", source.image),
                    )
                    .await;
            }
            PullDecision::NotEligible(reason) => {
                let message = format!("{}: the node is {reason}", source.image);
                events.step(Phase::Apply, &step_name(name, &source.image), Progress::Skipped, message).await;
            }
        }
    }
    (pulls, present)
}

/// Returns the name of the step for an image on a node, without the registry, which is in the step's message.
fn step_name(node: &str, image: &str) -> String {
    format!("{} on {node}", image.rsplit('/').next().unwrap_or(image))
}

/// Returns the grace periods of a rollout, but the shorter one of an unreachable registry.
fn grace_periods(run: &Run<'_>) -> GracePeriods {
    let grace = rollout::grace_periods(run.settings(), run.api().clock().floor());
    GracePeriods { image_pull: grace.image_pull.min(REGISTRY_GRACE), ..grace }
}

async fn pull(run: &Run<'_>, pull: &ImagePull, streaming: bool) -> Result<()> {
    let (api, events) = (run.api(), run.events());
    let name = step_name(pull.node.as_deref().unwrap_or_default(), &pull.image);
    let limits =
        PullLimits { grace: grace_periods(run), deadline: run.deadline().at, streaming, usual: None };
    step(events, Phase::Apply, &name, async {
        match image_pull::pull(api, pull, limits, run.settings(), events).await? {
            PullResult::Pulled | PullResult::NotRunnable(_) => Ok(((), format!("{} pulled", pull.image))),
            PullResult::Failed(findings) => {
                follow::report_findings(&findings, events).await;
                Err(finding_error(&findings))
            }
            PullResult::Rejected(error) => Err(error),
            PullResult::Unscheduled(findings) => {
                follow::report_findings(&findings, events).await;
                Err(finding_error(&findings).fact("node", pull.node.clone().unwrap_or_default()))
            }
        }
    })
    .await
}
