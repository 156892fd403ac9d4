//! The API server's version.

use super::api::{Api, ApiError};

/// The version from `/version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// `v1.34.4`.
    pub text: String,
    /// 34; major has been 1 since 2015.
    pub minor: u32,
}

/// Gets the version. This is the first request of every command, so its failure explains a broken connection.
///
/// # Errors
/// Fails if the server is unreachable or rejects the request.
pub async fn get_server_version(api: &Api) -> Result<ServerVersion, ApiError> {
    let response = api.get_path("/version").await?;
    let text = response.body["gitVersion"].as_str().unwrap_or_default().to_owned();
    let minor = response.body["minor"].as_str().unwrap_or_default();
    // Some cloud providers append a plus: "34+".
    let minor =
        minor.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().unwrap_or_default();
    Ok(ServerVersion { text, minor })
}

impl ServerVersion {
    /// Whether the server supports streaming lists (KEP-3157, on by default from 1.32).
    #[must_use]
    pub fn streams_lists(&self) -> bool {
        self.minor >= 32
    }
}
