//! What was done with a member, and how it was sent.

use serde_json::Value;

use crate::cluster::watch::observe;
use crate::event::Action;
use crate::object::ObjectId;
use crate::plan::Member;

/// What was done with a member.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Which.
    pub id: ObjectId,
    /// What was done.
    pub action: Action,
    /// The object as the server has it, of kinds that have a rollout; None after a dry run without the server.
    pub object: Option<Value>,
}

impl Applied {
    /// Keeps the object where its rollout is followed: a thousand others would be kept for nothing.
    pub(crate) fn new(member: &Member, action: Action, object: Option<Value>) -> Self {
        let object = object.filter(|_| observe::tracked_kind(member.kind).is_some());
        Self { id: member.id.clone(), action, object }
    }
}

/// How members are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyMode {
    /// For real.
    Apply,
    /// The server checks and answers, and keeps nothing (`dryRun=All`).
    DryRun,
}
