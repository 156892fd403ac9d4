//! The desired state: the plan and its members.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::inventory::apply_set::ApplySet;
use super::manifests::content_hash::SecretKey;
use crate::object::ObjectId;
use crate::object::kind::{self, KindInfo};

/// A planned object of the set.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its identity.
    pub id: ObjectId,
    /// Its kind, which determines the API path and the wave.
    pub kind: KindInfo,
    /// Its manifest, without the ApplySet's label.
    pub manifest: Value,
}

/// The source of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlanOrigin {
    /// config.toml, the environment and the flags.
    #[default]
    Configuration,
    /// The revision of this number, which a rollback restores.
    Revision(u64),
}

/// The desired state of the set.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Its source.
    pub origin: PlanOrigin,
    /// The set.
    pub set: ApplySet,
    /// The members, in the order in which they are sent.
    pub members: Vec<Member>,
    /// Manifests of the namespaces, by name; a missing namespace is created.
    pub namespaces: BTreeMap<String, Value>,
    /// Environment variables whose values come from Secrets, with a description of each value's source.
    pub secret_sources: BTreeMap<String, String>,
}

/// The naming scheme of the set's own Secret.
#[derive(Debug, Clone, Copy)]
pub enum SecretNaming<'a> {
    /// After the HMAC of its content; the Secret is a member.
    Keyed {
        /// The set's key.
        key: &'a SecretKey,
        /// The resourceVersion of each readable Secret that the configuration refers to. A change of such a Secret
        /// restarts the pods.
        versions: &'a BTreeMap<String, String>,
    },
    /// This name, which the live Deployment refers to, because the key or a value is unknown. The member has only the
    /// known values, so its content must not be compared or sent. For `diff`.
    Assumed {
        /// The name.
        name: &'a str,
        /// As in `Keyed`.
        versions: &'a BTreeMap<String, String>,
    },
    /// `<name>-env-rendered`, without a Secret among the members. For `render`, which prints no secrets.
    Placeholder,
}

/// Returns the kinds of these members that not every set can have.
pub(super) fn extra_kinds(members: &[Member]) -> BTreeSet<KindInfo> {
    let kinds = members.iter().map(|member| member.kind);
    kinds.filter(|kind| !kind::MEMBERS.contains(kind)).collect()
}
