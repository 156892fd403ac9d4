//! Resource usage of the application's pods: from the cluster's metrics API and from the application.

use kube::api::ListParams;
use serde_json::Value;

use super::client::{AppClient, AppError, AppRequest};
use crate::cluster::client::api::{Api, ApiError};
use crate::object::container_names;
use crate::object::kind::POD_METRICS;
use crate::object::labels;
use crate::plan::inventory::apply_set::ApplySet;
use crate::settings::format::Quantity;

/// The average resource usage of a pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PodUsage {
    /// CPU in nanocores.
    pub cpu: i128,
    /// Memory in 10⁻⁹ bytes, as returned by [`Quantity::nanos`].
    pub memory: i128,
}

/// Gets the average usage of the set's pods from the metrics API
/// (<https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/>).
///
/// # Errors
/// Returns the reason why the usage is not available.
pub async fn get_pod_usage(api: &Api, set: &ApplySet) -> Result<PodUsage, String> {
    let params = ListParams::default().labels(&labels::instance_selector(&set.name));
    match api.list(&POD_METRICS.in_namespace(&set.namespace), &params).await {
        Ok(list) => {
            average(&list.items).ok_or_else(|| "the metrics API has no data of its pods yet".to_owned())
        }
        Err(error) if error.code() == Some(404) => Err("the cluster has no metrics API".to_owned()),
        Err(ApiError::Status(status)) if status.code == 403 => {
            Err("reading pods of metrics.k8s.io is forbidden".to_owned())
        }
        Err(error) => Err(error.into_error("cannot read the metrics").message().to_owned()),
    }
}

/// Returns the average of the application's container, whose limits it is compared with: a sidecar has its own. None if
/// there is no such container, or a quantity cannot be parsed.
fn average(pods: &[Value]) -> Option<PodUsage> {
    let is_app = |container: &&Value| container["name"] == container_names::APP;
    let containers = || pods.iter().filter_map(|pod| pod["containers"].as_array()?.iter().find(is_app));
    let sum = |name: &str| -> Option<i128> {
        let quantities = containers().map(|container| {
            let text = container["usage"][name].as_str()?;
            Some(Quantity::parse(text).ok()?.nanos())
        });
        quantities.sum()
    };
    let count = i128::try_from(containers().count()).ok()?;
    if count == 0 {
        return None;
    }
    Some(PodUsage { cpu: sum("cpu")? / count, memory: sum("memory")? / count })
}

/// Gets the usage of the application's disk in percent, from its `/server_info`.
///
/// # Errors
/// Returns the reason why the usage is not available.
pub async fn get_disk_usage(api: &Api, application: &AppClient) -> Result<f64, String> {
    let response =
        application.request(api, AppRequest::get("/server_info")).await.map_err(|error| match error {
            AppError::Forbidden(reason) | AppError::Unreachable(reason) => reason,
        })?;
    let disk = serde_json::from_slice::<Value>(&response.body)
        .ok()
        .and_then(|info| disk_of(&info["resources"]["disk"]));
    disk.ok_or_else(|| "/server_info does not contain the disk usage".to_owned())
}

fn disk_of(disk: &Value) -> Option<f64> {
    disk["percent"].as_f64().or_else(|| {
        let (used, total) = (disk["used"].as_f64()?, disk["total"].as_f64()?);
        (total > 0.0).then(|| used / total * 100.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn average_is_of_the_applications_containers() {
        let pod = |cpu: &str, memory: &str| {
            json!({ "containers": [
                { "name": "istio-proxy", "usage": { "cpu": "2", "memory": "8Gi" } },
                { "name": "openhands", "usage": { "cpu": cpu, "memory": memory } },
            ] })
        };
        let used = average(&[pod("100m", "1Gi"), pod("300000000n", "3145728Ki")]).unwrap();
        assert_eq!((used.cpu, used.memory / 1_000_000_000), (200_000_000, 2 * 1024 * 1024 * 1024));
        assert_eq!(average(&[]), None);
    }

    #[test]
    fn the_disk_in_both_of_its_forms() {
        assert_eq!(disk_of(&json!({ "percent": 12.5 })), Some(12.5));
        assert_eq!(disk_of(&json!({ "used": 1, "total": 4 })), Some(25.0));
        assert_eq!(disk_of(&json!({})), None);
    }
}
