//! Why an image cannot be pulled, recognized in the registry's error message.

use crate::catalogue::Id;

/// The waiting reasons with which a kubelet reports a failed image pull
/// (`pkg/kubelet/images/types.go`).
const PULL_FAILURES: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// Errors of a registry that is unreachable or overloaded. They heal, and are checked first, because containerd and
/// Docker wrap them in texts that match the other two groups (`failed to fetch anonymous token`).
const UNAVAILABLE: &[&str] = &[
    "timeout",
    "timed out",
    "deadline exceeded",
    "connection refused",
    "connection reset",
    "no such host",
    "server misbehaving",
    "network is unreachable",
    "no route to host",
    "temporary failure",
    "tls:",
    "x509:",
    "unexpected eof",
    ": eof",
    "429 too many",
    "toomanyrequests",
    "too many requests",
    "500 internal",
    "502 bad",
    "503 service",
    "504 gateway",
    "no space left",
];

/// Errors of a registry that requires authentication. `pull access denied … repository does not exist or may require
/// authorization` counts as one, because the registry does not report which of the two it is.
const FORBIDDEN: &[&str] = &[
    "401 unauthorized",
    "403 forbidden",
    "unauthorized",
    "forbidden",
    "denied",
    "insufficient_scope",
    "authentication required",
    "authorization failed",
    "no basic auth credentials",
];

/// Errors of a registry that does not have the image, or does not have it for the node's architecture.
const NOT_FOUND: &[&str] = &[
    "not found",
    "notfound",
    "manifest unknown",
    "manifest_unknown",
    "name unknown",
    "name_unknown",
    "no match for platform",
    "no matching manifest",
    "repository does not exist",
];

/// Returns whether the registry has the image, for other platforms only. The texts are containerd's and Docker's.
pub(crate) fn is_of_other_platform(text: &str) -> bool {
    text.contains("no match for platform") || text.contains("no matching manifest")
}

/// Returns whether a waiting reason means that a pull failed.
pub(crate) fn is_pull_failure(reason: &str) -> bool {
    PULL_FAILURES.contains(&reason)
}

/// Returns the id for an error of a registry or runtime about `image`.
pub(crate) fn classify(text: &str, image: &str) -> Id {
    let error = without_references(text, image);
    let contains = |phrases: &[&str]| phrases.iter().any(|phrase| error.contains(phrase));
    if contains(UNAVAILABLE) {
        Id::ImageUnavailable
    } else if contains(FORBIDDEN) {
        Id::ImageForbidden
    } else if contains(NOT_FOUND) {
        Id::ImageNotFound
    } else {
        Id::ImageUnavailable
    }
}

/// Returns the text in lowercase without names that the user chose: an image may be named `denied:429`.
fn without_references(text: &str, image: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for (index, part) in text.split('"').enumerate() {
        // Quoted parts are image references and URLs, except where a client quotes a server's message.
        if index % 2 == 0 || part.contains(' ') {
            words.push_str(part);
            words.push(' ');
        }
    }
    let words = if image.is_empty() { words } else { words.replace(image, "") };
    let plain = words.split(' ').filter(|word| !word.starts_with("http://") && !word.starts_with("https://"));
    plain.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Removes the kubelet's and the runtime's wrappers of a pull error: returns the text after `rpc error: … desc = `.
pub(crate) fn registry_message(text: &str) -> &str {
    let inner = text.split_once("rpc error: code = ").and_then(|(_, rest)| rest.split_once(" desc = "));
    inner.map_or(text, |(_, inner)| inner).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_message_has_no_wrappers() {
        let text =
            "Back-off pulling image \"a:1\": ErrImagePull: rpc error: code = NotFound desc = a:1: not found";
        assert_eq!(registry_message(text), "a:1: not found");
        assert_eq!(registry_message("manifest unknown "), "manifest unknown");
    }

    #[test]
    fn pull_errors_are_classified_by_registry_message() {
        let image = "ghcr.io/acme/denied:429";
        for (id, text) in [
            (
                Id::ImageNotFound,
                r#"rpc error: code = NotFound desc = failed to pull and unpack image "ghcr.io/acme/denied:429": failed to resolve reference "ghcr.io/acme/denied:429": ghcr.io/acme/denied:429: not found"#,
            ),
            (
                Id::ImageNotFound,
                "manifest for ghcr.io/acme/denied:429 not found: manifest unknown: manifest unknown",
            ),
            (Id::ImageNotFound, "no matching manifest for linux/arm64/v8 in the manifest list entries"),
            (
                Id::ImageForbidden,
                "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=x: 403 Forbidden",
            ),
            (
                Id::ImageForbidden,
                r#"failed to resolve reference "docker.io/acme/x:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"#,
            ),
            (Id::ImageForbidden, "Error response from daemon: unauthorized: authentication required"),
            (Id::ImageForbidden, "denied: requested access to the resource is denied"),
            (
                Id::ImageUnavailable,
                r#"failed to do request: Head "https://ghcr.io/v2/acme/denied/manifests/429": dial tcp: lookup ghcr.io on 10.0.0.2:53: no such host"#,
            ),
            (
                Id::ImageUnavailable,
                r#"failed to authorize: failed to fetch anonymous token: Get "https://ghcr.io/token": dial tcp 1.2.3.4:443: i/o timeout"#,
            ),
            (
                Id::ImageUnavailable,
                "mirror.local: not found; ghcr.io: dial tcp 1.2.3.4:443: connect: connection refused",
            ),
            (Id::ImageUnavailable, "toomanyrequests: You have reached your unauthenticated pull rate limit"),
            (
                Id::ImageUnavailable,
                "unexpected status from HEAD request to https://ghcr.io/v2/: 503 Service Unavailable",
            ),
            (
                Id::ImageNotFound,
                "unexpected status from HEAD request to https://ghcr.io/v2/acme/denied/manifests/429: 404 Not Found",
            ),
            (Id::ImageUnavailable, r#"Back-off pulling image "ghcr.io/acme/denied:429""#),
        ] {
            assert_eq!(classify(text, image), id, "{text}");
        }
    }
}
