//! Builds the values of the templates' placeholders. Strings are joined here, never in a template.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{network_policy, scheduling, stop_signal};
use crate::object::labels::{self, Component};
use crate::settings::edition::{Configuration, Edition, PREVIOUS_API_KEY, Probes, SandboxPlace};
use crate::settings::format::{DnsLabel, DnsName, Quantity};
use crate::settings::handsctl::{Deploy, Expose, LoadBalancer, ResourceList, Strategy};
use crate::settings::secrets::value::SecretSource;
use crate::settings::{PRIVATE_ANNOTATIONS, Settings};

/// Names that depend on the objects' content.
pub(crate) struct GeneratedNames {
    pub(crate) config: String,
    pub(crate) secret: String,
    /// The resourceVersions of referenced Secrets, by name.
    pub(crate) versions: BTreeMap<String, String>,
}

/// Returns the values of all templates of the set.
pub(crate) fn values(
    settings: &Settings,
    names: &GeneratedNames,
    config: &BTreeMap<String, String>,
    secret: &BTreeMap<String, String>,
) -> Value {
    let deploy = &settings.deploy;
    let edition = settings.edition();
    let set = deploy.name.as_str();
    let claim = format!("{set}-{}", edition.claim);
    let mut values = json!({
        "name": set,
        "namespace": deploy.namespace.as_str(),
        "edition": edition_values(edition),
        "runtime_namespace": settings.runtime_namespace(),
        "labels": {
            "app": labels::member_labels(set, Component::App),
            "sandbox": labels::member_labels(set, Component::Sandbox),
            "selector": labels::selector(set, Component::App),
            "dev": labels::member_labels(set, Component::Dev),
            "dev_pod": dev_pod(set),
        },
        "config_name": names.config,
        "config": config,
        "secret_name": names.secret,
        "secret_data": secret.iter().map(|(key, value)| (key.clone(), json!(STANDARD.encode(value)))).collect::<Map<_, _>>(),
        "claim_name": claim,
        "mounted_claim": mounted_claim(settings, &claim),
        "key_file": settings.files.get(KEY_FILE).map(|source| reference(source, &names.secret, KEY_FILE)),
        "autoscaling": deploy.autoscaling,
        "volume": deploy.volume.as_ref().map(DnsName::as_str),
        // A pre-provisioned volume without a configured class gets the empty class: the cluster's default class would
        // not match it.
        "storage_class": deploy.storage_class.as_ref().map(DnsName::as_str).or(deploy.volume.as_ref().map(|_| "")),
        "storage_size": deploy.storage_size.canonical(),
        "replicas": deploy.replicas,
        "progress_deadline_seconds": deploy.progress_deadline.as_secs(),
        "min_ready_seconds": deploy.min_ready_seconds,
        "revision_history": deploy.revision_history,
        "strategy": strategy(settings),
        "pod_annotations": pod_annotations(settings, names),
        "stop": stop(settings),
        "image_pull_secrets": deploy.image_pull_secrets.iter().map(|name| json!({"name": name.as_str()})).collect::<Vec<_>>(),
        "service_account": deploy.service_account.as_ref().map_or(set, DnsLabel::as_str),
        "node_selector": deploy.node_selector,
        "tolerations": scheduling::tolerations(&deploy.tolerations),
        "affinity": deploy.affinity,
        "topology_spread": scheduling::topology_spread(&deploy.topology_spread, set),
        "quota": scheduling::quota(&deploy.quota),
        "limit_range": scheduling::limit_range(&deploy.limit_range),
        "image": deploy.image.as_str(),
        "image_pull_policy": deploy.image_pull_policy,
        "env": environment(settings, &names.secret),
        "resources": {
            "requests": amounts(&deploy.resources.requests, "500m", "1Gi"),
            "limits": limits(&deploy.resources.limits),
        },
        "service": service(deploy),
        "host": deploy.host.as_str(),
        // Without a host, the router generates one.
        "route_host": Some(deploy.host.as_str()).filter(|host| *host != "localhost"),
        "ingress_class": deploy.ingress_class.as_ref().map(DnsName::as_str),
        "network_policy": network_policy::values(settings),
        "tls_secret": deploy.tls_secret.as_ref().map(DnsName::as_str),
    });
    values["config_secret"] = json!((!settings.keys.is_empty()).then_some(&names.secret));
    values
}

fn edition_values(edition: &Edition) -> Value {
    let Probes { startup, liveness, readiness } = edition.probes;
    json!({
        "user": edition.user,
        "port": edition.port,
        "probes": { "startup": startup, "liveness": liveness, "readiness": readiness },
        "state": edition.state,
        "workspace": workspace(edition),
        "annotation": { labels::EDITION: edition.name },
    })
}

/// Returns the folder in which conversations work inside of the application's pod.
fn workspace(edition: &Edition) -> Option<&'static str> {
    match edition.sandboxes {
        SandboxPlace::ApplicationPod { workspace } => Some(workspace),
        SandboxPlace::OwnPods => None,
    }
}

/// Returns the labels of the `dev` pod: upstream's `app` label, and the selector of the set's pods.
fn dev_pod(set: &str) -> BTreeMap<&'static str, String> {
    let mut labels = labels::selector(set, Component::Dev);
    labels.insert("app", DEV_TARGET.to_owned());
    labels
}

fn pod_annotations(settings: &Settings, names: &GeneratedNames) -> Map<String, Value> {
    let versions = names.versions.iter();
    let reads_file = settings.edition().configuration == Configuration::File;
    let config = (reads_file && !settings.keys.is_empty())
        .then(|| (labels::POD_CONFIG.to_owned(), json!(names.config)));
    versions
        .map(|(name, version)| (format!("{}{name}", labels::SECRET_VERSION_PREFIX), json!(version)))
        .chain(
            stop_signal::annotation(settings.deploy.on_stop)
                .map(|(key, value)| (key.to_owned(), json!(value))),
        )
        .chain(config)
        .collect()
}

