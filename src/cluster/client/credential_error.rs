//! An unusable kubeconfig or a failed login → error and exit code. Pure.
//!
//! The texts of kube's errors are not used: they contain lines of the kubeconfig, and the environment, the arguments and
//! the output of a credential plugin.

use std::path::Path;

use kube::client::AuthError;
use kube::config::{ExecConfig, KubeconfigError};

use crate::catalogue::Id;
use crate::error::{Error, Kind};

/// How many lines of a plugin's standard error an error carries.
const TAIL: usize = 10;

/// Returns the error for a kubeconfig that kube does not accept.
pub(super) fn invalid_kubeconfig(message: String, error: &KubeconfigError) -> Error {
    let cause = match error {
        KubeconfigError::Parse(error) => format!("it is not a kubeconfig: {}", position(error)),
        other => other.to_string(),
    };
    Error::new(Id::KubeconfigInvalid, Kind::Unreachable, message).caused_by(cause)
}

/// Returns the error for a user of the kubeconfig who got no credentials.
pub(super) fn credential_error(action: &str, error: &AuthError, plugin: Option<&ExecConfig>) -> Error {
    let program =
        plugin.and_then(|plugin| plugin.command.as_deref()).and_then(|path| Path::new(path).file_name());
    let name = program.map_or_else(String::new, |name| format!(" {}", name.to_string_lossy()));
    let cause = match error {
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin{name} failed: {}", out.status),
        AuthError::AuthExecStart(error) => format!("cannot start the credential plugin{name}: {error}"),
        AuthError::AuthExecParse(error) => {
            format!("the credential plugin{name} wrote no valid ExecCredential: {}", position(error))
        }
        AuthError::ExecPluginFailed => {
            format!("the credential plugin{name} wrote an ExecCredential without a status")
        }
        AuthError::MalformedTokenExpirationDate(_) => {
            format!("the credential plugin{name} wrote an expirationTimestamp that is not a time")
        }
        AuthError::UnrefreshableTokenResponse => {
            format!("the credential plugin{name} wrote neither a token nor a client certificate")
        }
        other => other.to_string(),
    };
    let failed = Error::new(Id::Unauthenticated, Kind::Unauthenticated, action).caused_by(cause);
    let failed = match error {
        AuthError::AuthExecRun { out, .. } if !out.stderr.is_empty() => {
            failed.fact("stderr", tail(&out.stderr))
        }
        _ => failed,
    };
    let is_missing = matches!(error, AuthError::AuthExecStart(_));
    let hint = plugin.and_then(|plugin| plugin.install_hint.as_deref()).map(str::trim);
    match hint.filter(|hint| is_missing && !hint.is_empty()) {
        Some(hint) => failed.hint(hint),
        None => failed.hint("the user of the kubeconfig got no credentials: log in again"),
    }
}

/// Describes a mistake by its position. The parser's own text quotes lines, which may contain a token.
fn position(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(at) => {
            format!("line {}, column {}: not YAML, or not a value that belongs there", at.line(), at.column())
        }
        None => "it is not YAML or JSON".to_owned(),
    }
}

fn tail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
