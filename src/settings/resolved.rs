//! The typed settings, and the origin of each value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::app_version::AppVersion;
use super::edition::{CLASSIC, Configuration, Edition};
use super::extra_manifests::ExtraObject;
use super::format::{ImageRef, OwnedField, Quantity};
use super::handsctl::{Cluster, Deploy, EditionChoice, OwnershipRule, Profile, Resources, StorageKind};
use super::left_out;
use super::load::schema::{Shape, TableShape};
use super::load::tree::{self, Data, KeyPosition, Node, SourceLayer, Table, TreeEntry};
use super::load::{toml_key, toml_writer};
use super::openhands::OpenHands;
use super::profile::KEY_FILE;
use super::sandbox_tolerations;
use super::secrets::extract::{Form, SecretData};
use super::secrets::value::{Redacted, SecretSource};
use crate::diagnostic::{ConfigKey, Location};
use crate::error::{Error, Result};
use crate::object::Mask;
use crate::object::ObjectId;
use crate::object::assignment;
use crate::object::literal_secret;
use crate::object::references;

/// Default cpu request of a container on a local cluster, which shares the cpus of this computer.
pub(super) const LOCAL_CPU: &str = "250m";

/// The configured values, and defaults for all other keys.
#[derive(Clone)]
pub struct Settings {
    /// `[cluster]`.
    pub cluster: Cluster,
    /// `[deploy]`, including the defaults of requests and limits.
    pub deploy: Deploy,
    /// OpenHands' own tables without their secrets, which are in `secrets`.
    pub openhands: OpenHands,
    /// Secret environment variables of the application: OpenHands' secret keys under the names that it reads, and the
    /// secrets of `[deploy].env`.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Secrets that the application reads from files, by file name.
    pub files: BTreeMap<String, SecretSource>,
    /// The variables of `[deploy].env` that are not secrets.
    pub env: BTreeMap<String, String>,
    /// Secrets that no variable reaches, by dotted key: they make config.toml a part of the set's Secret.
    pub keys: BTreeMap<String, SecretSource>,
    /// The values of those that were read.
    filled: Vec<(Vec<String>, SecretData)>,
    /// The user's own objects.
    pub extra_objects: Vec<ExtraObject>,
    /// Secrets that are parts of values in `secrets`.
    parts: Vec<Redacted>,
    /// The configured keys and those that handsctl adds, with their positions and without secrets.
    tree: Table,
    schema: Arc<TableShape>,
    edition: &'static Edition,
    version: AppVersion,
    /// Where the keys come from.
    pub key_sources: KeySources,
}

/// Where the keys of a configuration come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeySources {
    /// Whether there is a config file.
    pub has_file: bool,
    /// Keys in `HANDSCTL_` variables.
    pub variables: usize,
    /// Keys in `--set`.
    pub set: usize,
}

/// From this length on, a secret is hidden even if the configuration contains it elsewhere.
const MIN_HIDDEN: usize = 12;

/// The secrets of a configuration.
#[derive(Debug, Default)]
pub(super) struct ResolvedSecrets {
    /// By the name of the application's environment variable.
    pub sources: BTreeMap<String, SecretSource>,
    /// By the name of the application's file.
    pub files: BTreeMap<String, SecretSource>,
    /// By the dotted key in config.toml.
    pub keys: BTreeMap<String, SecretSource>,
    /// The values of `keys`, with their paths.
    pub filled: Vec<(Vec<String>, SecretData)>,
    /// Secrets that are only a part of a variable.
    pub parts: Vec<Redacted>,
}

impl ResolvedSecrets {
    /// Adds a secret. `filled`: the value of a list or table that contains secrets.
    pub(super) fn insert(
        &mut self,
        form: Form,
        name: String,
        path: Vec<String>,
        source: SecretSource,
        filled: Option<SecretData>,
    ) {
        let by_name = match form {
            Form::Variable => &mut self.sources,
            Form::File => &mut self.files,
            Form::Key => {
                if let SecretSource::Value(value) = &source {
                    let text = || SecretData(Data::Text(value.expose().to_owned()));
                    self.filled.push((path, filled.unwrap_or_else(text)));
                }
                &mut self.keys
            }
        };
        by_name.insert(name, source);
    }
}

