//! The conversation with a credential plugin: `ExecCredential` of `client.authentication.k8s.io`
//! (<https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::client::AuthError;
use kube::config::{ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

/// The versions that client-go accepts.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// A plugin that can be run, from `users[].user.exec`.
#[derive(Clone)]
pub(super) struct PluginCall {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    /// The value of `KUBERNETES_EXEC_INFO`.
    pub(super) request: String,
    /// Whether the plugin may ask on the terminal.
    pub(super) is_interactive: bool,
}

/// Its arguments and variables may be secret.
impl std::fmt::Debug for PluginCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("PluginCall").field(&self.program).finish()
    }
}

impl PluginCall {
    /// Reads `users[].user.exec` by client-go's rules.
    ///
    /// # Errors
    /// A field is missing or not supported.
    pub(super) fn new(exec: &ExecConfig, stdin_is_terminal: bool) -> Result<Self, String> {
        let program = exec.command.clone().filter(|command| !command.is_empty());
        let program = program.ok_or("users[].user.exec has no command")?;
        let version = exec.api_version.as_deref().unwrap_or_default();
        if !VERSIONS.contains(&version) {
            let supported = VERSIONS.join(" or ");
            if version.is_empty() {
                return Err(format!("users[].user.exec has no apiVersion: {supported}"));
            }
            return Err(format!("users[].user.exec.apiVersion is `{version}`, and not {supported}"));
        }
        let is_interactive = match exec.interactive_mode {
            Some(ExecInteractiveMode::Never) => false,
            Some(ExecInteractiveMode::Always) if !stdin_is_terminal => {
                return Err(format!("the credential plugin {program} needs a terminal, and there is none"));
            }
            Some(ExecInteractiveMode::Always) => true,
            Some(ExecInteractiveMode::IfAvailable) | None => stdin_is_terminal,
        };
        let mut spec = json!({ "interactive": is_interactive });
        if exec.provide_cluster_info {
            spec["cluster"] = json!(exec.cluster);
        }
        let request = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
        let variable = |entry: &std::collections::HashMap<String, String>| {
            Some((entry.get("name")?.clone(), entry.get("value").cloned().unwrap_or_default()))
        };
        Ok(Self {
            program,
            arguments: exec.args.clone().unwrap_or_default(),
            variables: exec.env.iter().flatten().filter_map(variable).collect(),
            request: request.to_string(),
            is_interactive,
        })
    }
}

