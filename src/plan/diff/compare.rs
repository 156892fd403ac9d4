//! Compares a live object with the object after a deploy.

use serde_json::Value;

use super::difference::{DiffOutcome, Difference};
use super::field_change::Comparison;
use super::field_owners::Owners;
use super::mask::Mask;
use super::noise::without_noise;
use super::{effect, predict};
use crate::object::{ObjectId, references};
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
    let comparison = Comparison { kind: &id.kind, manifest, owners: Owners::none(), mask };
    if matches!(id.kind.as_str(), "Secret" | "ConfigMap") {
        difference.fields = comparison.content(predecessor);
    }
    difference.fields.extend(response.map_or_else(Vec::new, |response| comparison.set_by_server(response)));
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
    let hunks = comparison.between(&before, &after);
    let effects = effect::effects_of(id, live, &after, &hunks);
    let outcome = if hunks.is_empty() { DiffOutcome::Unchanged } else { DiffOutcome::Changed };
    Difference { id: id.clone(), outcome, fields: hunks, effects, unverified: None }
}

/// Finds the ConfigMap or Secret that a live Deployment refers to and that this one replaces. Their names differ only
/// in the hash at the end.
#[must_use]
pub fn predecessor<'a>(id: &ObjectId, live: &'a Members) -> Option<&'a Value> {
    let stem = stem(&id.name)?;
    let mut referenced = std::collections::BTreeSet::new();
    for (_, deployment) in live.iter().filter(|(id, _)| id.kind == "Deployment") {
        references::collect_strings(&deployment["spec"]["template"], &mut referenced);
    }
    let is_predecessor = |other: &ObjectId| {
        (&other.kind, &other.group, &other.namespace) == (&id.kind, &id.group, &id.namespace)
            && self::stem(&other.name) == Some(stem)
            && referenced.contains(&other.name)
    };
    live.iter().find(|(other, _)| is_predecessor(other)).map(|(_, object)| object)
}

/// Returns a name without the ten hex digits at its end; `None` if it has none.
fn stem(name: &str) -> Option<&str> {
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
