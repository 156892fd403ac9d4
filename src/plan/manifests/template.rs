//! Renders the embedded manifest templates to objects.
//!
//! Templates are named `*.yaml`, so minijinja writes every value as JSON, which is valid YAML. A placeholder always
//! stands for a whole value; a missing value is an error.

use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use crate::error::{Error, Result};

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $name)))),*]
    };
}

/// The templates of the application's set.
pub(crate) const APP: &[(&str, &str)] = embedded![
    "app/config-map.yaml",
    "app/deployment.yaml",
    "app/horizontal-pod-autoscaler.yaml",
    "app/ingress.yaml",
    "app/limit-range.yaml",
    "app/namespace.yaml",
    "app/network-policy-app.yaml",
    "app/network-policy.yaml",
    "app/persistent-volume-claim.yaml",
    "app/resource-quota.yaml",
    "app/role-binding.yaml",
    "app/role.yaml",
    "app/route.yaml",
    "app/secret.yaml",
    "app/service-account.yaml",
    "app/service.yaml",
];

/// The templates of an application whose pod is the sandbox of its conversations, beside those that all editions share.
pub(crate) const ONE_POD: &[(&str, &str)] =
    embedded!["one-pod/deployment.yaml", "one-pod/network-policy.yaml"];

/// The templates of profile `dev`, after OpenHands' own `kind/manifests`.
pub(crate) const DEV: &[(&str, &str)] = embedded![
    "dev/deployment.yaml",
    "dev/role-binding.yaml",
    "dev/role.yaml",
    "dev/service-account.yaml",
    "dev/service.yaml",
];

/// The templates of Traefik, the default ingress controller.
pub(crate) const TRAEFIK: &[(&str, &str)] = embedded![
    "traefik/cluster-role-binding.yaml",
    "traefik/cluster-role.yaml",
    "traefik/deployment.yaml",
    "traefik/ingress-class.yaml",
    "traefik/namespace.yaml",
    "traefik/service-account.yaml",
    "traefik/service.yaml",
];

/// The templates of ingress-nginx 1.12.1: upstream's 19 objects (OpenHands' `kind/manifests/nginx.yaml`).
pub(crate) const INGRESS_NGINX: &[(&str, &str)] = embedded![
    "ingress-nginx/cluster-role-admission.yaml",
    "ingress-nginx/cluster-role-binding-admission.yaml",
    "ingress-nginx/cluster-role-binding.yaml",
    "ingress-nginx/cluster-role.yaml",
    "ingress-nginx/config-map.yaml",
    "ingress-nginx/deployment.yaml",
    "ingress-nginx/ingress-class.yaml",
    "ingress-nginx/job-create.yaml",
    "ingress-nginx/job-patch.yaml",
    "ingress-nginx/namespace.yaml",
    "ingress-nginx/role-admission.yaml",
    "ingress-nginx/role-binding-admission.yaml",
    "ingress-nginx/role-binding.yaml",
    "ingress-nginx/role.yaml",
    "ingress-nginx/service-account-admission.yaml",
    "ingress-nginx/service-account.yaml",
    "ingress-nginx/service-admission.yaml",
    "ingress-nginx/service.yaml",
    "ingress-nginx/validating-webhook-configuration.yaml",
];

/// Parsed templates.
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    /// Parses embedded templates.
    pub(crate) fn load(embedded: &[(&'static str, &'static str)]) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, text) in embedded.iter().copied() {
            environment.add_template(name, text).map_err(|error| render_error(name, error))?;
        }
        Ok(Self(environment))
    }

    /// Renders a template with these values to an object.
    pub(crate) fn object(&self, name: &str, values: &Value) -> Result<Value> {
        let text = self
            .0
            .get_template(name)
            .and_then(|template| template.render(minijinja::value::Serde(values)))
            .map_err(|error| render_error(name, error))?;
        crate::object::yaml::read(&crate::object::yaml::printable(&text))
            .map_err(|error| render_error(name, error))
    }
}

fn render_error(name: &str, error: impl Into<crate::error::Source>) -> Error {
    Error::internal(format!("cannot render the built-in template {name}")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::edition;
    use serde_json::json;

    #[test]
    fn every_template_file_is_embedded() {
        for (folder, embedded) in [
            ("app", APP),
            ("dev", DEV),
            ("one-pod", ONE_POD),
            ("traefik", TRAEFIK),
            ("ingress-nginx", INGRESS_NGINX),
        ] {
            let path = format!("{}/templates/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap()))
                .collect();
            files.sort();
            assert_eq!(files, embedded.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn editions_name_every_template_but_the_namespace() {
        let embedded = APP.iter().chain(ONE_POD).map(|(name, _)| *name);
        let embedded: BTreeSet<&str> = embedded.filter(|name| *name != "app/namespace.yaml").collect();
        let used = edition::ALL.iter().flat_map(|edition| edition.templates).copied();
        assert_eq!(used.collect::<BTreeSet<_>>(), embedded);
        assert_eq!(
            edition::CLASSIC.templates,
            APP.iter()
                .map(|(name, _)| *name)
                .filter(|name| *name != "app/namespace.yaml")
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn rendered_strings_stay_strings() {
        let mut environment = Environment::new();
        environment.add_template("x.yaml", "value: {{ value }}\n").unwrap();
        let templates = Templates(environment);
        for text in SPECIAL_STRINGS {
            let object = templates.object("x.yaml", &json!({ "value": text })).unwrap();
            assert_eq!(object, json!({ "value": text }), "{text:?}");
        }
        let map: Value = SPECIAL_STRINGS.iter().map(|text| ((*text).to_owned(), json!(text))).collect();
        assert_eq!(templates.object("x.yaml", &json!({ "value": map })).unwrap(), json!({ "value": map }));
    }

    #[test]
    fn missing_value_is_an_error() {
        let error = Templates::load(APP).unwrap().object("app/role.yaml", &json!({})).unwrap_err();
        assert_eq!(error.message(), "cannot render the built-in template app/role.yaml");
    }

    const SPECIAL_STRINGS: &[&str] = &[
        "on",
        "no",
        "1_000",
        "0755",
        "=",
        "<<",
        "~",
        "null",
        "true",
        "1e3",
        "0x1f",
        "1:30",
        "2001-01-01",
        "- a",
        "a: b # c",
        "\"quoted\"",
        "it's",
        "two\nlines\n",
        "\n",
        " lead",
        "trail ",
        "tab\there",
        "back\\slash",
        "{{ x }}",
        "{% x %}",
        "%YAML",
        "&a",
        "*a",
        "!t",
        "@x",
        "`x`",
        "🦀 ünï",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}bom",
        "\u{9b}31m",
        "",
        "\r\n",
        "\u{1}",
        "\u{10ffff}",
        "line\r",
        "| pipe",
        "> fold",
        "---",
        "...",
    ];
}
