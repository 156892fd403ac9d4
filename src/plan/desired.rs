//! What a deploy wants to be true: the plan and its members.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::inventory::apply_set::ApplySet;
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

/// Everything that a deploy wants to be true.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The set.
    pub set: ApplySet,
    /// Members in the order of sending.
    pub members: Vec<Member>,
    /// Manifests of the namespaces that are made where they are missing, by name.
    pub namespaces: BTreeMap<String, Value>,
    /// Environment variables whose values come from Secrets, with a word on where each value comes from.
    pub secret_sources: BTreeMap<String, String>,
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
