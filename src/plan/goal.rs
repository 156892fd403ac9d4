//! The state that a command deploys: the configuration or a kept revision.

use std::collections::BTreeSet;

use serde_json::Value;

use super::desired::Plan;
use super::inventory::restorable::RestoreTarget;
use super::inventory::snapshot::{RestoreError, Snapshot};
use crate::object::ObjectId;
use crate::object::kind::{self, KindInfo};

/// The state that a command deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The configuration.
    Configuration,
    /// The revision of this number. Without a number: the target of an unfinished rollback, else the last good revision
    /// whose content differs from the latest one's.
    Revision(Option<u64>),
}

/// The desired state before the set's members have been listed in the cluster.
#[derive(Debug, Clone)]
pub enum Desired {
    /// The plan of the configuration.
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
    /// Returns the desired objects with their manifests.
    #[must_use]
    pub fn objects(&self) -> Vec<(ObjectId, &Value)> {
        match self {
            Self::Configuration(plan) => {
                plan.members.iter().map(|member| (member.id.clone(), &member.manifest)).collect()
            }
            Self::Revision { snapshot, .. } => {
                let members = snapshot.members.iter();
                members.filter_map(|member| Some((ObjectId::from_object(member)?, member))).collect()
            }
        }
    }

    /// Returns the built-in kinds of these objects that not every set can have. Kinds that need API discovery are left
    /// out.
    #[must_use]
    pub fn extra_kinds(&self) -> BTreeSet<KindInfo> {
        let kinds = self.objects().into_iter().filter_map(|(id, _)| KindInfo::for_id(&id));
        kinds.filter(|kind| !kind::MEMBERS.contains(kind)).collect()
    }

    /// Returns the plan. The Secrets of a revision get their data from the live Secrets.
    ///
    /// # Errors
    /// Those of [`Snapshot::plan`].
    pub fn into_plan(self, target: RestoreTarget<'_>) -> Result<Plan, RestoreError> {
        match self {
            Self::Configuration(plan) => Ok(plan),
            Self::Revision { number, snapshot } => snapshot.plan(number, target),
        }
    }
}
