//! What `sandbox gc` deletes, and what it keeps. Pure.

use serde_json::Value;

use super::conversation::{AppKnowledge, Conversation};
use super::part::ConversationPart;
use crate::object::deletion;

/// What the user allows, and what is known about the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GarbageOptions {
    /// `--delete-data`: claims, too.
    pub delete_data: bool,
    /// Whether a conversation that this application does not know can be one of another application.
    pub may_be_of_others: bool,
}

/// An object of a conversation, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct GarbageObject<'a> {
    /// The conversation's id.
    pub conversation: &'a str,
    /// What the object is to it.
    pub part: ConversationPart,
    /// The object as it was listed.
    pub object: &'a Value,
    /// Why it is deleted or kept.
    pub reason: &'static str,
}

/// What is deleted, in this order, and what is left of conversations that lose objects or have none but these.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Garbage<'a> {
    /// The objects to delete.
    pub deleted: Vec<GarbageObject<'a>>,
    /// Objects that look like garbage and are kept.
    pub kept: Vec<GarbageObject<'a>>,
}

/// What happens to an object.
enum Decision {
    Delete(&'static str),
    Keep(&'static str),
    /// It is in use, or no garbage.
    Ignore,
}

/// Decides about the objects of these conversations. Their pods must have been listed.
#[must_use]
pub fn garbage<'a>(
    conversations: &[Conversation<'a>],
    knowledge: impl Fn(&str) -> AppKnowledge,
    options: GarbageOptions,
) -> Garbage<'a> {
    let mut garbage = Garbage::default();
    for conversation in conversations {
        let knowledge = knowledge(conversation.id);
        for (&part, &object) in &conversation.objects {
            if deletion::deleted_since(object).is_some() {
                continue;
            }
            let with = |reason| GarbageObject { conversation: conversation.id, part, object, reason };
            match decide(conversation, part, knowledge, options) {
                Decision::Delete(reason) => garbage.deleted.push(with(reason)),
                Decision::Keep(reason) => garbage.kept.push(with(reason)),
                Decision::Ignore => {}
            }
        }
    }
    garbage
}

fn decide(
    conversation: &Conversation<'_>,
    part: ConversationPart,
    knowledge: AppKnowledge,
    options: GarbageOptions,
) -> Decision {
    let is_claim = part == ConversationPart::Claim;
    // What is left of a pod that stops is no garbage yet.
    let has_rest = conversation.has_ended_pod() || conversation.pod().is_none();
    if options.may_be_of_others && knowledge != AppKnowledge::Yes {
        return if has_rest || knowledge == AppKnowledge::No {
            Decision::Keep("another application may use it")
        } else {
            Decision::Ignore
        };
    }
    match (is_claim, knowledge) {
        (false, AppKnowledge::No) => Decision::Delete("the application does not know the conversation"),
        (false, _) if conversation.has_ended_pod() => {
            Decision::Delete("the pod has ended and blocks the conversation")
        }
        (false, _) if conversation.pod().is_none() => {
            Decision::Delete("the pod is gone, and this blocks the conversation")
        }
        (true, AppKnowledge::No) if conversation.is_claim_in_use => Decision::Keep("another pod mounts it"),
        (true, AppKnowledge::No) if options.delete_data => {
            Decision::Delete("the application does not know the conversation")
        }
        (true, AppKnowledge::No) => Decision::Keep(
            "files of a conversation that the application does not know; --delete-data deletes it",
        ),
        (true, AppKnowledge::Unclear) if has_rest => {
            Decision::Keep("whether the application knows the conversation is not known")
        }
        // A known conversation mounts its files again when it is opened.
        (true | false, _) => Decision::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversation::tests::{A, complete, object};
    use super::super::conversation::{SandboxObjects, conversations};
    use super::*;
    use AppKnowledge::{No, Unclear, Yes};

    const OWN: GarbageOptions = GarbageOptions { delete_data: false, may_be_of_others: false };
    const WITH_DATA: GarbageOptions = GarbageOptions { delete_data: true, ..OWN };

    /// The numbers of deleted and kept objects, and whether the claim is deleted.
    fn counts(
        objects: &SandboxObjects,
        knowledge: AppKnowledge,
        options: GarbageOptions,
    ) -> (usize, usize, bool) {
        let found = conversations(objects);
        let garbage = garbage(&found, |_| knowledge, options);
        let has_claim = garbage.deleted.iter().any(|it| it.part == ConversationPart::Claim);
        (garbage.deleted.len(), garbage.kept.len(), has_claim)
    }

    #[test]
    fn claim_of_a_known_conversation_is_never_deleted() {
        for phase in ["Running", "Failed", "Succeeded", "Pending"] {
            for knowledge in [Yes, Unclear] {
                let (_, _, has_claim) = counts(&complete(A, phase), knowledge, WITH_DATA);
                assert!(!has_claim, "{phase} {knowledge:?}");
            }
        }
        let without_pod = SandboxObjects { pods: Some(Vec::new()), ..complete(A, "") };
        assert_eq!(counts(&without_pod, Yes, WITH_DATA), (3, 0, false));
        assert_eq!(counts(&without_pod, Unclear, WITH_DATA), (3, 1, false));
    }

    #[test]
    fn ended_pod_and_its_entry_points_are_deleted() {
        for phase in ["Failed", "Succeeded"] {
            assert_eq!(counts(&complete(A, phase), Yes, OWN), (4, 0, false), "{phase}");
            assert_eq!(counts(&complete(A, phase), Unclear, OWN), (4, 1, false), "{phase}");
        }
        for phase in ["Running", "Pending", "Unknown"] {
            assert_eq!(counts(&complete(A, phase), Yes, WITH_DATA), (0, 0, false), "{phase}");
            assert_eq!(counts(&complete(A, phase), Unclear, WITH_DATA), (0, 0, false), "{phase}");
        }
    }

    #[test]
    fn unknown_conversation_goes_with_its_data_only_on_request() {
        assert_eq!(counts(&complete(A, "Running"), No, OWN), (4, 1, false));
        assert_eq!(counts(&complete(A, "Running"), No, WITH_DATA), (5, 0, true));
        let mut used = complete(A, "Failed");
        let mut reader = used.pods.as_ref().unwrap()[0].clone();
        reader["metadata"]["name"] = "reader".into();
        used.pods.as_mut().unwrap().push(reader);
        assert_eq!(counts(&used, No, WITH_DATA), (4, 1, false), "another pod mounts the claim");
    }

    #[test]
    fn nothing_of_another_application_is_deleted() {
        let shared = GarbageOptions { may_be_of_others: true, ..WITH_DATA };
        for phase in ["Running", "Failed"] {
            assert_eq!(counts(&complete(A, phase), No, shared).0, 0, "{phase}");
            assert_eq!(counts(&complete(A, phase), Unclear, shared).0, 0, "{phase}");
        }
        assert_eq!(counts(&complete(A, "Failed"), Yes, shared), (4, 0, false));
    }

    #[test]
    fn objects_are_deleted_in_order_and_not_twice() {
        let mut objects = complete(A, "Failed");
        let found = conversations(&objects);
        let parts: Vec<ConversationPart> =
            garbage(&found, |_| No, WITH_DATA).deleted.iter().map(|it| it.part).collect();
        assert_eq!(parts, ConversationPart::ALL);
        objects.claims.as_mut().unwrap()[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(counts(&objects, No, WITH_DATA), (4, 0, false));
        let near_miss = SandboxObjects {
            claims: Some(vec![object("openhands-runtime-theirs-pvc")]),
            ..SandboxObjects::default()
        };
        assert_eq!(counts(&near_miss, No, WITH_DATA), (0, 0, false));
    }
}
