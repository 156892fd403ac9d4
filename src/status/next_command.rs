//! Findings → the command to type next.

use super::audit::scale_command;
use super::finding::Finding;
use crate::catalogue::Id;
use crate::object::ObjectId;

/// Adds the next command to a finding that has no hint yet, and the command that explains its id.
#[must_use]
pub fn with_next_command(mut finding: Finding) -> Finding {
    if finding.hints.is_empty() {
        finding.hints.push(next_command(&finding));
    }
    finding.hints.push(format!("handsctl explain {}", finding.id));
    finding
}

/// Returns the command that fixes the cause, or that shows more of it.
fn next_command(finding: &Finding) -> String {
    let object = kubectl_object(&finding.object);
    match finding.id {
        Id::Deleted => "handsctl deploy waits for the deletion or names what holds it".to_owned(),
        Id::MemberMissing => "handsctl deploy creates it".to_owned(),
        Id::MissingReference => {
            let namespace = finding.object.namespace.as_deref().unwrap_or_default();
            format!(
                "handsctl deploy creates the installation's own objects; your own Secret: kubectl create secret generic NAME \
                 -n {namespace} --from-literal=KEY=VALUE"
            )
        }
        Id::ImageNotFound
        | Id::ImageForbidden
        | Id::ImageUnavailable
        | Id::ImageInvalidName
        | Id::ImageNeverPull => "handsctl deploy applies the image of [deploy].image".to_owned(),
        Id::OutOfMemory => "raise [deploy.resources].limits.memory, then: handsctl deploy".to_owned(),
        Id::CrashLoop | Id::NotReady | Id::PodFailed => {
            let previous = if finding.id == Id::CrashLoop { " --previous" } else { "" };
            format!("kubectl logs {object}{}{previous}", container(finding))
        }
        Id::JobFailed => format!("kubectl logs {object}"),
        Id::StorageClassMissing | Id::NoStorageClass => "kubectl get storageclass".to_owned(),
        Id::Unschedulable => "kubectl describe nodes".to_owned(),
        Id::QuotaExceeded => {
            let namespace = finding.object.namespace.as_deref().unwrap_or_default();
            format!("kubectl describe resourcequota -n {namespace}")
        }
        Id::PodsRejected => "after the cause is fixed: handsctl restart creates the pods at once".to_owned(),
        Id::ScaledToZero => scale_command(&finding.object, 1),
        Id::ManagedByOthers => "handsctl deploy --adopt makes the objects members again".to_owned(),
        Id::ChangedByOthers => {
            "handsctl diff shows the difference; handsctl deploy --force-conflicts takes the field back"
                .to_owned()
        }
        _ => format!("kubectl describe {object}"),
    }
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

    #[test]
    fn own_hint_of_a_finding_comes_first() {
        let finding =
            Finding::new(Id::CrashLoop, ObjectId::namespaced("", "Pod", "n", "p"), "").hint("kubectl a");
        assert_eq!(with_next_command(finding).hints, ["kubectl a", "handsctl explain HC4201"]);
    }

    #[test]
    fn crashed_container_is_named_in_its_command() {
        let mut finding = Finding::new(Id::CrashLoop, ObjectId::namespaced("", "Pod", "n", "p"), "");
        finding.container = Some("app".into());
        assert_eq!(with_next_command(finding).hints[0], "kubectl logs pod/p -n n -c app --previous");
    }
}
