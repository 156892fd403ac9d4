//! Synthetic sets of a given size: three Deployments, the other objects ConfigMaps of about one kilobyte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use handsctl::object::kind::{CONFIG_MAP, DEPLOYMENT, KindInfo};
use handsctl::object::labels::{self, Component};
use handsctl::object::yaml;
use handsctl::plan::inventory::apply_set::ApplySet;
use handsctl::plan::{Member, Plan};
use serde_json::{Value, json};

/// Name of every set, Helm release and kapp app of the bench.
pub(crate) const NAME: &str = "bench";
/// Deployments in a set.
const DEPLOYMENTS: usize = 3;
/// One of this many ConfigMaps differs in [`Edition::Changed`].
const CHANGED: usize = 10;

/// A version of the ConfigMaps' content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edition {
    /// The applied content.
    First,
    /// One line of every tenth ConfigMap differs: the differences that a diff must report.
    Changed,
}

/// Returns the plan of a set with this many objects.
pub(crate) fn plan(objects: usize, namespace: &str, edition: Edition) -> Plan {
    let maps = objects.saturating_sub(DEPLOYMENTS);
    let members = (0..maps)
        .map(|number| member(CONFIG_MAP, config_map(number, edition), namespace))
        .chain((0..DEPLOYMENTS).map(|number| member(DEPLOYMENT, deployment(number), namespace)))
        .collect();
    Plan { set: apply_set(namespace), members, ..Plan::default() }
}

/// Returns the number of objects that differ in [`Edition::Changed`].
pub(crate) fn changed(objects: usize) -> usize {
    objects.saturating_sub(DEPLOYMENTS).div_ceil(CHANGED)
}

/// Returns the set's identity.
pub(crate) fn apply_set(namespace: &str) -> ApplySet {
    ApplySet { name: NAME.to_owned(), namespace: namespace.to_owned(), ..ApplySet::default() }
}

fn member(kind: KindInfo, mut manifest: Value, namespace: &str) -> Member {
    manifest["metadata"]["namespace"] = json!(namespace);
    manifest["metadata"]["labels"] = json!(labels::member_labels(NAME, Component::App));
    let name = manifest["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Member { id: kind.id(namespace, &name), kind, manifest }
}

fn config_map(number: usize, edition: Edition) -> Value {
    let changed = edition == Edition::Changed && number.is_multiple_of(CHANGED);
    let mut text = String::new();
    for line in 0..24 {
        let value = if changed && line == 12 { "another value" } else { "the value of this key" };
        let _infallible = writeln!(text, "key_{number:04}_{line:02} = \"{value}\"");
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": format!("part-{number:04}") },
        "data": { "settings.toml": text },
    })
}

fn deployment(number: usize) -> Value {
    let name = format!("part-{number}");
    // Each Deployment selects its own pods; the instance label is the set's name, as in every set.
    let selector = json!({ labels::INSTANCE: NAME, labels::COMPONENT: name });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": selector },
            "template": {
                "metadata": { "labels": selector },
                "spec": { "containers": [{
                    "name": "part",
                    "image": "example.org/part:1",
                    // Without a readiness probe, handsctl treats a container as ready only after some seconds of
                    // uptime.
                    "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080 } },
                    "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
                }] },
            },
        },
    })
}

/// Returns this number of ConfigMaps as manifests, without labels: the user's own files.
pub(crate) fn config_maps(count: usize) -> anyhow::Result<String> {
    documents((0..count).map(|number| config_map(number, Edition::First)))
}

/// The files with the set's manifests for the peers.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// All objects in one file.
    pub(crate) manifests: PathBuf,
    /// The objects of [`Edition::Changed`] in one file.
    pub(crate) changed: PathBuf,
    /// A Helm chart with the objects.
    pub(crate) chart: PathBuf,
}

impl Files {
    /// Returns the folder of the files.
    pub(crate) fn folder(&self) -> &Path {
        self.manifests.parent().unwrap_or(&self.manifests)
    }

    /// Writes a synthetic set.
    pub(crate) fn of_plan(folder: &Path, objects: usize, namespace: &str) -> anyhow::Result<Self> {
        Self::write(
            folder,
            &text(&plan(objects, namespace, Edition::First))?,
            &text(&plan(objects, namespace, Edition::Changed))?,
        )
    }

    /// Writes these manifests, without differences in the second file.
    pub(crate) fn of_text(folder: &Path, manifests: &str) -> anyhow::Result<Self> {
        Self::write(folder, manifests, manifests)
    }

    fn write(folder: &Path, manifests: &str, changed: &str) -> anyhow::Result<Self> {
        let files = Self {
            manifests: folder.join("set.yaml"),
            changed: folder.join("changed.yaml"),
            chart: folder.join("chart"),
        };
        std::fs::create_dir_all(files.chart.join("templates"))?;
        std::fs::write(&files.manifests, manifests)?;
        std::fs::write(&files.changed, changed)?;
        std::fs::write(files.chart.join("templates/set.yaml"), manifests)?;
        let chart = format!("apiVersion: v2\nname: {NAME}\nversion: 0.1.0\n");
        std::fs::write(files.chart.join("Chart.yaml"), chart)?;
        Ok(files)
    }
}

fn text(plan: &Plan) -> anyhow::Result<String> {
    documents(plan.members.iter().map(|member| member.manifest.clone()))
}

/// Returns the objects as documents of one YAML file.
pub(crate) fn documents(objects: impl Iterator<Item = Value>) -> anyhow::Result<String> {
    let mut text = String::new();
    for object in objects {
        writeln!(text, "---\n{}", yaml::write(&object)?.trim_end_matches('\n'))?;
    }
    Ok(text)
}