/// A key with its value and origin, for `config show --origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Dotted key, such as `deploy.image`.
    pub key: String,
    /// Value as TOML; `(redacted)` for a secret.
    pub value: String,
    /// Origin of the value.
    pub origin: KeyOrigin,
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The default: no source sets the key.
    Default,
    /// A config file.
    File(Location),
    /// An environment variable of this name.
    Environment(String),
    /// An option `--set`.
    Set,
    /// A dedicated flag, such as `--namespace`.
    Flag,
    /// The profile of this name.
    Profile(&'static str),
    /// handsctl, because the application needs the value.
    Handsctl,
}

/// Omits the positions, because they contain whole files.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("cluster", &self.cluster)
            .field("deploy", &self.deploy)
            .field("openhands", &self.openhands)
            .field("secrets", &self.secrets)
            .field("env", &self.env)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Converts a checked tree to typed values. An error here means that the schema and the types differ.
    pub(super) fn assemble(
        schema: &Arc<TableShape>,
        mut tree: Table,
        mut secrets: ResolvedSecrets,
        env: BTreeMap<String, String>,
    ) -> Result<Self> {
        left_out::remove_empty(schema, &mut tree);
        apply_profile(&mut tree, &mut secrets);
        let edition = chosen_edition(&tree);
        apply_edition(&mut tree, edition);
        let deploy: Deploy = typed(schema, &tree, "deploy")?;
        let version = AppVersion::of(&deploy, edition);
        if edition.configuration == Configuration::File {
            add_required_keys(&mut tree, &deploy, version, edition);
        }
        let mut settings = Self {
            cluster: typed(schema, &tree, "cluster")?,
            openhands: openhands(schema, &tree)?,
            deploy,
            secrets: secrets.sources,
            files: secrets.files,
            keys: secrets.keys,
            filled: secrets.filled,
            parts: secrets.parts,
            env,
            extra_objects: Vec::new(),
            tree,
            schema: Arc::clone(schema),
            edition,
            version,
            key_sources: KeySources::default(),
        };
        fill_resources(&mut settings.deploy.resources);
        leave_replicas_to_the_autoscaler(&mut settings.deploy);
        Ok(settings)
    }

    /// Namespace of the sandboxes, also of those that an earlier edition of the installation has left.
    #[must_use]
    pub fn runtime_namespace(&self) -> &str {
        let namespace = self.openhands.kubernetes.namespace.as_ref();
        namespace.map_or(self.deploy.namespace.as_str(), |namespace| namespace.as_str())
    }

    /// Returns a host that a sandbox could have. Each conversation has a host of its own.
    #[must_use]
    pub fn sandbox_host(&self) -> String {
        format!("conversation.{}", self.openhands.kubernetes.ingress_domain)
    }

    /// Replaces known secrets in a text, because a container's output may contain them.
    #[must_use]
    pub fn redacted(&self, text: &str) -> String {
        assignment::without_keys(&self.known_secrets().text(text)).into_owned()
    }

    /// Returns the secrets whose values are known, to hide them in every output. A short value that is public at another
    /// place of the configuration is not hidden: a database password `openhands` would make every object's name
    /// unreadable, and the key `ollama` the model's.
    #[must_use]
    pub fn known_secrets(&self) -> Mask {
        let values = self.sources().filter_map(|(_, source)| match source {
            SecretSource::Value(value) => Some(value.expose()),
            SecretSource::NotRead(_) | SecretSource::Placeholder | SecretSource::Reference { .. } => None,
        });
        let names = [self.deploy.name.as_str(), self.deploy.namespace.as_str(), self.runtime_namespace()];
        let written = self.app_config_toml();
        let config = assignment::without_keys(&written);
        let is_public = |value: &str| {
            let is_word = value.len() < MIN_HIDDEN && config.contains(value);
            names.contains(&value) || self.cluster.name.as_str() == value || is_word
        };
        let mut mask = Mask::default();
        let in_config = assignment::key_ranges(&written).into_iter().map(|range| &written[range]);
        for value in in_config.filter(|value| !is_public(value)) {
            mask.add(value);
        }
        let parts = self.parts.iter().map(Redacted::expose);
        for value in values.chain(parts).filter(|value| !is_public(value)) {
            mask.add(value);
            let inside = assignment::ranges(value).into_iter().map(|range| &value[range]);
            for part in inside.filter(|part| !is_public(part)) {
                mask.add(part);
            }
        }
        self.secrets_of_manifests()
            .iter()
            .filter(|value| !is_public(value))
            .for_each(|value| mask.add(value));
        mask
    }

    /// Returns the secrets that the user's own objects have in clear text. A word that an object has elsewhere, too, may be
    /// a name.
    fn secrets_of_manifests(&self) -> Vec<String> {
        let manifests = || self.extra_objects.iter().map(|extra| &extra.manifest);
        let mut secrets = manifests().flat_map(literal_secret::literal_secrets).peekable();
        if secrets.peek().is_none() {
            return Vec::new();
        }
        let mut elsewhere = BTreeSet::new();
        for manifest in manifests() {
            let kind = manifest["kind"].as_str().unwrap_or_default();
            references::collect_strings(&literal_secret::masked(kind, manifest), &mut elsewhere);
        }
        let values = secrets.map(|secret| secret.expose().to_owned());
        values.filter(|value| value.len() >= MIN_HIDDEN && !elsewhere.contains(value)).collect()
    }

    /// Returns every secret with the name of its variable or file, or with its key in config.toml.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &SecretSource)> {
        self.secrets.iter().chain(&self.files).chain(&self.keys).map(|(name, source)| (name.as_str(), source))
    }

    /// Returns the secrets that the application's container gets, with the names of their variables and files, and their
    /// keys in config.toml. An application without config.toml gets those of `[deploy].env`; the others go to its API.
    pub fn container_sources(&self) -> impl Iterator<Item = (&str, &SecretSource)> {
        let reads_file = self.edition.configuration == Configuration::File;
        self.sources().filter(move |(name, _)| reads_file || self.entry(&["deploy", "env", name]).is_some())
    }

    /// Returns the secret variables of the application's container.
    pub fn container_variables(&self) -> impl Iterator<Item = (&str, &SecretSource)> {
        self.container_sources().filter(|(name, _)| self.secrets.contains_key(*name))
    }

    /// Returns the application's config.toml with the secrets that no variable reaches; None if it has none.
    #[must_use]
    pub fn secret_app_config(&self) -> Option<Redacted> {
        if self.keys.is_empty() || self.edition.configuration == Configuration::Api {
            return None;
        }
        let mut tables = self.app_tables();
        for (path, SecretData(data)) in &self.filled {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let node = Node { data: data.clone(), position: KeyPosition::handsctl() };
            tree::put(&mut tables, &path, KeyPosition::handsctl(), node);
        }
        Some(Redacted::new(toml_writer::document(&tables)))
    }

    /// Whether the application stores state on its own volume.
    #[must_use]
    pub fn needs_volume(&self) -> bool {
        if self.edition.configuration == Configuration::Api {
            return true;
        }
        let has_local_database = self.version.is_at_least(0, 60) && self.deploy.database.host.is_none();
        self.deploy.storage.kind == StorageKind::Local || has_local_database
    }

    /// Whether several pods can share the state.
    #[must_use]
    pub fn shares_state(&self) -> bool {
        !self.needs_volume() && self.version.is_at_least(0, 60)
    }

    /// Tolerations of the sandboxes.
    #[must_use]
    pub fn sandbox_tolerations(&self) -> Vec<serde_json::Value> {
        self.openhands
            .kubernetes
            .tolerations_yaml
            .as_deref()
            .map_or_else(Vec::new, sandbox_tolerations::entries)
    }

    /// The edition of OpenHands.
    #[must_use]
    pub fn edition(&self) -> &'static Edition {
        self.edition
    }

    /// The application's version: `[deploy].version`, otherwise that of the image's tag; 1.6 if the tag is not a version.
    #[must_use]
    pub fn app_version(&self) -> AppVersion {
        self.version
    }

    /// Returns the application's version in an image, such as that of a running pod. `[deploy].version` describes the
    /// configured image, and those whose tags tell no version: an image of before is more likely of this version than of
    /// the newest one.
    #[must_use]
    pub fn version_of(&self, image: &ImageRef) -> AppVersion {
        let is_told = image.version().is_none() && self.deploy.version.is_some();
        if *image == self.deploy.image || is_told {
            self.version
        } else {
            AppVersion::from_image(image, self.edition)
        }
    }

    /// Returns the application's config.toml: the configured keys and those that it needs, sorted, without secrets.
    #[must_use]
    pub fn app_config_toml(&self) -> String {
        toml_writer::document(&self.app_tables())
    }

    /// Whether the application's config.toml has this table.
    pub(super) fn writes_table(&self, name: &str) -> bool {
        self.app_tables().contains_key(name)
    }

    fn app_tables(&self) -> Table {
        let mut tables = self.tree.clone();
        tables.retain(|name, _| name != "cluster" && name != "deploy");
        left_out::remove_newer(&self.schema, &mut tables, self.version);
        remove_secrets(&self.schema, &mut tables);
        tables.retain(|name, entry| !is_without_effect(name, &entry.node.data));
        tables
    }

    /// Returns the position of the effective value of a dotted key (`deploy.image`); None if the user did not set it.
    #[must_use]
    pub fn locate(&self, key: &str) -> Option<Location> {
        self.locate_path(&key.split('.').collect::<Vec<_>>())
    }

    /// The same as `locate`, for names that may contain dots.
    pub(super) fn locate_path(&self, path: &[&str]) -> Option<Location> {
        let entry = self.entry(path)?;
        let position = match entry.node.data {
            Data::Table(_) => &entry.key,
            _ => &entry.node.position,
        };
        (!matches!(position.layer, SourceLayer::Handsctl | SourceLayer::Profile(_)))
            .then(|| position.location.clone())
    }

    /// Whether an object comes from `[deploy].extra_manifests`.
    #[must_use]
    pub fn has_extra_object(&self, id: &ObjectId) -> bool {
        let namespace =
            |id: &ObjectId| id.namespace.clone().unwrap_or_else(|| self.deploy.namespace.to_string());
        self.extra_objects.iter().filter_map(|extra| ObjectId::from_object(&extra.manifest)).any(|extra| {
            (&extra.group, &extra.kind, &extra.name) == (&id.group, &id.kind, &id.name)
                && namespace(&extra) == namespace(id)
        })
    }

    /// Describes keys that decide about a failure. A secret's value is not located, because its line would be shown.
    #[must_use]
    pub fn config_keys(&self, keys: &[String]) -> Vec<ConfigKey> {
        let origins = self.origins();
        let describe = |key: &String| {
            let path: Vec<&str> = key.split('.').collect();
            let is_secret = self.entry(&path).is_some_and(|entry| matches!(entry.node.data, Data::Secret));
            let known = origins.iter().find(|known| known.key == *key);
            let value = known.map(|known| known.value.clone());
            let location = if is_secret { None } else { self.locate_path(&path) };
            let preset = known.filter(|_| location.is_none()).map(|known| known.origin.describe());
            ConfigKey { key: key.clone(), value, location, preset }
        };
        keys.iter().map(describe).collect()
    }

    /// Returns every key that has a value, in alphabetical order.
    #[must_use]
    pub fn origins(&self) -> Vec<KeyValue> {
        let mut values = BTreeMap::new();
        let defaults = [
            ("cluster", toml::Value::try_from(&self.cluster)),
            ("deploy", toml::Value::try_from(&self.deploy)),
            ("openhands", toml::Value::try_from(&self.openhands)),
        ];
        for (name, value) in defaults {
            let Ok(toml::Value::Table(table)) = value else { continue };
            let table = default_tree(table);
            let mut path = if name == "openhands" { Vec::new() } else { vec![name] };
            leaves(&table, &mut path, &mut |key, node| {
                values.insert(
                    key.clone(),
                    KeyValue { key, value: shown(&node.data), origin: KeyOrigin::Default },
                );
            });
        }
        leaves(&self.tree, &mut Vec::new(), &mut |key, node| {
            let value = shown(&node.data);
            values.insert(
                key.clone(),
                KeyValue { key, value, origin: KeyOrigin::from_position(&node.position) },
            );
        });
        for setting in self.overriding_variables(&self.schema) {
            values.insert(setting.key.clone(), setting);
        }
        values.into_values().collect()
    }

    /// Lowers both cpu requests to 250m for a local cluster, which shares the cpus of this computer, unless they are
    /// set.
    #[must_use]
    pub fn for_local_cluster(mut self, is_local: bool) -> Self {
        if !is_local {
            return self;
        }
        if !self.is_set(&["deploy", "resources", "requests", "cpu"]) {
            let local = Quantity::from_static(LOCAL_CPU);
            let limit = self.deploy.resources.limits.cpu.clone();
            let request = limit.filter(|limit| *limit < local).unwrap_or(local);
            self.write(&["deploy", "resources", "requests", "cpu"], request.as_str());
            self.deploy.resources.requests.cpu = Some(request);
        }
        if !self.is_set(&["kubernetes", "resource_cpu_request"]) {
            self.write(&["kubernetes", "resource_cpu_request"], LOCAL_CPU);
            self.openhands.kubernetes.resource_cpu_request = Quantity::from_static(LOCAL_CPU);
        }
        self
    }

    /// Replaces the value of each secret by a placeholder. The values stay hidden in every output.
    #[must_use]
    pub fn with_placeholders(mut self) -> Self {
        let sources = self.secrets.values_mut().chain(self.files.values_mut()).chain(self.keys.values_mut());
        for source in sources {
            if let SecretSource::Value(value) = source {
                self.parts.push(value.clone());
                *source = SecretSource::Placeholder;
            }
        }
        for (_, SecretData(data)) in &mut self.filled {
            replace_texts(data, SecretSource::PLACEHOLDER);
        }
        self
    }

    pub(super) fn entry(&self, path: &[&str]) -> Option<&TreeEntry> {
        tree::find(&self.tree, path)
    }

    pub(super) fn tree(&self) -> &Table {
        &self.tree
    }

    /// Whether the key has a value; an empty string is none.
    pub(super) fn is_set(&self, path: &[&str]) -> bool {
        self.entry(path).is_some_and(|entry| entry.node.data.as_text() != Some(""))
    }

    fn write(&mut self, path: &[&str], text: &str) {
        write_text(&mut self.tree, path, text);
    }
}

