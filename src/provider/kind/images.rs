//! Loads images from this computer's container engine onto the nodes of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;

use super::host_checks;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase as Part, Progress};
use crate::object::running_image::RunningImage;
use crate::phrase;
use crate::provider::command::{ChildCommand, ChildFailure};
use crate::provider::engine::{self, Client, Container, Engine, Image, Patience, Server};
use crate::provider::environment::Environment;
use crate::provider::transfer::{self, TransferredBytes};
use crate::provider::{assets, file_lock};

/// Timeout of `kind load`: an image may have several gigabytes.
const LOAD: Duration = Duration::from_secs(1800);

/// How many of the images the engine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// All of them.
    Each,
    /// At least one of them.
    One,
    /// None of them; neither missing images nor those that every node has are reported.
    None,
}

/// The result for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// Name as the caller gave it.
    pub image: String,
    /// Numbers of nodes that have it now; None: the engine does not have it.
    pub nodes: Option<Nodes>,
}

/// Numbers of nodes that have an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes {
    /// Nodes that it was loaded onto.
    pub loaded: usize,
    /// Nodes that already had it.
    pub present: usize,
}

/// Loads images onto every node that does not have them.
pub(in crate::provider) async fn load(
    environment: &Environment,
    cluster: &str,
    images: &[String],
    require: Require,
    events: &Events,
) -> Result<Vec<LoadedImage>> {
    let server = engine::find(environment, Patience::Told(events)).await;
    let server = server.map_err(|error| host_checks::no_engine_error(&error))?;
    let client = &server.client;
    let nodes = running_nodes(client, cluster).await?;
    let images = find_images(client, images, require).await?;
    let context = LoadContext { environment, server: &server, cluster, nodes: &nodes };
    let mut loaded = Vec::new();
    for (name, image) in images {
        let nodes = if let Some(image) = image {
            Some(context.load(&image, require, events).await?)
        } else {
            if require != Require::None {
                let message = format!("{} does not have {name}", client.engine);
                events.step(Part::Cluster, &step(&name), Progress::Skipped, message).await;
            }
            None
        };
        loaded.push(LoadedImage { image: name, nodes });
    }
    Ok(loaded)
}

/// Returns the nodes whose runtime has an image of this name; empty if the engine does not respond.
pub(in crate::provider) async fn nodes_with(
    environment: &Environment,
    cluster: &str,
    image: &str,
) -> Vec<String> {
    let Ok(server) = engine::find(environment, Patience::Brief).await else { return Vec::new() };
    let Ok(nodes) = server.client.nodes(cluster).await else { return Vec::new() };
    let requests = nodes.iter().map(|node| server.client.node_image(&node.name, image));
    let responses = join_all(requests).await;
    nodes
        .into_iter()
        .zip(responses)
        .filter(|(_, response)| response.is_some())
        .map(|(node, _)| node.name)
        .collect()
}

/// Returns the running images that were replaced on their node by another image of the same name.
pub(in crate::provider) async fn replaced<'a>(
    environment: &Environment,
    running: &'a [RunningImage],
) -> Vec<&'a RunningImage> {
    let Ok(server) = engine::find(environment, Patience::Brief).await else { return Vec::new() };
    let differs = running
        .iter()
        .map(|image| server.client.node_image_differs(&image.node, &image.image, &image.digest));
    let differs = join_all(differs).await;
    running.iter().zip(differs).filter(|(_, differs)| *differs).map(|(image, _)| image).collect()
}

/// Returns the name of an image's step. It omits the registry, which the message of a running step has.
fn step(image: &str) -> String {
    format!("image {}", image.rsplit('/').next().unwrap_or(image))
}

