//! The amounts of a resource that a pod asks for. Pure.

use serde_json::Value;

use crate::settings::format::Quantity;

/// What a container names for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Requests,
    Limits,
}

impl Bound {
    /// The field of `resources`, and the prefix in a quota.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

/// Returns a pod's effective amount in units of 10⁻⁹: the larger of the sum of its containers and its largest init container
/// (<https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>).
pub(super) fn effective(pod: &Value, bound: Bound, resource: &str) -> i128 {
    let amounts = |list: &str| -> Vec<i128> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.map(|container| amount(&container["resources"][bound.field()][resource])).collect()
    };
    let main: i128 = amounts("containers").into_iter().sum();
    let init = amounts("initContainers").into_iter().max().unwrap_or_default();
    main.max(init) + amount(&pod["spec"]["overhead"][resource])
}

/// Returns a quantity of an object in units of 10⁻⁹; 0 if it is absent.
pub(super) fn amount(value: &Value) -> i128 {
    value.as_str().and_then(|text| Quantity::parse(text).ok()).map_or(0, |quantity| quantity.nanos())
}
