//! The objects of each conversation, found by their exact names. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ended::has_ended;
use super::part::ConversationPart;
use crate::object::deletion;
use crate::object::labels;
use crate::object::list_items::items;

/// The number of digits that a table shows at least.
const SHORT_ID: usize = 8;

/// The objects of the sandboxes' namespace, as far as the account may list them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SandboxObjects {
    /// All pods of the namespace, also those of others: they may use a claim. None: they may not be listed.
    pub pods: Option<Vec<Value>>,
    /// Its Services, at least their metadata.
    pub services: Option<Vec<Value>>,
    /// Its Ingresses, at least their metadata.
    pub ingresses: Option<Vec<Value>>,
    /// Its claims.
    pub claims: Option<Vec<Value>>,
}

/// A conversation with objects in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation<'a> {
    /// 32 hexadecimal digits.
    pub id: &'a str,
    /// Its objects.
    pub objects: BTreeMap<ConversationPart, &'a Value>,
    /// Whether a pod of something else mounts its claim.
    pub is_claim_in_use: bool,
}

impl<'a> Conversation<'a> {
    /// Returns the sandbox's pod.
    #[must_use]
    pub fn pod(&self) -> Option<&'a Value> {
        self.objects.get(&ConversationPart::Pod).copied()
    }

    /// Returns the claim with the conversation's files.
    #[must_use]
    pub fn claim(&self) -> Option<&'a Value> {
        self.objects.get(&ConversationPart::Claim).copied()
    }

    /// Whether its pod has ended and nobody deletes it: the application waits for it in vain.
    #[must_use]
    pub fn has_ended_pod(&self) -> bool {
        self.pod().is_some_and(|pod| has_ended(pod) && deletion::deleted_since(pod).is_none())
    }

    /// Whether its Services or its Ingress exist without a pod: the application fails to create them again.
    #[must_use]
    pub fn has_entry_points_only(&self) -> bool {
        use ConversationPart::{CodeService, Ingress, Service};
        let is_entry_point = |part: &ConversationPart| matches!(part, Ingress | CodeService | Service);
        self.pod().is_none() && self.objects.keys().any(is_entry_point)
    }
}

/// Whether the application knows a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKnowledge {
    /// It does.
    Yes,
    /// It has answered that there is no such conversation.
    No,
    /// It was not asked, or has not answered.
    Unclear,
}

impl AppKnowledge {
    /// Returns the word in tables and in the result for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unclear => "unknown",
        }
    }
}

/// Groups the objects by conversation, sorted by id. An object with another name, or a pod without the application's label,
/// is of no conversation; and so is everything whose names belong to a pod without the label.
#[must_use]
pub fn conversations(objects: &SandboxObjects) -> Vec<Conversation<'_>> {
    use ConversationPart::{Claim, CodeService, Ingress, Pod, Service};
    let mut found: BTreeMap<&str, BTreeMap<ConversationPart, &Value>> = BTreeMap::new();
    let lists = [
        (&objects.ingresses, &[Ingress][..]),
        (&objects.services, &[CodeService, Service][..]),
        (&objects.pods, &[Pod][..]),
        (&objects.claims, &[Claim][..]),
    ];
    for (list, parts) in lists {
        for object in list.iter().flatten() {
            for part in parts {
                if let Some(id) = name(object).and_then(|name| part.conversation_in(name)) {
                    found.entry(id).or_default().insert(*part, object);
                }
            }
        }
    }
    let (label, value) = labels::SANDBOX;
    let is_foreign = |pod: &Value| pod["metadata"]["labels"][label] != value;
    found.retain(|_, objects| !objects.get(&Pod).is_some_and(|pod| is_foreign(pod)));
    let users = claim_users(objects.pods.as_deref().unwrap_or_default());
    found.into_iter().map(|(id, objects)| with_use(id, objects, &users)).collect()
}

