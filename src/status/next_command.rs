//! Findings → the command to type next.

use super::audit::scale_command;
use super::finding::Finding;
use super::rules::image::is_of_other_platform;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::object::entry_commands::{creating_command, patching_command};
use crate::object::webhook::failed_webhook;

/// Adds the next command to a finding that has no hint yet, and the command that explains its id.
#[must_use]
pub fn with_next_command(mut finding: Finding) -> Finding {
    if finding.hints.is_empty() {
        finding.hints.push(next_command(&finding));
    }
    finding.hints.push(format!("handsctl explain {}", finding.id));
    finding
}

/// Returns whether a hint is a command about a pod, which is of no use when the pod is gone.
#[must_use]
pub fn is_about_a_pod(hint: &str) -> bool {
    hint.starts_with("kubectl ") && hint.split(' ').any(|word| word.starts_with("pod/"))
}

/// Returns the command that fixes the cause, or that shows more of it.
fn next_command(finding: &Finding) -> String {
    let object = kubectl_object(&finding.object);
    match finding.id {
        Id::Deleted => "handsctl deploy waits for the deletion or names what holds it".to_owned(),
        Id::MemberMissing => "handsctl deploy creates it".to_owned(),
        Id::MissingReference => create_command(finding),
        Id::ImageNotFound
        | Id::ImageForbidden
        | Id::ImageUnavailable
        | Id::ImageInvalidName
        | Id::ImageNeverPull
        | Id::OutOfMemory
        | Id::ContainerCannotStart => {
            change_of_config(finding).unwrap_or_else(|| format!("kubectl describe {object}"))
        }
        // An evicted pod has no log: the kubelet removes its containers.
        Id::PodFailed if finding.message.starts_with("Evicted") => format!("kubectl describe {object}"),
        Id::CrashLoop | Id::NotReady | Id::PodFailed => {
            let previous = if finding.id == Id::CrashLoop { " --previous" } else { "" };
            format!("kubectl logs {object}{}{previous}", container(finding))
        }
        Id::JobFailed => format!("kubectl logs {object}"),
        Id::StorageClassMissing | Id::NoStorageClass => "kubectl get storageclass".to_owned(),
        Id::Unschedulable => match quoted(&finding.message, "persistentvolumeclaim \"") {
            Some(claim) => {
                let namespace = finding.object.namespace.as_deref().unwrap_or_default();
                format!("kubectl describe persistentvolumeclaim/{claim} -n {namespace}")
            }
            None => "kubectl describe nodes".to_owned(),
        },
        Id::QuotaExceeded => {
            let namespace = finding.object.namespace.as_deref().unwrap_or_default();
            format!("kubectl describe resourcequota -n {namespace}")
        }
        Id::PodsRejected if let Some(webhook) = failed_webhook(&finding.message) => {
            format!(
                "the webhook {webhook} must respond first: kubectl get validatingwebhookconfigurations,\
                 mutatingwebhookconfigurations shows who installed it; then: handsctl restart"
            )
        }
        Id::PodsRejected => "after the cause is fixed: handsctl restart creates the pods at once".to_owned(),
        Id::ScaledToZero => scale_command(&finding.object, 1),
        Id::ManagedByOthers => "handsctl deploy --adopt makes the objects members again".to_owned(),
        Id::ChangedByOthers => {
            "handsctl diff shows the difference; handsctl deploy --force-conflicts overwrites the field"
                .to_owned()
        }
        _ => format!("kubectl describe {object}"),
    }
}

/// Returns the name between `prefix`, which ends with a quotation mark, and the next one.
fn quoted<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.split_once(prefix)?.1.split_once('"').map(|(name, _)| name)
}

