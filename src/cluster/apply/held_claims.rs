//! Reads the claims that workloads mount, right before their pods stop.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::object::ObjectId;
use crate::object::kind::CLAIM;
use crate::plan::deletions::{self, HeldClaim};
use crate::plan::inventory::members::Members;

/// Reads the claims that these workloads mount, and returns those that are being deleted. The requests are sent at once,
/// so that as little time as possible passes until the pods stop. A claim that the account may not read counts as it was
/// listed.
///
/// # Errors
/// The server does not answer.
pub(crate) async fn read(
    api: &Api,
    members: &Members,
    stopping: &BTreeSet<ObjectId>,
) -> Result<Vec<HeldClaim>> {
    let workloads = stopping.iter().filter_map(|id| Some((id, members.get(id)?)));
    let mut objects: Members = workloads.map(|(id, object)| (id.clone(), object.clone())).collect();
    let claims = deletions::mounted_claims(&objects);
    let reads = claims.into_iter().map(async |id| {
        let claim = get(api, &id, members.get(&id)).await?;
        Ok::<_, crate::error::Error>((id, claim))
    });
    for (id, claim) in futures::future::try_join_all(reads).await? {
        objects.extend(claim.map(|claim| (id, claim)));
    }
    Ok(deletions::held_claims(&objects))
}

async fn get(api: &Api, id: &ObjectId, listed: Option<&Value>) -> Result<Option<Value>> {
    match api.get_opt(&CLAIM.collection(id.namespace.as_deref()), &id.name).await {
        Err(error) if error.code() == Some(403) => Ok(listed.cloned()),
        claim => claim.map_err(|error| error.into_error(&format!("cannot read {id}"))),
    }
}
