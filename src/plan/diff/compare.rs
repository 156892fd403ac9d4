//! An object as it is and as a deploy would make it → what differs.

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

/// A member that is not there. `answer` is what the server's dry run made of it, where it was asked; `predecessor` is
/// the configuration that this one takes the place of: its name carries its content, so that a change makes a new
/// object.
#[must_use]
pub fn created(
    id: &ObjectId,
    manifest: &Value,
    answer: Option<&Value>,
    predecessor: Option<&Value>,
    mask: &Mask,
) -> Difference {
    let mut difference = Difference::new(id.clone(), DiffOutcome::Created);
    let comparison = Comparison { kind: &id.kind, manifest, owners: Owners::none(), mask };
    if matches!(id.kind.as_str(), "Secret" | "ConfigMap") {
        difference.fields = comparison.content(predecessor);
    }
    difference.fields.extend(answer.map_or_else(Vec::new, |answer| comparison.of_the_server(answer)));
    difference
}

/// A member that is there. Without the server's `answer` to a dry run it is foretold from what is there and who set it.
#[must_use]
pub fn changed(
    id: &ObjectId,
    manifest: &Value,
    live: &Value,
    answer: Option<&Value>,
    mask: &Mask,
) -> Difference {
    let owners = Owners::of(live);
    let (before, wanted) = (without_noise(live), without_noise(manifest));
    let after = match answer {
        Some(answer) => without_noise(answer),
        None => without_noise(&predict::predicted(None, &wanted, &before, &owners)),
    };
    let comparison = Comparison { kind: &id.kind, manifest: &wanted, owners, mask };
    let hunks = comparison.between(&before, &after);
    let effects = effect::of(id, live, &after, &hunks);
    let outcome = if hunks.is_empty() { DiffOutcome::Unchanged } else { DiffOutcome::Changed };
    Difference { id: id.clone(), outcome, fields: hunks, effects, unverified: None }
}

/// The configuration that a Deployment refers to now, and that this one would take the place of: of the same name but
/// for the hash at its end.
#[must_use]
pub fn predecessor<'a>(id: &ObjectId, live: &'a Members) -> Option<&'a Value> {
    let stem = stem(&id.name)?;
    let mut referred = std::collections::BTreeSet::new();
    for (_, deployment) in live.iter().filter(|(id, _)| id.kind == "Deployment") {
        references::collect_strings(&deployment["spec"]["template"], &mut referred);
    }
    let is_it = |other: &ObjectId| {
        (&other.kind, &other.group, &other.namespace) == (&id.kind, &id.group, &id.namespace)
            && self::stem(&other.name) == Some(stem)
            && referred.contains(&other.name)
    };
    live.iter().find(|(other, _)| is_it(other)).map(|(_, object)| object)
}

/// The name without the ten hex digits at its end.
fn stem(name: &str) -> Option<&str> {
    let (stem, hash) = name.rsplit_once('-')?;
    (hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(stem)
}

/// An object that is no longer planned; None where it stays as long as somebody refers to it.
#[must_use]
pub fn unplanned(candidate: &PruneCandidate) -> Option<Difference> {
    let outcome = match candidate.decision() {
        PruneDecision::Delete => DiffOutcome::Deleted { data_loss: false },
        PruneDecision::DeleteWithData => DiffOutcome::Deleted { data_loss: true },
        PruneDecision::Keep(why) => DiffOutcome::Kept(why),
        PruneDecision::InUse => return None,
    };
    Some(Difference::new(candidate.id.clone(), outcome))
}
