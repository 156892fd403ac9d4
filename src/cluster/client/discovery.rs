//! Kinds that handsctl does not know by itself: where the API server has them.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::Value;

use super::api::Api;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{KindInfo, ROUTE};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::manifests::extra_manifests::ManifestKind;

/// Looks these kinds up.
///
/// # Errors
/// Exit 8 for a kind that the server does not have.
pub async fn discover(api: &Api, written: impl IntoIterator<Item = &ManifestKind>) -> Result<Vec<KindInfo>> {
    let looked_up = look_up(api, written).await?;
    looked_up.into_iter().map(|(kind, found)| found.ok_or_else(|| is_absent(kind))).collect()
}

/// The same without those that the server does not have.
///
/// # Errors
/// Where the server does not answer.
pub async fn discover_existing(
    api: &Api,
    written: impl IntoIterator<Item = &ManifestKind>,
) -> Result<Vec<KindInfo>> {
    Ok(look_up(api, written).await?.into_iter().filter_map(|(_, found)| found).collect())
}

/// What the server has of each: one request for each version of a group, all at once.
async fn look_up<'a>(
    api: &Api,
    written: impl IntoIterator<Item = &'a ManifestKind>,
) -> Result<Vec<(&'a ManifestKind, Option<KindInfo>)>> {
    let mut by_version: BTreeMap<&str, Vec<&ManifestKind>> = BTreeMap::new();
    for kind in written {
        by_version.entry(&kind.api_version).or_default().push(kind);
    }
    let looks = by_version.into_iter().map(|(api_version, kinds)| async move {
        let resources = resources(api, api_version).await?;
        let found = kinds.into_iter().map(|kind| (kind, find(&resources, api_version, &kind.kind)));
        Ok(found.collect::<Vec<_>>())
    });
    Ok(try_join_all(looks).await?.concat())
}

fn is_absent(written: &ManifestKind) -> Error {
    let ManifestKind { api_version, kind } = written;
    let message = format!("the cluster has no kind {kind} in {api_version}; nothing was changed");
    let error = Error::new(Id::UnknownKind, Kind::Rejected, message);
    if *kind == ROUTE.kind && *api_version == ROUTE.api_version() {
        return error
            .hint("Routes are OpenShift's: [deploy] expose = \"ingress\" or \"nodeport\" needs none");
    }
    error
        .hint("its CustomResourceDefinition, or the controller that brings it, has to be installed first")
        .hint("[deploy].extra_manifests names the file")
}

/// The set with everything that its parent names; what the server no longer has is gone with its objects.
///
/// # Errors
/// Where the server does not answer.
pub async fn including_inventory_of(api: &Api, set: &ApplySet, parent: Option<&Value>) -> Result<ApplySet> {
    let mut set = set.including_inventory_of(parent);
    for (kind, group) in set.unknown_kinds_of(parent) {
        let Some(version) = preferred_version(api, &group).await? else { continue };
        let resources = resources(api, &version).await?;
        set.extra_kinds.extend(find(&resources, &version, &kind));
    }
    Ok(set)
}

/// `policy/v1`; None where the server no longer has the group.
async fn preferred_version(api: &Api, group: &str) -> Result<Option<String>> {
    if group.is_empty() {
        return Ok(Some("v1".to_owned()));
    }
    let path = format!("/apis/{group}");
    let found =
        api.get_path_opt(&path).await.map_err(|fault| fault.into_error(&format!("cannot look at {path}")))?;
    let version = found.as_ref().and_then(|found| found["preferredVersion"]["groupVersion"].as_str());
    Ok(version.map(str::to_owned))
}

/// What a version of a group has; nothing where the server does not know it.
async fn resources(api: &Api, api_version: &str) -> Result<Vec<Value>> {
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    let path = format!("{root}/{api_version}");
    let found =
        api.get_path_opt(&path).await.map_err(|fault| fault.into_error(&format!("cannot look at {path}")))?;
    Ok(found
        .and_then(|mut list| match list["resources"].take() {
            Value::Array(resources) => Some(resources),
            _ => None,
        })
        .unwrap_or_default())
}

fn find(resources: &[Value], api_version: &str, kind: &str) -> Option<KindInfo> {
    let is_it = |resource: &&Value| {
        resource["kind"] == kind && resource["name"].as_str().is_some_and(|name| !name.contains('/'))
    };
    let resource = resources.iter().find(is_it)?;
    Some(KindInfo::discovered(api_version, kind, resource["name"].as_str()?, resource["namespaced"] == true))
}
