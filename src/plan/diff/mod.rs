//! What a deploy would make different, field by field: before, after, who caused it, and what follows from it. Pure.

mod effect;
mod hunk;
mod keyed;
mod mask;
mod owners;
mod path;
mod predict;

use serde_json::Value;

pub use effect::Effect;
pub use hunk::{Cause, Change, Hidden, Hunk};
pub use mask::Mask;
pub use owners::Manager;
pub use path::Path;

use super::leftover::{Fate, Leftover, Live};
use crate::error::Error;
use crate::object::{ObjectId, references};
use hunk::Comparison;
use owners::Owners;

/// What a deploy would make different about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Which.
    pub id: ObjectId,
    /// What would become of it.
    pub outcome: Outcome,
    /// The fields that differ.
    pub hunks: Vec<Hunk>,
    /// What follows from it.
    pub effects: Vec<Effect>,
    /// Why the server's word is missing; None where it was asked or need not be.
    pub unverified: Option<String>,
}

/// A difference, and the server's refusal to say more.
#[derive(Debug)]
pub struct Compared {
    /// What is known.
    pub difference: Difference,
    /// Why a deploy would fail at this object.
    pub refused: Option<Error>,
}

impl Compared {
    /// An object of which only the refusal is known.
    #[must_use]
    pub fn unknown(id: ObjectId, refused: Error) -> Self {
        Self { difference: Difference::new(id, Outcome::Unknown), refused: Some(refused) }
    }
}

impl From<Difference> for Compared {
    fn from(difference: Difference) -> Self {
        Self { difference, refused: None }
    }
}

/// What a deploy would do with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is not there, and would be made.
    Created,
    /// Some of its fields would be others.
    Changed,
    /// It is no longer planned, and would be deleted once the rest works.
    Deleted {
        /// Whether data would go with it.
        data_loss: bool,
    },
    /// It is no longer planned, and stays: why.
    Kept(String),
    /// It is as it should be.
    Unchanged,
    /// Nobody can tell; the refusal beside it says why.
    Unknown,
}

impl Outcome {
    /// The word for people and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Changed => "changed",
            Outcome::Deleted { .. } => "deleted",
            Outcome::Kept(_) => "kept",
            Outcome::Unchanged => "unchanged",
            Outcome::Unknown => "unknown",
        }
    }

    /// Whether a deploy would change something.
    #[must_use]
    pub const fn is_difference(&self) -> bool {
        matches!(self, Outcome::Created | Outcome::Changed | Outcome::Deleted { .. })
    }
}

impl Difference {
    /// An object without anything more to say of it.
    #[must_use]
    pub fn new(id: ObjectId, outcome: Outcome) -> Self {
        Self { id, outcome, hunks: Vec::new(), effects: Vec::new(), unverified: None }
    }

    /// The same, without the server's word.
    #[must_use]
    pub fn unverified(mut self, why: impl Into<String>) -> Self {
        self.unverified = Some(why.into());
        self
    }

    /// The same, with something more that follows from it.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

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
    let mut difference = Difference::new(id.clone(), Outcome::Created);
    let comparison = Comparison { kind: &id.kind, manifest, owners: Owners::none(), mask };
    if matches!(id.kind.as_str(), "Secret" | "ConfigMap") {
        difference.hunks = comparison.content(predecessor);
    }
    difference.hunks.extend(answer.map_or_else(Vec::new, |answer| comparison.of_the_server(answer)));
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
    let outcome = if hunks.is_empty() { Outcome::Unchanged } else { Outcome::Changed };
    Difference { id: id.clone(), outcome, hunks, effects, unverified: None }
}

/// The configuration that a Deployment refers to now, and that this one would take the place of: of the same name but
/// for the hash at its end.
#[must_use]
pub fn predecessor<'a>(id: &ObjectId, live: &'a Live) -> Option<&'a Value> {
    let stem = stem(&id.name)?;
    let mut referred = std::collections::BTreeSet::new();
    for (_, deployment) in live.iter().filter(|(id, _)| id.kind == "Deployment") {
        references::collect(&deployment["spec"]["template"], &mut referred);
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
pub fn leftover(leftover: &Leftover) -> Option<Difference> {
    let outcome = match &leftover.fate {
        Fate::Pruned => Outcome::Deleted { data_loss: false },
        Fate::PrunedWithData => Outcome::Deleted { data_loss: true },
        Fate::Kept(why) => Outcome::Kept(why.clone()),
        Fate::InUse => return None,
    };
    Some(Difference::new(leftover.id.clone(), outcome))
}

/// Annotations that repeat or count what stands elsewhere.
const NOISY_ANNOTATIONS: &[&str] =
    &["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"];

/// Without what the server and its controllers keep for themselves.
fn without_noise(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(map) = object.as_object_mut() else { return object };
    for key in ["status", "apiVersion", "kind"] {
        map.remove(key);
    }
    let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    for key in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"] {
        metadata.remove(key);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !NOISY_ANNOTATIONS.contains(&key.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    object
}

#[cfg(test)]
mod tests;
