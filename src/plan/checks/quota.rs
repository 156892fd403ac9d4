//! Decides whether a quota rejects new pods even after the old ones have stopped. Pure.

use serde_json::Value;

use super::pod_resources::{Bound, effective};
use crate::settings::format::Quantity;

/// Returns whether a quota has no room for the pod that the API server rejected with this message, even without the old
/// pods. A message in another form decides nothing: the rollout finds out.
#[must_use]
pub fn rejects_without(old_pods: &[Value], message: &str) -> bool {
    let Some((requested, used, limited)) = exceeded_quota(message) else { return false };
    requested.iter().any(|(resource, requested)| {
        let (Some(used), Some(limited)) = (amount_of(resource, &used), amount_of(resource, &limited)) else {
            return false;
        };
        let freed: i128 = old_pods.iter().map(|pod| use_of(pod, resource)).sum();
        requested + (used - freed).max(0) > limited
    })
}

type Amounts<'a> = Vec<(&'a str, i128)>;

/// Reads `exceeded quota: NAME, requested: A=1,B=2, used: A=3,B=4, limited: A=5,B=6`
/// (`plugin/pkg/admission/resourcequota/controller.go` in kubernetes).
fn exceeded_quota(message: &str) -> Option<(Amounts<'_>, Amounts<'_>, Amounts<'_>)> {
    let (_, rest) = message.split_once("exceeded quota: ")?.1.split_once(", requested: ")?;
    let (requested, rest) = rest.split_once(", used: ")?;
    let (used, rest) = rest.split_once(", limited: ")?;
    let limited = rest.split_whitespace().next()?;
    Some((amounts(requested)?, amounts(used)?, amounts(limited)?))
}

fn amounts(list: &str) -> Option<Amounts<'_>> {
    let pair = |pair: &'_ str| -> Option<(usize, i128)> {
        let (resource, amount) = pair.split_once('=')?;
        Some((resource.len(), Quantity::parse(amount).ok()?.nanos()))
    };
    list.split(',').map(|text| pair(text).map(|(end, amount)| (&text[..end], amount))).collect()
}

fn amount_of(resource: &str, amounts: &Amounts<'_>) -> Option<i128> {
    amounts.iter().find(|(name, _)| *name == resource).map(|(_, amount)| *amount)
}

/// Returns what a pod uses of a resource of a quota; 0 for one that pods do not use.
pub(super) fn use_of(pod: &Value, resource: &str) -> i128 {
    match resource {
        "pods" | "count/pods" => Quantity::ONE,
        "cpu" | "memory" | "ephemeral-storage" => effective(pod, Bound::Requests, resource),
        _ => [Bound::Requests, Bound::Limits]
            .into_iter()
            .find_map(|bound| {
                let resource = resource.strip_prefix(bound.field())?.strip_prefix('.')?;
                Some(effective(pod, bound, resource))
            })
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rejects(amounts: &str) -> bool {
        let old = json!({ "spec": { "containers": [
            { "resources": { "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": { "memory": "4Gi" } } },
        ] } });
        rejects_without(&[old], &format!("pods \"oh-x\" is forbidden: exceeded quota: q, {amounts}"))
    }

    #[test]
    fn quota_counts_only_without_the_old_pods() {
        let rows = [
            ("requested: pods=1, used: pods=1, limited: pods=1", false),
            ("requested: pods=1, used: pods=2, limited: pods=1", true),
            ("requested: pods=1, used: pods=0, limited: pods=0", true),
            ("requested: limits.memory=4Gi, used: limits.memory=0, limited: limits.memory=1Ki", true),
            ("requested: limits.memory=4Gi, used: limits.memory=4Gi, limited: limits.memory=4Gi", false),
            ("requested: limits.memory=5Gi, used: limits.memory=4Gi, limited: limits.memory=4Gi", true),
            ("requested: cpu=600m, used: cpu=500m, limited: cpu=1", false),
            ("requested: requests.cpu=600m, used: requests.cpu=1, limited: requests.cpu=1", true),
            (
                "requested: limits.memory=4Gi,pods=1, used: limits.memory=4Gi,pods=3, limited: limits.memory=4Gi,pods=2",
                true,
            ),
            ("requested: count/pods=1, used: count/pods=1, limited: count/pods=1", false),
            ("requested: example.com/gpus=1, used: example.com/gpus=1, limited: example.com/gpus=1", true),
            ("requested: something else", false),
        ];
        for (amounts, expected) in rows {
            assert_eq!(rejects(amounts), expected, "{amounts}");
        }
    }
}
