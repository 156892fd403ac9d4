//! What `teardown --sandboxes` deletes, and what it keeps. Pure.

use super::conversation::{AppKnowledge, Conversation};
use super::garbage::{Garbage, GarbageObject, GarbageOptions};
use super::part::ConversationPart;
use crate::object::deletion;

/// Decides about every object of these conversations, whose application is deleted. Objects that are being deleted
/// already are among the deleted ones, so that somebody waits for them.
#[must_use]
pub fn removal<'a>(
    conversations: &[Conversation<'a>],
    knowledge: impl Fn(&str) -> AppKnowledge,
    options: GarbageOptions,
) -> Garbage<'a> {
    let mut removal = Garbage::default();
    for conversation in conversations {
        let is_shared = options.may_be_of_others && knowledge(conversation.id) != AppKnowledge::Yes;
        for (&part, &object) in &conversation.objects {
            let is_deleted = deletion::deleted_since(object).is_some();
            let with = |reason| GarbageObject { conversation: conversation.id, part, object, reason };
            match reason_to_keep(conversation, part, is_shared, options) {
                Some(reason) if !is_deleted => removal.kept.push(with(reason)),
                // Somebody else deletes it, and may wait for something else.
                Some(_) => {}
                None => removal.deleted.push(with("a conversation of the application")),
            }
        }
    }
    removal
}

fn reason_to_keep(
    conversation: &Conversation<'_>,
    part: ConversationPart,
    is_shared: bool,
    options: GarbageOptions,
) -> Option<&'static str> {
    match part {
        _ if is_shared => Some("another application may use it"),
        ConversationPart::Claim if conversation.is_claim_in_use => Some("another pod mounts it"),
        ConversationPart::Claim if !options.delete_data => Some("--delete-data deletes it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversation::tests::{A, complete, object};
    use super::super::conversation::{SandboxObjects, conversations};
    use super::*;
    use AppKnowledge::{No, Unclear, Yes};

    const KEEPS_DATA: GarbageOptions = GarbageOptions { delete_data: false, may_be_of_others: false };
    const WITH_DATA: GarbageOptions = GarbageOptions { delete_data: true, ..KEEPS_DATA };

    /// The deleted parts, and the reasons of the kept objects.
    fn decided(
        objects: &SandboxObjects,
        knowledge: AppKnowledge,
        options: GarbageOptions,
    ) -> (Vec<ConversationPart>, Vec<&'static str>) {
        let found = conversations(objects);
        let removal = removal(&found, |_| knowledge, options);
        let deleted = removal.deleted.iter().map(|it| it.part).collect();
        (deleted, removal.kept.iter().map(|it| it.reason).collect())
    }

    #[test]
    fn every_sandbox_is_deleted_and_its_claim_only_with_data() {
        for phase in ["Running", "Pending", "Failed"] {
            for knowledge in [Yes, No, Unclear] {
                let (deleted, kept) = decided(&complete(A, phase), knowledge, KEEPS_DATA);
                assert_eq!(deleted, ConversationPart::ALL[..4], "{phase} {knowledge:?}");
                assert_eq!(kept, ["--delete-data deletes it"], "{phase} {knowledge:?}");
                let (deleted, kept) = decided(&complete(A, phase), knowledge, WITH_DATA);
                assert_eq!((deleted, kept.len()), (ConversationPart::ALL.to_vec(), 0), "{phase}");
            }
        }
    }

    #[test]
    fn only_known_conversations_of_a_shared_namespace_are_deleted() {
        let shared = GarbageOptions { may_be_of_others: true, ..WITH_DATA };
        for knowledge in [No, Unclear] {
            let (deleted, kept) = decided(&complete(A, "Running"), knowledge, shared);
            assert_eq!((deleted.len(), kept), (0, vec!["another application may use it"; 5]));
        }
        assert_eq!(decided(&complete(A, "Running"), Yes, shared).0, ConversationPart::ALL);
    }

    #[test]
    fn claim_of_another_pod_is_kept_and_other_names_are_ignored() {
        let mut used = complete(A, "Running");
        let mut reader = used.pods.as_ref().unwrap()[0].clone();
        reader["metadata"]["name"] = "reader".into();
        used.pods.as_mut().unwrap().push(reader);
        used.services.as_mut().unwrap().push(object("openhands-runtime-theirs-svc"));
        let (deleted, kept) = decided(&used, Yes, WITH_DATA);
        assert_eq!(deleted, ConversationPart::ALL[..4]);
        assert_eq!(kept, ["another pod mounts it"]);
    }

    #[test]
    fn objects_that_are_being_deleted_are_waited_for() {
        let mut objects = complete(A, "Running");
        objects.pods.as_mut().unwrap()[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        objects.claims.as_mut().unwrap()[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let (deleted, kept) = decided(&objects, Yes, KEEPS_DATA);
        assert_eq!(
            deleted,
            ConversationPart::ALL[..4],
            "the pod, but not the claim that somebody else deletes"
        );
        assert!(kept.is_empty(), "{kept:?}");
    }
}