/// Returns what to change in config.toml for a container that a key of it defines; None if no key does, as for one that
/// another tool added to the pod.
fn change_of_config(finding: &Finding) -> Option<String> {
    let names = |name: &str| finding.keys.iter().any(|key| key.key == name);
    if names("deploy.extra_manifests") {
        return Some("correct the manifest of [deploy].extra_manifests, then: handsctl deploy".to_owned());
    }
    if names("sandbox.runtime_container_image") {
        return Some(
            "set [sandbox].runtime_container_image to an image that the nodes can pull, then: handsctl deploy"
                .to_owned(),
        );
    }
    let namespace = finding.object.namespace.as_deref().unwrap_or_default();
    let command = match finding.id {
        Id::ImageForbidden if names("deploy.image_pull_secrets") => format!(
            "kubectl create secret docker-registry NAME -n {namespace} --docker-server=HOST --docker-username=USER \
             --docker-password=PASSWORD; add NAME to [deploy].image_pull_secrets, then: handsctl deploy"
        ),
        Id::ImageNeverPull if names("deploy.image_pull_policy") => {
            "handsctl image load copies it to the nodes of a kind cluster; elsewhere change \
             [deploy].image_pull_policy, then: handsctl deploy"
                .to_owned()
        }
        Id::ImageUnavailable if names("deploy.image") => {
            "when the registry responds: handsctl deploy".to_owned()
        }
        Id::ImageNotFound if names("deploy.image") && is_of_other_platform(&finding.message) => {
            "set [deploy].image to an image for the node's platform, then: handsctl deploy".to_owned()
        }
        Id::ImageNotFound | Id::ImageInvalidName if names("deploy.image") => {
            "set [deploy].image to an image that exists, then: handsctl deploy".to_owned()
        }
        Id::ContainerCannotStart if names("deploy.image") => {
            "set [deploy].image to an image for the node's platform, then: handsctl deploy".to_owned()
        }
        Id::OutOfMemory if names("deploy.resources.limits.memory") => {
            "raise [deploy.resources].limits.memory, then: handsctl deploy".to_owned()
        }
        _ => return None,
    };
    Some(command)
}

/// Returns the command that creates what a container's reference names.
fn create_command(finding: &Finding) -> String {
    let namespace = finding.object.namespace.as_deref().unwrap_or_default();
    let Some(MissingReference { kind, name, key }) = missing_reference(&finding.message) else {
        let object = kubectl_object(&finding.object);
        return format!("kubectl describe {object}");
    };
    let is_own = |member: &ObjectId| {
        let rest = name.strip_prefix(member.name.as_str());
        rest.is_some_and(|rest| rest.starts_with("-env-") || rest.starts_with("-config-"))
    };
    if finding.member.as_ref().is_some_and(is_own) {
        return format!("handsctl deploy creates {kind}/{name}");
    }
    match key {
        Some(key) => patching_command(kind, name, namespace, &[key]),
        None => creating_command(kind, name, namespace, &["KEY"]),
    }
}

/// The object that a container refers to and that does not exist, or lacks a key.
struct MissingReference<'a> {
    /// `secret` or `configmap`.
    kind: &'static str,
    name: &'a str,
    /// The missing key of an object that exists.
    key: Option<&'a str>,
}

/// Reads the kubelet's messages `secret "x" not found` and `couldn't find key k in Secret n/x` (`pkg/kubelet/kubelet_pods.go`).
fn missing_reference(message: &str) -> Option<MissingReference<'_>> {
    for (kind, noun) in [("secret", "Secret"), ("configmap", "ConfigMap")] {
        let prefix = format!("{kind} \"");
        let named = message.split_once(&prefix).and_then(|(_, rest)| rest.split_once("\" not found"));
        if let Some((name, _)) = named {
            return Some(MissingReference { kind, name, key: None });
        }
        let owner = format!(" in {noun} ");
        let without_key =
            message.split_once("couldn't find key ").and_then(|(_, rest)| rest.split_once(&owner));
        if let Some((key, owner)) = without_key {
            let name = owner.split_once('/').map_or(owner, |(_, name)| name);
            let name = name.split_whitespace().next().unwrap_or(name);
            return Some(MissingReference { kind, name, key: Some(key) });
        }
    }
    None
}

/// Returns the object as kubectl takes it: `deployment.apps/oh -n n`, and a node without a namespace.
fn kubectl_object(id: &ObjectId) -> String {
    let namespace = id.namespace.as_ref().map_or_else(String::new, |namespace| format!(" -n {namespace}"));
    format!("{id}{namespace}")
}

