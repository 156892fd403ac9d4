//! How far the deploys of an installation got that has no application. Pure.

use serde_json::Value;

use super::revision::{Revision, RevisionResult};

/// How far the deploys of an installation got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DeployProgress<'a> {
    /// No deploy has written anything.
    None,
    /// No deploy has succeeded yet. The newest revision; None: it was not recorded.
    Unfinished(Option<&'a Revision>),
    /// A deploy has succeeded.
    Finished,
}

impl<'a> DeployProgress<'a> {
    /// Reads it from the kept revisions, oldest first, and the installation's record.
    #[must_use]
    pub fn new(revisions: &'a [Revision], parent: Option<&Value>) -> Self {
        match revisions.last() {
            _ if revisions.iter().any(|revision| revision.result == RevisionResult::Good) => Self::Finished,
            // Older revisions are deleted, and the last good one never is.
            Some(newest) => Self::Unfinished(Some(newest)),
            None if parent.is_some() => Self::Unfinished(None),
            None => Self::None,
        }
    }

    /// Describes an unfinished one: `its first deploy is unfinished: revision 1 failed (HC4502)`.
    #[must_use]
    pub fn unfinished_text(self) -> Option<String> {
        let Self::Unfinished(revision) = self else { return None };
        let subject = match revision {
            Some(revision) if revision.number > 1 => "no deploy of it has succeeded yet",
            _ => "its first deploy is unfinished",
        };
        let Some(revision) = revision else { return Some(subject.to_owned()) };
        let number = revision.number;
        let result = match (revision.result, revision.failure_id()) {
            (RevisionResult::Failed, Some(id)) => format!("failed ({id})"),
            (RevisionResult::Failed, None) => "failed".to_owned(),
            (RevisionResult::Applying, _) => "is being applied, or its run was killed".to_owned(),
            (RevisionResult::Interrupted, _) => "was interrupted".to_owned(),
            (RevisionResult::NotWatched | RevisionResult::Good, _) => {
                "was applied and not watched".to_owned()
            }
        };
        Some(format!("{subject}: revision {number} {result}"))
    }

    /// Returns the commands to run next for a missing application, the most useful one first.
    #[must_use]
    pub fn next_commands(self) -> Vec<String> {
        let mut commands = match self {
            Self::None => vec!["handsctl deploy creates it".to_owned()],
            Self::Finished => vec!["handsctl deploy creates it again".to_owned()],
            Self::Unfinished(_) => vec!["handsctl deploy continues from there".to_owned()],
        };
        if let Self::Unfinished(revision) = self {
            commands.extend(
                revision
                    .filter(|revision| revision.evidence.is_some())
                    .map(|revision| format!("handsctl history {} shows why it failed", revision.number)),
            );
            commands.push("handsctl teardown deletes what it has created".to_owned());
        }
        commands
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn revision(number: u64, result: RevisionResult, evidence: Option<&str>) -> Revision {
        Revision {
            number,
            result,
            by: "ana@laptop".into(),
            created: None,
            snapshot: None,
            is_unreadable: false,
            record: None,
            evidence: evidence.map(str::to_owned),
            uid: "u".into(),
        }
    }

    #[test]
    fn unfinished_deploy_is_told_from_none_and_from_a_finished_one() {
        let failed = revision(1, RevisionResult::Failed, Some("HC4502: cannot apply"));
        let (good, third) =
            (revision(2, RevisionResult::Good, None), revision(3, RevisionResult::Applying, None));
        let parent = json!({});
        let text = |revisions: &[Revision], parent: Option<&Value>| {
            DeployProgress::new(revisions, parent).unfinished_text()
        };
        assert_eq!(
            text(std::slice::from_ref(&failed), None).as_deref(),
            Some("its first deploy is unfinished: revision 1 failed (HC4502)")
        );
        assert_eq!(text(&[], Some(&parent)).as_deref(), Some("its first deploy is unfinished"));
        assert_eq!(
            text(&[failed.clone(), third.clone()], None).as_deref(),
            Some("no deploy of it has succeeded yet: revision 3 is being applied, or its run was killed")
        );
        assert_eq!((text(&[], None), text(&[good.clone(), third], None)), (None, None));
        let commands = |revisions: &[Revision]| DeployProgress::new(revisions, None).next_commands();
        assert_eq!(commands(&[]), ["handsctl deploy creates it"]);
        assert_eq!(commands(&[good]), ["handsctl deploy creates it again"]);
        assert_eq!(commands(&[failed])[1], "handsctl history 1 shows why it failed");
    }
}
