//! Admission webhooks that the API server calls for the objects of a deploy, and that nobody serves. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::kind::{KindInfo, POD};

/// A Service: namespace and name.
pub(super) type ServiceName = (String, String);

/// A webhook that is called for an object of the deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Webhook {
    /// `validatingwebhookconfiguration/policy`.
    configuration: String,
    name: String,
    /// None: it is called at a URL.
    pub(super) service: Option<ServiceName>,
    /// Whether a call that fails rejects the object.
    rejects: bool,
    /// Whether it is called for some objects only: by their labels, or by an expression.
    is_selective: bool,
}

/// Returns the webhooks of a list of configurations that are called for one of these kinds. A webhook for some namespaces only is left out if its selector does not match `namespace`.
pub(super) fn called(
    configurations: &[Value],
    kind: &str,
    kinds: &[KindInfo],
    namespace: &Value,
) -> Vec<Webhook> {
    let of_configuration = |configuration: &Value| -> Vec<Webhook> {
        let name = configuration["metadata"]["name"].as_str().unwrap_or_default();
        let webhooks = configuration["webhooks"].as_array().into_iter().flatten();
        let is_called = |webhook: &&Value| {
            selects(&webhook["namespaceSelector"], namespace)
                && webhook["rules"].as_array().into_iter().flatten().any(|rule| matches(rule, kinds))
        };
        webhooks
            .filter(is_called)
            .filter_map(|webhook| webhook_of(webhook, &format!("{kind}/{name}")))
            .collect()
    };
    configurations.iter().flat_map(of_configuration).collect()
}

fn webhook_of(webhook: &Value, configuration: &str) -> Option<Webhook> {
    let service = &webhook["clientConfig"]["service"];
    let service_name =
        || Some((service["namespace"].as_str()?.to_owned(), service["name"].as_str()?.to_owned()));
    Some(Webhook {
        configuration: configuration.to_owned(),
        name: webhook["name"].as_str()?.to_owned(),
        service: service_name(),
        rejects: webhook["failurePolicy"] != "Ignore",
        is_selective: is_filled(&webhook["objectSelector"]) || is_filled(&webhook["matchConditions"]),
    })
}

/// Whether a list or a selector has entries.
fn is_filled(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}

/// Whether a rule is about creating or changing one of these kinds, or pods, which a deploy's controllers create.
fn matches(rule: &Value, kinds: &[KindInfo]) -> bool {
    let has = |list: &str, value: &str| {
        let items = rule[list].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).any(|item| item == "*" || item == value)
    };
    let is_write = has("operations", "CREATE") || has("operations", "UPDATE");
    is_write
        && kinds.iter().chain([&POD]).any(|kind| {
            has("apiGroups", kind.group) && (has("resources", kind.plural) || has("resources", "*/*"))
        })
}

/// Whether a label selector matches a namespace. Expressions with an unknown operator match, as the server would reject
/// them.
fn selects(selector: &Value, namespace: &Value) -> bool {
    let labels = &namespace["metadata"]["labels"];
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.all(|(key, value)| labels[key] == *value)
        && expressions.all(|expression| {
            let label = &labels[expression["key"].as_str().unwrap_or_default()];
            let is_listed = expression["values"].as_array().is_some_and(|values| values.contains(label));
            match expression["operator"].as_str() {
                Some("In") => is_listed,
                Some("NotIn") => !is_listed,
                Some("Exists") => label.is_string(),
                Some("DoesNotExist") => label.is_null(),
                _ => true,
            }
        })
}

