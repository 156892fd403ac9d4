//! Why an image cannot be pulled, read from the registry's words.

use crate::catalogue::Id;

/// The waiting reasons under which a kubelet reports that it has no image yet
/// (`pkg/kubelet/images/types.go`).
const PULL_FAILURES: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// Words of a registry that cannot be reached or is in trouble: they heal. Looked for first, because the
/// texts of containerd and docker wrap them in words of the other two groups (`failed to fetch anonymous token`).
const IN_TROUBLE: &[&str] = &[
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

/// Words of a registry that wants to know who asks. `pull access denied … repository does not exist or may
/// require authorization` stays here: the registry does not say which.
const REFUSED: &[&str] = &[
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

/// Words of a registry that does not have it, or not for the node's architecture.
const ABSENT: &[&str] = &[
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

/// Whether a waiting reason means that a pull failed.
pub(crate) fn is_pull_failure(reason: &str) -> bool {
    PULL_FAILURES.contains(&reason)
}

/// The row of the catalogue for what a registry or runtime said about `image`.
pub(crate) fn classify(text: &str, image: &str) -> Id {
    let words = bare(text, image);
    let says = |group: &[&str]| group.iter().any(|word| words.contains(word));
    if says(IN_TROUBLE) {
        Id::ImageUnavailable
    } else if says(REFUSED) {
        Id::ImageForbidden
    } else if says(ABSENT) {
        Id::ImageNotFound
    } else {
        Id::ImageUnavailable
    }
}

/// The text in lowercase without what the user chose: an image may well be named `denied:429`.
fn bare(text: &str, image: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for (index, part) in text.split('"').enumerate() {
        // Between quotes stand references and addresses, and words only where a client quotes a server.
        if index % 2 == 0 || part.contains(' ') {
            words.push_str(part);
            words.push(' ');
        }
    }
    let words = if image.is_empty() { words } else { words.replace(image, "") };
    let plain = words.split(' ').filter(|word| !word.starts_with("http://") && !word.starts_with("https://"));
    plain.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A pull error without the kubelet's and the runtime's wrappers: what stands behind `rpc error: … desc = `.
pub(crate) fn gist(text: &str) -> &str {
    let inner = text.split_once("rpc error: code = ").and_then(|(_, rest)| rest.split_once(" desc = "));
    inner.map_or(text, |(_, inner)| inner).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gist_is_the_registrys() {
        let text =
            "Back-off pulling image \"a:1\": ErrImagePull: rpc error: code = NotFound desc = a:1: not found";
        assert_eq!(gist(text), "a:1: not found");
        assert_eq!(gist("manifest unknown "), "manifest unknown");
    }

    #[test]
    fn registries_words() {
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
