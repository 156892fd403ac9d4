//! Checks that the quotas have room for all new objects together, before the first write.

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::api::ListParams;
use serde_json::Value;

use super::prepare::Preparation;
use super::request::DeployRequest;
use crate::cluster::client::api::Api;
use crate::error::Error;
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT, POD, RESOURCE_QUOTA, SECRET, STATEFUL_SET};
use crate::plan::changes::{Change, RevisionChange};
use crate::plan::checks::quota_sum::{self, NewObject, Shortage};
use crate::plan::inventory::revision;
use crate::session::runner::Run;

/// The quotas of the namespaces in which the run creates objects. Without an answer there are none: the server itself
/// rejects what exceeds a quota, and a later command continues from there.
pub(super) async fn quotas(api: &Api, prepared: &Preparation) -> Vec<Value> {
    let objects = new_objects(prepared);
    let namespaces: BTreeSet<&str> =
        objects.iter().filter_map(|object| object.id.namespace.as_deref()).collect();
    let params = ListParams::default();
    let lists = namespaces.iter().map(|namespace| {
        let collection = RESOURCE_QUOTA.in_namespace(namespace);
        let params = &params;
        async move { api.list(&collection, params).await }
    });
    join_all(lists).await.into_iter().flatten().flat_map(|list| list.items).collect()
}

/// Returns an error for each limit that the new objects exceed together. A limit that a rejection names already is none.
/// A run that adopts objects finds them in the quotas already: there is no error then.
pub(super) fn rejections(
    run: &Run<'_>,
    request: &DeployRequest,
    prepared: &Preparation,
    quotas: &[Value],
    known: &[Error],
) -> Vec<Error> {
    if request.policy.ownership.adopts() {
        return Vec::new();
    }
    let shortages = quota_sum::shortages(&new_objects(prepared), quotas);
    let is_known = |shortage: &Shortage| {
        let named = format!("exceeded quota: {}, requested: ", shortage.quota);
        known.iter().any(|error| {
            let text = error.evidence_text();
            text.contains(&named) && text.contains(&format!("{}=", shortage.resource))
        })
    };
    let new = shortages.iter().filter(|shortage| !is_known(shortage));
    new.map(|shortage| shortage.error(run.settings())).collect()
}

/// Returns the objects that the run creates: new members, their pods, and the records of the installation.
fn new_objects(prepared: &Preparation) -> Vec<NewObject<'_>> {
    let Preparation { changes, state, .. } = prepared;
    let set = &changes.plan.set;
    let members = changes.to_send().filter(|(_, change)| **change == Change::Create);
    let mut objects: Vec<NewObject<'_>> = members
        .map(|(member, _)| NewObject { id: member.id.clone(), kind: member.kind, manifest: &member.manifest })
        .collect();
    // A controller creates the pods later, and a dry run of one cannot find its new ServiceAccount. A quota that this run
    // changes may have room for them then.
    let changes_quota = changes
        .to_send()
        .any(|(member, change)| member.kind == RESOURCE_QUOTA && matches!(change, Change::Update(_)));
    if !changes_quota {
        let has_pods = |object: &&NewObject<'_>| [DEPLOYMENT, STATEFUL_SET].contains(&object.kind);
        let workloads = objects.iter().filter(has_pods).cloned();
        let pods: Vec<NewObject<'_>> =
            workloads.map(|workload| NewObject { kind: POD, ..workload }).collect();
        objects.extend(pods);
    }
    let mut add = |kind: crate::object::kind::KindInfo, name: String| {
        objects.push(NewObject { id: kind.id(&set.namespace, &name), kind, manifest: &Value::Null });
    };
    if state.parent.is_none() {
        add(CONFIG_MAP, set.parent_name());
    }
    if changes.stores_key {
        add(SECRET, set.parent_name());
    }
    if let RevisionChange::New(number) = changes.revision {
        add(SECRET, revision::name(set, number));
    }
    objects
}
