//! What a deploy wants to be true: the plan and its members.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::inventory::apply_set::ApplySet;
use super::inventory::members::Members;
use super::inventory::revision::{MissingSecrets, Snapshot};
use super::manifests::content_hash::SecretKey;
use crate::object::ObjectId;
use crate::object::kind::{self, KindInfo};

/// An object that the set consists of.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which object.
    pub id: ObjectId,
    /// How it is addressed and when it is sent.
    pub kind: KindInfo,
    /// What is sent, without the ApplySet's label.
    pub manifest: Value,
}

/// Where a plan comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlanOrigin {
    /// config.toml and everything beside it.
    #[default]
    Configuration,
    /// The revision of this number, which is brought back.
    Revision(u64),
}

/// Everything that a deploy wants to be true.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Where it comes from.
    pub origin: PlanOrigin,
    /// The set.
    pub set: ApplySet,
    /// Members in the order of sending.
    pub members: Vec<Member>,
    /// Manifests of the namespaces that are made where they are missing, by name.
    pub namespaces: BTreeMap<String, Value>,
    /// Environment variables whose values come from Secrets, with a word on where each value comes from.
    pub secret_sources: BTreeMap<String, String>,
}

/// What a command is to make of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// What the configuration says.
    Configuration,
    /// The revision of this number; without one, the revision that an unfinished rollback was going to, else the last
    /// good one before the latest.
    Revision(Option<u64>),
}

/// What is wanted, before it is known which members are in the cluster.
#[derive(Debug, Clone)]
pub enum Desired {
    /// What the configuration says.
    Configuration(Plan),
    /// A kept revision.
    Revision {
        /// Its number.
        number: u64,
        /// Its members.
        snapshot: Snapshot,
    },
}

impl Desired {
    /// The objects that are wanted, with their manifests.
    #[must_use]
    pub fn objects(&self) -> Vec<(ObjectId, &Value)> {
        match self {
            Self::Configuration(plan) => {
                plan.members.iter().map(|member| (member.id.clone(), &member.manifest)).collect()
            }
            Self::Revision { snapshot, .. } => {
                let members = snapshot.members.iter();
                members.filter_map(|member| Some((ObjectId::of_object(member)?, member))).collect()
            }
        }
    }

    /// Kinds of these objects that not every set has and that handsctl knows without asking the server.
    #[must_use]
    pub fn extra_kinds(&self) -> BTreeSet<KindInfo> {
        let kinds = self.objects().into_iter().filter_map(|(id, _)| KindInfo::of_id(&id));
        kinds.filter(|kind| !kind::MEMBERS.contains(kind)).collect()
    }

    /// The plan. A revision's Secrets take their data from the live ones.
    ///
    /// # Errors
    /// Secrets of the revision that are no longer there.
    pub fn into_plan(self, set: &ApplySet, live: &Members) -> Result<Plan, MissingSecrets> {
        match self {
            Self::Configuration(plan) => Ok(plan),
            Self::Revision { number, snapshot } => snapshot.plan(number, set, live),
        }
    }
}

/// How the Secret with the secret environment is named.
#[derive(Debug, Clone, Copy)]
pub enum SecretNaming<'a> {
    /// By the HMAC of its content; the Secret is a member.
    Keyed {
        /// The set's key.
        key: &'a SecretKey,
        /// resourceVersion of each Secret that the configuration refers to and that may be read:
        /// a change of such a Secret rolls the pod.
        versions: &'a BTreeMap<String, String>,
    },
    /// `<name>-env-rendered`; no Secret is made. For `render`, which prints no secret.
    Placeholder,
}

/// The kinds of these members that not every set can have.
pub(super) fn extra_kinds(members: &[Member]) -> BTreeSet<KindInfo> {
    let kinds = members.iter().map(|member| member.kind);
    kinds.filter(|kind| !kind::MEMBERS.contains(kind)).collect()
}
