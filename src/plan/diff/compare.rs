//! Compares a live object with the object after a deploy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::difference::{DiffOutcome, Difference};
use super::field_change::{ChangeCause, Comparison, FieldChange, ValueChange};
use super::field_owners::Owners;
use super::noise::without_noise;
use super::{effect, predict};
use crate::object::labels::SECRET_VERSION_PREFIX;
use crate::object::{Mask, ObjectId, references};
use crate::plan::inventory::members::Members;
use crate::plan::inventory::prune::{PruneCandidate, PruneDecision};

/// Returns the difference of a member that does not exist. `response` is the result of a server-side dry run, if there
/// was one. `predecessor` is the ConfigMap or Secret that this one replaces; its name has another content hash.
#[must_use]
pub fn created(
    id: &ObjectId,
    manifest: &Value,
    response: Option<&Value>,
    predecessor: Option<&Value>,
    mask: &Mask,
) -> Difference {
    let mut difference = Difference::new(id.clone(), DiffOutcome::Created);
    difference.fields = replaced_content(id, manifest, predecessor, mask);
    let comparison = Comparison { kind: &id.kind, manifest, owners: Owners::none(), mask };
    difference.fields.extend(response.map_or_else(Vec::new, |response| comparison.set_by_server(response)));
    difference
}

/// Returns the content of a ConfigMap or Secret that differs from the one that the pod uses now, which it replaces.
#[must_use]
pub fn replaced_content(
    id: &ObjectId,
    manifest: &Value,
    predecessor: Option<&Value>,
    mask: &Mask,
) -> Vec<FieldChange> {
    if !has_content(id) {
        return Vec::new();
    }
    Comparison { kind: &id.kind, manifest, owners: Owners::none(), mask }.content(predecessor)
}

/// Returns the difference of a ConfigMap or Secret that exists from an earlier revision and that the pod would use
/// instead of its predecessor.
#[must_use]
pub fn reused(id: &ObjectId, manifest: &Value, predecessor: &Value, mask: &Mask) -> Difference {
    let name = predecessor["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut difference = Difference::new(id.clone(), DiffOutcome::Reused(name));
    difference.fields = replaced_content(id, manifest, Some(predecessor), mask);
    difference
}

/// Returns the difference of a member that exists. Without the `response` of a server-side dry run, the result is
/// predicted from the live object and its field owners.
#[must_use]
pub fn changed(
    id: &ObjectId,
    manifest: &Value,
    live: &Value,
    response: Option<&Value>,
    mask: &Mask,
) -> Difference {
    let owners = Owners::from_object(live);
    let (before, desired) = (without_noise(live), without_noise(manifest));
    let after = match response {
        Some(response) => without_noise(response),
        None => without_noise(&predict::predicted(None, &desired, &before, &owners)),
    };
    let comparison = Comparison { kind: &id.kind, manifest: &desired, owners, mask };
    let mut hunks = comparison.between(&before, &after);
    if response.is_none() {
        // The positions of other managers' items are not predicted.
        hunks.retain(|hunk| {
            !(matches!(hunk.change, ValueChange::Order { .. }) && hunk.cause == ChangeCause::Server)
        });
    }
    let effects = effect::effects_of(id, live, &after, &hunks);
    let outcome = if hunks.is_empty() { DiffOutcome::Unchanged } else { DiffOutcome::Changed };
    Difference { fields: hunks, effects, ..Difference::new(id.clone(), outcome) }
}

/// Finds the ConfigMap or Secret that a live Deployment refers to and that this one replaces. Their names differ only
/// in the hash at the end. `None` if the Deployment refers to this one already.
#[must_use]
pub fn predecessor<'a>(id: &ObjectId, live: &'a Members) -> Option<&'a Value> {
    let referenced = names_in_pods(live);
    if referenced.contains(&id.name) {
        return None;
    }
    let is_predecessor = |other: &ObjectId| has_same_stem(other, id) && referenced.contains(&other.name);
    live.iter().find(|(other, _)| is_predecessor(other)).map(|(_, object)| object)
}

/// Returns the name with this stem and the hash of a content that a live Deployment refers to.
#[must_use]
pub fn referenced_name(wanted: &str, live: &Members) -> Option<String> {
    names_in_pods(live).into_iter().find(|name| stem(name) == Some(wanted))
}

/// Returns the resourceVersions of these Secrets that the live Deployments recorded for their pods.
#[must_use]
pub fn recorded_versions(names: &BTreeSet<String>, live: &Members) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (_, deployment) in live.iter().filter(|(id, _)| id.kind == "Deployment") {
        let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
        for name in names {
            if let Some(version) = annotations[format!("{SECRET_VERSION_PREFIX}{name}")].as_str() {
                versions.insert(name.clone(), version.to_owned());
            }
        }
    }
    versions
}

/// Collects the strings of the live Deployments' pod templates, which include the names of ConfigMaps and Secrets.
fn names_in_pods(live: &Members) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, deployment) in live.iter().filter(|(id, _)| id.kind == "Deployment") {
        references::collect_strings(&deployment["spec"]["template"], &mut names);
    }
    names
}

/// Whether an object is named after its content.
pub(super) fn has_content(id: &ObjectId) -> bool {
    matches!(id.kind.as_str(), "Secret" | "ConfigMap")
}

/// Whether two objects have the same identity but for the hash of their content.
pub(super) fn has_same_stem(one: &ObjectId, other: &ObjectId) -> bool {
    (&one.kind, &one.group, &one.namespace) == (&other.kind, &other.group, &other.namespace)
        && stem(&one.name).is_some_and(|name| stem(&other.name) == Some(name))
}

/// Returns a name without the ten hex digits at its end; `None` if it has none.
pub(super) fn stem(name: &str) -> Option<&str> {
    let (stem, hash) = name.rsplit_once('-')?;
    (hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(stem)
}

/// Returns the difference of an object that is no longer planned; `None` if it is kept because it is still referenced.
#[must_use]
pub fn unplanned(candidate: &PruneCandidate) -> Option<Difference> {
    let outcome = match candidate.decision() {
        PruneDecision::Delete => DiffOutcome::Deleted { data_loss: false },
        PruneDecision::DeleteWithData => DiffOutcome::Deleted { data_loss: true },
        PruneDecision::Keep(reason) => DiffOutcome::Kept(reason),
        PruneDecision::InUse => return None,
    };
    Some(Difference::new(candidate.id.clone(), outcome))
}
