//! Images of the engine and of the nodes, and their export to a file.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Server};
use crate::provider::command::{ChildCommand, ChildFailure, ChildOutcome};

/// Timeout of an image's `inspect`, which takes about 100 ms.
const INSPECT: Duration = Duration::from_secs(20);
/// Timeout of writing an image to a file.
const SAVE: Duration = Duration::from_secs(900);

/// The repository of kind's node images.
const NODE_IMAGE: &str = "kindest/node";

/// Error messages of the clients about an image that the engine does not have.
const ABSENT: [&str; 3] = ["no such image", "image not known", "not found"];

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Image {
    /// Name as the caller gave it: `docker.io/library/busybox:1.37`.
    pub(in crate::provider) name: String,
    /// Digest without `sha256:`. It distinguishes images of the same name.
    pub(in crate::provider) digest: String,
    /// `linux/amd64`; None if the engine does not report it.
    pub(in crate::provider) platform: Option<String>,
}

impl Client {
    /// Returns the image of this name; None: the engine does not have it.
    ///
    /// # Errors
    /// The failed command, if the engine does not respond.
    pub(in crate::provider) async fn image(&self, name: &str) -> Result<Option<Image>, ChildFailure> {
        let arguments = ["image", "inspect", "--format", "{{.Id}} {{.Os}}/{{.Architecture}}", name];
        match self.command(INSPECT, arguments).run().await {
            Ok(output) => Ok(Some(read_image(name, &output.stdout))),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Lists the engine's node images of kind, by name and tag. Empty if it does not respond: they only add a hint.
    pub(in crate::provider) async fn node_images(&self) -> Vec<String> {
        let list = self.command(INSPECT, ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NODE_IMAGE]);
        let Ok(output) = list.run().await else { return Vec::new() };
        let is_tagged = |line: &&str| line.contains(NODE_IMAGE) && !line.ends_with("<none>");
        output.stdout.lines().map(str::trim).filter(is_tagged).map(str::to_owned).collect()
    }

    /// Whether a node has an image with this name and this digest.
    pub(in crate::provider) async fn node_has_image(&self, node: &str, image: &Image) -> bool {
        // A runtime that does not respond counts as lacking the image: the image is loaded, and a second check must
        // succeed.
        self.node_image(node, &image.name).await.is_some_and(|output| has_digest(&output, &image.digest))
    }

    /// Whether the image of this name on a node has another digest than this one. False if the node does not have the
    /// image or its runtime does not respond.
    pub(in crate::provider) async fn node_image_differs(&self, node: &str, name: &str, digest: &str) -> bool {
        let output = self.node_image(node, name).await;
        output.is_some_and(|output| is_readable(&output) && !has_digest(&output, digest))
    }

    /// Returns the output of `crictl inspecti` on a node for an image of this name; None: the node does not have it.
    pub(in crate::provider) async fn node_image(&self, node: &str, name: &str) -> Option<String> {
        let arguments = ["exec", node, "crictl", "inspecti", name];
        self.command(INSPECT, arguments).run().await.ok().map(|output| output.stdout)
    }
}

impl Server {
    /// Returns the command that writes an image to a file, in a format that every engine and node runtime can read.
    pub(in crate::provider) fn save(&self, image: &Image, file: &Path) -> ChildCommand {
        let save = self.client.command(SAVE, ["save"]);
        let save = match &image.platform {
            Some(platform) if self.info.saves_by_platform() => {
                save.arguments(["--platform", platform.as_str()])
            }
            _ => save,
        };
        save.arguments(["--output".as_ref(), file.as_os_str(), image.name.as_ref()])
    }

    /// Whether a node has an image that was loaded onto it. An engine with containerd's store has loaded one platform
    /// of the image, whose digest is not the image's: then the name decides.
    pub(in crate::provider) async fn node_has_loaded(&self, node: &str, image: &Image) -> bool {
        if self.info.has_containerd_store {
            return self.client.node_image(node, &image.name).await.is_some();
        }
        self.client.node_has_image(node, image).await
    }
}

/// Whether `kind load` failed because the saved image lacks the layers of a platform.
pub(in crate::provider) fn lacks_platform(failure: &ChildFailure) -> bool {
    let stderr = failure.stderr.to_lowercase();
    stderr.contains("content digest") && stderr.contains("not found")
}

/// Parses the output of `image inspect`: `sha256:aa linux/amd64`.
fn read_image(name: &str, output: &str) -> Image {
    let mut words = output.split_whitespace();
    let digest = bare(words.next().unwrap_or_default()).to_owned();
    let is_platform = |word: &&str| word.split('/').all(|part| !part.is_empty()) && word.contains('/');
    Image { name: name.to_owned(), digest, platform: words.next().filter(is_platform).map(str::to_owned) }
}

fn is_absent(failure: &ChildFailure) -> bool {
    let stderr = failure.stderr.to_lowercase();
    matches!(failure.outcome, ChildOutcome::Exit(_)) && ABSENT.iter().any(|message| stderr.contains(message))
}

fn bare(digest: &str) -> &str {
    digest.rsplit(':').next().unwrap_or(digest)
}

/// Whether the output of `crictl inspecti` has this digest. Engines with the containerd image store report the digest
/// of the manifest instead of the configuration's.
fn has_digest(output: &str, digest: &str) -> bool {
    let Ok(output) = serde_json::from_str::<Value>(output) else { return false };
    let status = &output["status"];
    let repositories = status["repoDigests"].as_array().into_iter().flatten();
    let digests = repositories.filter_map(Value::as_str).chain(status["id"].as_str());
    digests.into_iter().any(|it| bare(it) == digest)
}

/// Whether the output of `crictl inspecti` names a digest.
fn is_readable(output: &str) -> bool {
    serde_json::from_str::<Value>(output).is_ok_and(|output| output["status"]["id"].is_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_image_matches_by_configuration_or_manifest_digest() {
        let output =
            r#"{"status":{"id":"sha256:aa","repoDigests":["docker.io/x@sha256:bb"],"repoTags":["x:1"]}}"#;
        assert!(has_digest(output, "aa"), "the configuration's");
        assert!(has_digest(output, "bb"), "the manifest's");
        assert!(!has_digest(output, "cc"));
        assert!(!has_digest("", "aa"));
        assert!(is_readable(output) && !is_readable("") && !is_readable("{}"));
    }

    #[test]
    fn image_has_its_platform_if_the_engine_reports_it() {
        let platform = |output: &str| read_image("x:1", output).platform;
        assert_eq!(platform("sha256:aa linux/arm64\n").as_deref(), Some("linux/arm64"));
        assert_eq!((platform("sha256:aa /"), platform("sha256:aa")), (None, None));
        assert_eq!(read_image("x:1", "sha256:aa linux/arm64").digest, "aa");
    }

    #[test]
    fn bare_digest_has_no_algorithm() {
        assert_eq!((bare("sha256:aa"), bare("aa")), ("aa", "aa"));
    }
}