fn with_use<'a>(
    id: &'a str,
    objects: BTreeMap<ConversationPart, &'a Value>,
    users: &BTreeMap<&str, BTreeSet<&str>>,
) -> Conversation<'a> {
    let claim = objects.get(&ConversationPart::Claim).and_then(|claim| name(claim));
    let own_pod = objects.get(&ConversationPart::Pod).and_then(|pod| name(pod));
    let users = claim.and_then(|claim| users.get(claim));
    let is_claim_in_use = users.is_some_and(|pods| pods.iter().any(|pod| Some(*pod) != own_pod));
    Conversation { id, objects, is_claim_in_use }
}

/// Returns each mounted claim with the pods that mount it. A pod that has ended holds its claim as well, until it is deleted.
fn claim_users(pods: &[Value]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pod in pods {
        let volumes = items(&pod["spec"]["volumes"]);
        for claim in volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str()) {
            users.entry(claim).or_default().extend(name(pod));
        }
    }
    users
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

/// Returns the shortest beginning of at least eight digits that tells these ids apart; they are sorted.
#[must_use]
pub fn short_id<'a>(id: &'a str, sorted: &[&str]) -> &'a str {
    let at = sorted.partition_point(|other| *other < id);
    let before = at.checked_sub(1).and_then(|before| sorted.get(before));
    let neighbours = [before, sorted.get(at + 1)].into_iter().flatten();
    let common = |other: &&str| id.bytes().zip(other.bytes()).take_while(|(own, other)| own == other).count();
    let needed = neighbours.map(common).max().map_or(0, |common| common + 1);
    id.get(..needed.max(SHORT_ID)).unwrap_or(id)
}

