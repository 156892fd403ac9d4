//! Deployments whose pods the API server has rejected.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;

use super::observed::state::ObservedState;
use super::rules::deployment;
use super::verdict::Expected;
use crate::object::ObjectId;

/// Returns the Deployments whose controller last tried to create a pod before `before` and was rejected. It tries again
/// after a pause that grows to 16 minutes (`DefaultControllerRateLimiter` of client-go).
#[must_use]
pub fn rejected_deployments<'a>(
    observed: &'a ObservedState,
    expected: &'a [Expected],
    before: Timestamp,
) -> Vec<(&'a ObjectId, &'a Deployment)> {
    let deployments = expected.iter().filter_map(|expected| {
        let deployment = observed.deployments.get(&expected.uid)?;
        Some((&expected.id, deployment))
    });
    let is_rejected = |(_, deployment): &(&ObjectId, &Deployment)| {
        deployment::rejected_since(observed, deployment).is_some_and(|since| since < before)
    };
    deployments.filter(is_rejected).collect()
}
