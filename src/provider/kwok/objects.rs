//! The objects of a real cluster that a bare control plane lacks: nodes and the default StorageClass.

use serde_json::{Value, json};

/// Returns the default StorageClass and 1 + `workers` simulated nodes with 4 CPUs, 16 Gi and 110 pods each.
///
/// Pod addresses are from 198.18.0.0/15, which RFC 2544 reserves for benchmarks and no network routes: a request to a
/// simulated pod through the API server's proxy reaches no other host.
#[must_use]
pub fn objects(name: &str, workers: u32) -> Vec<Value> {
    let mut objects = vec![storage_class()];
    objects.extend((0..=workers).map(|index| node(name, index)));
    objects
}

/// The provisioner that the volumes' Stages select (`kind/kwok/volumes.yaml`).
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
        // The ingress controller runs on this node, as on a kind cluster.
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
    fn nodes_have_unique_addresses_and_names() {
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
    fn stages_provision_the_storage_class() {
        assert!(
            include_str!("../../../kind/kwok/volumes.yaml").contains(&format!("values: [{PROVISIONER}]"))
        );
    }
}