/// Returns a value as TOML, without what looks like a secret.
fn shown(data: &Data) -> String {
    toml_writer::inline(&without_secrets(data))
}

fn without_secrets(data: &Data) -> Data {
    match data {
        Data::Text(text) => Data::Text(assignment::masked(text).into_owned()),
        Data::List(items) => {
            let item = |node: &Node| Node { data: without_secrets(&node.data), ..node.clone() };
            Data::List(items.iter().map(item).collect())
        }
        Data::Table(table) => {
            let entry = |(name, entry): (&String, &TreeEntry)| {
                let node = Node { data: without_secrets(&entry.node.data), ..entry.node.clone() };
                (name.clone(), TreeEntry { node, ..entry.clone() })
            };
            Data::Table(table.iter().map(entry).collect())
        }
        data => data.clone(),
    }
}

impl std::fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(location) => write!(f, "{location}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Set => f.write_str("--set"),
            Self::Flag => f.write_str("flag"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Handsctl => f.write_str("handsctl"),
        }
    }
}

impl KeyOrigin {
    /// Describes the origin behind a value: `default`, `set by handsctl`.
    fn describe(&self) -> String {
        match self {
            Self::Handsctl => format!("set by {self}"),
            origin => origin.to_string(),
        }
    }

    pub(super) fn from_position(position: &KeyPosition) -> Self {
        match &position.layer {
            SourceLayer::File => Self::File(position.location.clone()),
            SourceLayer::Environment(name) => Self::Environment(name.clone()),
            SourceLayer::Set => Self::Set,
            SourceLayer::Flag => Self::Flag,
            SourceLayer::Profile(name) => Self::Profile(name),
            SourceLayer::Handsctl => Self::Handsctl,
        }
    }
}

