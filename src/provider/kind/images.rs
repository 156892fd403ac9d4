//! Brings images of this computer's container engine to the nodes of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;

use super::host_checks;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part, Progress};
use crate::provider::command::{ChildCommand, ChildFailure};
use crate::provider::engine::{self, Client, Container, Image};
use crate::provider::environment::Environment;
use crate::provider::{assets, file_lock};

/// How long kind may take to bring an image of several gigabytes to every node.
const LOAD: Duration = Duration::from_secs(1800);

/// How many of the images the engine has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Each of them.
    Each,
    /// At least one.
    One,
    /// None has to be there; those that are not are not spoken of.
    None,
}

/// What came of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// As it was asked for.
    pub image: String,
    /// On how many nodes it is now; None: the engine does not have it.
    pub nodes: Option<Nodes>,
}

/// On how many nodes an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes {
    /// It was brought to these.
    pub loaded: usize,
    /// These had it.
    pub had: usize,
}

/// Brings images to every node that does not have them.
pub(in crate::provider) async fn load(
    environment: &Environment,
    cluster: &str,
    images: &[String],
    needed: Require,
    events: &Events,
) -> Result<Vec<LoadedImage>> {
    let server = engine::find(environment).await.map_err(|none| host_checks::no_engine_error(&none))?;
    let client = &server.client;
    let nodes = nodes(client, cluster).await?;
    let images = find(client, images, needed).await?;
    let site = LoadContext { environment, client, cluster, nodes: &nodes };
    let mut brought = Vec::new();
    for (name, image) in images {
        let nodes = if let Some(image) = image {
            Some(site.bring(&image, events).await?)
        } else {
            if needed != Require::None {
                let message = format!("{} does not have {name}", client.engine);
                events.step(Part::Cluster, &step(&name), Progress::Skipped, message).await;
            }
            None
        };
        brought.push(LoadedImage { image: name, nodes });
    }
    Ok(brought)
}

/// The nodes whose runtime has an image of this name; none where the engine cannot be asked.
pub(in crate::provider) async fn nodes_with(
    environment: &Environment,
    cluster: &str,
    image: &str,
) -> Vec<String> {
    let Ok(server) = engine::find(environment).await else { return Vec::new() };
    let Ok(nodes) = server.client.nodes(cluster).await else { return Vec::new() };
    let asked = nodes.iter().map(|node| server.client.node_says(&node.name, image));
    let said = join_all(asked).await;
    nodes.into_iter().zip(said).filter(|(_, said)| said.is_some()).map(|(node, _)| node.name).collect()
}

/// Name of the step that is about an image: without its registry, which its message has.
fn step(image: &str) -> String {
    format!("image {}", image.rsplit('/').next().unwrap_or(image))
}

async fn nodes(client: &Client, cluster: &str) -> Result<Vec<Container>> {
    let nodes = client.nodes(cluster).await?;
    let stopped: Vec<&str> = nodes.iter().filter(|node| !node.runs).map(|node| node.name.as_str()).collect();
    let message = if nodes.is_empty() {
        format!(
            "{} has no node of a cluster {cluster}: there is nothing that an image can be brought to",
            client.engine
        )
    } else if stopped.is_empty() {
        return Ok(nodes);
    } else {
        format!("{} of cluster {cluster} does not run", stopped.join(", "))
    };
    Err(Error::new(Id::NoNodesHere, Kind::Prerequisite, message).hint("handsctl cluster up"))
}

/// Each with what the engine has of it.
async fn find(client: &Client, names: &[String], needed: Require) -> Result<Vec<(String, Option<Image>)>> {
    let mut images = Vec::new();
    for (name, image) in names.iter().zip(join_all(names.iter().map(|name| client.image(name))).await) {
        let image = image.map_err(|failure| {
            let message = format!("{} does not say whether it has {name}", client.engine);
            failure.into_error(Id::EngineDown, Kind::Prerequisite, message)
        })?;
        images.push((name.clone(), image));
    }
    let absent: Vec<&str> =
        images.iter().filter(|(_, image)| image.is_none()).map(|(name, _)| name.as_str()).collect();
    let enough = match needed {
        Require::Each => absent.is_empty(),
        Require::One => absent.len() < images.len(),
        Require::None => true,
    };
    if enough {
        return Ok(images);
    }
    let message = format!("{} does not have {}", client.engine, absent.join(" and "));
    let error = Error::new(Id::ImageNotHere, Kind::Prerequisite, message);
    let error = absent.iter().fold(error, |error, name| error.hint(format!("{} pull {name}", client.engine)));
    Err(error.hint("handsctl image pull has the nodes pull it themselves"))
}

