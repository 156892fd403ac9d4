//! An unusable kubeconfig or a failed login → error and exit code. Pure.
//!
//! The texts of kube's errors are not used: they contain lines of the kubeconfig, and the environment, the arguments and
//! the output of a credential plugin.

use std::io::ErrorKind;
use std::path::Path;

use kube::client::AuthError;
use kube::config::{AuthInfo, ExecConfig, KubeconfigError};
use secrecy::ExposeSecret as _;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::mask::without_quotes;
use crate::object::{Mask, url_secret, yaml};
use crate::reason;

/// How many lines of a plugin's standard error an error carries.
const TAIL: usize = 10;
/// The minimum length of a word of a plugin's standard output that is masked in its standard error.
const MIN_WORD: usize = 8;

/// Returns the error for a kubeconfig that kube does not accept.
pub(super) fn invalid_kubeconfig(message: String, error: &KubeconfigError) -> Error {
    let cause = match error {
        KubeconfigError::Parse(error) => format!("it is not a kubeconfig: {}", yaml::reason(error)),
        other => without_quoted_values(other),
    };
    Error::new(Id::KubeconfigInvalid, Kind::Unreachable, message).caused_by(cause)
}

/// Returns the error for a user of the kubeconfig who got no credentials.
pub(super) fn credential_error(action: &str, error: &AuthError, plugin: Option<&ExecConfig>) -> Error {
    let name = plugin_name(error, plugin);
    let cause = match error {
        AuthError::AuthExecRun { out, .. } => {
            format!("the credential plugin{name} failed: {}", out.status)
        }
        AuthError::AuthExecStart(error) if error.kind() == ErrorKind::FileTooLarge => {
            format!("the output of the credential plugin{name} is not an ExecCredential: {error}")
        }
        AuthError::AuthExecStart(error) => {
            format!("cannot start the credential plugin{name}: {}", reason::of_io(error))
        }
        AuthError::AuthExecParse(error) => {
            format!("the credential plugin{name} wrote no valid ExecCredential: {}", yaml::reason(error))
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
        AuthError::ReadTokenFile(error, path) => {
            format!("cannot read the token file {}: {}", path.display(), reason::of_io(error))
        }
        AuthError::ParseTokenKey(_) | AuthError::AuthExec(_) => {
            "the auth provider's command failed, or wrote no token".to_owned()
        }
        other => without_quoted_values(other),
    };
    let unauthenticated = Error::new(Id::Unauthenticated, Kind::Unauthenticated, action).caused_by(cause);
    let stderr = match error {
        AuthError::AuthExecRun { out, .. } => stderr_tail(out, plugin),
        _ => String::new(),
    };
    let unauthenticated =
        if stderr.is_empty() { unauthenticated } else { unauthenticated.fact("stderr", stderr) };
    let install_hint = plugin.and_then(|plugin| plugin.install_hint.clone());
    let is_missing = matches!(error, AuthError::AuthExecStart(error) if error.kind() == ErrorKind::NotFound);
    match install_hint.filter(|hint| is_missing && !hint.trim().is_empty()) {
        Some(hint) => unauthenticated.hint(hint.trim()),
        None => unauthenticated.hint("the user of the kubeconfig got no credentials: log in again"),
    }
}

fn without_quoted_values(error: &dyn std::error::Error) -> String {
    without_quotes(&error.to_string())
}

/// Returns the plugin's file name with a blank before it; empty if it is unknown. The error of a renewal names the
/// program, and has no entry of the kubeconfig.
fn plugin_name(error: &AuthError, plugin: Option<&ExecConfig>) -> String {
    let program = match (plugin, error) {
        (Some(plugin), _) => plugin.command.as_deref(),
        (None, AuthError::AuthExecRun { cmd, .. }) => Some(cmd.as_str()),
        (None, _) => None,
    };
    let name = program.and_then(|program| Path::new(program).file_name());
    name.map_or_else(String::new, |name| format!(" {}", name.to_string_lossy()))
}

/// Returns the last lines of the plugin's standard error, without what it may repeat of its environment, its arguments
/// and its standard output.
fn stderr_tail(output: &std::process::Output, plugin: Option<&ExecConfig>) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut mask = plugin.map_or_else(Mask::default, plugin_secrets);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let is_part = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | ',' | '{' | '}');
    let words = stdout.split(|c| !is_part(c));
    words.filter(|word| word.len() >= MIN_WORD).for_each(|word| mask.add(word));
    mask.text(&lines[lines.len().saturating_sub(TAIL)..].join("\n")).into_owned()
}

/// Returns what is secret in a user of a kubeconfig.
pub(super) fn user_secrets(user: &AuthInfo) -> Mask {
    let mut mask = user.exec.as_ref().map_or_else(Mask::default, plugin_secrets);
    for secret in [&user.token, &user.password, &user.client_key_data].into_iter().flatten() {
        mask.add(secret.expose_secret());
    }
    // Tokens of an OIDC provider, and its client's secret.
    let provider = user.auth_provider.iter().flat_map(|provider| &provider.config);
    let is_secret = |name: &str| name.ends_with("token") || name.ends_with("secret");
    provider.filter(|(name, _)| is_secret(name)).for_each(|(_, value)| mask.add(value));
    mask
}