fn write_text(tree: &mut Table, path: &[&str], text: &str) {
    let node = Node { data: Data::Text(text.to_owned()), position: KeyPosition::handsctl() };
    tree::put(tree, path, KeyPosition::handsctl(), node);
}

/// Adds the presets of the profile for keys that no source sets.
fn apply_profile(tree: &mut Table, secrets: &mut ResolvedSecrets) {
    let name = tree::find(tree, &["deploy", "profile"]).and_then(|entry| entry.node.data.as_text());
    let Some(profile) = name.and_then(Profile::from_name) else { return };
    for (path, value) in profile.presets() {
        if tree::find(tree, path).is_none() {
            let position =
                KeyPosition { layer: SourceLayer::Profile(profile.name()), ..KeyPosition::handsctl() };
            let node = Node { data: Data::Text((*value).to_owned()), position: position.clone() };
            tree::put(tree, path, position, node);
        }
    }
    // An empty string means that there is no key file.
    let is_set = tree::find(tree, &["deploy", "storage", "credentials", "key_json"]).is_some();
    if let Some(key_file) = profile.key_file().filter(|_| !is_set) {
        secrets.files.insert(KEY_FILE.to_owned(), key_file);
    }
}

/// Returns the edition that the keys choose. An invalid value was removed from the tree.
pub(super) fn chosen_edition(tree: &Table) -> &'static Edition {
    let text = |key: &str| {
        tree::find(tree, &["deploy", key])
            .and_then(|entry| entry.node.data.as_text())
            .filter(|text| !text.is_empty())
    };
    let choice = text("edition").map(|name| EditionChoice::deserialize(toml::Value::String(name.to_owned())));
    let choice = choice.and_then(std::result::Result::ok).unwrap_or(EditionChoice::Auto);
    let image = text("image").and_then(|image| ImageRef::parse(image).ok());
    choice.edition(image.as_ref())
}

