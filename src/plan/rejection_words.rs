//! An API server's rejection that only a reader of its source understands, in words. Pure.

use super::config_keys;
use crate::error::{Error, RejectedObject};
use crate::object::ObjectId;
use crate::settings::Settings;

/// A rejection in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionWords {
    /// The sentence.
    pub text: String,
    /// The key of config.toml that decides about it, if it is always the same one.
    pub key: Option<&'static str>,
    /// The way out.
    pub hint: Option<String>,
}

/// The field of a volume claim in the server's dump of a change, its name in words, and its key.
const CLAIM_FIELDS: &[(&str, &str, &str)] = &[
    ("StorageClassName", "storage class", "deploy.storage_class"),
    ("VolumeName", "volume", "deploy.volume"),
];

/// What the dump says of a claim without a volume.
const NO_VOLUME: &str = "\"VolumeName\": \"\"";

/// Returns a rejection with the keys of config.toml that cause it, in words.
#[must_use]
pub fn explained(error: Error, settings: &Settings) -> Error {
    let Some(rejected) = error.rejected() else { return error };
    let keys = if settings.has_extra_object(&ObjectId::of_rejected(rejected)) {
        config_keys::of_extra_manifest(settings)
    } else {
        config_keys::of_rejected_object(&rejected.kind, &error.causes().join("; "), settings)
    };
    let Some(words) = in_words(rejected, &error.causes().join("; ")) else {
        return error.with_keys(keys);
    };
    let is_known = keys.iter().any(|known| words.key == Some(known.key.as_str()));
    let key = words.key.filter(|_| !is_known).map(str::to_owned);
    let keys = [keys, settings.config_keys(key.as_slice())].concat();
    let error = error.with_keys(keys).cause_in_words(words.text);
    match words.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Returns the words for the rejection of an object; None: the server's message says it.
#[must_use]
pub fn in_words(rejected: &RejectedObject, message: &str) -> Option<RejectionWords> {
    let of_claim = || match message {
        _ if message.contains("only dynamically provisioned pvc can be resized") => Some(RejectionWords {
            text: "the volume cannot grow: its storage class does not allow it".to_owned(),
            key: Some("deploy.storage_size"),
            hint: Some(
                "kubectl get storageclass shows in ALLOWVOLUMEEXPANSION which classes allow it".to_owned(),
            ),
        }),
        _ if message.contains("field can not be less than") => Some(RejectionWords {
            text: "a volume that exists cannot become smaller".to_owned(),
            key: Some("deploy.storage_size"),
            hint: Some(
                "give deploy.storage_size the size of the volume; handsctl status shows it".to_owned(),
            ),
        }),
        _ if message.contains("spec is immutable after creation") => {
            let words = changed_claim_field(message)?;
            Some(if message.contains(NO_VOLUME) { without_volume(rejected, &words) } else { words })
        }
        _ => None,
    };
    let claim = if rejected.kind == "PersistentVolumeClaim" { of_claim() } else { None };
    claim.or_else(|| Some(RejectionWords { text: without_dump(message)?, key: None, hint: None }))
}

/// Returns the changed field of a claim, from the lines `- "StorageClassName": "standard",` of the dump.
fn changed_claim_field(message: &str) -> Option<RejectionWords> {
    let removed = message.lines().filter_map(|line| line.trim_start().strip_prefix('-'));
    removed.into_iter().find_map(|line| {
        let (field, value) = line.trim().strip_prefix('"')?.split_once("\": ")?;
        let (_, noun, key) = CLAIM_FIELDS.iter().find(|(name, ..)| *name == field)?;
        let value = value.trim_end_matches(',');
        let is_text = value.starts_with('"');
        let is = if is_text { format!(": it is {value}") } else { String::new() };
        let text = format!("the {noun} of a volume claim cannot change{is}");
        let hint = is_text.then(|| format!("write {key} = {value}"));
        Some(RejectionWords { text, key: Some(key), hint })
    })
}

/// Returns the words for a claim that has no volume: nothing is lost with it, and its field may be what keeps it empty.
fn without_volume(rejected: &RejectedObject, words: &RejectionWords) -> RejectionWords {
    let namespace = rejected.namespace.as_deref().unwrap_or_default();
    let delete = format!("kubectl delete persistentvolumeclaim/{} -n {namespace}", rejected.name);
    RejectionWords {
        text: words.text.replacen("a volume claim", "a volume claim that has no volume yet", 1),
        hint: Some(format!("{delete} deletes the empty volume claim; then handsctl deploy creates it again")),
        key: words.key,
    }
}

/// Removes the dump of a change, which begins with `@@ -10,7 +10,7 @@`; None: there is none.
fn without_dump(message: &str) -> Option<String> {
    let at = message.find("@@ -")?;
    Some(message[..at].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(kind: &str) -> RejectedObject {
        RejectedObject {
            kind: kind.to_owned(),
            group: String::new(),
            member_kind: kind.to_owned(),
            namespace: Some("n".to_owned()),
            name: "oh".to_owned(),
        }
    }

    #[test]
    fn claims_that_cannot_change_are_told_in_words() {
        let said = |message: &str| {
            let words = in_words(&rejected("PersistentVolumeClaim"), message)?;
            Some((words.text, words.key, words.hint.unwrap_or_default()))
        };
        let grow = "persistentvolumeclaims \"oh\" is forbidden: only dynamically provisioned pvc can be resized and the \
                    storageclass that provisions the pvc must support resize";
        let (_, key, hint) = said(grow).unwrap();
        assert_eq!(key, Some("deploy.storage_size"));
        assert!(hint.starts_with("kubectl get storageclass "), "{hint}");
        let shrink = "PersistentVolumeClaim \"oh\" is invalid: spec.resources.requests.storage: Forbidden: field can not be \
                      less than status.capacity";
        let (text, key, hint) = said(shrink).unwrap();
        assert_eq!(
            (text.as_str(), key),
            ("a volume that exists cannot become smaller", Some("deploy.storage_size"))
        );
        assert!(hint.contains("handsctl status"), "{hint}");
        let class = "PersistentVolumeClaim \"oh\" is invalid: spec: Forbidden: spec is immutable after creation except \
                     resources.requests\n@@ -10,7 +10,7 @@\n   \"VolumeName\": \"pvc-1\",\n- \"StorageClassName\": \
                     \"standard\",\n+ \"StorageClassName\": \"gold\",\n";
        let text = "the storage class of a volume claim cannot change: it is \"standard\"";
        let hint = "write deploy.storage_class = \"standard\"".to_owned();
        assert_eq!(said(class), Some((text.to_owned(), Some("deploy.storage_class"), hint)));
        let (text, _, hint) = said(&class.replace("pvc-1", "")).unwrap();
        assert!(
            text.starts_with("the storage class of a volume claim that has no volume yet cannot change"),
            "{text}"
        );
        assert!(
            hint.starts_with("kubectl delete persistentvolumeclaim/oh -n n deletes the empty volume claim"),
            "{hint}"
        );
        assert_eq!(said("exceeded quota: team"), None);
    }

    #[test]
    fn dump_of_another_kind_is_cut() {
        let message =
            "Job.batch \"j\" is invalid: spec.template: field is immutable\n@@ -1,2 +1,2 @@\n- a\n+ b";
        let words = in_words(&rejected("Job"), message).unwrap();
        assert_eq!(
            (words.text.as_str(), words.key),
            ("Job.batch \"j\" is invalid: spec.template: field is immutable", None)
        );
    }
}
