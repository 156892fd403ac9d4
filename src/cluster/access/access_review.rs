//! Whether the account may do what is about to be done, asked before anything is changed.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::authorization::v1::ResourceRule;
use serde_json::json;

use super::rules::{self, Permission};
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::object::kind::{SELF_ACCESS_REVIEW, SELF_RULES_REVIEW};

/// Checks these rights: one `SelfSubjectRulesReview` per namespace, and a `SelfSubjectAccessReview` for each
/// right that it does not show, because some authorizers answer the first one incompletely.
///
/// # Errors
/// Exit 6 naming every right that is missing.
pub async fn check(api: &Api, needed: &BTreeSet<Permission>) -> Result<()> {
    let denied = denied(api, needed).await?;
    if denied.is_empty() { Ok(()) } else { Err(missing(&denied)) }
}

/// The same, and that the account may grant these: it has them, or may grant what it does not have.
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
    if denied.iter().all(|right| !needed.contains(*right)) {
        let escalated = rules::escalate_on(granted);
        let answers = escalated.iter().map(|right| may(api, right));
        if futures::future::try_join_all(answers).await?.into_iter().all(|may| may) {
            return Ok(());
        }
    }
    Err(missing(&denied))
}

async fn denied<'a>(api: &Api, needed: &'a BTreeSet<Permission>) -> Result<Vec<&'a Permission>> {
    let namespaces: BTreeSet<&str> = needed.iter().map(|right| right.namespace.as_str()).collect();
    let mut unproven = Vec::new();
    for namespace in namespaces {
        let rules = rules_in(api, namespace).await?;
        unproven.extend(
            needed.iter().filter(|right| right.namespace == namespace && !rules::grants(&rules, right)),
        );
    }
    let answers: Vec<Result<Option<&Permission>>> = stream::iter(unproven)
        .map(|right| async move { Ok((!may(api, right).await?).then_some(right)) })
        .buffered(8)
        .collect()
        .await;
    Ok(answers.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

async fn rules_in(api: &Api, namespace: &str) -> Result<Vec<ResourceRule>> {
    let review = json!({
        "apiVersion": SELF_RULES_REVIEW.api_version(),
        "kind": SELF_RULES_REVIEW.kind,
        "spec": { "namespace": namespace },
    });
    let answer = api.review(&SELF_RULES_REVIEW.collection(None), &review).await.map_err(|fault| {
        fault.into_error(&format!("cannot ask for the account's rights in namespace {namespace}"))
    })?;
    serde_json::from_value(answer.body["status"]["resourceRules"].clone())
        .map_err(|error| Error::internal("cannot read the account's rights").caused_by(error))
}

async fn may(api: &Api, right: &Permission) -> Result<bool> {
    let review = json!({
        "apiVersion": SELF_ACCESS_REVIEW.api_version(),
        "kind": SELF_ACCESS_REVIEW.kind,
        "spec": { "resourceAttributes": {
            "namespace": right.namespace, "group": right.group, "resource": right.resource, "verb": right.verb,
        } },
    });
    let answer = api.review(&SELF_ACCESS_REVIEW.collection(None), &review).await.map_err(|fault| {
        fault.into_error(&format!("cannot ask whether the account may {} {}", right.verb, right.resource))
    })?;
    Ok(answer.body["status"]["allowed"] == true)
}

fn missing(denied: &[&Permission]) -> Error {
    let first = denied[0];
    let more = if denied.len() > 1 { format!(" and {} more", denied.len() - 1) } else { String::new() };
    let mut error = Error::new(
        Id::Forbidden,
        Kind::Forbidden,
        format!(
            "this account may not {} {} in namespace {}{more}; nothing was changed",
            first.verb, first.resource, first.namespace
        ),
    );
    for right in denied {
        error = error.fact("missing", format!("{}  in namespace {}", right.rule(), right.namespace));
    }
    error.hint("an administrator adds these rules to a Role and binds it to the account")
}
