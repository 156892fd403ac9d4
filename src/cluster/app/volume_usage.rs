//! Reads from the kubelet how full the volumes of a pod are.

use std::collections::BTreeMap;

use http::Request;
use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::object::kind::NODE;
use crate::status::VolumeUsage;

/// The longest answer of a kubelet, in bytes: a node may run hundreds of pods.
const MAX_SUMMARY: usize = 16 << 20;

/// Gets the usage of a pod's volume claims, by the claim's name, from the kubelet's summary API
/// (<https://kubernetes.io/docs/reference/instrumentation/node-metrics/>). A volume whose driver does not measure is left
/// out. None if the account may not ask the kubelet (`get` on `nodes/proxy`), or the kubelet does not answer.
pub async fn get_volume_usage(
    api: &Api,
    node: &str,
    namespace: &str,
    pod: &str,
) -> Option<BTreeMap<String, VolumeUsage>> {
    let uri = format!("{}/{node}/proxy/stats/summary", NODE.collection(None).path());
    let request = Request::get(uri).body(Vec::new()).ok()?;
    let (head, body) = api.proxy(request, MAX_SUMMARY).await.ok()?;
    if !head.status.is_success() {
        return None;
    }
    let summary: Value = serde_json::from_slice(&body).ok()?;
    Some(usage_of_pod(&summary, namespace, pod))
}

fn usage_of_pod(summary: &Value, namespace: &str, pod: &str) -> BTreeMap<String, VolumeUsage> {
    let pods = summary["pods"].as_array().into_iter().flatten();
    let is_pod = |stats: &&Value| stats["podRef"]["namespace"] == namespace && stats["podRef"]["name"] == pod;
    let volumes = pods.filter(is_pod).flat_map(|stats| stats["volume"].as_array().into_iter().flatten());
    let usage = volumes.filter_map(|volume| {
        let claim = volume["pvcRef"]["name"].as_str()?;
        let bytes = |name: &str| volume[name].as_u64();
        let usage = VolumeUsage { used: bytes("usedBytes")?, capacity: bytes("capacityBytes")? };
        Some((claim.to_owned(), usage))
    });
    usage.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;

    const SUMMARY: &str = "GET /api/v1/nodes/worker/proxy/stats/summary";

    #[tokio::test(start_paused = true)]
    async fn only_claims_of_the_pod_are_read_and_forbidden_is_unknown() {
        let volume = |claim: &str, used: u64| {
            json!({ "name": "state", "usedBytes": used, "capacityBytes": 1000,
                "pvcRef": { "name": claim, "namespace": "hands" } })
        };
        let unmeasured = json!({ "name": "tmp", "usedBytes": 1, "capacityBytes": 2 });
        let pod = |name: &str, volumes: Value| json!({ "podRef": { "name": name, "namespace": "hands" }, "volume": volumes });
        let summary = json!({ "pods": [
            pod("oh-1", json!([volume("oh-state", 20), unmeasured])),
            pod("other", json!([volume("other-state", 900)])),
        ] });
        let (api, mut server) = scripted();
        let (usage, ()) = tokio::join!(get_volume_usage(&api, "worker", "hands", "oh-1"), async {
            server.expect(SUMMARY).await.ok(&summary);
        });
        assert_eq!(
            usage,
            Some(BTreeMap::from([("oh-state".to_owned(), VolumeUsage { used: 20, capacity: 1000 })]))
        );
        let (usage, ()) = tokio::join!(get_volume_usage(&api, "worker", "hands", "oh-1"), async {
            server.expect(SUMMARY).await.status(403, "Forbidden", "nodes \"worker\" is forbidden");
        });
        assert_eq!(usage, None);
    }
}
