//! The members that the revisions name, compared with the existing ones. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::apply_set::{self, ApplySet};
use super::revision::{Revision, RevisionResult};
use crate::object::ObjectId;
use crate::object::kind::{self, JOB, KindInfo};

/// Returns the manifests of the members that must exist, by the set's revisions (oldest first); None if no revision
/// says so. Of a revision whose rollout has not succeeded only those count that the last good revision has as well:
/// the others may never have been applied. `is_running` tells whether a run holds the set's lock.
#[must_use]
pub fn named_members(revisions: &[Revision], is_running: bool) -> Option<Vec<&Value>> {
    let (newest, earlier) = revisions.split_last()?;
    let members = &newest.snapshot.as_ref()?.members;
    if newest.result == RevisionResult::Good {
        return Some(members.iter().collect());
    }
    let good = earlier.iter().rev().find(|revision| revision.result == RevisionResult::Good);
    match good.and_then(|revision| revision.snapshot.as_ref()) {
        Some(good) => {
            let kept: BTreeSet<ObjectId> = good.objects().into_iter().collect();
            let is_kept =
                |member: &&Value| ObjectId::from_object(member).is_some_and(|id| kept.contains(&id));
            Some(members.iter().filter(is_kept).collect())
        }
        // The first deploy is still creating them.
        None if is_running => None,
        None => Some(members.iter().collect()),
    }
}

/// Returns the named members that do not exist. A Job that deletes itself after its end is none of them.
#[must_use]
pub fn missing_members(named: &[&Value], existing: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
    let deletes_itself =
        |member: &Value| member["kind"] == JOB.kind && !member["spec"]["ttlSecondsAfterFinished"].is_null();
    let ids = named.iter().filter(|member| !deletes_itself(member));
    ids.filter_map(|member| ObjectId::from_object(member)).filter(|id| !existing.contains(id)).collect()
}

/// Returns the kinds that the parent lists and of which no member exists. For accounts that may not read the revisions.
#[must_use]
pub fn missing_kinds(parent: Option<&Value>, existing: &BTreeSet<ObjectId>) -> Vec<KindInfo> {
    let annotation =
        parent.and_then(|parent| parent["metadata"]["annotations"][apply_set::CONTAINS].as_str());
    let listed = apply_set::split(annotation.unwrap_or_default());
    let existing: BTreeSet<String> = apply_set::group_kinds(existing);
    let kinds = kind::MEMBERS.iter().copied();
    kinds
        .filter(|kind| listed.contains(&kind.group_kind()) && !existing.contains(&kind.group_kind()))
        .collect()
}

/// Returns whether the set's record names a Deployment of the application: its newest revision, or its parent.
#[must_use]
pub fn names_application(set: &ApplySet, named: Option<&[&Value]>, parent: Option<&Value>) -> bool {
    let deployment = kind::DEPLOYMENT;
    if let Some(named) = named {
        return named.iter().any(|member| {
            member["kind"] == deployment.kind && crate::object::labels::is_instance(member, &set.name)
        });
    }
    let annotation =
        parent.and_then(|parent| parent["metadata"]["annotations"][apply_set::CONTAINS].as_str());
    apply_set::split(annotation.unwrap_or_default()).contains(&deployment.group_kind())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::snapshot::Snapshot;
    use super::*;
    use crate::object::kind::{CONFIG_MAP, SERVICE};

    fn revision(number: u64, result: RevisionResult, names: &[&str]) -> Revision {
        let member = |name: &&str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "n" } });
        Revision {
            number,
            result,
            by: String::new(),
            created: None,
            is_unreadable: false,
            record: None,
            snapshot: Some(Snapshot { members: names.iter().map(member).collect(), ..Snapshot::default() }),
            evidence: None,
            uid: String::new(),
        }
    }

    fn names(revisions: &[Revision], is_running: bool) -> Option<Vec<String>> {
        let named = named_members(revisions, is_running)?;
        Some(missing_members(&named, &BTreeSet::new()).into_iter().map(|id| id.name).collect())
    }

    #[test]
    fn unfinished_revision_names_only_members_of_the_good_one() {
        use RevisionResult::{Failed, Good};
        let good = revision(1, Good, &["a", "b"]);
        assert_eq!(names(&[], false), None);
        assert_eq!(names(std::slice::from_ref(&good), false), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(&[good, revision(2, Failed, &["b", "c"])], false), Some(vec!["b".into()]));
        let first = [revision(1, Failed, &["a"])];
        assert_eq!((names(&first, false), names(&first, true)), (Some(vec!["a".into()]), None));
    }

    #[test]
    fn finished_job_that_deletes_itself_is_not_missing() {
        let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "namespace": "n" },
            "spec": { "ttlSecondsAfterFinished": 60 } });
        assert_eq!(missing_members(&[&job], &BTreeSet::new()), []);
    }

    #[test]
    fn kind_of_the_parent_without_member_is_missing() {
        let parent = json!({ "metadata": { "annotations": { apply_set::CONTAINS: "ConfigMap,Service" } } });
        let existing = BTreeSet::from([CONFIG_MAP.id("n", "a")]);
        assert_eq!(missing_kinds(Some(&parent), &existing), [SERVICE]);
        assert_eq!(missing_kinds(None, &existing), []);
    }
}
