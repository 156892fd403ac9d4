//! Settings → the plan: the set's objects, in the order in which they are sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::desired::{Member, Plan, PlanOrigin, SecretNaming, extra_kinds};
use super::inventory::apply_set::ApplySet;
use super::manifests::template::{self, Templates};
use super::manifests::values::{self, GeneratedNames};
use super::manifests::{content_hash, extra_manifests};
use crate::error::{Error, Result};
use crate::object::kind::{KindInfo, ROLE, ROLE_BINDING, SERVICE_ACCOUNT};
use crate::object::{ObjectId, labels};
use crate::settings::Settings;
use crate::settings::handsctl::{Expose, LimitRange, Profile};
use crate::settings::secrets::value::SecretSource;

/// The application's configuration, in the ConfigMap and, with secrets that no variable reaches, in the Secret.
const CONFIG_FILE: &str = "config.toml";

/// Plans the set. `kinds` are the kinds of extra manifests that API discovery found
/// ([`super::manifests::extra_manifests::unknown_kinds`]).
///
/// # Errors
/// If an extra manifest cannot be a member. A broken built-in template is also an error, which a test rules out.
pub fn build(settings: &Settings, naming: SecretNaming<'_>, kinds: &[KindInfo]) -> Result<Plan> {
    let templates = Templates::load(&[template::APP, template::ONE_POD, template::DEV].concat())?;
    let mut set = apply_set_for(settings);
    let config = BTreeMap::from([(CONFIG_FILE.to_owned(), settings.app_config_toml())]);
    let secret = secret_data(settings);
    let names = GeneratedNames {
        config: format!("{}-config-{}", set.name, content_hash::of_config(&config)?),
        secret: secret_name(&set.name, &secret, naming)?,
        versions: match naming {
            SecretNaming::Keyed { versions, .. } | SecretNaming::Assumed { versions, .. } => versions.clone(),
            SecretNaming::Placeholder => BTreeMap::new(),
        },
    };
    let values = values::values(settings, &names, &config, &secret);
    let with_secret = match naming {
        SecretNaming::Keyed { .. } => !secret.is_empty(),
        SecretNaming::Assumed { .. } => {
            settings.container_sources().any(|(_, source)| !matches!(source, SecretSource::Reference { .. }))
        }
        SecretNaming::Placeholder => false,
    };
    let mut members = template_names(settings, with_secret)
        .into_iter()
        .map(|name| member(&templates, name, &values))
        .collect::<Result<Vec<_>>>()?;
    members.extend(extra_manifests::members(settings, kinds)?);
    extra_manifests::reject_duplicates(&members, settings)?;
    set.extra_kinds = extra_kinds(&members);
    set.unused_kinds.retain(|kind| members.iter().all(|member| member.kind != *kind));
    members.sort_by_cached_key(|member| (member.kind.wave, position(member.kind), member.id.clone()));
    Ok(Plan {
        origin: PlanOrigin::Configuration,
        namespaces: namespaces(&templates, settings, &set)?,
        set,
        members,
        secret_sources: settings
            .container_sources()
            .map(|(name, source)| (name.to_owned(), source.to_string()))
            .collect(),
    })
}

/// Returns the set that the settings describe, without its extra kinds.
#[must_use]
pub fn apply_set_for(settings: &Settings) -> ApplySet {
    let namespace = settings.deploy.namespace.to_string();
    let runtime = settings.runtime_namespace().to_owned();
    let extra = settings.extra_objects.iter().filter_map(|extra| ObjectId::from_object(&extra.manifest));
    let set = ApplySet {
        name: settings.deploy.name.to_string(),
        additional_namespaces: Some(runtime)
            .filter(|runtime| *runtime != namespace && settings.edition().has_sandbox_pods())
            .into_iter()
            .collect(),
        extra_kinds: BTreeSet::new(),
        unused_kinds: unused_kinds(settings),
        kinds_elsewhere: BTreeSet::new(),
        key_fingerprint: None,
        namespace,
    };
    set.including_members(extra)
}

/// Returns the kinds of which the set has no member of its own. An account that deploys it needs no rights on them.
fn unused_kinds(settings: &Settings) -> BTreeSet<KindInfo> {
    if settings.deploy.service_account.is_none() {
        return BTreeSet::new();
    }
    [SERVICE_ACCOUNT, ROLE, ROLE_BINDING].into()
}