/// Adds the edition's image and the size of its volume for keys that no source sets. `classic` is the default of both.
fn apply_edition(tree: &mut Table, edition: &Edition) {
    let set = |tree: &Table, key: &str| {
        tree::find(tree, &["deploy", key]).is_some_and(|entry| entry.node.data.as_text() != Some(""))
    };
    if *edition == CLASSIC {
        return;
    }
    for (key, value) in [("image", edition.image), ("storage_size", edition.state_size)] {
        if !set(tree, key) {
            write_text(tree, &["deploy", key], value);
        }
    }
}

/// Adds keys that the application needs.
fn add_required_keys(tree: &mut Table, deploy: &Deploy, version: AppVersion, edition: &Edition) {
    let absent = |tree: &Table, path: &[&str]| {
        tree::find(tree, path).is_none_or(|entry| entry.node.data.as_text() == Some(""))
    };
    if absent(tree, &["core", "runtime"]) {
        write_text(tree, &["core", "runtime"], "kubernetes");
    }
    if absent(tree, &["kubernetes", "namespace"]) {
        write_text(tree, &["kubernetes", "namespace"], deploy.namespace.as_str());
    }
    let image = ["sandbox", "runtime_container_image"];
    if absent(tree, &image)
        && let Some(runtime) = version.runtime_image(edition)
    {
        write_text(tree, &image, &runtime);
    }
}