/// Returns what may be secret in a plugin's environment and arguments. Subcommands and names of flags are not.
fn plugin_secrets(plugin: &ExecConfig) -> Mask {
    let mut mask = Mask::default();
    let variables = plugin.env.iter().flatten();
    variables.filter_map(|variable| variable.get("value")).for_each(|value| mask.add(value));
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut follows_flag = false;
    for argument in plugin.args.iter().flatten() {
        match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => mask.add(value),
            _ if is_word(argument) && !follows_flag => {}
            _ => mask.add(argument),
        }
        follows_flag = argument.starts_with('-');
    }
    // `provideClusterInfo` passes the URLs to the plugin.
    let cluster = plugin.cluster.iter().flat_map(|cluster| [&cluster.server, &cluster.proxy_url]);
    cluster.flatten().for_each(|url| mask.extend(server_secrets(url)));
    mask
}

/// Returns what may be secret in the URL of an API server or a proxy.
pub(super) fn server_secrets(url: &str) -> Mask {
    let mut mask = Mask::default();
    for secret in url_secret::all_of(url) {
        mask.add(secret);
    }
    mask
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{ExitStatus, Output};

    use super::*;
    use crate::cluster::client::exec_credential;
    use crate::cluster::client::transport_error::transport_error;

    const SECRETS: [&str; 5] =
        ["sk-in-environment", "sk-in-argument", "sk-in-flag", "sk-in-stdout", "sk-in-kubeconfig"];

    fn plugin() -> ExecConfig {
        let plugin = serde_json::json!({
            "command": "/opt/login tools/get token",
            "args": ["get-token", "--region", "sk-in-argument", "--key=sk-in-flag"],
            "env": [{ "name": "SECRET", "value": "sk-in-environment" }],
            "installHint": "install it",
        });
        serde_json::from_value(plugin).unwrap()
    }

    fn failed_run() -> AuthError {
        let stderr =
            format!("first\n\nget-token: no session for {} {}\nand {}\n", SECRETS[0], SECRETS[1], SECRETS[3]);
        let out = Output {
            status: ExitStatus::from_raw(256),
            stdout: format!("{{\"token\": \"{}\"}}", SECRETS[3]).into_bytes(),
            stderr: stderr.into_bytes(),
        };
        AuthError::AuthExecRun { cmd: plugin().command.unwrap(), out: Box::new(out) }
    }

    fn assert_no_secret(error: &Error) {
        let text = format!("{error:?}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn plugin_failure_shows_status_and_stderr_but_no_secret() {
        let error = credential_error("cannot connect", &failed_run(), Some(&plugin()));
        assert_eq!((error.id(), error.kind().exit_code()), (Id::Unauthenticated, 5));
        assert_eq!(error.causes(), ["the credential plugin get token failed: exit status: 1"]);
        let stderr = "first\nget-token: no session for (redacted) (redacted)\nand (redacted)";
        assert_eq!(error.facts()[0].text, stderr);
        assert_no_secret(&error);
    }

    #[test]
    fn failed_token_renewal_names_plugin_exit_5() {
        let wrapped = kube::Error::Service(Box::new(failed_run()));
        let error = transport_error("cannot list pods", wrapped);
        assert_eq!(error.kind(), Kind::Unauthenticated);
        assert_eq!(error.causes(), ["the credential plugin get token failed: exit status: 1"]);
        assert!(!format!("{error:?}").contains(SECRETS[3]), "{error:?}");
    }

    #[test]
    fn malformed_plugin_output_is_not_quoted() {
        for output in
            ["kind: [sk-in-stdout", "sk-in-stdout", "status: sk-in-stdout", "kind: a\nkind: \"sk-in-stdout"]
        {
            let error = exec_credential::parse(output.as_bytes()).unwrap_err();
            let error = credential_error("cannot connect", &error, Some(&plugin()));
            assert_no_secret(&error);
            assert!(
                error.causes()[0].starts_with("the credential plugin get token wrote no valid"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn missing_plugin_shows_its_install_hint() {
        let error = AuthError::AuthExecStart(ErrorKind::NotFound.into());
        let error = credential_error("cannot connect", &error, Some(&plugin()));
        assert_eq!((error.kind(), error.hints()), (Kind::Unauthenticated, &["install it".to_owned()][..]));
    }

    #[test]
    fn yaml_mistake_in_kubeconfig_shows_no_line() {
        for text in [
            "users:\n- name: a\n  user:\n    token: sk-in-kubeconfig\n   password: b",
            "users:\n- name: a\n  user:\n    token: {sk-in-kubeconfig",
            "users:\n- name: a\n  user: sk-in-kubeconfig",
            "users:\n- name: a\n  user:\n    exec: {interactiveMode: sk-in-kubeconfig}",
            "users:\n- name: a\n  user:\n    token: 'sk-in-kubeconfig",
            "users: sk-in-kubeconfig",
        ] {
            let error = kube::config::Kubeconfig::from_yaml(text).expect_err(text);
            let error = invalid_kubeconfig("cannot use the kubeconfig f".to_owned(), &error);
            assert_no_secret(&error);
            assert!(error.causes()[0].starts_with("it is not a kubeconfig: line "), "{error:?}");
        }
    }
}
