//! Checks before the first write that the account has the permissions that a command needs.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::authorization::v1::ResourceRule;
use serde_json::json;

use super::rules::{self, Permission};
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{SELF_ACCESS_REVIEW, SELF_RULES_REVIEW};

/// Checks these permissions: with one `SelfSubjectRulesReview` per namespace, and a `SelfSubjectAccessReview` for each
/// permission that it does not list, because some authorizers return incomplete rules.
///
/// # Errors
/// Exit 6 if a permission is missing; the error names all missing ones.
pub async fn check(api: &Api, needed: &BTreeSet<Permission>) -> Result<()> {
    let denied = denied(api, needed).await?;
    if denied.is_empty() { Ok(()) } else { Err(missing_permissions_error(&denied)) }
}

/// Checks these permissions, and that the account can grant `granted`: it has them, or the verb `escalate`.
///
/// # Errors
/// As [`check`].
pub async fn check_with_grants(
    api: &Api,
    needed: &BTreeSet<Permission>,
    granted: &BTreeSet<Permission>,
) -> Result<()> {
    let all = needed | granted;
    let denied = denied(api, &all).await?;
    if denied.is_empty() {
        return Ok(());
    }
    if denied.iter().all(|permission| !needed.contains(*permission)) {
        let escalated = rules::escalate_on(granted);
        let reviews = escalated.iter().map(|permission| is_allowed(api, permission));
        if futures::future::try_join_all(reviews).await?.into_iter().all(|is_allowed| is_allowed) {
            return Ok(());
        }
    }
    Err(missing_permissions_error(&denied))
}

/// Returns the permissions that the account lacks.
///
/// # Errors
/// The server cannot be asked.
pub async fn denied<'a>(api: &Api, needed: &'a BTreeSet<Permission>) -> Result<Vec<&'a Permission>> {
    let namespaces: BTreeSet<&str> = needed.iter().map(|permission| permission.namespace.as_str()).collect();
    let mut unproven = Vec::new();
    for namespace in namespaces {
        // A review of rules is about a namespace.
        let rules = if namespace.is_empty() { Vec::new() } else { rules_in(api, namespace).await? };
        unproven.extend(
            needed
                .iter()
                .filter(|permission| permission.namespace == namespace && !rules::grants(&rules, permission)),
        );
    }
    let reviews: Vec<Result<Option<&Permission>>> = stream::iter(unproven)
        .map(|permission| async move { Ok((!is_allowed(api, permission).await?).then_some(permission)) })
        .buffered(8)
        .collect()
        .await;
    Ok(reviews.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

async fn rules_in(api: &Api, namespace: &str) -> Result<Vec<ResourceRule>> {
    let review = json!({
        "apiVersion": SELF_RULES_REVIEW.api_version(),
        "kind": SELF_RULES_REVIEW.kind,
        "spec": { "namespace": namespace },
    });
    let response = api.review(&SELF_RULES_REVIEW.collection(None), &review).await.map_err(|error| {
        error.into_error(&format!("cannot list the account's permissions in namespace {namespace}"))
    })?;
    serde_json::from_value(response.body["status"]["resourceRules"].clone())
        .map_err(|error| Error::internal("cannot parse the account's permissions").caused_by(error))
}

async fn is_allowed(api: &Api, permission: &Permission) -> Result<bool> {
    let review = json!({
        "apiVersion": SELF_ACCESS_REVIEW.api_version(),
        "kind": SELF_ACCESS_REVIEW.kind,
        "spec": { "resourceAttributes": {
            "namespace": permission.namespace, "group": permission.group, "resource": permission.resource, "verb": permission.verb,
        } },
    });
    let response = api.review(&SELF_ACCESS_REVIEW.collection(None), &review).await.map_err(|error| {
        error.into_error(&format!(
            "cannot check whether the account is allowed to {} {}",
            permission.verb, permission.resource
        ))
    })?;
    Ok(response.body["status"]["allowed"] == true)
}

fn missing_permissions_error(denied: &[&Permission]) -> Error {
    let first = denied[0];
    let more = if denied.len() > 1 { format!(" and {} more", denied.len() - 1) } else { String::new() };
    let mut error = Error::new(
        Id::Forbidden,
        Kind::Forbidden,
        format!(
            "this account is not allowed to {} {} in namespace {}{more}; nothing was changed",
            first.verb, first.resource, first.namespace
        ),
    );
    for rule in rules::as_rules(denied.iter().copied()) {
        error = error.fact("missing", rule);
    }
    error
        .hint("an administrator can add these rules to a Role and bind it to the account")
        .hint("handsctl rbac prints the smallest Roles for this configuration")
}