/// Leaves `spec.replicas` to the autoscaler: otherwise deploy and autoscaler would overwrite each other's value.
fn leave_replicas_to_the_autoscaler(deploy: &mut Deploy) {
    let Some(autoscaling) = &deploy.autoscaling else { return };
    deploy.replicas = autoscaling.min;
    if let Ok(field) = OwnedField::parse(&format!("deployment/{}:spec.replicas", deploy.name)) {
        deploy.ownership.entry(field).or_insert(OwnershipRule::Yield);
    }
}

/// Fills in the default requests and limits, without putting a request above its limit.
fn fill_resources(resources: &mut Resources) {
    let cpu = Quantity::from_static("500m");
    let memory = Quantity::from_static("1Gi");
    let default_limit = Quantity::from_static("4Gi");
    if resources.requests.cpu.is_none() {
        resources.requests.cpu = resources.limits.cpu.clone().filter(|limit| *limit < cpu).or(Some(cpu));
    }
    if resources.requests.memory.is_none() {
        let limit = resources.limits.memory.clone();
        resources.requests.memory = limit.filter(|limit| *limit < memory).or(Some(memory));
    }
    if resources.limits.memory.is_none() {
        let request = resources.requests.memory.clone();
        resources.limits.memory = request.filter(|request| *request > default_limit).or(Some(default_limit));
    }
}

