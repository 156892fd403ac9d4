//! The result of applying a member, and the apply mode.

use serde_json::Value;

use crate::cluster::watch::observe;
use crate::event::Action;
use crate::object::ObjectId;
use crate::plan::Member;
use crate::settings;

/// The result of applying one member.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The member.
    pub id: ObjectId,
    /// The action that was performed.
    pub action: Action,
    /// The live object of a watched kind, which has a rollout or may be unable to do its work, or of a kind that can
    /// expose the application; None for other kinds and for members that do not exist yet.
    pub object: Option<Value>,
}

impl Applied {
    /// Returns whether the object was created or changed.
    pub(crate) fn is_changed(&self) -> bool {
        matches!(self.action, Action::Created | Action::Configured)
    }

    /// Returns the UID of the object, if it was kept.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.object.as_ref()?["metadata"]["uid"].as_str()
    }

    /// Keeps the object only if its kind is watched or its exposure is judged, to save memory for the many others.
    pub(crate) fn new(member: &Member, action: Action, object: Option<Value>) -> Self {
        let object = object.filter(|_| Self::keeps_object(member));
        Self { id: member.id.clone(), action, object }
    }

    /// Returns whether the results of this member's kind have the object.
    pub(crate) fn keeps_object(member: &Member) -> bool {
        observe::tracked_kind(member.kind).is_some() || settings::is_judged(member.kind.kind)
    }
}

/// Whether members are applied or only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyMode {
    /// Apply and store the object.
    Apply,
    /// The server checks the request and stores nothing (`dryRun=All`).
    DryRun,
}
