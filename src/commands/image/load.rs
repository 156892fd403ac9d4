//! `image load`: loads images from this computer's container engine onto the nodes of a kind cluster.

use std::time::Duration;

use clap::Args;

use super::replaced;
use crate::catalogue::Id;
use crate::cluster::nodes::capacity;
use crate::error::{Error, Kind};
use crate::event::{Events, Finished};
use crate::flags::{Global, ImageArgs};
use crate::object::running_image::RunningImage;
use crate::phrase;
use crate::plan::checks::sandbox_capacity::{canonical, names_image};
use crate::plan::manifests::image_pull_pod;
use crate::provider::kind::{LoadedImage, Require};
use crate::provider::{self};
use crate::report::Streams;
use crate::session::cluster_session::{Secrets, Session};
use crate::session::runner::{Invocation, Run};
use crate::settings::Settings;
use crate::settings::handsctl::ImagePullPolicy;

/// Load images from this computer's container engine onto every node of a kind cluster
///
/// In order: choose the images, compare their digests with those on the nodes, copy each image to the nodes that lack it,
/// list the pods that still run the previous build. A node that has an image with the same digest is skipped.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl image load\n  handsctl image load acme/openhands:0.59 acme/runtime:dev"
)]
pub struct ImageLoadArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub images: ImageArgs,
}

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `image load`.
pub(crate) async fn run(global: &Global, arguments: &ImageLoadArgs, streams: &Streams) -> anyhow::Result<u8> {
    let arguments = &arguments.images;
    let invocation = Invocation {
        global,
        command: "image load",
        output: arguments.output,
        timeout: arguments.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| {
        let context = &run.session.connection.choice.context;
        run.events().target("image load", format!("nodes of {context}")).await;
        let cluster = provider::kind_cluster(context).ok_or_else(|| not_a_kind_cluster(context))?;
        let (images, require) = images_to_load(&arguments.images, run.settings());
        let environment = &run.session.environment;
        let loaded = provider::load_images(environment, cluster, &images, require, run.events()).await?;
        let outdated = replaced::outdated(run.session).await;
        let mut finished = Finished { message: message(&loaded), ..Finished::default() };
        for RunningImage { pod, image, .. } in &outdated {
            finished.notes.push(format!("pod/{pod} still runs the previous {image}"));
        }
        if !outdated.is_empty() {
            finished.next.push(("restart".to_owned(), "handsctl restart".to_owned()));
        }
        Ok(finished)
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

/// Returns the named images, of which the engine must have each; else the configuration's images, of which the engine
/// must have at least one.
fn images_to_load(named: &[String], settings: &Settings) -> (Vec<String>, Require) {
    if named.is_empty() {
        (image_pull_pod::sources(settings).into_iter().map(|source| source.image).collect(), Require::One)
    } else {
        (named.to_vec(), Require::Each)
    }
}

/// The part of `up` that loads images which this computer's engine has and a node of the kind cluster lacks, or has with
/// another digest: a locally built image is in no registry, and a pulled image need not be pulled again. With pull policy
/// `Always` the registry decides, so only images that a node does not list are loaded. A failure is only a warning,
/// because the nodes can still pull the image.
pub(in crate::commands) async fn load_missing(session: &Session, events: &Events) {
    let Some(cluster) = provider::kind_cluster(&session.connection.choice.context) else { return };
    let Ok(nodes) = capacity::nodes(&session.connection.api).await else { return };
    let registry_decides = session.settings.deploy.image_pull_policy == ImagePullPolicy::Always;
    let is_missing = |image: &String| !nodes.iter().all(|node| names_image(node, &canonical(image)));
    let images = image_pull_pod::sources(&session.settings).into_iter().map(|source| source.image);
    let images: Vec<String> = images.filter(|image| !registry_decides || is_missing(image)).collect();
    if images.is_empty() {
        return;
    }
    let outcome = provider::load_images(&session.environment, cluster, &images, Require::None, events).await;
    if let Err(error) = outcome {
        events.warn(error.id(), format!("{}; the nodes pull it", error.message())).await;
    }
}

fn message(images: &[LoadedImage]) -> String {
    let count = |test: fn(&LoadedImage) -> bool| images.iter().filter(|image| test(image)).count();
    let loaded = count(|image| image.nodes.is_some_and(|nodes| nodes.loaded > 0));
    let present = count(|image| image.nodes.is_some_and(|nodes| nodes.loaded == 0));
    let absent = count(|image| image.nodes.is_none());
    let first = if loaded > 0 {
        format!("{} loaded", phrase::count(loaded, "image"))
    } else {
        "nothing to load".to_owned()
    };
    let mut parts = vec![first];
    if present > 0 {
        parts.push(format!("{} already present", phrase::count(present, "image")));
    }
    if absent > 0 {
        parts.push(format!("{} not on this computer: handsctl image pull", phrase::count(absent, "image")));
    }
    parts.join(", ")
}

fn not_a_kind_cluster(context: &str) -> Error {
    let message = format!("context {context} is not a kind cluster on this computer");
    Error::new(Id::NoLocalNodes, Kind::Prerequisite, message)
        .hint("handsctl image pull makes the nodes pull the images themselves")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kind::Nodes;

    #[test]
    fn message_counts_loaded_present_and_absent_images() {
        let image = |nodes| LoadedImage { image: String::new(), nodes };
        let loaded = image(Some(Nodes { loaded: 1, present: 1 }));
        let present = image(Some(Nodes { loaded: 0, present: 2 }));
        assert_eq!(message(std::slice::from_ref(&present)), "nothing to load, 1 image already present");
        assert_eq!(message(std::slice::from_ref(&loaded)), "1 image loaded");
        assert_eq!(
            message(&[loaded.clone(), loaded, present, image(None)]),
            "2 images loaded, 1 image already present, 1 image not on this computer: handsctl image pull"
        );
    }
}
