//! The user's Secrets that the configuration refers to, and their faults. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::certificate;
use crate::object::entry_commands::{creating_command, patching_command};
use crate::settings::Settings;
use crate::settings::secrets::value::SecretSource;

/// A reference to one of the user's Secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The use of the Secret.
    pub used_for: SecretUse,
}

/// The use of a referenced Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretUse {
    /// The application reads these keys.
    Keys(BTreeSet<String>),
    /// It is an image pull secret.
    Pull,
    /// It is the TLS certificate of an Ingress, and must cover this host.
    Certificate {
        /// The host.
        host: String,
    },
}

/// Returns all of the user's Secrets that the configuration refers to.
#[must_use]
pub fn secret_refs(settings: &Settings) -> Vec<SecretRef> {
    let (deploy, sandbox) = (&settings.deploy, &settings.openhands.kubernetes);
    let (own, runtime) = (deploy.namespace.as_str(), settings.runtime_namespace());
    let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, source) in settings.container_sources() {
        if let SecretSource::Reference { secret, key } = source {
            keys.entry(secret).or_default().insert(key.clone());
        }
    }
    let secret_ref = |namespace: &str, name: &str, used_for: SecretUse| SecretRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        used_for,
    };
    let mut all: Vec<SecretRef> =
        keys.into_iter().map(|(name, keys)| secret_ref(own, name, SecretUse::Keys(keys))).collect();
    all.extend(deploy.image_pull_secrets.iter().map(|name| secret_ref(own, name.as_str(), SecretUse::Pull)));
    let certificate = |host: String| SecretUse::Certificate { host };
    all.extend(
        deploy
            .tls_secret
            .iter()
            .map(|name| secret_ref(own, name.as_str(), certificate(deploy.host.to_string()))),
    );
    all.extend(
        sandbox.image_pull_secret.iter().map(|name| secret_ref(runtime, name.as_str(), SecretUse::Pull)),
    );
    all.extend(
        sandbox
            .ingress_tls_secret
            .iter()
            .map(|name| secret_ref(runtime, name.as_str(), certificate(settings.sandbox_host()))),
    );
    all
}

/// What a pod does without a key of a Secret.
pub const POD_WAITS: &str = "the pod will wait for it";

/// A Secret that lacks keys which the pod reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompleteSecret {
    /// The Secret's namespace.
    pub namespace: String,
    /// What is missing.
    pub fault: String,
    /// The command that adds it.
    pub command: String,
}

impl SecretRef {
    fn described(&self) -> String {
        format!("secret/{} in namespace {}", self.name, self.namespace)
    }

    /// Returns the keys that the application reads and that are missing. `secret` is the live object, if it exists.
    fn missing_entries(&self, secret: Option<&Value>) -> Vec<&str> {
        let SecretUse::Keys(keys) = &self.used_for else { return Vec::new() };
        let is_missing = |key: &&str| secret.is_none_or(|secret| secret["data"][*key].is_null());
        keys.iter().map(String::as_str).filter(is_missing).collect()
    }

    /// Describes which of the keys that the application reads are missing; `None` if it reads none of them, or all exist.
    #[must_use]
    pub fn missing_keys(&self, secret: Option<&Value>) -> Option<String> {
        if !matches!(self.used_for, SecretUse::Keys(_)) {
            return None;
        }
        let name = self.described();
        let Some(secret) = secret else { return Some(format!("{name} does not exist")) };
        let quoted = |key: &str| format!("\"{key}\"");
        let missing: Vec<String> = self.missing_entries(Some(secret)).into_iter().map(quoted).collect();
        let present = secret["data"].as_object().into_iter().flatten();
        let present: Vec<String> = present.map(|(key, _)| quoted(key)).collect();
        let has = if present.is_empty() { "nothing".to_owned() } else { present.join(", ") };
        (!missing.is_empty()).then(|| format!("{name} has no entry {}; it has {has}", missing.join(", ")))
    }

    /// Returns what the Secret lacks; `None` if it has every key that the pod reads. `secret` is the live object, if it
    /// exists.
    #[must_use]
    pub fn incomplete(&self, secret: Option<&Value>) -> Option<IncompleteSecret> {
        let (fault, command) = (self.missing_keys(secret)?, self.completing_command(secret)?);
        Some(IncompleteSecret { namespace: self.namespace.clone(), fault, command })
    }

