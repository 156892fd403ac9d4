//! Extra manifests that give rights to every sandbox.

use serde_json::Value;

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::object::list_items::items;
use crate::settings::extra_manifests::ExtraObject;

/// The account under which OpenHands starts sandboxes.
const ACCOUNT: &str = "default";
/// The groups of every ServiceAccount
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>).
const GROUPS_OF_ALL: [&str; 2] = ["system:serviceaccounts", "system:authenticated"];

impl RuleChecker<'_> {
    /// Warns of each `RoleBinding` of the user's own whose subjects include the account of the sandboxes.
    pub(super) fn rights_of_sandboxes(&mut self) {
        let settings = self.settings;
        let sandboxes = settings.runtime_namespace();
        let warnings = settings.extra_objects.iter().filter_map(|extra| warning(extra, sandboxes));
        self.diagnostics.extend(warnings);
    }
}

fn warning(extra: &ExtraObject, sandboxes: &str) -> Option<Diagnostic> {
    let manifest = &extra.manifest;
    if manifest["kind"] != "RoleBinding" {
        return None;
    }
    let subject = items(&manifest["subjects"]).find_map(|subject| sandbox_subject(subject, sandboxes))?;
    let text = |path: &str| manifest.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (name, role) = (text("/metadata/name"), text("/roleRef/name"));
    let role_kind = text("/roleRef/kind").to_lowercase();
    Some(Diagnostic {
        id: Id::RightsOfSandboxes,
        severity: Severity::Warning,
        message: format!(
            "rolebinding/{name} of {} gives the rights of {role_kind}/{role} to every sandbox: it binds {subject}",
            extra.source
        ),
        location: extra.listed_at.clone(),
        label: "bind them to another account: a sandbox has the token of this one".to_owned(),
        masked: false,
    })
}

/// Returns the name of a subject that includes the sandboxes' account.
fn sandbox_subject(subject: &Value, sandboxes: &str) -> Option<String> {
    let (kind, name) = (subject["kind"].as_str()?, subject["name"].as_str()?);
    let is_included = match kind {
        "ServiceAccount" => name == ACCOUNT && subject["namespace"] == sandboxes,
        "User" => name == format!("system:serviceaccount:{sandboxes}:{ACCOUNT}"),
        "Group" => GROUPS_OF_ALL.contains(&name) || name == format!("system:serviceaccounts:{sandboxes}"),
        _ => false,
    };
    is_included.then(|| format!("{} {name}", kind.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::load::read::{Request, read};

    /// The messages about a `RoleBinding` of an extra manifest with this subject; sandboxes run in namespace `boxes`.
    fn messages(subject: &Value) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "mine", "namespace": "boxes" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "kind": "User", "name": "ana" }, subject] });
        std::fs::write(folder.path().join("binding.yaml"), binding.to_string()).unwrap();
        let config = "[deploy]\nextra_manifests = [\"binding.yaml\"]\n[kubernetes]\nnamespace = \"boxes\"\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let loaded = read(&Request::default(), &[], folder.path()).unwrap();
        let warnings = loaded.warnings.into_iter().filter(|warning| warning.id == Id::RightsOfSandboxes);
        warnings.map(|warning| warning.message).collect()
    }

    #[test]
    fn binding_to_the_account_of_sandboxes_is_a_warning() {
        let account = |namespace: &str, name: &str| json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name });
        let of_kind = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
        for subject in [
            account("boxes", "default"),
            of_kind("User", "system:serviceaccount:boxes:default"),
            of_kind("Group", "system:serviceaccounts"),
            of_kind("Group", "system:serviceaccounts:boxes"),
            of_kind("Group", "system:authenticated"),
        ] {
            let found = messages(&subject);
            assert_eq!(found.len(), 1, "{subject}");
            assert!(found[0].starts_with(
                "rolebinding/mine of binding.yaml gives the rights of clusterrole/edit to every sandbox: it binds "
            ));
        }
        for subject in [
            account("boxes", "ci"),
            account("openhands", "default"),
            of_kind("Group", "system:serviceaccounts:openhands"),
            of_kind("Group", "developers"),
            of_kind("User", "default"),
        ] {
            assert_eq!(messages(&subject), [""; 0], "{subject}");
        }
    }
}
