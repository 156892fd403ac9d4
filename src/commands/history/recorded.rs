//! The revisions of the installation, as `history` and `history diff` read and compare them.

use crate::catalogue::Id;
use crate::cluster::apply::inventory;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::Mask;
use crate::plan::diff::{Compared, RecordedChanges, recorded_changes};
use crate::plan::inventory::history::History;
use crate::plan::inventory::revision::Revision;
use crate::report::{DiffBasis, DiffReport, RecordedDiff, Streams};
use crate::session::cluster_session::Session;
use crate::session::long_calls::read_until;
use crate::session::step::Deadline;
use crate::settings::FieldKeys;

/// The type of a Secret that the application uses, unlike a revision.
const APPLICATION_SECRET: &str = "Opaque";

/// The kept revisions, and what is needed to compare them.
pub(super) struct RecordedHistory {
    pub(super) history: History,
    /// The values of the installation's Secrets, which other objects may repeat.
    mask: Mask,
    keys: FieldKeys,
}

/// The changes of one revision against an earlier one.
pub(super) struct RevisionChanges {
    /// The number of the earlier one.
    pub(super) from: u64,
    /// The number of the revision.
    pub(super) to: u64,
    /// What differs, in words.
    pub(super) changed: Vec<String>,
    compared: Vec<Compared>,
}

impl RecordedHistory {
    /// Reads the revisions, and warns of Secrets that only pretend to be some.
    ///
    /// # Errors
    /// The Secrets cannot be read until the deadline.
    pub(super) async fn read(
        session: &Session,
        streams: &Streams,
        deadline: Deadline,
        events: &Events,
    ) -> Result<Self> {
        let set = session.set();
        let (secrets, parent) = read_until(deadline, session, streams, async {
            session.server_version().await?;
            let api = &session.connection.api;
            let (secrets, parent) =
                tokio::join!(inventory::list_own_secrets(api, &set), inventory::get_parent(api, &set));
            // Without the right, the parent's fingerprint of the key cannot be compared.
            let parent = match parent {
                Err(error) if error.kind() == Kind::Forbidden => None,
                parent => parent?,
            };
            Ok((secrets?, parent))
        })
        .await
        .map_err(|error| session.with_credentials_hint(error))?;
        let history = History::from_secrets(&set, &secrets, parent.as_ref());
        for foreign in history.foreign() {
            events.warn(Id::ForeignRevision, foreign.warning(&set)).await;
        }
        let mask = Mask::from_objects(secrets.iter().filter(|secret| secret["type"] == APPLICATION_SECRET));
        Ok(Self { history, mask, keys: FieldKeys::default() })
    }

    /// Returns a revision.
    ///
    /// # Errors
    /// Exit 2 if it is not kept.
    pub(super) fn revision(&self, number: u64) -> Result<&Revision> {
        self.history.get(number).ok_or_else(|| self.no_such_revision(number))
    }

    fn no_such_revision(&self, number: u64) -> Error {
        let kept: Vec<String> =
            self.history.all().iter().map(|revision| revision.number.to_string()).collect();
        let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
        let error = Error::new(Id::NoSuchRevision, Kind::Usage, format!("revision {number} is not kept"))
            .fact("kept", kept);
        match self.history.restored_as(number) {
            Some(equal) => error.hint(format!(
                "revision {} has its content, by a rollback: handsctl history {}",
                equal.number, equal.number
            )),
            None => error.hint("handsctl history lists the kept ones"),
        }
    }

    /// Returns the kept revision before this one.
    pub(super) fn previous(&self, revision: &Revision) -> Option<&Revision> {
        self.history.all().iter().rev().find(|other| other.number < revision.number)
    }

    /// Returns what a revision changed against the kept one before it; None without one, or if one of them has no content.
    pub(super) fn changes_of(&self, revision: &Revision) -> Option<RevisionChanges> {
        self.changes(self.previous(revision)?, revision)
    }

    /// Compares two revisions; None if one of them has no content.
    pub(super) fn changes(&self, from: &Revision, to: &Revision) -> Option<RevisionChanges> {
        let (before, after) = (from.snapshot.as_ref()?, to.snapshot.as_ref()?);
        let RecordedChanges { differences, names } =
            recorded_changes(&before.members, &after.members, &self.mask, &self.keys);
        let compared = differences.into_iter().map(Compared::from).collect();
        Some(RevisionChanges { from: from.number, to: to.number, changed: names, compared })
    }
}

impl RevisionChanges {
    /// Returns the number of objects that differ.
    pub(super) fn number(&self) -> usize {
        self.compared.len()
    }

    /// Returns the changes, ready to print.
    pub(super) fn report<'a>(&'a self, session: &'a Session) -> RecordedDiff<'a> {
        let deploy = &session.settings.deploy;
        RecordedDiff {
            from: self.from,
            to: self.to,
            changed: &self.changed,
            report: DiffReport {
                context: &session.connection.choice.context,
                namespace: deploy.namespace.as_str(),
                name: deploy.name.as_str(),
                basis: DiffBasis::Revisions,
                compared: &self.compared,
                now: session.connection.api.clock().now(),
            },
        }
    }
}

/// Returns why a revision has no content.
pub(super) const fn without_content(revision: &Revision) -> &'static str {
    if revision.is_unreadable { "unreadable" } else { "too large to keep" }
}
