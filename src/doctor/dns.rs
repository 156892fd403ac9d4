//! The cluster's DNS. Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::phrase;

/// The Service of the cluster's DNS, whatever its server is
/// (<https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/>).
pub(super) const SERVICE: &str = "kube-dns";

/// Checks that the DNS service has ready endpoints. `slices` are the `EndpointSlice`s of the service.
pub(super) fn endpoints(slices: &Listed) -> Check {
    let (category, name) = (Category::Network, "cluster DNS");
    let slices = match slices {
        Ok(slices) => slices,
        Err(reason) => return Check::unknown(category, name, reason.as_str()),
    };
    match ready_endpoints(slices) {
        0 if slices.is_empty() => {
            Check::unknown(category, name, format!("the cluster has no service kube-system/{SERVICE}"))
        }
        0 => {
            let message = "the cluster's DNS has no ready pod: pods resolve no name";
            let error = Error::new(Id::ClusterDnsDown, Kind::Prerequisite, message)
                .hint(format!("kubectl get pods -n kube-system -l k8s-app={SERVICE}"));
            Check::failed(category, name, error)
        }
        count => Check::passed(category, name, phrase::count(count, "ready endpoint")),
    }
}

/// Counts the endpoints that receive connections. An endpoint without a condition is ready
/// (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>).
pub(super) fn ready_endpoints(slices: &[Value]) -> usize {
    let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
    endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use serde_json::json;

    #[test]
    fn dns_needs_a_ready_endpoint() {
        let slice = |ready: bool| json!({ "endpoints": [{ "conditions": { "ready": ready } }, { "conditions": {} }] });
        assert_eq!(ready_endpoints(&[slice(true), slice(false)]), 3);
        let down = Ok(vec![json!({ "endpoints": [{ "conditions": { "ready": false } }] })]);
        assert!(matches!(endpoints(&down).outcome, Outcome::Failed(_)));
        assert!(matches!(endpoints(&Ok(Vec::new())).outcome, Outcome::Unknown(_)));
        assert!(matches!(endpoints(&Ok(vec![slice(true)])).outcome, Outcome::Passed(_)));
    }
}
