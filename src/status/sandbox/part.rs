//! The names of a conversation's objects: all follow from its id.

use serde_json::Value;

use crate::object::kind::{CLAIM, INGRESS, KindInfo, POD, SERVICE};

/// The prefix of the names of all objects of a conversation (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`).
pub const NAME_PREFIX: &str = "openhands-runtime-";
/// The number of hexadecimal digits of a conversation's id (`uuid4().hex`).
pub(super) const ID_LENGTH: usize = 32;

/// What an object is to its conversation, in the order of deletion: the application itself deletes the pod before the
/// claim, and fails to create Services that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConversationPart {
    /// The Ingress of VS Code.
    Ingress,
    /// The Service of VS Code.
    CodeService,
    /// The Service of the sandbox.
    Service,
    /// The sandbox's pod.
    Pod,
    /// The claim with the conversation's files.
    Claim,
}

impl ConversationPart {
    /// All parts, in the order of deletion.
    pub const ALL: [Self; 5] = [Self::Ingress, Self::CodeService, Self::Service, Self::Pod, Self::Claim];

    /// Returns the kind of the object.
    #[must_use]
    pub const fn kind(self) -> KindInfo {
        match self {
            Self::Ingress => INGRESS,
            Self::CodeService | Self::Service => SERVICE,
            Self::Pod => POD,
            Self::Claim => CLAIM,
        }
    }

    /// Returns what follows the conversation's id in the object's name
    /// (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`).
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Ingress => "-ingress-code",
            Self::CodeService => "-svc-code",
            Self::Service => "-svc",
            Self::Pod => "",
            Self::Claim => "-pvc",
        }
    }

    /// Returns the id of the conversation whose object of this part has the name. None of every other name.
    #[must_use]
    pub fn conversation_in(self, name: &str) -> Option<&str> {
        let id = name.strip_prefix(NAME_PREFIX)?.strip_suffix(self.suffix())?;
        is_conversation_id(id).then_some(id)
    }

    /// Returns the name that the object of this part has if the conversation's pod has the name.
    pub(super) fn beside_pod(self, pod: &str) -> String {
        format!("{pod}{}", self.suffix())
    }
}

/// Whether the application made an object for a conversation. Only the exact name says so: the application gives a
/// label to the pod alone.
#[must_use]
pub fn is_of_conversation(kind: &str, object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut parts = ConversationPart::ALL.into_iter().filter(|part| part.kind().kind == kind);
    parts.any(|part| part.conversation_in(name).is_some())
}

fn is_conversation_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_exact_names_are_of_a_conversation() {
        let id = "0123456789abcdef0123456789abcdef";
        for (kind, suffix, expected) in [
            ("Pod", "", true),
            ("Pod", "-svc", false),
            ("Service", "-svc", true),
            ("Service", "-svc-code", true),
            ("Service", "", false),
            ("Ingress", "-ingress-code", true),
            ("PersistentVolumeClaim", "-pvc", true),
            ("ConfigMap", "", false),
        ] {
            let is_one = |name: String| is_of_conversation(kind, &json!({ "metadata": { "name": name } }));
            assert_eq!(is_one(format!("openhands-runtime-{id}{suffix}")), expected, "{kind} {suffix}");
            for other in ["theirs", &id[1..], &id.to_uppercase()] {
                assert!(!is_one(format!("openhands-runtime-{other}{suffix}")), "{kind} {other}{suffix}");
            }
        }
    }
}