/// Lists the nodes of the cluster; an error if there is none or one is stopped.
async fn running_nodes(client: &Client, cluster: &str) -> Result<Vec<Container>> {
    let nodes = client.nodes(cluster).await?;
    let stopped: Vec<&str> =
        nodes.iter().filter(|node| !node.is_running).map(|node| node.name.as_str()).collect();
    let message = if nodes.is_empty() {
        format!("{} has no node of cluster {cluster}, so there is no node to load images onto", client.engine)
    } else if stopped.is_empty() {
        return Ok(nodes);
    } else {
        format!("{} of cluster {cluster} is not running", stopped.join(", "))
    };
    Err(Error::new(Id::NoLocalNodes, Kind::Prerequisite, message).hint("handsctl cluster up"))
}

/// Returns each name with the engine's image; an error if images that `require` demands are missing.
async fn find_images(
    client: &Client,
    names: &[String],
    require: Require,
) -> Result<Vec<(String, Option<Image>)>> {
    let mut images = Vec::new();
    for (name, image) in names.iter().zip(join_all(names.iter().map(|name| client.image(name))).await) {
        let image = image.map_err(|failure| {
            let message = format!("{} cannot inspect image {name}", client.engine);
            failure.into_error(Id::EngineDown, Kind::Prerequisite, message)
        })?;
        images.push((name.clone(), image));
    }
    let absent: Vec<&str> =
        images.iter().filter(|(_, image)| image.is_none()).map(|(name, _)| name.as_str()).collect();
    let is_enough = match require {
        Require::Each => absent.is_empty(),
        Require::One => absent.len() < images.len(),
        Require::None => true,
    };
    if is_enough {
        return Ok(images);
    }
    let message = format!("{} does not have {}", client.engine, absent.join(" and "));
    let error = Error::new(Id::ImageNotInEngine, Kind::Prerequisite, message);
    let error = absent.iter().fold(error, |error, name| error.hint(format!("{} pull {name}", client.engine)));
    Err(error.hint("handsctl image pull pulls the image on the nodes"))
}

/// A file that is deleted on drop.
struct Archive(PathBuf);

impl Drop for Archive {
    fn drop(&mut self) {
        let _the_next_load_overwrites_it = std::fs::remove_file(&self.0);
    }
}

/// The target of a load.
struct LoadContext<'a> {
    environment: &'a Environment,
    server: &'a Server,
    cluster: &'a str,
    nodes: &'a [Container],
}