fn typed<T: for<'de> Deserialize<'de> + Default>(schema: &TableShape, tree: &Table, name: &str) -> Result<T> {
    let Some(TreeEntry { node: Node { data: Data::Table(table), .. }, .. }) = tree.get(name) else {
        return Ok(T::default());
    };
    let shape = match schema.inner(name) {
        Some(Shape::Table(shape)) => Some(shape),
        _ => None,
    };
    T::deserialize(toml::Value::Table(to_toml_table(shape, table)))
        .map_err(|error| Error::internal(format!("cannot parse [{name}]")).caused_by(error))
}

fn openhands(schema: &TableShape, tree: &Table) -> Result<OpenHands> {
    Ok(OpenHands {
        core: typed(schema, tree, "core")?,
        llm: typed(schema, tree, "llm")?,
        agent: typed(schema, tree, "agent")?,
        sandbox: typed(schema, tree, "sandbox")?,
        kubernetes: typed(schema, tree, "kubernetes")?,
        security: typed(schema, tree, "security")?,
        condenser: typed(schema, tree, "condenser")?,
        mcp: typed(schema, tree, "mcp")?,
        extended: typed(schema, tree, "extended")?,
        model_routing: typed(schema, tree, "model_routing")?,
    })
}

/// Returns a table for serde, without secrets and without empty strings that mean "not set".
fn to_toml_table(shape: Option<&TableShape>, table: &Table) -> toml::Table {
    let mut out = toml::Table::new();
    for (name, entry) in table {
        let key = shape.and_then(|shape| shape.keys.get(name));
        let inner = shape.and_then(|shape| shape.inner(name));
        let unset = key.is_some_and(|key| key.nullable) && entry.node.data.as_text() == Some("");
        let secret = matches!(inner, Some(Shape::Reference { secret: true }));
        if let Some(value) = to_toml(inner, &entry.node.data).filter(|_| !unset && !secret) {
            out.insert(name.clone(), value);
        }
    }
    out
}

