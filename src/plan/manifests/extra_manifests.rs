//! The user's extra manifests as members of the set.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::object::kind::{KindInfo, ROUTE};
use crate::object::labels::MANAGER;
use crate::plan::desired::Member;
use crate::plan::inventory::apply_set::ApplySet;
use crate::settings::Settings;
use crate::settings::extra_manifests::ExtraObject;
use crate::settings::handsctl::Expose;

/// A kind as a manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestKind {
    /// Such as `monitoring.coreos.com/v1`.
    pub api_version: String,
    /// Such as `PodMonitor`.
    pub kind: String,
}

impl ManifestKind {
    /// Reads the kind of a manifest.
    pub(crate) fn of_manifest(manifest: &Value) -> Self {
        let text = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
        Self { api_version: text("apiVersion"), kind: text("kind") }
    }
}

/// Returns the kinds that need API discovery: those that are not built in, and `OpenShift`'s Route.
#[must_use]
pub fn unknown_kinds(settings: &Settings) -> BTreeSet<ManifestKind> {
    let kinds = settings.extra_objects.iter().filter(|extra| kind_of(&extra.manifest, &[]).is_none());
    let route = (settings.deploy.expose == Expose::Route)
        .then(|| ManifestKind { api_version: ROUTE.api_version(), kind: ROUTE.kind.to_owned() });
    kinds.map(|extra| ManifestKind::of_manifest(&extra.manifest)).chain(route).collect()
}

/// Returns whether an extra manifest may create Secrets: an object of a kind that is not built in, such as an
/// `ExternalSecret`, or one that runs containers.
#[must_use]
pub fn may_create_secrets(settings: &Settings) -> bool {
    let runs_containers = |manifest: &Value| {
        ["template", "jobTemplate", "containers"].iter().any(|field| !manifest["spec"][field].is_null())
    };
    settings
        .extra_objects
        .iter()
        .any(|extra| kind_of(&extra.manifest, &[]).is_none() || runs_containers(&extra.manifest))
}

/// Checks the extra manifests without a cluster.
///
/// # Errors
/// Exit 3 with every manifest that no cluster accepts as a member of the set.
pub fn check(settings: &Settings) -> Result<()> {
    members(settings, &[]).and_then(|members| reject_duplicates(&members, settings))
}

/// Returns the extra manifests as members. `kinds` are the kinds that API discovery found.
///
/// # Errors
/// Exit 3 with every manifest that cannot be a member of the set.
pub(crate) fn members(settings: &Settings, kinds: &[KindInfo]) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    let mut errors = Vec::new();
    for extra in &settings.extra_objects {
        match member(settings, extra, kinds) {
            Ok(member) => members.push(member),
            Err(error) => errors.push(error),
        }
    }
    let all = errors.into_iter().reduce(|first, other| {
        let first = first.fact("also", other.message());
        other.hints().iter().fold(first, Error::hint)
    });
    all.map_or(Ok(members), Err)
}

fn member(settings: &Settings, extra: &ExtraObject, kinds: &[KindInfo]) -> Result<Member> {
    let mut manifest = extra.manifest.clone();
    let api_version = manifest["apiVersion"].as_str().unwrap_or_default().to_owned();
    let kind_name = manifest["kind"].as_str().unwrap_or_default().to_owned();
    let kind = kind_of(&manifest, kinds).unwrap_or_else(|| KindInfo::guessed(&api_version, &kind_name));
    if !kind.namespaced {
        let message = format!("{} is a {kind_name}, which is cluster-scoped", extra.source);
        let error = extra_manifest_error(extra, message);
        return Err(if kind_name == "CustomResourceDefinition" {
            error.hint(
                "every namespace uses a CustomResourceDefinition: move it to a file of its own, apply that with kubectl first, and \
                 keep its objects here",
            )
        } else {
            error.hint("an installation has only namespaced members: apply this object with kubectl")
        });
    }
    let (own, runtime) = (settings.deploy.namespace.as_str(), settings.runtime_namespace());
    let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or(own).to_owned();
    if namespace != own && namespace != runtime {
        let message = format!("{} is for namespace {namespace}", extra.source);
        return Err(extra_manifest_error(extra, message)
            .hint(format!("the installation's namespaces are {own} and {runtime}")));
    }
    manifest["metadata"]["namespace"] = json!(namespace);
    // Only these labels: with the labels of the application's selector, an extra pod would receive its traffic.
    for (label, value) in
        [("app.kubernetes.io/part-of", "openhands"), ("app.kubernetes.io/managed-by", MANAGER)]
    {
        if manifest["metadata"]["labels"][label].is_null() {
            manifest["metadata"]["labels"][label] = json!(value);
        }
    }
    let id = ObjectId::from_object(&manifest)
        .ok_or_else(|| extra_manifest_error(extra, format!("{} has no name", extra.source)))?;
    let record = ApplySet { name: settings.deploy.name.to_string(), ..ApplySet::default() }.parent_name();
    if id.name == record && matches!(id.kind.as_str(), "ConfigMap" | "Lease") {
        let message = format!("{} is {id}, which handsctl keeps about the installation", extra.source);
        return Err(extra_manifest_error(extra, message).hint("give it another name"));
    }
    Ok(Member { id, kind, manifest })
}