impl LoadContext<'_> {
    async fn load(&self, image: &Image, require: Require, events: &Events) -> Result<Nodes> {
        let name = step(&image.name);
        let missing = self.nodes_without(image).await;
        if missing.is_empty() && require == Require::None {
            return Ok(Nodes { loaded: 0, present: self.nodes.len() });
        }
        events.begin(Part::Cluster, &name, "").await;
        match self.load_onto(&missing, image, &name, events).await {
            Ok(nodes) => {
                events.done(Part::Cluster, &name, summary(nodes)).await;
                Ok(nodes)
            }
            Err(error) => {
                events.step(Part::Cluster, &name, Progress::Failed, "").await;
                Err(error)
            }
        }
    }

    async fn load_onto(&self, missing: &[&str], image: &Image, step: &str, events: &Events) -> Result<Nodes> {
        let nodes = Nodes { loaded: missing.len(), present: self.nodes.len() - missing.len() };
        if missing.is_empty() {
            return Ok(nodes);
        }
        self.transfer(image, missing, step, events).await?;
        let still_missing = self.nodes_without_loaded(image).await;
        if still_missing.is_empty() {
            return Ok(nodes);
        }
        let message =
            format!("{} was loaded onto {}, but it is missing there", image.name, still_missing.join(", "));
        let usage = match self.server.client.engine {
            Engine::Docker => "docker system df",
            Engine::Podman => "podman system df",
            Engine::Nerdctl => "df -h",
        };
        Err(Error::new(Id::ImageNotLoaded, Kind::Prerequisite, message)
            .hint(format!("a kubelet deletes images when the node's disk is full: handsctl status, {usage}")))
    }

    /// Returns the nodes that do not have the image.
    async fn nodes_without(&self, image: &Image) -> Vec<&str> {
        let has = self.nodes.iter().map(|node| self.server.client.node_has_image(&node.name, image));
        self.unless(join_all(has).await)
    }

    /// Returns the nodes that do not have the image after it was loaded onto them.
    async fn nodes_without_loaded(&self, image: &Image) -> Vec<&str> {
        let has = self.nodes.iter().map(|node| self.server.node_has_loaded(&node.name, image));
        self.unless(join_all(has).await)
    }

    /// Returns the names of the nodes for which the value is false.
    fn unless(&self, has: Vec<bool>) -> Vec<&str> {
        self.nodes.iter().zip(has).filter(|(_, has)| !has).map(|(node, _)| node.name.as_str()).collect()
    }

    async fn transfer(&self, image: &Image, nodes: &[&str], step: &str, events: &Events) -> Result<()> {
        let kind = assets::locate_kind(self.environment, events).await?;
        // In the cache, because /tmp is often in memory. The lock admits one load at a time, so that all share one file
        // name and the next one overwrites the file of a killed run.
        let folder = self.environment.cache.join("images");
        let _lock = file_lock::folder(&folder, LOAD, async || {
            events.begin(Part::Cluster, step, "another handsctl is loading an image").await;
        })
        .await?;
        let archive = Archive(folder.join("image.tar"));
        let message = format!("saving {} from {}", image.name, self.server.client.engine);
        events.begin(Part::Cluster, step, &message).await;
        let written = || std::fs::metadata(&archive.0).map_or(0, |file| file.len());
        let bytes = TransferredBytes::default();
        let saved = transfer::reported(
            self.server.save(image, &archive.0).run(),
            &bytes,
            |bytes| bytes.set(written()),
            (Part::Cluster, step, &message),
            events,
        );
        saved.await.map_err(|failure| self.failed(image, failure))?;
        let size = phrase::size(written());
        let message = format!("loading {} ({size}) onto {}", image.name, nodes.join(", "));
        events.begin(Part::Cluster, step, message).await;
        let load = ChildCommand::new(kind, LOAD)
            .variable("KIND_EXPERIMENTAL_PROVIDER", self.server.client.engine.name())
            .arguments(["load", "image-archive", "--name", self.cluster, "--nodes", &nodes.join(",")])
            .arguments([archive.0.as_os_str()]);
        load.run().await.map(drop).map_err(|failure| self.failed(image, failure))
    }

    fn failed(&self, image: &Image, failure: ChildFailure) -> Error {
        let message = format!("cannot load {} onto the nodes of cluster {}", image.name, self.cluster);
        if !engine::lacks_platform(&failure) {
            return failure.into_error(Id::ImageNotLoaded, Kind::Prerequisite, message);
        }
        let cause = format!(
            "{message}: it has several platforms, and {} saved the layers of one",
            self.server.client.engine
        );
        let error = failure.into_error(Id::ImageNotLoaded, Kind::Prerequisite, cause);
        let error = match self.server.client.engine {
            Engine::Docker => error
                .hint("Docker 28 and newer save one platform of an image: update docker's client and server"),
            Engine::Podman | Engine::Nerdctl => error,
        };
        error.hint("handsctl image pull makes the nodes pull it from its registry")
    }
}