fn to_toml(shape: Option<&Shape>, data: &Data) -> Option<toml::Value> {
    Some(match data {
        Data::Text(text) => toml::Value::String(text.clone()),
        Data::Integer(number) => toml::Value::Integer(*number),
        Data::Float(number) => toml::Value::Float(*number),
        Data::Boolean(value) => toml::Value::Boolean(*value),
        Data::Datetime(value) => toml::Value::Datetime(*value),
        Data::List(items) => {
            toml::Value::Array(items.iter().filter_map(|item| to_toml(None, &item.data)).collect())
        }
        Data::Table(table) => {
            let inner = match shape {
                Some(Shape::Table(inner)) => Some(inner),
                _ => None,
            };
            toml::Value::Table(to_toml_table(inner, table))
        }
        Data::Secret | Data::TooLarge => return None,
    })
}

/// Removes every key that is a secret by its type or was moved, and tables that become empty.
fn remove_secrets(shape: &TableShape, table: &mut Table) {
    table.retain(|name, entry| {
        let inner = shape.inner(name);
        if matches!(entry.node.data, Data::Secret) || matches!(inner, Some(Shape::Reference { secret: true }))
        {
            return false;
        }
        if let (Some(Shape::Table(inner)), Data::Table(inner_table)) = (inner, &mut entry.node.data) {
            let length = inner_table.len();
            remove_secrets(inner, inner_table);
            return length == 0 || !inner_table.is_empty();
        }
        true
    });
}

/// Replaces every text in a value.
fn replace_texts(data: &mut Data, by: &str) {
    match data {
        Data::Text(text) => by.clone_into(text),
        Data::List(items) => items.iter_mut().for_each(|node| replace_texts(&mut node.data, by)),
        Data::Table(table) => table.values_mut().for_each(|entry| replace_texts(&mut entry.node.data, by)),
        _ => {}
    }
}

/// Returns whether one of the application's own tables is empty and equals an absent one. `config init` writes such
/// tables; if they were part of the file, its name would change and the pod would restart. An empty `[condenser]` means
/// type `noop`, whereas an absent one means the default type.
fn is_without_effect(name: &str, data: &Data) -> bool {
    name != "condenser" && matches!(data, Data::Table(table) if table.is_empty())
}

/// Converts typed values to a tree, for display.
fn default_tree(table: toml::Table) -> Table {
    let entry = |(name, value)| {
        let node = Node { data: data_of(value), position: KeyPosition::handsctl() };
        (name, TreeEntry { key: KeyPosition::handsctl(), node })
    };
    table.into_iter().map(entry).collect()
}

fn data_of(value: toml::Value) -> Data {
    match value {
        toml::Value::String(text) => Data::Text(text),
        toml::Value::Integer(number) => Data::Integer(number),
        toml::Value::Float(number) => Data::Float(number),
        toml::Value::Boolean(value) => Data::Boolean(value),
        toml::Value::Datetime(value) => Data::Datetime(value),
        toml::Value::Array(items) => {
            let node = |item| Node { data: data_of(item), position: KeyPosition::handsctl() };
            Data::List(items.into_iter().map(node).collect())
        }
        toml::Value::Table(table) => Data::Table(default_tree(table)),
    }
}

/// Visits every value of a table and its inner tables with its dotted key; a secret reference is one value.
fn leaves<'a>(table: &'a Table, path: &mut Vec<&'a str>, visit: &mut impl FnMut(String, &'a Node)) {
    for (name, entry) in table {
        path.push(name);
        match &entry.node.data {
            Data::Table(inner) if !is_reference(path, inner) => leaves(inner, path, visit),
            _ => visit(toml_key::dotted(path), &entry.node),
        }
        path.pop();
    }
}

fn is_reference(path: &[&str], table: &Table) -> bool {
    let keys: Vec<&str> = table.keys().map(String::as_str).collect();
    let has_reference_keys = matches!(keys[..], ["env" | "file"] | ["key", "secret"]);
    has_reference_keys && path.len() > 1
}
