//! `image load`: brings images of this computer's container engine to the nodes of a kind cluster.

use std::time::Duration;

use clap::Args;

use crate::catalogue::Id;
use crate::cluster::nodes::capacity;
use crate::error::{Error, Kind};
use crate::event::{Events, Finished};
use crate::flags::{Global, ImageArgs};
use crate::phrase;
use crate::plan::checks::sandbox_capacity::{canonical, names_image};
use crate::plan::manifests::image_pull_pod;
use crate::provider::kind::{LoadedImage, Require};
use crate::provider::{self, Environment};
use crate::report::Streams;
use crate::session::cluster_session::{Secrets, Session};
use crate::session::runner::{Invocation, Run};
use crate::settings::Settings;

/// Bring images of this computer's container engine to every node of a kind cluster
///
/// A node that has the very same image, by its digest, is left alone.
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
        let cluster = provider::kind_cluster(context).ok_or_else(|| no_kind_cluster(context))?;
        let (images, require) = images_to_load(&arguments.images, run.settings());
        let environment = Environment::read()?;
        let loaded = provider::load_images(&environment, cluster, &images, require, run.events()).await?;
        Ok(Finished { message: message(&loaded), ..Finished::default() })
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}

/// What was named, else what of the configuration's images is there.
fn images_to_load(named: &[String], settings: &Settings) -> (Vec<String>, Require) {
    if named.is_empty() {
        (image_pull_pod::sources(settings).into_iter().map(|source| source.image).collect(), Require::One)
    } else {
        (named.to_vec(), Require::Each)
    }
}

/// The part of `up` that brings what this computer's engine has and a node of the kind cluster does not name: what was
/// built here is in no registry, and what was pulled here need not be pulled again. What cannot be brought may still be
/// pulled.
pub(in crate::commands) async fn load_missing(session: &Session, events: &Events) {
    let Some(cluster) = provider::kind_cluster(&session.connection.choice.context) else { return };
    let Ok(nodes) = capacity::nodes(&session.connection.api).await else { return };
    let lacking = |image: &String| !nodes.iter().all(|node| names_image(node, &canonical(image)));
    let images = image_pull_pod::sources(&session.settings).into_iter().map(|source| source.image);
    let images: Vec<String> = images.filter(lacking).collect();
    if images.is_empty() {
        return;
    }
    let brought = match Environment::read() {
        Ok(environment) => {
            provider::load_images(&environment, cluster, &images, Require::None, events).await.map(drop)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = brought {
        events.warn(error.id(), format!("{}; the nodes pull it", error.message())).await;
    }
}

fn message(brought: &[LoadedImage]) -> String {
    let with = |test: fn(&LoadedImage) -> bool| brought.iter().filter(|it| test(it)).count();
    let loaded = with(|it| it.nodes.is_some_and(|nodes| nodes.loaded > 0));
    let had = with(|it| it.nodes.is_some_and(|nodes| nodes.loaded == 0));
    let absent = with(|it| it.nodes.is_none());
    let first = if loaded > 0 {
        format!("{} loaded", phrase::count(loaded, "image"))
    } else {
        "nothing to load".to_owned()
    };
    let mut parts = vec![first];
    if had > 0 {
        parts.push(format!("{} there already", phrase::count(had, "image")));
    }
    if absent > 0 {
        parts.push(format!("{} not on this computer: handsctl image pull", phrase::count(absent, "image")));
    }
    parts.join(", ")
}

fn no_kind_cluster(context: &str) -> Error {
    let message =
        format!("context {context} is no kind cluster: its nodes are no containers of this computer");
    Error::new(Id::NoNodesHere, Kind::Prerequisite, message)
        .hint("handsctl image pull has the nodes pull the images themselves")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kind::Nodes;

    #[test]
    fn what_came_of_it_in_words() {
        let brought = |nodes| LoadedImage { image: String::new(), nodes };
        let loaded = brought(Some(Nodes { loaded: 1, had: 1 }));
        let had = brought(Some(Nodes { loaded: 0, had: 2 }));
        assert_eq!(message(std::slice::from_ref(&had)), "nothing to load, 1 image there already");
        assert_eq!(message(std::slice::from_ref(&loaded)), "1 image loaded");
        assert_eq!(
            message(&[loaded.clone(), loaded, had, brought(None)]),
            "2 images loaded, 1 image there already, 1 image not on this computer: handsctl image pull"
        );
    }
}
