//! Names in the cluster, for the completion of a typed word. Each is one request.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::client::api::{Api, ApiError};
use crate::object::container_names::container_names;
use crate::object::kind::{CLAIM, Collection, NAMESPACE, POD, SECRET, VOLUME_SNAPSHOT};
use crate::object::labels;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::revision;
use crate::status::sandbox::ConversationPart;

/// More names than a person reads.
const MOST: u32 = 500;

/// A kept revision, as far as its Secret's metadata tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionName {
    /// The number.
    pub number: u64,
    /// The result: `good`, `failed`.
    pub result: String,
    /// When it was recorded.
    pub created: Option<Timestamp>,
}

/// Lists the namespaces.
pub async fn namespaces(api: &Api) -> Result<Vec<String>, ApiError> {
    let listed = list_metadata(api, &NAMESPACE.collection(None), ListParams::default()).await?;
    Ok(listed.iter().filter_map(name).map(str::to_owned).collect())
}

/// Lists the kept revisions of an installation, newest first. Reads no data of its Secrets: the revisions are not verified.
pub async fn revisions(api: &Api, set: &ApplySet) -> Result<Vec<RevisionName>, ApiError> {
    let params = ListParams::default().labels(&labels::managed_selector(&set.name));
    let listed = list_metadata(api, &SECRET.in_namespace(&set.namespace), params).await?;
    let mut revisions: Vec<RevisionName> =
        listed.iter().filter_map(|secret| revision_name(secret, set)).collect();
    revisions.sort_unstable_by_key(|revision| std::cmp::Reverse(revision.number));
    Ok(revisions)
}

/// Lists the snapshots of an installation's volume with their times, newest first.
pub async fn volume_snapshots(
    api: &Api,
    set: &ApplySet,
) -> Result<Vec<(String, Option<Timestamp>)>, ApiError> {
    let params = ListParams::default().labels(&labels::managed_selector(&set.name));
    let listed = list_metadata(api, &VOLUME_SNAPSHOT.in_namespace(&set.namespace), params).await?;
    let created = |snapshot: &Value| snapshot["metadata"]["creationTimestamp"].as_str()?.parse().ok();
    let mut snapshots: Vec<(String, Option<Timestamp>)> =
        listed.iter().filter_map(|it| Some((name(it)?.to_owned(), created(it)))).collect();
    snapshots.sort_unstable_by_key(|(_, created)| std::cmp::Reverse(*created));
    Ok(snapshots)
}

/// Lists the containers of an installation's pods, each name once.
pub async fn containers(api: &Api, set: &ApplySet) -> Result<Vec<String>, ApiError> {
    let params = ListParams::default().labels(&labels::instance_selector(&set.name)).limit(MOST);
    let pods = api.list(&POD.in_namespace(&set.namespace), &params).await?.items;
    Ok(container_names(&pods).into_iter().map(str::to_owned).collect())
}

/// Lists the installation's pods.
pub async fn pods(api: &Api, set: &ApplySet) -> Result<Vec<String>, ApiError> {
    let params = ListParams::default().labels(&labels::instance_selector(&set.name));
    let listed = list_metadata(api, &POD.in_namespace(&set.namespace), params).await?;
    Ok(listed.iter().filter_map(name).map(str::to_owned).collect())
}

/// Lists the conversations that have a pod or a volume claim in the namespace, sorted.
pub async fn conversations(api: &Api, namespace: &str) -> Result<Vec<String>, ApiError> {
    let (pods, claims) = (POD.in_namespace(namespace), CLAIM.in_namespace(namespace));
    let (pods, claims) = tokio::join!(
        list_metadata(api, &pods, ListParams::default()),
        list_metadata(api, &claims, ListParams::default()),
    );
    let mut ids = BTreeSet::new();
    for (part, objects) in [(ConversationPart::Pod, pods?), (ConversationPart::Claim, claims?)] {
        let found = objects.iter().filter_map(|it| part.conversation_in(name(it)?)).map(str::to_owned);
        ids.extend(found);
    }
    Ok(ids.into_iter().collect())
}

async fn list_metadata(
    api: &Api,
    collection: &Collection,
    params: ListParams,
) -> Result<Vec<Value>, ApiError> {
    Ok(api.list_metadata(collection, &params.limit(MOST)).await?.items)
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

fn revision_name(secret: &Value, set: &ApplySet) -> Option<RevisionName> {
    let metadata = &secret["metadata"];
    Some(RevisionName {
        number: revision::number_in(name(secret)?, set)?,
        result: metadata["annotations"][revision::RESULT].as_str()?.to_owned(),
        created: metadata["creationTimestamp"].as_str().and_then(|time| time.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;

    fn set() -> ApplySet {
        ApplySet { name: "oh".to_owned(), namespace: "n".to_owned(), ..ApplySet::default() }
    }

    fn secret(name: &str, result: Option<&str>) -> Value {
        json!({ "metadata": {
            "name": name, "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": { revision::RESULT: result },
        } })
    }

    #[tokio::test(start_paused = true)]
    async fn revisions_are_listed_by_name_newest_first() {
        let (api, mut server) = scripted();
        let serving = async {
            let request = server.expect("GET /api/v1/namespaces/n/secrets").await;
            assert!(request.query.contains("app.kubernetes.io%2Finstance%3Doh"), "{}", request.query);
            let items = [
                secret(&revision::name(&set(), 9), Some("good")),
                secret(&revision::name(&set(), 10), Some("failed")),
                secret(&revision::name(&set(), 11), None),
                secret("handsctl-oh", None),
                secret("somebody-else", Some("good")),
            ];
            request.ok(&json!({ "metadata": {}, "items": items }));
        };
        let set = set();
        let (listed, ()) = tokio::join!(revisions(&api, &set), serving);
        let listed: Vec<(u64, String)> =
            listed.unwrap().into_iter().map(|revision| (revision.number, revision.result)).collect();
        assert_eq!(listed, [(10, "failed".to_owned()), (9, "good".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn containers_of_all_pods_are_listed_once() {
        let (api, mut server) = scripted();
        let pod = |names: &[&str]| {
            let containers: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
            json!({ "spec": { "containers": containers, "initContainers": [{ "name": "prepare" }] } })
        };
        let serving = async {
            let request = server.expect("GET /api/v1/namespaces/n/pods").await;
            request
                .ok(&json!({ "metadata": {}, "items": [pod(&["openhands"]), pod(&["openhands", "proxy"])] }));
        };
        let set = set();
        let (listed, ()) = tokio::join!(containers(&api, &set), serving);
        assert_eq!(listed.unwrap(), ["openhands", "prepare", "proxy"]);
    }
}
