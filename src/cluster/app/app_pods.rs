//! Lists the application's pods, and finds the one that serves requests.

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::object::condition;
use crate::object::exec_target;
use crate::object::kind::POD;
use crate::object::labels;
use crate::plan::inventory::apply_set::ApplySet;

/// Lists the pods of an installation with one request.
///
/// # Errors
/// The account may not list pods, or the server is unreachable.
pub async fn list(api: &Api, set: &ApplySet) -> Result<Vec<Value>> {
    let params = ListParams::default().labels(&labels::instance_selector(&set.name));
    let pods = api.list(&POD.in_namespace(&set.namespace), &params).await;
    let action = format!("cannot list pods in namespace {}", set.namespace);
    Ok(pods.map_err(|error| error.into_error(&action))?.items)
}

/// Returns the pod that serves requests; None if none is ready.
///
/// # Errors
/// As [`list`].
pub async fn find_ready(api: &Api, set: &ApplySet) -> Result<Option<Value>> {
    let pods = list(api, set).await?;
    Ok(exec_target::serving_pod(&pods).filter(|pod| condition::is_ready(pod)).cloned())
}
