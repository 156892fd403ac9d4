//! Lists the application's pods.

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::error::Result;
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
