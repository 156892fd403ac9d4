//! Secrets of somebody else's that the configuration names, and whether they are what is needed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::settings::Settings;
use crate::settings::secrets::value::SecretSource;

/// A Secret, and what it is named for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub used_for: SecretUse,
}

/// What a Secret is named for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretUse {
    /// The application reads these keys of it.
    Keys(BTreeSet<String>),
    /// Images are pulled with it.
    Pull,
    /// An Ingress shows its certificate.
    Certificate,
}

/// Every Secret that the configuration names.
#[must_use]
pub fn secret_refs(settings: &Settings) -> Vec<SecretRef> {
    let (deploy, sandbox) = (&settings.deploy, &settings.openhands.kubernetes);
    let (own, runtime) = (deploy.namespace.as_str(), settings.runtime_namespace());
    let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, source) in settings.sources() {
        if let SecretSource::Reference { secret, key } = source {
            keys.entry(secret).or_default().insert(key.clone());
        }
    }
    let one = |namespace: &str, name: &str, purpose: SecretUse| SecretRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        used_for: purpose,
    };
    let mut all: Vec<SecretRef> =
        keys.into_iter().map(|(name, keys)| one(own, name, SecretUse::Keys(keys))).collect();
    all.extend(deploy.image_pull_secrets.iter().map(|name| one(own, name.as_str(), SecretUse::Pull)));
    all.extend(deploy.tls_secret.iter().map(|name| one(own, name.as_str(), SecretUse::Certificate)));
    all.extend(sandbox.image_pull_secret.iter().map(|name| one(runtime, name.as_str(), SecretUse::Pull)));
    all.extend(
        sandbox.ingress_tls_secret.iter().map(|name| one(runtime, name.as_str(), SecretUse::Certificate)),
    );
    all
}

impl SecretRef {
    /// What is wrong with it, and what follows; None where it will do. `found` is the Secret, where there is one.
    #[must_use]
    pub fn mistake(&self, found: Option<&Value>) -> Option<String> {
        let which = format!("secret/{} in namespace {}", self.name, self.namespace);
        let Some(found) = found else {
            let what = match self.used_for {
                SecretUse::Keys(_) => "the pod will wait for it",
                SecretUse::Pull => "images are pulled without it",
                SecretUse::Certificate => "https is served with another certificate, or not at all",
            };
            return Some(format!("{which} does not exist; {what}"));
        };
        let kind = found["type"].as_str().unwrap_or_default();
        let lacks = |key: &str| found["data"][key].is_null();
        match &self.used_for {
            SecretUse::Keys(keys) => {
                let missing: Vec<&str> = keys.iter().map(String::as_str).filter(|key| lacks(key)).collect();
                let there = found["data"].as_object().into_iter().flatten();
                let there: Vec<&str> = there.map(|(key, _)| key.as_str()).collect();
                let has = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
                (!missing.is_empty()).then(|| {
                    format!(
                        "{which} has no key {}; it has {has}; the pod will wait for it",
                        missing.join(", ")
                    )
                })
            }
            SecretUse::Pull => {
                let right = match kind {
                    "kubernetes.io/dockerconfigjson" => !lacks(".dockerconfigjson"),
                    "kubernetes.io/dockercfg" => !lacks(".dockercfg"),
                    _ => false,
                };
                (!right).then(|| {
                    format!(
                        "{which} is of type {kind}, and only kubernetes.io/dockerconfigjson is pulled with: the kubelet ignores it"
                    )
                })
            }
            SecretUse::Certificate => {
                let right = kind == "kubernetes.io/tls" && !lacks("tls.crt") && !lacks("tls.key");
                (!right).then(|| {
                    format!(
                        "{which} is of type {kind}, and an Ingress needs kubernetes.io/tls with tls.crt and tls.key"
                    )
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(purpose: SecretUse) -> SecretRef {
        SecretRef { namespace: "n".into(), name: "s".into(), used_for: purpose }
    }

    #[test]
    fn keys_types_and_absence() {
        let keys = secret(SecretUse::Keys(["a".to_owned(), "b".to_owned()].into()));
        assert_eq!(keys.mistake(Some(&json!({ "data": { "a": "", "b": "" } }))), None);
        assert!(keys.mistake(Some(&json!({ "data": { "a": "" } }))).unwrap().contains("no key b; it has a;"));
        assert!(keys.mistake(Some(&json!({}))).unwrap().contains("no key a, b; it has nothing"));
        assert!(keys.mistake(None).unwrap().contains("does not exist"));

        let pull = secret(SecretUse::Pull);
        let config = json!({ "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": "" } });
        assert_eq!(pull.mistake(Some(&config)), None);
        assert!(pull.mistake(Some(&json!({ "type": "Opaque" }))).unwrap().contains("the kubelet ignores it"));

        let certificate = secret(SecretUse::Certificate);
        let tls = json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": "", "tls.key": "" } });
        assert_eq!(certificate.mistake(Some(&tls)), None);
        assert!(certificate.mistake(Some(&config)).unwrap().contains("tls.key"));
    }
}
