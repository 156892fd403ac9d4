//! The nodes and what runs on them: how many sandboxes fit, and where their image is.

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::object::kind::{KindInfo, NODE, POD};

/// More than this is not read just to say how many sandboxes would fit.
const MOST: u32 = 500;

/// What this account may see of the nodes.
#[derive(Debug, Clone, Default)]
pub struct ClusterListing {
    /// None: it may not look.
    pub nodes: Option<Vec<Value>>,
    /// The pods that have not ended, of every namespace. None: it may not look, or there are too many.
    pub pods: Option<Vec<Value>>,
}

/// Looks. What cannot be had is left out: it is a help, and nothing depends on it.
pub async fn list_nodes_and_pods(api: &Api) -> ClusterListing {
    let all = ListParams::default().limit(MOST);
    let running = all.clone().fields("status.phase!=Succeeded,status.phase!=Failed");
    let (nodes, pods) = tokio::join!(list(api, NODE, &all), list(api, POD, &running));
    ClusterListing { nodes, pods }
}

/// Every node.
///
/// # Errors
/// Where the server refuses.
pub async fn nodes(api: &Api) -> Result<Vec<Value>> {
    let list = api.list(&NODE.collection(None), &ListParams::default()).await;
    Ok(list.map_err(|error| error.into_error("cannot list the nodes"))?.items)
}

/// None where there is more than one page of it, or no right.
async fn list(api: &Api, kind: KindInfo, params: &ListParams) -> Option<Vec<Value>> {
    let list = api.list(&kind.collection(None), params).await.ok()?;
    list.is_complete.then_some(list.items)
}
