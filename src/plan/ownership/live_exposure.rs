//! Live objects that expose the application more than their manifests do. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::adoption;
use super::foreign_change::owner_text;
use super::restoring_patch::restoring_command;
use crate::object::ObjectId;
use crate::object::field_path::FieldOwner;
use crate::plan::desired::Member;
use crate::settings::{self, ExposedBy, ExposingField};

/// An object of the installation that exposes the application by fields that its manifest does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveExposure {
    /// The object.
    pub id: ObjectId,
    /// The fields, with who set each.
    fields: Vec<(ExposingField, Vec<FieldOwner>)>,
    /// The command that ends the exposure.
    command: String,
}

/// Returns the objects that expose the application `app` of this namespace more than planned. `live` are pairs of a
/// planned member and the object as the server has it, or as it would be after the apply. An object that is being
/// adopted loses the fields of its deploy tools, so those do not count.
pub fn live_exposures<'a>(
    app: &str,
    namespace: &str,
    live: impl Iterator<Item = (&'a Member, &'a Value, Membership)>,
) -> Vec<LiveExposure> {
    let judged: Vec<_> = live.filter(|(member, ..)| settings::is_judged(&member.id.kind)).collect();
    let services = settings::services_of_app(app, namespace, &judged.iter().map(|(_, live, _)| *live));
    let exposures = judged.iter().filter_map(|(member, live, state)| {
        let exposure = LiveExposure::of(member, live, *state, app, &services);
        (!exposure.fields.is_empty()).then_some(exposure)
    });
    exposures.collect()
}

/// Whether an object is a member already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is a member.
    Member,
    /// It does not exist, or belongs to another tool: the apply creates or adopts it.
    New,
}

impl LiveExposure {
    fn of(member: &Member, live: &Value, state: Membership, app: &str, services: &BTreeSet<String>) -> Self {
        let is_migrated =
            |owner: &FieldOwner| adoption::is_migrated(&owner.manager, owner.subresource.as_deref());
        let fields = settings::fields_beyond(&member.manifest, live, app, services);
        let fields = fields.into_iter().map(|field| {
            let owners = field.path.owners(live);
            (field, owners)
        });
        let stays = |(_, owners): &(ExposingField, Vec<FieldOwner>)| {
            state == Membership::Member || owners.is_empty() || !owners.iter().all(is_migrated)
        };
        let fields: Vec<_> = fields.filter(stays).collect();
        let paths = fields.iter().map(|(field, _)| &field.path);
        let command = restoring_command(&member.id, &member.manifest, paths);
        Self { id: member.id.clone(), fields, command }
    }

    /// Returns how the object exposes the application: `exposes it at its externalIPs`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut ways: Vec<&str> = Vec::new();
        for (field, _) in &self.fields {
            if !ways.contains(&field.by.as_str()) {
                ways.push(field.by.as_str());
            }
        }
        format!("exposes it {}", ways.join(" and "))
    }

    /// Returns one line for each field: `.spec.externalIPs has 203.0.113.7, set by kubectl-patch 5 m ago`.
    #[must_use]
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let line = |(field, owners): &(ExposingField, Vec<FieldOwner>)| {
            let owners: Vec<String> = owners.iter().map(|owner| owner_text(owner, now)).collect();
            let by = if owners.is_empty() {
                "the API server has no record of who set it".to_owned()
            } else {
                format!("set by {}", owners.join(" and "))
            };
            let verb = if field.by == ExposedBy::Host { "leads to it from" } else { "has" };
            format!("{} {verb} {}; {by}", field.path, field.value)
        };
        self.fields.iter().map(line).collect()
    }

    /// Returns the command that ends the exposure: it restores each field as it is planned.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{INGRESS, SERVICE};
    use crate::object::labels::{self, Component};

    fn service() -> Member {
        let manifest = json!({ "kind": "Service", "metadata": { "name": "oh" },
            "spec": { "type": "ClusterIP", "selector": labels::selector("oh", Component::App) } });
        Member { id: SERVICE.id("n", "oh"), kind: SERVICE, manifest }
    }

    /// The Service with an external address that this manager set.
    fn with_address(manager: &str) -> Value {
        let mut live = service().manifest;
        live["spec"]["externalIPs"] = json!(["203.0.113.7"]);
        live["metadata"]["managedFields"] = json!([{ "manager": manager, "operation": "Update",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": { "f:externalIPs": {} } } }]);
        live
    }

    fn exposures(member: &Member, live: &Value, state: Membership) -> Vec<LiveExposure> {
        live_exposures("oh", "n", std::iter::once((member, live, state)))
    }

    #[test]
    fn exposure_names_field_manager_and_command() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let found = exposures(&service(), &with_address("kubectl-patch"), Membership::Member);
        let [exposure] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(exposure.sentence(), "exposes it at its externalIPs");
        assert_eq!(exposure.lines(now), [".spec.externalIPs has 203.0.113.7; set by kubectl-patch 5 m ago"]);
        assert_eq!(
            exposure.command(),
            "kubectl patch service/oh -n n -p '{\"spec\":{\"externalIPs\":null}}'"
        );
        assert_eq!(exposures(&service(), &service().manifest, Membership::Member), []);
    }

    #[test]
    fn adoption_removes_fields_of_deploy_tools_only() {
        let is_exposed = |manager, state| !exposures(&service(), &with_address(manager), state).is_empty();
        assert!(!is_exposed("helm", Membership::New));
        assert!(is_exposed("helm", Membership::Member));
        assert!(is_exposed("kubectl-patch", Membership::New));
    }

    #[test]
    fn command_keeps_planned_addresses() {
        let mut planned = service();
        planned.manifest["spec"]["externalIPs"] = json!(["203.0.113.1"]);
        let mut live = with_address("kubectl-patch");
        live["spec"]["externalIPs"] = json!(["203.0.113.1", "203.0.113.7"]);
        let found = exposures(&planned, &live, Membership::Member);
        assert_eq!(
            found[0].command(),
            "kubectl patch service/oh -n n -p '{\"spec\":{\"externalIPs\":[\"203.0.113.1\"]}}'"
        );
    }

    #[test]
    fn alias_of_an_ingress_is_removed_alone() {
        let manifest = json!({ "kind": "Ingress", "spec": { "rules": [{ "host": "localhost", "http": { "paths": [
            { "backend": { "service": { "name": "oh" } } }] } }] } });
        let member = Member { id: INGRESS.id("n", "oh"), kind: INGRESS, manifest };
        let mut live = member.manifest.clone();
        live["metadata"]["annotations"] = json!({ "nginx.ingress.kubernetes.io/server-alias": "a.example" });
        assert_eq!(
            exposures(&member, &live, Membership::Member)[0].command(),
            "kubectl patch ingress.networking.k8s.io/oh -n n -p \
             '{\"metadata\":{\"annotations\":{\"nginx.ingress.kubernetes.io/server-alias\":null}}}'"
        );
    }
}
