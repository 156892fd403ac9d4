//! The API server's version.

use kube::core::Status;

use super::api::{Api, ApiError};

/// The Kubernetes minor version that the tests use.
pub const TESTED_MINOR: u32 = 34;

/// The version from `/version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// `v1.34.4`.
    pub text: String,
    /// 34; major has been 1 since 2015.
    pub minor: u32,
}

/// Returns whether the account is known and may not read the path.
fn is_forbidden(status: &Status) -> bool {
    status.code == 403 && !status.message.contains("system:anonymous")
}

/// Gets the version, or the unknown one if the account has no right to read it. This is the first request of every command,
/// so its failure explains a broken connection.
///
/// # Errors
/// Fails if the server is unreachable or rejects the request.
pub async fn get_server_version(api: &Api) -> Result<ServerVersion, ApiError> {
    let response = match api.get_path("/version").await {
        // The right to read it is one of its own. Without the version, lists are not streamed.
        Err(ApiError::Status(status)) if is_forbidden(&status) => return Ok(ServerVersion::unknown()),
        response => response?,
    };
    let text = response.body["gitVersion"].as_str().unwrap_or_default().to_owned();
    let minor = response.body["minor"].as_str().unwrap_or_default();
    // Some cloud providers append a plus: "34+".
    let minor =
        minor.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().unwrap_or_default();
    let version = ServerVersion { text, minor };
    api.on_version(version.streams_lists());
    Ok(version)
}

impl ServerVersion {
    /// The version of a server that does not tell it.
    fn unknown() -> Self {
        Self { text: "unknown".to_owned(), minor: 0 }
    }

    /// Whether the server supports streaming lists (KEP-3157, on by default from 1.32).
    #[must_use]
    pub fn streams_lists(&self) -> bool {
        self.minor >= 32
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::client::traffic::Traffic;
    use crate::cluster::scripted::scripted;

    #[tokio::test(start_paused = true)]
    async fn forbidden_version_is_unknown_and_anonymous_one_an_error() {
        for (user, is_known) in [("ana", true), ("system:anonymous", false)] {
            let (api, mut server) = scripted();
            let (version, ()) = tokio::join!(get_server_version(&api), async {
                let message = format!("forbidden: User \"{user}\" cannot get path \"/version\"");
                server.expect("GET /version").await.status(403, "Forbidden", &message);
            });
            assert_eq!(version.ok().map(|version| version.text), is_known.then(|| "unknown".to_owned()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connection_knows_if_the_server_streams_lists() {
        for (git_version, minor, streams) in [
            ("v1.26.15", "26", false),
            ("v1.31.4", "31", false),
            ("v1.32.0", "32", true),
            ("v1.34.4-eks", "34+", true),
        ] {
            let (connected, mut server) = scripted();
            let api = Api::new(connected.client().clone(), std::sync::Arc::new(Traffic::default()));
            assert!(!api.streams_lists(), "unknown");
            let copy = api.clone();
            let (version, ()) = tokio::join!(get_server_version(&api), async {
                server.expect("GET /version").await.ok(&json!({ "gitVersion": git_version, "minor": minor }));
            });
            assert_eq!(version.unwrap().text, git_version);
            assert_eq!(copy.streams_lists(), streams, "{git_version}");
        }
    }
}