/// `loaded onto 2 nodes`, `already on all 2 nodes`.
fn summary(nodes: Nodes) -> String {
    let count = |count: usize| if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    match (nodes.loaded, nodes.present) {
        (0, 1) => "already on the node".to_owned(),
        (0, had) => format!("already on all {had} nodes"),
        (loaded, 0) => format!("loaded onto {}", count(loaded)),
        (loaded, had) => format!("loaded onto {}, already on {had}", count(loaded)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// Loads an image of several platforms with docker of this version, which has containerd's image store, and a kind
    /// whose `load` runs this. Returns the outcome, and the arguments of `docker save`.
    async fn load_with_containerd_store(
        version: &str,
        kind_load: &str,
    ) -> (Result<Vec<LoadedImage>>, String) {
        let info = format!(
            r#"{{"ServerVersion":"{version}","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}}"#
        );
        load_with("docker", &info, kind_load).await
    }

    /// Loads an image with this engine, whose `info` prints this.
    async fn load_with(engine: &str, info: &str, kind_load: &str) -> (Result<Vec<LoadedImage>>, String) {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "case \"$*\" in info*) echo '{info}' ;; ps*) echo abc ;; \
             inspect*) echo '[{{\"Id\":\"abc\",\"Name\":\"/x-control-plane\",\"State\":{{\"Running\":true}},\"Config\":{{}}}}]' ;; \
             image*) echo 'sha256:index linux/amd64' ;; save*) echo \"$*\" > saved ;; \
             exec*) [ -e loaded ] && echo '{{\"status\":{{\"id\":\"sha256:configuration\"}}}}' ;; esac"
        );
        let kind = format!(
            "case \"$*\" in version*) echo 'kind v0.33.0 go1.26.0 linux/amd64' ;; load*) {kind_load} ;; esac"
        );
        install(folder.path(), engine, &script);
        install(folder.path(), "kind", &kind);
        let environment = Environment::for_tests(folder.path());
        let (events, _receiver) = Events::channel();
        let loaded = load(&environment, "x", &["acme/app:1".to_owned()], Require::Each, &events).await;
        (loaded, std::fs::read_to_string(folder.path().join("saved")).unwrap_or_default())
    }

    fn install(folder: &Path, name: &str, script: &str) {
        let program = folder.join(name);
        std::fs::write(&program, format!("#!/bin/sh\ncd '{}'\n{script}\n", folder.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[tokio::test]
    async fn containerd_image_store_loads_one_platform() {
        let (loaded, saved) = load_with_containerd_store("29.0.1", ": > loaded").await;
        assert_eq!(loaded.unwrap()[0].nodes, Some(Nodes { loaded: 1, present: 0 }));
        assert!(saved.starts_with("save --platform linux/amd64 --output "), "{saved}");
        assert!(saved.trim_end().ends_with(" acme/app:1"), "{saved}");
    }

    #[tokio::test]
    async fn missing_content_digest_names_the_image_store() {
        let fails = "echo 'ctr: content digest sha256:aa: not found' >&2; exit 1";
        let (loaded, saved) = load_with_containerd_store("27.3.1", fails).await;
        assert!(saved.starts_with("save --output "), "docker 27 has no --platform: {saved}");
        let error = loaded.unwrap_err();
        assert_eq!(error.id(), Id::ImageNotLoaded);
        assert!(
            error.message().ends_with("it has several platforms, and docker saved the layers of one"),
            "{}",
            error.message()
        );
        assert!(error.hints()[0].starts_with("Docker 28 and newer"), "{:?}", error.hints());
    }

    #[tokio::test]
    async fn missing_content_digest_of_another_engine_names_no_docker() {
        let fails = "echo 'ctr: content digest sha256:aa: not found' >&2; exit 1";
        for (engine, info) in [
            ("podman", r#"{"host":{"cpus":4},"version":{"Version":"5.4.1"}}"#),
            ("nerdctl", r#"{"ServerVersion":"v2.1.3"}"#),
        ] {
            let error = load_with(engine, info, fails).await.0.unwrap_err();
            assert!(
                error.message().ends_with(&format!("{engine} saved the layers of one")),
                "{}",
                error.message()
            );
            assert_eq!(error.hints(), ["handsctl image pull makes the nodes pull it from its registry"]);
        }
    }

    #[test]
    fn summary_counts_loaded_and_present_nodes() {
        for (loaded, present, text) in [
            (0, 1, "already on the node"),
            (0, 3, "already on all 3 nodes"),
            (1, 0, "loaded onto 1 node"),
            (2, 1, "loaded onto 2 nodes, already on 1"),
        ] {
            assert_eq!(summary(Nodes { loaded, present }), text);
        }
    }
}
