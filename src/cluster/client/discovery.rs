//! Looks up kinds that are not built into handsctl in the API server's discovery documents.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::Value;

use super::api::{Api, ApiError};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{EVENT, KindInfo, ROUTE};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::manifests::extra_manifests::ManifestKind;

/// Looks up these kinds.
///
/// # Errors
/// Exit 8 if the server does not serve one of them.
pub async fn discover(api: &Api, kinds: impl IntoIterator<Item = &ManifestKind>) -> Result<Vec<KindInfo>> {
    let results = look_up(api, kinds).await?;
    results.into_iter().map(|(kind, info)| info.ok_or_else(|| unknown_kind_error(kind))).collect()
}

/// Looks up these kinds, and leaves out those that the server does not serve.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn discover_existing(
    api: &Api,
    kinds: impl IntoIterator<Item = &ManifestKind>,
) -> Result<Vec<KindInfo>> {
    Ok(look_up(api, kinds).await?.into_iter().filter_map(|(_, info)| info).collect())
}

/// Looks up each kind, with one concurrent request per version of a group.
async fn look_up<'a>(
    api: &Api,
    kinds: impl IntoIterator<Item = &'a ManifestKind>,
) -> Result<Vec<(&'a ManifestKind, Option<KindInfo>)>> {
    let mut by_version: BTreeMap<&str, Vec<&ManifestKind>> = BTreeMap::new();
    for kind in kinds {
        by_version.entry(&kind.api_version).or_default().push(kind);
    }
    let requests = by_version.into_iter().map(|(api_version, kinds)| async move {
        let resources = resources(api, api_version).await?;
        let results = kinds.into_iter().map(|kind| (kind, find(&resources, api_version, &kind.kind)));
        Ok(results.collect::<Vec<_>>())
    });
    Ok(try_join_all(requests).await?.concat())
}

fn unknown_kind_error(manifest_kind: &ManifestKind) -> Error {
    let ManifestKind { api_version, kind } = manifest_kind;
    let message = format!("the cluster has no kind {kind} in {api_version}; nothing was changed");
    let error = Error::new(Id::UnknownKind, Kind::Rejected, message);
    if *kind == ROUTE.kind && *api_version == ROUTE.api_version() {
        return error
            .hint("only OpenShift has Routes: [deploy] expose = \"ingress\" or \"nodeport\" works without");
    }
    error
        .hint("install its CustomResourceDefinition, or the controller that provides it, first")
        .hint("the manifest comes from a file of [deploy].extra_manifests")
}

/// Adds the namespaces and kinds of the parent to the set. Leaves out kinds that the server no longer serves: their
/// objects no longer exist.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn including_inventory_of(api: &Api, set: &ApplySet, parent: Option<&Value>) -> Result<ApplySet> {
    let mut set = set.including_inventory_of(parent);
    for (kind, group) in set.unknown_kinds_of(parent) {
        let Some(version) = preferred_version(api, &group).await? else { continue };
        let resources = resources(api, &version).await?;
        set.extra_kinds.extend(find(&resources, &version, &kind));
    }
    Ok(set)
}

/// Whether the server serves a version of a group: `metrics.k8s.io/v1beta1`.
///
/// # Errors
/// The server, or the extension server of the group, does not respond.
pub async fn serves(api: &Api, group_version: &str) -> Result<bool, ApiError> {
    Ok(api.get_path_opt(&format!("/apis/{group_version}")).await?.is_some())
}

/// Groups whose objects are not stored, or only report what happened to others.
const NOT_STORED: &[&str] =
    &["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io", "events.k8s.io"];

/// Returns all namespaced kinds that the server serves and that can be listed, except Events and metrics; each in its
/// group's preferred version.
///
/// # Errors
/// Fails if a discovery document cannot be read.
pub async fn listable_kinds(api: &Api) -> Result<Vec<KindInfo>> {
    let groups = api.get_path_opt("/apis").await.map_err(|error| error.into_error("cannot read /apis"))?;
    let groups = groups.map(|mut groups| groups["groups"].take());
    let preferred =
        groups.iter().flat_map(|groups| groups.as_array().into_iter().flatten()).filter_map(|group| {
            let is_stored = !NOT_STORED.iter().any(|name| group["name"] == *name);
            group["preferredVersion"]["groupVersion"].as_str().filter(|_| is_stored)
        });
    let requests = std::iter::once("v1").chain(preferred).map(|version| async move {
        let resources = resources(api, version).await?;
        Ok(resources.iter().filter_map(|resource| listable(resource, version)).collect::<Vec<_>>())
    });
    Ok(try_join_all(requests).await?.concat())
}

fn listable(resource: &Value, api_version: &str) -> Option<KindInfo> {
    let can_be_listed =
        resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|verb| verb == "list"));
    let name = resource["name"].as_str().filter(|name| !name.contains('/') && *name != EVENT.plural)?;
    let is_listable = can_be_listed && resource["namespaced"] == true;
    is_listable
        .then(|| KindInfo::discovered(api_version, resource["kind"].as_str().unwrap_or_default(), name, true))
}

/// Returns the preferred version of a group, as `policy/v1`; None if the server does not serve the group.
async fn preferred_version(api: &Api, group: &str) -> Result<Option<String>> {
    if group.is_empty() {
        return Ok(Some("v1".to_owned()));
    }
    let path = format!("/apis/{group}");
    let group =
        api.get_path_opt(&path).await.map_err(|error| error.into_error(&format!("cannot read {path}")))?;
    let version = group.as_ref().and_then(|group| group["preferredVersion"]["groupVersion"].as_str());
    Ok(version.map(str::to_owned))
}

/// Lists the resources of a group version; empty if the server does not serve it.
async fn resources(api: &Api, api_version: &str) -> Result<Vec<Value>> {
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    let path = format!("{root}/{api_version}");
    let list =
        api.get_path_opt(&path).await.map_err(|error| error.into_error(&format!("cannot read {path}")))?;
    Ok(list
        .and_then(|mut list| match list["resources"].take() {
            Value::Array(resources) => Some(resources),
            _ => None,
        })
        .unwrap_or_default())
}

fn find(resources: &[Value], api_version: &str, kind: &str) -> Option<KindInfo> {
    let matches = |resource: &&Value| {
        resource["kind"] == kind && resource["name"].as_str().is_some_and(|name| !name.contains('/'))
    };
    let resource = resources.iter().find(matches)?;
    Some(KindInfo::discovered(api_version, kind, resource["name"].as_str()?, resource["namespaced"] == true))
}