/// The file name of the Google Cloud service account key, in its Secret and in its directory.
const KEY_FILE: &str = "key.json";

fn mounted_claim<'a>(settings: &'a Settings, claim: &'a str) -> Option<&'a str> {
    let existing = settings.deploy.existing_claim.as_ref().map(DnsName::as_str);
    existing.or_else(|| settings.needs_volume().then_some(claim))
}

/// Returns how the container starts and stops.
fn stop(settings: &Settings) -> Value {
    let on_stop = settings.deploy.on_stop;
    let drain = stop_signal::drain_seconds(on_stop, starts_beside_old_pod(settings));
    json!({
        "start": settings.edition().start.map(|command| stop_signal::start(on_stop, command)),
        "grace": stop_signal::grace(on_stop),
        "drain_seconds": drain.map(|seconds| seconds.to_string()),
    })
}

/// Returns whether a new pod starts before the old one stops.
fn starts_beside_old_pod(settings: &Settings) -> bool {
    settings.deploy.strategy == Strategy::RollingUpdate && settings.shares_state()
}

/// Returns the update strategy. Only one pod can mount the volume, so a new pod starts beside the old one only if the
/// state is not on that volume.
fn strategy(settings: &Settings) -> Value {
    match settings.deploy.strategy {
        Strategy::Recreate => json!({ "type": "Recreate" }),
        Strategy::RollingUpdate if starts_beside_old_pod(settings) => {
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } })
        }
        Strategy::RollingUpdate => {
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } })
        }
    }
}

fn service(deploy: &Deploy) -> Value {
    json!({
        "type": service_type(deploy.expose),
        "node_port": if deploy.expose == Expose::NodePort { deploy.node_port } else { 0 },
        "annotations": service_annotations(deploy.load_balancer),
        "source_ranges": deploy.source_ranges,
    })
}

const fn service_type(expose: Expose) -> &'static str {
    match expose {
        Expose::Ingress | Expose::Route | Expose::None => "ClusterIP",
        Expose::NodePort => "NodePort",
        Expose::LoadBalancer => "LoadBalancer",
    }
}

/// Returns the annotations that each cloud reads for a load balancer with a private address. A cloud ignores those of the
/// others.
fn service_annotations(load_balancer: LoadBalancer) -> BTreeMap<&'static str, &'static str> {
    match load_balancer {
        LoadBalancer::Public => BTreeMap::new(),
        LoadBalancer::Internal => PRIVATE_ANNOTATIONS.iter().copied().collect(),
    }
}

fn amounts(list: &ResourceList, cpu: &str, memory: &str) -> Value {
    let or_default = |quantity: &Option<Quantity>, default: &str| {
        quantity.as_ref().map_or_else(|| default.to_owned(), Quantity::canonical)
    };
    json!({ "cpu": or_default(&list.cpu, cpu), "memory": or_default(&list.memory, memory) })
}

fn limits(list: &ResourceList) -> Value {
    let mut limits = json!({
        "memory": list.memory.as_ref().map_or_else(|| "4Gi".to_owned(), Quantity::canonical),
    });
    if let Some(cpu) = &list.cpu {
        limits["cpu"] = json!(cpu.canonical());
    }
    limits
}

/// Returns the name of the Secret with the keys of an application that keeps its settings itself.
#[must_use]
pub fn app_keys_name(set: &str) -> String {
    format!("{set}-keys")
}

/// Returns the container's environment, sorted by name. A variable from a Secret replaces a plain one of the same name.
fn environment(settings: &Settings, secret_name: &str) -> Vec<Value> {
    let mut variables: BTreeMap<String, Value> = settings
        .variables()
        .into_iter()
        .map(|(name, value)| {
            let variable = plain(&name, &value);
            (name, variable)
        })
        .collect();
    let of_secret = |name: &str, secret: &str, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    for (name, source) in settings.container_variables() {
        let Reference { secret, key } = reference(source, secret_name, name);
        variables.insert(name.to_owned(), of_secret(name, secret, key));
    }
    let keys = app_keys_name(settings.deploy.name.as_str());
    for (variable, key) in settings.edition().key_variables {
        variables.insert((*variable).to_owned(), of_secret(variable, &keys, key));
    }
    if let Some(variable) = settings.edition().previous_key_variable {
        let mut previous = of_secret(variable, &keys, PREVIOUS_API_KEY);
        // Without a key that was replaced, the container starts without the variable.
        previous["valueFrom"]["secretKeyRef"]["optional"] = json!(true);
        variables.insert(variable.to_owned(), previous);
    }
    variables.into_values().collect()
}

/// A key of a Secret.
#[derive(Serialize)]
struct Reference<'a> {
    secret: &'a str,
    key: &'a str,
}

/// Returns the key that holds a secret: `name` in the set's own Secret, or a key of the user's Secret.
fn reference<'a>(source: &'a SecretSource, own: &'a str, name: &'a str) -> Reference<'a> {
    match source {
        SecretSource::Value(_) | SecretSource::NotRead(_) | SecretSource::Placeholder => {
            Reference { secret: own, key: name }
        }
        SecretSource::Reference { secret, key } => Reference { secret, key },
    }
}

/// Builds a plain variable. An empty value is left out, because the API server drops `value: ""`.
fn plain(name: &str, value: &str) -> Value {
    if value.is_empty() { json!({ "name": name }) } else { json!({ "name": name, "value": value }) }
}

/// The name of the Deployment of profile `dev` and of its Service.
pub const DEV_TARGET: &str = "ubuntu-dev";