    /// Returns the command that creates the Secret, or adds the missing keys to an existing one; `None` if the
    /// application reads no key that is missing. `secret` is the live object, if it exists.
    #[must_use]
    pub fn completing_command(&self, secret: Option<&Value>) -> Option<String> {
        let missing = self.missing_entries(secret);
        let command = if secret.is_some() { patching_command } else { creating_command };
        (!missing.is_empty()).then(|| command("secret", &self.name, &self.namespace, &missing))
    }

    /// Describes the Secret's fault at this time and its consequence; `None` if the Secret is usable. `secret` is the live
    /// object, if it exists.
    #[must_use]
    pub fn fault(&self, secret: Option<&Value>, now: Timestamp) -> Option<String> {
        let name = self.described();
        let secret = match (&self.used_for, secret) {
            (SecretUse::Keys(_), secret) => {
                return self.missing_keys(secret).map(|fault| format!("{fault}; {POD_WAITS}"));
            }
            (SecretUse::Pull, None) => {
                return Some(format!("{name} does not exist; images are pulled without it"));
            }
            (SecretUse::Certificate { .. }, None) => {
                return Some(format!(
                    "{name} does not exist; https is served with another certificate, or not at all"
                ));
            }
            (_, Some(secret)) => secret,
        };
        let kind = secret["type"].as_str().unwrap_or_default();
        let lacks = |key: &str| secret["data"][key].is_null();
        match &self.used_for {
            SecretUse::Keys(_) => None,
            SecretUse::Pull => {
                let usable = match kind {
                    "kubernetes.io/dockerconfigjson" => !lacks(".dockerconfigjson"),
                    "kubernetes.io/dockercfg" => !lacks(".dockercfg"),
                    _ => false,
                };
                (!usable).then(|| {
                    format!(
                        "{name} is of type {kind}, not kubernetes.io/dockerconfigjson: the kubelet ignores it"
                    )
                })
            }
            SecretUse::Certificate { host } => {
                let usable = kind == "kubernetes.io/tls" && !lacks("tls.crt") && !lacks("tls.key");
                if usable {
                    return certificate::fault(secret, host, now).map(|fault| format!("{name}: {fault}"));
                }
                Some(format!(
                    "{name} is of type {kind}, and an Ingress needs kubernetes.io/tls with tls.crt and tls.key"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn secret_ref(used_for: SecretUse) -> SecretRef {
        SecretRef { namespace: "n".into(), name: "s".into(), used_for }
    }

    #[test]
    fn mistake_covers_absence_keys_and_types() {
        let now = "2026-11-21T07:00:00Z".parse().unwrap();
        let keys = secret_ref(SecretUse::Keys(["a".to_owned(), "b".to_owned()].into()));
        assert_eq!(keys.fault(Some(&json!({ "data": { "a": "", "b": "" } })), now), None);
        assert!(
            keys.fault(Some(&json!({ "data": { "a": "" } })), now)
                .unwrap()
                .contains("no entry \"b\"; it has \"a\";")
        );
        assert!(keys.fault(Some(&json!({})), now).unwrap().contains("no entry \"a\", \"b\"; it has nothing"));
        assert!(keys.fault(None, now).unwrap().contains("does not exist; the pod will wait"));
        let command = "kubectl create secret generic s -n n --from-literal=a=VALUE --from-literal=b=VALUE";
        assert_eq!(keys.completing_command(None).as_deref(), Some(command));
        // The entry that exists keeps its value.
        let patch = "kubectl patch secret s -n n --type merge -p '{\"stringData\":{\"b\":\"VALUE\"}}'";
        assert_eq!(keys.completing_command(Some(&json!({ "data": { "a": "" } }))).as_deref(), Some(patch));
        assert_eq!(keys.completing_command(Some(&json!({ "data": { "a": "", "b": "" } }))), None);

        let pull = secret_ref(SecretUse::Pull);
        assert_eq!(pull.completing_command(None), None);
        let config = json!({ "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": "" } });
        assert_eq!(pull.fault(Some(&config), now), None);
        assert!(
            pull.fault(Some(&json!({ "type": "Opaque" })), now).unwrap().contains("the kubelet ignores it")
        );

        let certificate = secret_ref(SecretUse::Certificate { host: "x.org".to_owned() });
        let tls = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let pem = rcgen::generate_simple_self_signed(names).unwrap().cert.pem();
            json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": STANDARD.encode(pem), "tls.key": "" } })
        };
        assert_eq!(certificate.fault(Some(&tls(&["x.org"])), now), None);
        assert_eq!(
            certificate.fault(Some(&tls(&["y.org"])), now).unwrap(),
            "secret/s in namespace n: its certificate is not valid for x.org"
        );
        assert!(certificate.fault(Some(&config), now).unwrap().contains("tls.key"));
    }
}