/// Returns what is to be done about a conversation: what blocks it, or what is left of it.
#[must_use]
pub fn note(conversation: &Conversation<'_>, knowledge: AppKnowledge) -> Option<&'static str> {
    let pod = conversation.pod();
    if pod.is_some_and(|pod| deletion::deleted_since(pod).is_some()) {
        return Some("is being deleted");
    }
    if knowledge == AppKnowledge::No {
        return Some(match (pod, conversation.claim(), conversation.objects.len()) {
            (None, Some(_), 1) => "claim left behind; handsctl sandbox gc --delete-data",
            (None, ..) => "left behind; handsctl sandbox gc",
            (Some(_), ..) => "the application does not know it; handsctl sandbox gc",
        });
    }
    if conversation.has_ended_pod() {
        return Some("blocks its conversation; handsctl sandbox gc");
    }
    if conversation.has_entry_points_only() {
        return Some("left behind, blocks its conversation; handsctl sandbox gc");
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::status::sandbox::part::{ID_LENGTH, NAME_PREFIX};

    pub(in crate::status::sandbox) const A: &str = "0f1c2d3e4f5061728394a5b6c7d8e9fa";
    const B: &str = "0f1c2d3e4f5061728394a5b6c7d8e9fb";

    pub(in crate::status::sandbox) fn object(name: &str) -> Value {
        json!({ "metadata": { "name": name, "uid": name } })
    }

    pub(in crate::status::sandbox) fn pod(id: &str, phase: &str) -> Value {
        json!({
            "metadata": {
                "name": format!("openhands-runtime-{id}"), "uid": id, "labels": { "app": "openhands-runtime" },
            },
            "spec": { "volumes": [{
                "name": "w", "persistentVolumeClaim": { "claimName": format!("openhands-runtime-{id}-pvc") },
            }] },
            "status": { "phase": phase },
        })
    }

    /// All objects of a conversation.
    pub(in crate::status::sandbox) fn complete(id: &str, phase: &str) -> SandboxObjects {
        let object = |suffix: &str| object(&format!("openhands-runtime-{id}{suffix}"));
        SandboxObjects {
            pods: Some(vec![pod(id, phase)]),
            services: Some(vec![object("-svc"), object("-svc-code")]),
            ingresses: Some(vec![object("-ingress-code")]),
            claims: Some(vec![object("-pvc")]),
        }
    }

    #[test]
    fn objects_are_grouped_by_their_conversation() {
        let mut objects = complete(A, "Running");
        objects.claims.as_mut().unwrap().push(object(&format!("openhands-runtime-{B}-pvc")));
        let found = conversations(&objects);
        let ids: Vec<(&str, usize)> = found.iter().map(|it| (it.id, it.objects.len())).collect();
        assert_eq!(ids, [(A, 5), (B, 1)]);
        assert!(!found[0].is_claim_in_use, "its own pod is no other user");
    }

    /// Every change of one character of a right name, every cut, and every added character gives a name of nothing.
    #[test]
    fn near_miss_names_are_of_no_conversation() {
        for part in ConversationPart::ALL {
            let right = format!("{NAME_PREFIX}{A}{}", part.suffix());
            assert_eq!(part.conversation_in(&right), Some(A));
            let id_at = NAME_PREFIX.len()..NAME_PREFIX.len() + ID_LENGTH;
            for at in 0..right.len() {
                let shorter = format!("{}{}", &right[..at], &right[at + 1..]);
                assert_eq!(part.conversation_in(&shorter), None, "{shorter}");
                for other in "-._gGxzAF \u{e9}".chars() {
                    let longer = format!("{}{other}{}", &right[..at], &right[at..]);
                    assert_eq!(part.conversation_in(&longer), None, "{longer}");
                    let changed = format!("{}{other}{}", &right[..at], &right[at + 1..]);
                    if changed != right {
                        assert_eq!(part.conversation_in(&changed), None, "{changed}");
                    }
                }
                if !id_at.contains(&at) {
                    let changed = format!("{}0{}", &right[..at], &right[at + 1..]);
                    assert_eq!(part.conversation_in(&changed), None, "{changed}");
                }
            }
            for other in ConversationPart::ALL.into_iter().filter(|other| *other != part) {
                assert_eq!(other.conversation_in(&right), None, "{right} is no {other:?}");
            }
        }
        for name in ["", "openhands-runtime-", "openhands-runtime", "openhands-runtime-theirs-svc", A] {
            assert!(ConversationPart::ALL.iter().all(|part| part.conversation_in(name).is_none()), "{name}");
        }
    }

    #[test]
    fn pod_without_the_label_takes_its_names_out() {
        let mut objects = complete(A, "Failed");
        objects.pods.as_mut().unwrap()[0]["metadata"]["labels"] = json!({ "app": "theirs" });
        assert!(conversations(&objects).is_empty());
    }

    #[test]
    fn claim_that_another_pod_mounts_is_in_use() {
        let mut objects = complete(A, "Failed");
        let mut copier = pod(A, "Succeeded");
        copier["metadata"]["name"] = json!("copier");
        objects.pods.as_mut().unwrap().push(copier);
        assert!(conversations(&objects)[0].is_claim_in_use);
    }

    #[test]
    fn short_ids_are_as_long_as_needed() {
        let other = "9".repeat(32);
        let ids = [A, B, other.as_str()];
        assert_eq!(short_id(A, &ids), A, "they differ in the last digit");
        assert_eq!(short_id(&other, &ids), "99999999");
        assert_eq!(short_id(A, &[A]), "0f1c2d3e");
    }

    #[test]
    fn notes_say_what_blocks_and_what_is_left() {
        use AppKnowledge::{No, Unclear, Yes};
        let note_of = |objects: &SandboxObjects, knowledge| note(&conversations(objects)[0], knowledge);
        for phase in ["Failed", "Succeeded"] {
            let text = note_of(&complete(A, phase), Yes).unwrap();
            assert!(text.starts_with("blocks its conversation"), "{text}");
        }
        assert_eq!(note_of(&complete(A, "Running"), Yes), None);
        assert_eq!(note_of(&complete(A, "Running"), Unclear), None);
        let without_pod = SandboxObjects { pods: Some(Vec::new()), ..complete(A, "") };
        assert!(note_of(&without_pod, Unclear).unwrap().starts_with("left behind, blocks"));
        let only_claim = SandboxObjects { services: None, ingresses: None, ..without_pod };
        assert_eq!(note_of(&only_claim, Yes), None, "a closed conversation keeps its files");
        assert!(note_of(&only_claim, No).unwrap().starts_with("claim left behind"));
        let mut leaving = complete(A, "Failed");
        leaving.pods.as_mut().unwrap()[0]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(note_of(&leaving, Yes), Some("is being deleted"));
    }
}
