//! Images: which one the engine has, whether a node has the same, and how it gets into a file.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use crate::provider::command::{ChildCommand, ChildFailure, ChildOutcome};

/// How long a look at an image may take; it takes a tenth of a second.
const LOOK: Duration = Duration::from_secs(20);
/// How long writing an image to a file may take.
const SAVE: Duration = Duration::from_secs(900);

/// What a client says of an image that its engine does not have.
const ABSENT: [&str; 3] = ["no such image", "image not known", "not found"];

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Image {
    /// As it was asked for: `docker.io/library/busybox:1.37`.
    pub(in crate::provider) name: String,
    /// The digest that tells it from another one under the same name, without `sha256:`.
    pub(in crate::provider) digest: String,
}

impl Client {
    /// The image of this name; None where the engine has none.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub(in crate::provider) async fn image(&self, name: &str) -> Result<Option<Image>, ChildFailure> {
        let look = ["image", "inspect", "--format", "{{.Id}}", name];
        match self.command(LOOK, look).run().await {
            Ok(output) => {
                let digest = bare(output.stdout.trim()).to_owned();
                Ok(Some(Image { name: name.to_owned(), digest }))
            }
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether a node has this very image under this name.
    pub(in crate::provider) async fn node_has(&self, node: &str, image: &Image) -> bool {
        // A node that does not say it is given the image; afterwards it has to.
        self.node_says(node, &image.name).await.is_some_and(|answer| is_image(&answer, &image.digest))
    }

    /// What a node's runtime says of an image of this name; None where it has none.
    pub(in crate::provider) async fn node_says(&self, node: &str, name: &str) -> Option<String> {
        let look = ["exec", node, "crictl", "inspecti", name];
        self.command(LOOK, look).run().await.ok().map(|output| output.stdout)
    }

    /// Writes an image to a file, in the form that every engine and every node's runtime reads.
    pub(in crate::provider) fn save(&self, image: &Image, file: &Path) -> ChildCommand {
        self.command(SAVE, ["save", "--output"]).arguments([file.as_os_str(), image.name.as_ref()])
    }
}

fn is_absent(failure: &ChildFailure) -> bool {
    let said = failure.stderr.to_lowercase();
    matches!(failure.outcome, ChildOutcome::Exit(_)) && ABSENT.iter().any(|words| said.contains(words))
}

fn bare(digest: &str) -> &str {
    digest.rsplit(':').next().unwrap_or(digest)
}

/// Whether a node's answer is about the image of this digest. Engines that keep images as containerd does name the
/// digest of the manifest instead of the configuration's.
fn is_image(answer: &str, digest: &str) -> bool {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else { return false };
    let status = &answer["status"];
    let repositories = status["repoDigests"].as_array().into_iter().flatten();
    let digests = repositories.filter_map(Value::as_str).chain(status["id"].as_str());
    digests.into_iter().any(|it| bare(it) == digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_image_of_the_same_digest_and_no_other() {
        let answer =
            r#"{"status":{"id":"sha256:aa","repoDigests":["docker.io/x@sha256:bb"],"repoTags":["x:1"]}}"#;
        assert!(is_image(answer, "aa"), "the configuration's");
        assert!(is_image(answer, "bb"), "the manifest's");
        assert!(!is_image(answer, "cc"));
        assert!(!is_image("", "aa"));
    }

    #[test]
    fn digests_with_and_without_their_kind() {
        assert_eq!((bare("sha256:aa"), bare("aa")), ("aa", "aa"));
    }
}