fn kind_of(manifest: &Value, kinds: &[KindInfo]) -> Option<KindInfo> {
    let id = ObjectId::from_object(manifest)?;
    let version = manifest["apiVersion"].as_str()?;
    let discovered = kinds.iter().copied().find(|kind| kind.kind == id.kind && kind.api_version() == version);
    discovered.or_else(|| KindInfo::for_id(&id).filter(|kind| kind.api_version() == version))
}

fn extra_manifest_error(extra: &ExtraObject, message: String) -> Error {
    Error::extra_manifest(message).at_config(extra.listed_at.clone())
}

/// Rejects an extra manifest that occurs twice, or that has the identity of one of the set's own objects.
pub(crate) fn reject_duplicates(members: &[Member], settings: &Settings) -> Result<()> {
    let mut ids = BTreeSet::new();
    let Some(duplicate) = members.iter().find(|member| !ids.insert(&member.id)) else { return Ok(()) };
    let is_duplicate = |extra: &&ExtraObject| {
        let name = &extra.manifest["metadata"]["name"];
        extra.manifest["kind"] == duplicate.id.kind.as_str() && *name == duplicate.id.name.as_str()
    };
    let extra = settings.extra_objects.iter().rev().find(is_duplicate);
    let source = extra.map_or("an extra manifest", |extra| &extra.source);
    let message = format!("{source} is {}, which the installation already has", duplicate.id);
    Err(Error::extra_manifest(message)
        .at_config(extra.and_then(|extra| extra.listed_at.clone()))
        .hint("give it another name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Request, read};

    #[test]
    fn record_of_the_installation_is_no_extra_manifest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), "[deploy]\nextra_manifests = [\"x.yaml\"]\n")
            .unwrap();
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: handsctl-openhands}\n";
        std::fs::write(folder.path().join("x.yaml"), text).unwrap();
        let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
        let error = members(&settings, &[]).unwrap_err();
        assert!(error.message().contains("which handsctl keeps about the installation"), "{error:?}");
    }

    #[test]
    fn secrets_may_come_of_custom_resources_and_jobs() {
        let may_create = |manifest: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("config.toml"), "[deploy]\nextra_manifests = [\"x.yaml\"]\n")
                .unwrap();
            std::fs::write(folder.path().join("x.yaml"), manifest).unwrap();
            may_create_secrets(&read(&Request::default(), &[], folder.path()).unwrap().settings)
        };
        assert!(may_create(
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: a}\n"
        ));
        assert!(may_create(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {template: {spec: {containers: []}}}\n"
        ));
        assert!(!may_create("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"));
    }

    #[test]
    fn every_extra_manifest_outside_the_set_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), "[deploy]\nextra_manifests = [\"x.yaml\"]\n")
            .unwrap();
        let text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: elsewhere}\n";
        std::fs::write(folder.path().join("x.yaml"), text).unwrap();
        let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
        let kinds = [KindInfo {
            namespaced: false,
            ..KindInfo::guessed("rbac.authorization.k8s.io/v1", "ClusterRole")
        }];
        let error = members(&settings, &kinds).unwrap_err();
        assert_eq!(error.message(), "x.yaml#1 is a ClusterRole, which is cluster-scoped");
        assert_eq!(error.facts()[0].text, "x.yaml#3 is for namespace elsewhere");
    }
}
