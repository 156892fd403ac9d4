//! Lists the sets of a cluster that handsctl deployed.

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::error::Result;
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT, KindInfo};
use crate::object::labels;
use crate::plan::inventory::apply_set::ID;
use crate::plan::inventory::installation::{Installation, installations};

/// Lists the sets of a namespace, or of all with None. Without the right to list Deployments, the sets have no workload.
///
/// # Errors
/// Exit 6 if the account may not list ConfigMaps; exit 4 if the server is unreachable.
pub async fn list(api: &Api, namespace: Option<&str>) -> Result<Vec<Installation>> {
    let (parents, deployments) = tokio::join!(
        list_labelled(api, CONFIG_MAP, namespace, ID),
        list_labelled(api, DEPLOYMENT, namespace, labels::MANAGED_BY_HANDSCTL)
    );
    let place = namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
    let parents = parents.map_err(|error| error.into_error(&format!("cannot list configmaps in {place}")))?;
    let deployments = match deployments {
        Err(error) if error.code() == Some(403) => Vec::new(),
        deployments => {
            deployments.map_err(|error| error.into_error(&format!("cannot list deployments in {place}")))?
        }
    };
    Ok(installations(&parents, &deployments))
}

async fn list_labelled(
    api: &Api,
    kind: KindInfo,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<Value>, ApiError> {
    let params = ListParams::default().labels(selector);
    Ok(api.list(&kind.collection(namespace), &params).await?.items)
}
