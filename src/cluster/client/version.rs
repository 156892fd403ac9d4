//! The API server's version.

use super::api::{Api, ApiError};

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// `v1.34.4`.
    pub text: String,
    /// 34; major has been 1 since 2015.
    pub minor: u32,
}

/// The first request of every command, so its failure says what is wrong with the connection.
///
/// # Errors
/// Where there is no answer.
pub async fn get_server_version(api: &Api) -> Result<ServerVersion, ApiError> {
    let answer = api.get_path("/version").await?;
    let text = answer.body["gitVersion"].as_str().unwrap_or_default().to_owned();
    let minor = answer.body["minor"].as_str().unwrap_or_default();
    // Some clouds write "34+".
    let minor =
        minor.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().unwrap_or_default();
    Ok(ServerVersion { text, minor })
}

impl ServerVersion {
    /// Whether lists can be streamed (KEP-3157, on by default from 1.32).
    #[must_use]
    pub fn streams_lists(&self) -> bool {
        self.minor >= 32
    }
}
