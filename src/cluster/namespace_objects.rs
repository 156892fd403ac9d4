//! Lists all objects of a namespace, of whatever kind, before the namespace is deleted with them.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;
use serde_json::Value;

use super::client::api::Api;
use super::client::discovery;
use super::client::in_flight::IN_FLIGHT;
use crate::error::Result;
use crate::object::ObjectId;

/// Lists the namespace's objects, except Events and metrics.
///
/// # Errors
/// Fails if a kind cannot be listed: what is not seen would be deleted unseen.
pub async fn list(api: &Api, namespace: &str) -> Result<Vec<(ObjectId, Value)>> {
    let kinds = discovery::listable_kinds(api).await?;
    let lists = stream::iter(&kinds).map(|kind| async move {
        match api.list(&kind.in_namespace(namespace), &ListParams::default()).await {
            Ok(list) => Ok(list.items),
            // The kind was removed meanwhile.
            Err(error) if error.code() == Some(404) => Ok(Vec::new()),
            Err(error) => {
                Err(error.into_error(&format!("cannot list {} in namespace {namespace}", kind.plural)))
            }
        }
    });
    let lists: Vec<Vec<Value>> = lists.buffered(IN_FLIGHT).try_collect().await?;
    let objects = kinds.iter().zip(lists).flat_map(|(kind, items)| {
        items.into_iter().filter_map(|item| {
            let name = item["metadata"]["name"].as_str()?.to_owned();
            Some((kind.id(namespace, &name), item))
        })
    });
    Ok(objects.collect())
}
