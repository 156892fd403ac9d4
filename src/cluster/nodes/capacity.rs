//! Lists the nodes and their pods, from which the number of sandboxes that fit follows.

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::object::kind::{KindInfo, NODE, POD};

/// The maximum number of nodes or pods to list: in a larger cluster the number of sandboxes is not reported.
const MAX_OBJECTS: u32 = 500;

/// The nodes and pods that this account is allowed to list.
#[derive(Debug, Clone, Default)]
pub struct ClusterListing {
    /// The nodes; None if listing is forbidden or there are too many.
    pub nodes: Option<Vec<Value>>,
    /// The pods of all namespaces that have not ended; None if listing is forbidden or there are too many.
    pub pods: Option<Vec<Value>>,
}

/// Lists nodes and pods. Failed lists are left out, because no command depends on them.
pub async fn list_nodes_and_pods(api: &Api) -> ClusterListing {
    let all = ListParams::default().limit(MAX_OBJECTS);
    let running = all.clone().fields("status.phase!=Succeeded,status.phase!=Failed");
    let (nodes, pods) = tokio::join!(list(api, NODE, &all), list(api, POD, &running));
    ClusterListing { nodes, pods }
}

/// Lists all nodes; None if listing is forbidden or there are too many.
pub async fn try_nodes(api: &Api) -> Option<Vec<Value>> {
    list(api, NODE, &ListParams::default().limit(MAX_OBJECTS)).await
}

/// Lists all nodes.
///
/// # Errors
/// Fails if the server is unreachable or listing is forbidden.
pub async fn nodes(api: &Api) -> Result<Vec<Value>> {
    let list = api.list(&NODE.collection(None), &ListParams::default()).await;
    Ok(list.map_err(|error| error.into_error("cannot list the nodes"))?.items)
}

/// Lists all objects of a kind; None if there is more than one page, or the request fails.
async fn list(api: &Api, kind: KindInfo, params: &ListParams) -> Option<Vec<Value>> {
    let list = api.list(&kind.collection(None), params).await.ok()?;
    list.is_complete.then_some(list.items)
}
