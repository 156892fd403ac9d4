//! Extra manifests that have a secret in clear text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::object::literal_secret::{self, FieldRole};
use crate::phrase;
use crate::settings::extra_manifests::ExtraObject;

/// How many fields a warning names; the others are counted.
const NAMED_FIELDS: usize = 3;

impl RuleChecker<'_> {
    /// Warns of each object of the user's own that has a secret in clear text, once for each kind of place.
    pub(super) fn secrets_of_extra_manifests(&mut self) {
        let settings = self.settings;
        self.diagnostics.extend(settings.extra_objects.iter().flat_map(warnings));
    }
}

fn warnings(extra: &ExtraObject) -> Vec<Diagnostic> {
    let mut by_role: BTreeMap<FieldRole, Vec<String>> = BTreeMap::new();
    for secret in literal_secret::of_manifest(&extra.manifest) {
        let fields = by_role.entry(secret.role).or_default();
        if !fields.contains(&secret.field) {
            fields.push(secret.field);
        }
    }
    let warning = |(role, fields): (FieldRole, Vec<String>)| Diagnostic {
        id: Id::SecretInManifest,
        severity: Severity::Warning,
        message: format!("{} has a secret in clear text: {}", object(extra), listed(&fields)),
        location: extra.listed_at.clone(),
        label: remedy(role).to_owned(),
        masked: false,
    };
    by_role.into_iter().map(warning).collect()
}

/// Names an object with its file: `configmap/app of extra/app.yaml`.
fn object(extra: &ExtraObject) -> String {
    let text = |key: &str| extra.manifest.pointer(key).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{} of {}", text("/kind").to_lowercase(), text("/metadata/name"), extra.source)
}

fn listed(fields: &[String]) -> String {
    phrase::first_few(fields.iter(), NAMED_FIELDS)
}

/// Returns what the owner of a secret can do.
const fn remedy(role: FieldRole) -> &'static str {
    match role {
        FieldRole::ConfigMap => {
            "move the value to a Secret of your own, and refer to it with secretKeyRef or a volume of the Secret"
        }
        FieldRole::Variable => {
            "move the value to a Secret of your own, and refer to it with valueFrom.secretKeyRef"
        }
        FieldRole::Argument => {
            "move the value to a Secret of your own, set a variable with valueFrom.secretKeyRef, and write $(NAME) here"
        }
        FieldRole::Header => {
            "a probe cannot refer to a Secret: request a path without a login, or use an exec probe that reads a variable"
        }
        FieldRole::Annotation => {
            "an annotation cannot refer to a Secret: use one with the name of a Secret, if its controller has one"
        }
        FieldRole::Field => "move the value to a Secret of your own, and use a field that names it",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn extra(manifest: Value) -> ExtraObject {
        ExtraObject { source: "x.yaml".to_owned(), manifest, listed_at: None }
    }

    #[test]
    fn one_warning_per_place_names_object_and_fields() {
        let container = json!({ "name": "c", "args": ["--password=planted", "--token=planted"],
            "env": [{ "name": "DB_PASSWORD", "value": "planted" }] });
        let pod =
            json!({ "kind": "Pod", "metadata": { "name": "p" }, "spec": { "containers": [container] } });
        let warnings = warnings(&extra(pod));
        let texts: Vec<(&str, &str)> =
            warnings.iter().map(|warning| (warning.message.as_str(), warning.label.as_str())).collect();
        assert_eq!(
            texts.iter().map(|(message, _)| *message).collect::<Vec<_>>(),
            [
                "pod/p of x.yaml has a secret in clear text: spec.containers[name=\"c\"].env[name=\"DB_PASSWORD\"].value",
                "pod/p of x.yaml has a secret in clear text: spec.containers[name=\"c\"].args[0], \
                 spec.containers[name=\"c\"].args[1]",
            ]
        );
        assert!(texts[0].1.contains("valueFrom.secretKeyRef") && texts[1].1.contains("$(NAME)"), "{texts:?}");
    }

    #[test]
    fn annotation_says_that_a_value_is_no_secret() {
        let map = |annotations: Value| {
            json!({ "kind": "ConfigMap", "metadata": { "name": "c", "annotations": annotations },
                "data": { "a_token": "1", "b_token": "2", "c_token": "3", "d_token": "4", "e_token": "5" } })
        };
        let message = &warnings(&extra(map(json!({}))))[0].message;
        assert!(message.ends_with("data.a_token, data.b_token, data.c_token and 2 more"), "{message}");
        assert_eq!(warnings(&extra(map(json!({ "handsctl.dev/secrets": "none" })))), []);
    }
}
