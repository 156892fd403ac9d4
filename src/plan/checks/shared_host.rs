//! The Ingresses of others that claim host and path of an Ingress. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::plan::ownership::other_set;

/// Describes those of `others` that claim a host and a path of the Ingress `planned` in the same class.
fn rivals(planned: &Value, others: &[Value]) -> Vec<String> {
    let own = routes(planned);
    let is_own = |other: &Value| {
        ["name", "namespace"].iter().all(|key| other["metadata"][*key] == planned["metadata"][*key])
    };
    let rivals = others.iter().filter(|other| !is_own(other) && may_share_class(planned, other));
    rivals
        .filter_map(|other| {
            let shared = routes(other).intersection(&own).next()?.clone();
            let (name, namespace) = (text(&other["metadata"]["name"]), text(&other["metadata"]["namespace"]));
            let set = other_set::other_set(other, &[]).map_or_else(String::new, |set| format!(" of {set}"));
            Some(format!("ingress/{name} in namespace {namespace}{set} has the same host and path, {shared}"))
        })
        .collect()
}

/// Returns a sentence for each of `others` that claims host and path of a planned Ingress.
#[must_use]
pub fn warnings(planned: &[&Value], others: &[Value]) -> Vec<String> {
    let rivals = planned.iter().flat_map(|planned| rivals(planned, others));
    rivals
        .map(|rival| {
            format!("{rival}: the controller sends the requests to one of the two applications only")
        })
        .collect()
}

/// Without a class the controller of the default class serves an Ingress, and the server writes that class into it.
fn may_share_class(planned: &Value, other: &Value) -> bool {
    let class = |ingress: &Value| ingress["spec"]["ingressClassName"].as_str().map(str::to_owned);
    match (class(planned), class(other)) {
        (Some(planned), Some(other)) => planned == other,
        _ => true,
    }
}

/// Returns host and path of each rule: `example.org/`.
fn routes(ingress: &Value) -> BTreeSet<String> {
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    rules
        .flat_map(|rule| {
            let host = rule["host"].as_str().unwrap_or("*");
            let paths = rule["http"]["paths"].as_array().into_iter().flatten();
            paths.map(move |path| format!("{host}{}", path["path"].as_str().unwrap_or("/")))
        })
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ingress(namespace: &str, host: &str, path: &str, class: Option<&str>) -> Value {
        json!({
            "metadata": { "name": "oh", "namespace": namespace },
            "spec": {
                "ingressClassName": class,
                "rules": [{ "host": host, "http": { "paths": [{ "path": path }] } }],
            },
        })
    }

    #[test]
    fn only_same_host_path_and_class_of_others_rival() {
        let planned = ingress("a", "x.org", "/", Some("traefik"));
        let count = |other: Value| rivals(&planned, &[other]).len();
        assert_eq!(count(ingress("b", "x.org", "/", Some("traefik"))), 1);
        assert_eq!(count(ingress("b", "x.org", "/", None)), 1, "the default class may be the same");
        assert_eq!(count(ingress("b", "x.org", "/", Some("nginx"))), 0);
        assert_eq!(count(ingress("b", "x.org", "/api", Some("traefik"))), 0);
        assert_eq!(count(ingress("b", "y.org", "/", Some("traefik"))), 0);
        assert_eq!(count(ingress("a", "x.org", "/", Some("traefik"))), 0, "it is the same object");
        let rival = rivals(&planned, &[ingress("b", "x.org", "/", None)]);
        assert_eq!(rival, ["ingress/oh in namespace b has the same host and path, x.org/"]);
    }
}
