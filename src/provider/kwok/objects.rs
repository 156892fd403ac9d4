//! The objects that a real cluster brings and a bare control plane lacks: its nodes and its default storage class.

use serde_json::{Value, json};

/// The default StorageClass and 1 + `workers` simulated nodes of 4 cpu, 16 Gi and 110 pods, to be applied after the start.
///
/// The pods' addresses come from 198.18.0.0/15, which RFC 2544 keeps for benchmarks and no network routes: what is sent
/// to a simulated pod through the API server reaches nobody.
#[must_use]
pub fn objects(name: &str, workers: u32) -> Vec<Value> {
    let mut objects = vec![storage_class()];
    objects.extend((0..=workers).map(|index| node(name, index)));
    objects
}

/// What the volumes' Stage acts on (`kind/kwok/volumes.yaml`).
const PROVISIONER: &str = "handsctl.dev/simulated";

fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn node(cluster: &str, index: u32) -> Value {
    let name = if index == 0 { format!("{cluster}-node") } else { format!("{cluster}-worker-{index}") };
    let pods = format!("198.{}.{}.0/24", 18 + index / 256, index % 256);
    let mut labels = json!({
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    });
    if index == 0 {
        // As on a kind cluster the ingress controller runs here.
        labels["node-role.kubernetes.io/control-plane"] = json!("");
    }
    let size = json!({"cpu": "4", "memory": "16Gi", "ephemeral-storage": "100Gi", "pods": "110"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": labels,
        },
        "spec": {"podCIDR": pods, "podCIDRs": [pods]},
        "status": {"capacity": size, "allocatable": size},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_do_not_share_addresses_or_names() {
        let objects = objects("local-hands", 50);
        let unique = |path: &str| {
            let values = objects.iter().skip(1).map(|node| node.pointer(path).unwrap().to_string());
            values.collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(objects.len(), 52);
        assert_eq!(unique("/spec/podCIDR"), 51);
        assert_eq!(unique("/metadata/name"), 51);
    }

    #[test]
    fn the_class_is_the_one_that_the_stages_provision() {
        assert!(
            include_str!("../../../kind/kwok/volumes.yaml").contains(&format!("values: [{PROVISIONER}]"))
        );
    }
}