/// A file that goes with the value.
struct Archive(PathBuf);

impl Drop for Archive {
    fn drop(&mut self) {
        let _the_next_one_is_written_over_it = std::fs::remove_file(&self.0);
    }
}

/// Where images are brought.
struct LoadContext<'a> {
    environment: &'a Environment,
    client: &'a Client,
    cluster: &'a str,
    nodes: &'a [Container],
}

impl LoadContext<'_> {
    async fn bring(&self, image: &Image, events: &Events) -> Result<Nodes> {
        let name = step(&image.name);
        events.begin(Part::Cluster, &name, "").await;
        match self.bring_where_missing(image, &name, events).await {
            Ok(nodes) => {
                events.done(Part::Cluster, &name, format!("{} {}", image.name, words(nodes))).await;
                Ok(nodes)
            }
            Err(error) => {
                events.step(Part::Cluster, &name, Progress::Failed, "").await;
                Err(error)
            }
        }
    }

    async fn bring_where_missing(&self, image: &Image, step: &str, events: &Events) -> Result<Nodes> {
        let lacking = self.lacking(image).await;
        let nodes = Nodes { loaded: lacking.len(), had: self.nodes.len() - lacking.len() };
        if lacking.is_empty() {
            return Ok(nodes);
        }
        self.transfer(image, &lacking, step, events).await?;
        let still = self.lacking(image).await;
        if still.is_empty() {
            return Ok(nodes);
        }
        let message =
            format!("{} was brought to {}, which does not have it now", image.name, still.join(", "));
        Err(Error::new(Id::ImageNotBrought, Kind::Prerequisite, message)
            .hint("a node whose disk is full throws images away: handsctl status, docker system df"))
    }

    /// The nodes that do not have the image.
    async fn lacking(&self, image: &Image) -> Vec<&str> {
        let has = self.nodes.iter().map(|node| self.client.node_has(&node.name, image));
        let has = join_all(has).await;
        self.nodes.iter().zip(has).filter(|(_, has)| !has).map(|(node, _)| node.name.as_str()).collect()
    }

    async fn transfer(&self, image: &Image, nodes: &[&str], step: &str, events: &Events) -> Result<()> {
        let kind = assets::locate_kind(self.environment, events).await?;
        // The cache is where there is room; /tmp is often memory. One at a time: what a killed run left is written over.
        let folder = self.environment.cache.join("images");
        let _lock = file_lock::folder(&folder, LOAD, async || {
            events.begin(Part::Cluster, step, "another handsctl brings an image").await;
        })
        .await?;
        let archive = Archive(folder.join("image.tar"));
        events
            .begin(Part::Cluster, step, format!("{} is read from {}", image.name, self.client.engine))
            .await;
        self.client.save(image, &archive.0).run().await.map_err(|failure| self.failed(image, failure))?;
        let message = format!("{} is brought to {}", image.name, nodes.join(", "));
        events.begin(Part::Cluster, step, message).await;
        let load = ChildCommand::new(kind, LOAD)
            .variable("KIND_EXPERIMENTAL_PROVIDER", self.client.engine.name())
            .arguments(["load", "image-archive", "--name", self.cluster, "--nodes", &nodes.join(",")])
            .arguments([archive.0.as_os_str()]);
        load.run().await.map(drop).map_err(|failure| self.failed(image, failure))
    }

    fn failed(&self, image: &Image, failure: ChildFailure) -> Error {
        let message = format!("{} could not be brought to the nodes of cluster {}", image.name, self.cluster);
        failure.into_error(Id::ImageNotBrought, Kind::Prerequisite, message)
    }
}

/// `loaded to 2 nodes`, `was on all 2 nodes`.
fn words(nodes: Nodes) -> String {
    let count = |count: usize| if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    match (nodes.loaded, nodes.had) {
        (0, 1) => "was on the node".to_owned(),
        (0, had) => format!("was on all {had} nodes"),
        (loaded, 0) => format!("loaded to {}", count(loaded)),
        (loaded, had) => format!("loaded to {}, was on {had}", count(loaded)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_in_words() {
        for (loaded, had, text) in [
            (0, 1, "was on the node"),
            (0, 3, "was on all 3 nodes"),
            (1, 0, "loaded to 1 node"),
            (2, 1, "loaded to 2 nodes, was on 1"),
        ] {
            assert_eq!(words(Nodes { loaded, had }), text);
        }
    }
}