/// Returns the data of the set's own Secret. References to the user's Secrets stay references.
fn secret_data(settings: &Settings) -> BTreeMap<String, String> {
    let config = settings.secret_app_config();
    settings
        .container_sources()
        .filter(|(name, _)| !settings.keys.contains_key(*name))
        .filter_map(|(name, source)| match source {
            SecretSource::Value(value) => Some((name.to_owned(), value.expose().to_owned())),
            SecretSource::Placeholder => Some((name.to_owned(), SecretSource::PLACEHOLDER.to_owned())),
            SecretSource::NotRead(_) | SecretSource::Reference { .. } => None,
        })
        .chain(config.map(|config| (CONFIG_FILE.to_owned(), config.expose().to_owned())))
        .collect()
}

fn secret_name(set: &str, data: &BTreeMap<String, String>, naming: SecretNaming<'_>) -> Result<String> {
    Ok(match naming {
        SecretNaming::Keyed { key, .. } => format!("{set}-env-{}", content_hash::of_secret(data, key)?),
        SecretNaming::Assumed { name, .. } => name.to_owned(),
        SecretNaming::Placeholder => placeholder_name(set),
    })
}

/// Returns the name under which a rendering refers to the set's own Secret.
#[must_use]
pub fn placeholder_name(set: &str) -> String {
    format!("{set}-env-rendered")
}

/// Returns the templates of the set's objects. Profile `dev` has limits for its sandboxes, and objects of its own.
fn template_names(settings: &Settings, with_secret: bool) -> Vec<&'static str> {
    let deploy = &settings.deploy;
    let own_account = deploy.service_account.is_none();
    let is_used = |name: &&&str| match **name {
        "app/resource-quota.yaml" => !deploy.quota.is_empty(),
        "app/limit-range.yaml" => deploy.limit_range != LimitRange::default(),
        _ if deploy.profile == Profile::Dev => false,
        "app/service-account.yaml" | "app/role.yaml" | "app/role-binding.yaml" => own_account,
        "app/secret.yaml" => with_secret,
        "app/persistent-volume-claim.yaml" => deploy.existing_claim.is_none() && settings.needs_volume(),
        "app/horizontal-pod-autoscaler.yaml" => deploy.autoscaling.is_some(),
        "app/ingress.yaml" => deploy.expose == Expose::Ingress,
        "app/route.yaml" => deploy.expose == Expose::Route,
        "app/network-policy.yaml" | "app/network-policy-app.yaml" | "one-pod/network-policy.yaml" => {
            deploy.network_policy
        }
        _ => true,
    };
    let dev = template::DEV.iter().map(|(name, _)| *name).filter(|_| deploy.profile == Profile::Dev);
    settings.edition().templates.iter().filter(is_used).copied().chain(dev).collect()
}

pub(super) fn member(templates: &Templates, name: &str, values: &Value) -> Result<Member> {
    let manifest = templates.object(name, values)?;
    let unknown_kind = || {
        Error::internal(format!("the built-in template {name} does not render to an object of a known kind"))
    };
    let id = ObjectId::from_object(&manifest).ok_or_else(unknown_kind)?;
    let kind = KindInfo::for_id(&id).ok_or_else(unknown_kind)?;
    Ok(Member { id, kind, manifest })
}

fn position(kind: KindInfo) -> usize {
    crate::object::kind::MEMBERS.iter().position(|member| *member == kind).unwrap_or(usize::MAX)
}

fn namespaces(templates: &Templates, settings: &Settings, set: &ApplySet) -> Result<BTreeMap<String, Value>> {
    let names: BTreeSet<&str> = set.namespaces().into_iter().collect();
    names
        .into_iter()
        .map(|name| {
            let has_privileged_sandboxes =
                settings.openhands.kubernetes.privileged && name == settings.runtime_namespace();
            // mirrord's agent uses the node's process namespace, which only `privileged` admits.
            let privileged = has_privileged_sandboxes || settings.deploy.profile == Profile::Dev;
            let values = json!({
                "namespace": name,
                "namespace_labels": labels::namespace_labels(privileged),
                "namespace_annotations": { labels::CREATED_BY: super::inventory::apply_set::tooling() },
            });
            Ok((name.to_owned(), templates.object("app/namespace.yaml", &values)?))
        })
        .collect()
}
