//! The nodes and what runs on them: how many sandboxes fit, and where their image is.

use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::error::{Error, Result};
use crate::object::kind::{NODE, POD};

/// More than this is not read just to say how many sandboxes would fit.
const MOST: usize = 500;

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
    let ended = "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
    let pods = format!("{}?{ended}&limit={MOST}", POD.path(None));
    let nodes = format!("{}?limit={MOST}", NODE.path(None));
    let (nodes, pods) = tokio::join!(list(api, &nodes), list(api, &pods));
    ClusterListing { nodes, pods }
}

/// Every node.
///
/// # Errors
/// Where the server refuses.
pub async fn nodes(api: &Api) -> Result<Vec<Value>> {
    let mut answer =
        api.get(&NODE.path(None)).await.map_err(|fault| fault.into_error("cannot list the nodes"))?;
    match answer.body["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Err(Error::internal("the list of nodes has no items")),
    }
}

/// None where there is more than one page of it, or no right.
async fn list(api: &Api, path: &str) -> Option<Vec<Value>> {
    let mut answer = api.get(path).await.ok()?;
    let is_whole = answer.body["metadata"]["continue"].as_str().unwrap_or_default().is_empty();
    match answer.body["items"].take() {
        Value::Array(items) if is_whole => Some(items),
        _ => None,
    }
}