fn container(finding: &Finding) -> String {
    finding.container.as_ref().map_or_else(String::new, |container| format!(" -c {container}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::ConfigKey;

    #[test]
    fn every_finding_has_a_command() {
        for id in Id::ALL {
            let finding = with_next_command(Finding::new(*id, ObjectId::namespaced("", "Pod", "n", "p"), ""));
            let is_command = |hint: &String| hint.contains("kubectl ") || hint.contains("handsctl ");
            assert!(
                finding.hints.len() == 2 && finding.hints.iter().all(is_command),
                "{id}: {:?}",
                finding.hints
            );
        }
    }

    fn next(id: Id, message: &str, keys: &[&str]) -> String {
        let mut finding = Finding::new(id, ObjectId::namespaced("", "Pod", "n", "p"), message);
        finding.member = Some(ObjectId::namespaced("apps", "Deployment", "n", "openhands"));
        let key =
            |key: &&str| ConfigKey { key: (*key).to_owned(), value: None, location: None, preset: None };
        finding.keys = keys.iter().map(key).collect();
        with_next_command(finding).hints.swap_remove(0)
    }

    #[test]
    fn missing_reference_is_named_with_its_key() {
        let command = |message| next(Id::MissingReference, message, &[]);
        assert_eq!(
            command("secret \"keys\" not found"),
            "kubectl create secret generic keys -n n --from-literal=KEY=VALUE"
        );
        assert_eq!(
            command("MountVolume.SetUp failed for volume \"c\" : configmap \"x\" not found"),
            "kubectl create configmap x -n n --from-literal=KEY=VALUE"
        );
        assert_eq!(
            command("couldn't find key other in Secret n/keys"),
            "kubectl patch secret keys -n n --type merge -p '{\"stringData\":{\"other\":\"VALUE\"}}'"
        );
        assert_eq!(
            command("secret \"openhands-env-a81fe0c312\" not found"),
            "handsctl deploy creates secret/openhands-env-a81fe0c312"
        );
        assert_eq!(command("references non-existent secret key: k"), "kubectl describe pod/p -n n");
    }

    #[test]
    fn image_without_a_key_is_not_changed_in_config() {
        assert_eq!(
            next(Id::ImageNotFound, "manifest unknown", &["deploy.image"]),
            "set [deploy].image to an image that exists, then: handsctl deploy"
        );
        assert_eq!(next(Id::ImageNotFound, "manifest unknown", &[]), "kubectl describe pod/p -n n");
        assert_eq!(next(Id::OutOfMemory, "exit code 137", &[]), "kubectl describe pod/p -n n");
        let of_manifest = next(Id::ImageNotFound, "manifest unknown", &["deploy.extra_manifests"]);
        assert!(of_manifest.contains("extra_manifests"), "{of_manifest}");
    }

    #[test]
    fn command_shows_the_object_that_the_message_names() {
        let unbound = "0/3 nodes are available: persistentvolumeclaim \"mine\" not found. not found";
        assert_eq!(
            next(Id::Unschedulable, unbound, &["deploy.existing_claim"]),
            "kubectl describe persistentvolumeclaim/mine -n n"
        );
        assert_eq!(
            next(Id::Unschedulable, "0/3 nodes are available: 3 Insufficient cpu.", &[]),
            "kubectl describe nodes"
        );
        let webhook =
            "Internal error occurred: failed calling webhook \"pods.example\": failed to call webhook";
        assert!(next(Id::PodsRejected, webhook, &[]).contains("the webhook pods.example must respond first"));
        assert!(next(Id::PodsRejected, "denied", &[]).contains("handsctl restart"));
        let platform =
            "failed to pull and unpack image \"a:1\": no match for platform in manifest: not found";
        assert!(next(Id::ImageNotFound, platform, &["deploy.image"]).contains("for the node's platform"));
        let evicted = "Evicted: Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\".";
        assert_eq!(next(Id::PodFailed, evicted, &[]), "kubectl describe pod/p -n n");
    }

    #[test]
    fn own_hint_of_a_finding_comes_first() {
        let finding =
            Finding::new(Id::CrashLoop, ObjectId::namespaced("", "Pod", "n", "p"), "").hint("kubectl a");
        assert_eq!(with_next_command(finding).hints, ["kubectl a", "handsctl explain HC4201"]);
    }

    #[test]
    fn commands_about_a_pod_are_recognized() {
        for id in [Id::CrashLoop, Id::NotReady, Id::PodFailed, Id::MountFailed] {
            assert!(is_about_a_pod(&next(id, "", &[])), "{id}");
        }
        for other in
            ["handsctl explain HC4201", "kubectl describe nodes", "kubectl describe replicaset.apps/a -n n"]
        {
            assert!(!is_about_a_pod(other), "{other}");
        }
    }

    #[test]
    fn crashed_container_is_named_in_its_command() {
        let mut finding = Finding::new(Id::CrashLoop, ObjectId::namespaced("", "Pod", "n", "p"), "");
        finding.container = Some("app".into());
        assert_eq!(with_next_command(finding).hints[0], "kubectl logs pod/p -n n -c app --previous");
    }
}