/// The credentials that a plugin prints.
#[derive(Debug, Default)]
pub(super) struct PluginCredentials {
    pub(super) token: Option<SecretString>,
    /// The client certificate and its key, in base64.
    pub(super) identity: Option<(String, SecretString)>,
    /// When the token expires; None: when the process ends.
    pub(super) expiry: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Parses the output of a plugin.
///
/// # Errors
/// It has no credentials.
pub(super) fn parse(output: &[u8]) -> Result<PluginCredentials, AuthError> {
    let credential: ExecCredential =
        serde_saphyr::from_slice(output).map_err(|error| AuthError::AuthExecParse(Box::new(error)))?;
    let status = credential.status.ok_or(AuthError::ExecPluginFailed)?;
    let expiry = status.expiration_timestamp.filter(|time| !time.is_empty()).map(|time| time.parse());
    let expiry = expiry.transpose().map_err(AuthError::MalformedTokenExpirationDate)?;
    let [token, certificate, key] = [status.token, status.client_certificate_data, status.client_key_data]
        .map(|value| value.filter(|value| !value.is_empty()));
    let token = token.map(SecretString::from);
    let encoded =
        |(certificate, key)| (STANDARD.encode::<String>(certificate), STANDARD.encode::<String>(key));
    let identity = certificate.zip(key).map(encoded);
    let identity = identity.map(|(certificate, key)| (certificate, SecretString::from(key)));
    if token.is_none() && identity.is_none() {
        return Err(AuthError::UnrefreshableTokenResponse);
    }
    Ok(PluginCredentials { token, identity, expiry })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kube::config::ExecAuthCluster;
    use secrecy::ExposeSecret as _;
    use serde_json::Value;

    use super::*;
    use crate::cluster::client::credential_error::credential_error;

    fn exec(version: &str) -> ExecConfig {
        ExecConfig {
            api_version: Some(version.to_owned()),
            command: Some("login".to_owned()),
            ..ExecConfig::default()
        }
    }

    fn request(exec: &ExecConfig, terminal: bool) -> Value {
        serde_json::from_str(&PluginCall::new(exec, terminal).unwrap().request).unwrap()
    }

    #[test]
    fn plugin_is_asked_in_its_own_version() {
        for version in VERSIONS {
            let expected =
                json!({ "kind": "ExecCredential", "apiVersion": version, "spec": { "interactive": false } });
            assert_eq!(request(&exec(version), false), expected);
        }
        for version in ["", "v1", "client.authentication.k8s.io/v1alpha1"] {
            let error = PluginCall::new(&exec(version), false).unwrap_err();
            assert!(error.contains("client.authentication.k8s.io/v1 or "), "{error}");
        }
        assert!(PluginCall::new(&ExecConfig { command: None, ..exec(VERSIONS[0]) }, false).is_err());
    }

    #[test]
    fn interactive_mode_follows_the_terminal() {
        use ExecInteractiveMode::{Always, IfAvailable, Never};
        let rows = [
            (None, false, Some(false)),
            (None, true, Some(true)),
            (Some(Never), true, Some(false)),
            (Some(IfAvailable), true, Some(true)),
            (Some(IfAvailable), false, Some(false)),
            (Some(Always), true, Some(true)),
            (Some(Always), false, None),
        ];
        for (mode, terminal, expected) in rows {
            let exec = ExecConfig { interactive_mode: mode.clone(), ..exec(VERSIONS[1]) };
            let call = PluginCall::new(&exec, terminal).ok();
            assert_eq!(call.as_ref().map(|call| call.is_interactive), expected, "{mode:?} {terminal}");
            if let Some(expected) = expected {
                assert_eq!(request(&exec, terminal)["spec"]["interactive"], expected);
            }
        }
    }

    #[test]
    fn cluster_is_described_only_on_request() {
        let cluster = ExecAuthCluster {
            server: Some("https://k8s.example".to_owned()),
            certificate_authority_data: Some(b"pem".to_vec()),
            config: Some(json!({ "audience": "a" })),
            ..ExecAuthCluster::default()
        };
        let exec = ExecConfig { cluster: Some(cluster), provide_cluster_info: true, ..exec(VERSIONS[0]) };
        let expected = json!({
            "server": "https://k8s.example", "certificate-authority-data": "cGVt", "config": { "audience": "a" },
        });
        assert_eq!(request(&exec, false)["spec"]["cluster"], expected);
        let unasked = ExecConfig { provide_cluster_info: false, ..exec };
        assert!(request(&unasked, false)["spec"].get("cluster").is_none());
    }

    #[test]
    fn arguments_and_variables_are_passed_on() {
        let variable = |name: &str| {
            HashMap::from([("name".to_owned(), name.to_owned()), ("value".to_owned(), "v".to_owned())])
        };
        let exec = ExecConfig {
            args: Some(vec!["get-token".to_owned()]),
            env: Some(vec![variable("A"), HashMap::new(), variable("B")]),
            ..exec(VERSIONS[0])
        };
        let call = PluginCall::new(&exec, false).unwrap();
        assert_eq!(call.arguments, ["get-token"]);
        let variables = [("A", "v"), ("B", "v")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(call.variables, variables);
    }

    #[test]
    fn output_has_token_or_certificate_with_expiry() {
        let output = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{},
            "status":{"token":"t","expirationTimestamp":"2030-01-02T03:04:05Z"}}"#;
        let credentials = parse(output.as_bytes()).unwrap();
        assert_eq!(credentials.token.unwrap().expose_secret(), "t");
        assert_eq!(credentials.expiry.unwrap().to_string(), "2030-01-02T03:04:05Z");
        let yaml = "status:\n  clientCertificateData: cert\n  clientKeyData: key\n";
        let (certificate, key) = parse(yaml.as_bytes()).unwrap().identity.unwrap();
        assert_eq!((certificate.as_str(), key.expose_secret()), ("Y2VydA==", "a2V5"));
    }

    #[test]
    fn wrong_output_is_an_error_without_its_text() {
        for output in [
            "planted",
            "{\"status\": {\"token\": [\"planted\"]}}",
            "{\"status\": {\"token\": \"planted\", \"expirationTimestamp\": \"planted\"}}",
            "{\"status\": {\"clientKeyData\": \"planted\"}}",
            "{\"status\": {\"token\": \"\"}, \"x\": \"planted\"}",
            "{\"token\": \"planted\"}",
            "{\"status\": \"planted",
            "",
        ] {
            let error = credential_error("cannot connect", &parse(output.as_bytes()).unwrap_err(), None);
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        }
    }
}
