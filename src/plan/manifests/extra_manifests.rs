//! Objects of the user's own as members of the set.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::object::kind::{KindInfo, ROUTE};
use crate::object::labels::MANAGER;
use crate::plan::desired::Member;
use crate::settings::Settings;
use crate::settings::extra_manifests::ExtraObject;
use crate::settings::handsctl::Expose;

/// A kind as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestKind {
    /// `monitoring.coreos.com/v1`.
    pub api_version: String,
    /// `PodMonitor`.
    pub kind: String,
}

impl ManifestKind {
    /// The kind of a manifest.
    pub(crate) fn of_manifest(manifest: &Value) -> Self {
        let text = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
        Self { api_version: text("apiVersion"), kind: text("kind") }
    }
}

/// The kinds that a server has to be asked about: those that handsctl does not know by itself, and `OpenShift`'s.
#[must_use]
pub fn unknown_kinds(settings: &Settings) -> BTreeSet<ManifestKind> {
    let kinds = settings.extra.iter().filter(|extra| known(&extra.manifest, &[]).is_none());
    let route = (settings.deploy.expose == Expose::Route)
        .then(|| ManifestKind { api_version: ROUTE.api_version(), kind: ROUTE.kind.to_owned() });
    kinds.map(|extra| ManifestKind::of_manifest(&extra.manifest)).chain(route).collect()
}

/// The members; `kinds` is what a server said of those that handsctl does not know.
pub(crate) fn members(settings: &Settings, kinds: &[KindInfo]) -> Result<Vec<Member>> {
    settings.extra.iter().map(|extra| member(settings, extra, kinds)).collect()
}

fn member(settings: &Settings, extra: &ExtraObject, kinds: &[KindInfo]) -> Result<Member> {
    let mut manifest = extra.manifest.clone();
    let api_version = manifest["apiVersion"].as_str().unwrap_or_default().to_owned();
    let kind_name = manifest["kind"].as_str().unwrap_or_default().to_owned();
    let kind = known(&manifest, kinds).unwrap_or_else(|| KindInfo::assumed(&api_version, &kind_name));
    if !kind.namespaced {
        let message = format!("{} is a {kind_name}, which is in no namespace", extra.source);
        return Err(refused(extra, message)
            .hint("members of a set are in its namespaces: apply this one by other means"));
    }
    let (own, runtime) = (settings.deploy.namespace.as_str(), settings.runtime_namespace());
    let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or(own).to_owned();
    if namespace != own && namespace != runtime {
        let message = format!("{} is for namespace {namespace}", extra.source);
        return Err(refused(extra, message).hint(format!("the set's namespaces are {own} and {runtime}")));
    }
    manifest["metadata"]["namespace"] = json!(namespace);
    // Not the labels of the set's pods: an object of the user's own is none of the application's.
    for (label, value) in
        [("app.kubernetes.io/part-of", "openhands"), ("app.kubernetes.io/managed-by", MANAGER)]
    {
        if manifest["metadata"]["labels"][label].is_null() {
            manifest["metadata"]["labels"][label] = json!(value);
        }
    }
    let id = ObjectId::of_object(&manifest)
        .ok_or_else(|| refused(extra, format!("{} has no name", extra.source)))?;
    Ok(Member { id, kind, manifest })
}

fn known(manifest: &Value, kinds: &[KindInfo]) -> Option<KindInfo> {
    let id = ObjectId::of_object(manifest)?;
    let version = manifest["apiVersion"].as_str()?;
    let found = kinds.iter().copied().find(|kind| kind.kind == id.kind && kind.api_version() == version);
    found.or_else(|| KindInfo::of_id(&id).filter(|kind| kind.api_version() == version))
}

fn refused(extra: &ExtraObject, message: String) -> Error {
    Error::extra_manifest(message).at_config(extra.named_at.clone())
}

/// An object that stands twice, or is one of the set's own.
pub(crate) fn refuse_twice(members: &[Member], settings: &Settings) -> Result<()> {
    let mut seen = BTreeSet::new();
    let Some(twice) = members.iter().find(|member| !seen.insert(&member.id)) else { return Ok(()) };
    let names_it = |extra: &&ExtraObject| {
        let name = &extra.manifest["metadata"]["name"];
        extra.manifest["kind"] == twice.id.kind.as_str() && *name == twice.id.name.as_str()
    };
    let extra = settings.extra.iter().rev().find(names_it);
    let source = extra.map_or("an extra manifest", |extra| &extra.source);
    let message = format!("{source} is {}, which the set has already", twice.id);
    Err(Error::extra_manifest(message)
        .at_config(extra.and_then(|extra| extra.named_at.clone()))
        .hint("give it another name"))
}