/// Checks that each webhook has a server. `servers` counts the ready endpoints of each Service.
pub(super) fn served(
    webhooks: &[Webhook],
    servers: &BTreeMap<ServiceName, Result<usize, String>>,
) -> Vec<Check> {
    let (category, name) = (Category::Network, "webhooks");
    let mut checks = Vec::new();
    let mut answering = 0;
    for webhook in webhooks {
        let Some(service) = &webhook.service else {
            let text = format!("{} is called at a URL, which only the API server can try", webhook.name);
            checks.push(Check::unknown(category, name, text));
            continue;
        };
        match servers.get(service) {
            Some(Ok(0)) if webhook.is_selective => {
                let text = format!("{} has no server, and is called for some objects only", webhook.name);
                checks.push(Check::unknown(category, name, text));
            }
            Some(Ok(0)) => checks.push(unserved(webhook, service)),
            Some(Ok(_)) => answering += 1,
            Some(Err(reason)) => {
                checks.push(Check::unknown(category, name, format!("{}: {reason}", webhook.name)));
            }
            None => checks.push(Check::unknown(
                category,
                name,
                format!("{}: its service was not read", webhook.name),
            )),
        }
    }
    if checks.is_empty() {
        let text = match answering {
            0 => "none is called for the objects of a deploy".to_owned(),
            1 => "1 is called for the objects of a deploy, and has a server".to_owned(),
            count => format!("{count} are called for the objects of a deploy, and have servers"),
        };
        checks.push(Check::passed(category, name, text));
    }
    checks
}

fn unserved(webhook: &Webhook, (namespace, service): &ServiceName) -> Check {
    let consequence = if webhook.rejects {
        "the API server rejects every object that it must check"
    } else {
        "each call waits in vain"
    };
    let message = format!("webhook {} has no server: {consequence}", webhook.name);
    let error = Error::new(Id::WebhookFailed, Kind::Prerequisite, message)
        .fact(
            "service",
            format!("service/{service} in namespace {namespace} has no ready pod, or does not exist"),
        )
        .fact("installed as", webhook.configuration.clone())
        .hint("its owner must start its server, or delete the configuration");
    if webhook.rejects {
        Check::failed(Category::Network, "webhooks", error)
    } else {
        Check::warning(Category::Network, "webhooks", error)
    }
}

/// Returns the check for configurations that cannot be listed.
pub(super) fn unreadable(lists: &[&Listed]) -> Option<Check> {
    let reason = lists.iter().find_map(|list| list.as_ref().err())?;
    Some(Check::unknown(Category::Network, "webhooks", reason.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::object::kind::{DEPLOYMENT, SECRET};
    use serde_json::json;

    fn configuration(resources: &[&str], selector: &Value, policy: &str) -> Value {
        json!({
            "metadata": { "name": "policy" },
            "webhooks": [{
                "name": "check.policy.io",
                "failurePolicy": policy,
                "clientConfig": { "service": { "namespace": "policy", "name": "server" } },
                "namespaceSelector": selector,
                "rules": [{ "apiGroups": ["", "apps"], "operations": ["CREATE"], "resources": resources }],
            }],
        })
    }

    fn is_called(resources: &[&str], selector: &Value) -> bool {
        let namespace = json!({ "metadata": { "labels": { "team": "a" } } });
        !called(&[configuration(resources, selector, "Fail")], "w", &[DEPLOYMENT, SECRET], &namespace)
            .is_empty()
    }

    #[test]
    fn webhook_is_called_for_its_resources_in_its_namespaces() {
        let all = json!({});
        assert!(is_called(&["deployments"], &all) && is_called(&["pods"], &all) && is_called(&["*"], &all));
        assert!(!is_called(&["configmaps"], &all) && !is_called(&["deployments/scale"], &all));
        assert!(is_called(&["pods"], &json!({ "matchLabels": { "team": "a" } })));
        assert!(!is_called(&["pods"], &json!({ "matchLabels": { "team": "b" } })));
        let not_team = |operator: &str| json!({ "matchExpressions": [{ "key": "team", "operator": operator, "values": ["a"] }] });
        assert!(!is_called(&["pods"], &not_team("NotIn")) && is_called(&["pods"], &not_team("In")));
        assert!(
            !is_called(&["pods"], &not_team("DoesNotExist")) && is_called(&["pods"], &not_team("Exists"))
        );
    }

    #[test]
    fn webhook_without_server_fails_unless_it_is_ignored() {
        let outcome = |policy: &str, ready: usize| {
            let webhooks = called(&[configuration(&["pods"], &json!({}), policy)], "w", &[], &json!({}));
            let servers = [(webhooks[0].service.clone().unwrap(), Ok(ready))].into();
            served(&webhooks, &servers).remove(0).outcome
        };
        assert!(matches!(outcome("Fail", 0), Outcome::Failed(_)));
        assert!(matches!(outcome("Ignore", 0), Outcome::Warning(_)));
        assert!(matches!(outcome("Fail", 1), Outcome::Passed(_)));
    }
}
