//! Reads config files and files of secrets. Everything else in `settings` is pure.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::layer::{self, Parsed};
use super::schema::{TableShape, schema_shape};
use super::tree::{self, Data, KeyPosition, SourceLayer, Table};
use super::{bounded, check, diagnose};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;
use crate::reason;
use crate::settings::extra_manifests::{self, ExtraObject, FileObjects};
use crate::settings::resolved::{KeySources, ResolvedSecrets, Settings, chosen_edition};
use crate::settings::rules::{checker, exposure};
use crate::settings::secrets::extract::{self, Form, FoundSecret, FoundValue};
use crate::settings::secrets::value::{Redacted, Reference, SecretSource};

const DEFAULT_FILE: &str = "config.toml";
/// The largest config file, in MiB.
const CONFIG_LIMIT: u32 = 8;
/// The largest file of manifests, in MiB. The API server accepts objects of up to 3 MiB.
const MANIFEST_LIMIT: u32 = 32;
/// The largest secret, in MiB: that of a Secret.
const SECRET_LIMIT: u32 = 1;

/// The options of the command line.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--config`, in order; empty: `HANDSCTL_CONFIG`, else ./config.toml if it exists.
    pub files: Vec<PathBuf>,
    /// `--set KEY=VALUE`.
    pub set: Vec<String>,
    /// Flags that set a key.
    pub flags: Flags,
    /// A config file and the text that is read instead of its content: an edit that is not stored yet.
    pub edited: Option<(PathBuf, String)>,
}

/// Flags and arguments that set a key.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--name`.
    pub name: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// The name of the local cluster in `cluster up NAME`.
    pub cluster: Option<String>,
}

/// Settings without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configured values and defaults.
    pub settings: Settings,
    /// Diagnostics that do not stop the command.
    pub warnings: Vec<Diagnostic>,
    /// `config.toml  (12 keys set)`.
    pub summary: String,
    /// Whether there was a config file.
    pub from_file: bool,
}

/// Whether secrets are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SecretMode {
    Resolve,
    /// As `Resolve`, but a secret that is not available is no error.
    ResolveIfAvailable,
    Skip,
    /// As `Skip`, but a secret that a deploy could not read is a warning.
    Check,
    /// As `Skip`, and no rule about what a deploy would expose: the configuration is not applied.
    SkipUnapplied,
}

/// Reads and checks all settings. Relative paths are relative to `directory`; `environment` is that of the process.
///
/// # Errors
/// `Kind::Config` with all errors and warnings; `Kind::Internal` if the schema and the types differ.
pub fn read(request: &Request, environment: &[(String, String)], directory: &Path) -> Result<Loaded, Error> {
    load(request, environment, directory, SecretMode::Resolve)
}

/// The same for commands that send no secrets (`render`, `config show`): the variables and files of secrets need not
/// exist.
///
/// # Errors
/// As [`read`].
pub fn read_without_secrets(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
) -> Result<Loaded, Error> {
    load(request, environment, directory, SecretMode::Skip)
}

/// The same for commands that check the configuration before a deploy (`config check`): a secret that a deploy could not
/// read is a warning. Reads neither standard input nor a named pipe, because a deploy reads them only once.
///
/// # Errors
/// As [`read`].
pub fn read_checking_secrets(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
) -> Result<Loaded, Error> {
    load(request, environment, directory, SecretMode::Check)
}

/// The same for commands that do not apply the configuration, as it only names the set (`status`, `rollback`): that it
/// would expose the application is no error, because they must also work with a set that is exposed already.
///
/// # Errors
/// As [`read`].
pub fn read_unapplied(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
) -> Result<Loaded, Error> {
    load(request, environment, directory, SecretMode::SkipUnapplied)
}

/// Reads the secrets that are available. Any other is [`SecretSource::NotRead`], for `diff`, which compares the rest.
///
/// # Errors
/// As [`read`].
pub fn read_with_available_secrets(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
) -> Result<Loaded, Error> {
    load(request, environment, directory, SecretMode::ResolveIfAvailable)
}

/// Checks who would reach the application on a cluster that is not on this computer. Returns the warnings.
///
/// # Errors
/// `Kind::Config` if everybody would, and the configuration does not acknowledge it.
pub fn check_exposure_elsewhere(settings: &Settings) -> Result<Vec<Diagnostic>, Error> {
    diagnose::into_result(checker::exposure_elsewhere(settings), &[])
}

/// Returns the text of a `--set` with its secrets masked, for messages.
///
/// # Errors
/// The schema of the settings cannot be read.
pub fn masked_set(text: &str) -> Result<String, Error> {
    Ok(layer::masked_set(schema_shape()?.as_ref(), text))
}

fn load(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
    mode: SecretMode,
) -> Result<Loaded, Error> {
    let schema = schema_shape()?;
    let mut loader = Loader::default();
    loader.files(&schema, request, environment, directory);
    let variables = loader.add(&schema, layer::environment(&schema, environment));
    let set = request.set.iter().map(|text| loader.add(&schema, layer::set(&schema, text))).sum();
    loader.add(&schema, flags(&request.flags));

    let configuration = chosen_edition(&loader.tree).configuration;
    let mut extracted = extract::extract(&schema, &mut loader.tree, configuration);
    loader.diagnostics.append(&mut extracted.diagnostics);
    let mut sources = SecretSources { environment, directory, standard_input: None };
    let secrets = match mode {
        SecretMode::Resolve | SecretMode::ResolveIfAvailable => {
            loader.resolve(extracted.secrets, sources, mode)
        }
        SecretMode::Check => {
            loader.diagnostics.extend(unavailable(&extracted.secrets, &mut sources));
            without_values(extracted.secrets, sources)
        }
        SecretMode::Skip | SecretMode::SkipUnapplied => without_values(extracted.secrets, sources),
    };
    let tree = std::mem::take(&mut loader.tree);
    let mut settings = Settings::assemble(&schema, tree, secrets, extracted.plain)?;
    settings.extra_objects = loader.extra_manifests(&settings, directory);
    // The content of a file with syntax errors is unknown, so rules would report false contradictions.
    if !loader.broken {
        loader.diagnostics.extend(checker::check_all(&schema, &settings, &loader.wrong));
    }
    if mode == SecretMode::SkipUnapplied {
        loader.diagnostics.retain(|diagnostic| !exposure::is_about_exposure(diagnostic.id));
    }
    let warnings = diagnose::into_result(loader.diagnostics, &loader.names)?;
    settings.key_sources = KeySources { has_file: !loader.names.is_empty(), variables, set };
    let summary = diagnose::summary(&loader.names, loader.keys, settings.key_sources, warnings.len());
    Ok(Loaded { from_file: settings.key_sources.has_file, settings, warnings, summary })
}

fn flags(flags: &Flags) -> Parsed {
    let mut parsed = Parsed::default();
    if let Some(name) = &flags.name {
        layer::flag(&mut parsed.table, "--name", &["deploy", "name"], name);
    }
    if let Some(namespace) = &flags.namespace {
        layer::flag(&mut parsed.table, "--namespace", &["deploy", "namespace"], namespace);
    }
    if let Some(cluster) = &flags.cluster {
        layer::flag(&mut parsed.table, "NAME", &["cluster", "name"], cluster);
    }
    parsed
}

/// Returns the secrets without their values. A variable that is set and a file are not used, but their values are hidden
/// in every output: the cluster's texts may contain them.
fn without_values(secrets: Vec<FoundSecret>, mut sources: SecretSources<'_>) -> ResolvedSecrets {
    let mut resolved = ResolvedSecrets::default();
    for FoundSecret { variable, path, form, value, position } in secrets {
        let mut filled = None;
        let source = match value {
            FoundValue::Literal(literal) => SecretSource::Value(literal),
            FoundValue::Reference(Reference::Secret { secret, key }) => {
                SecretSource::Reference { secret, key }
            }
            FoundValue::Reference(reference) => {
                resolved.parts.extend(sources.available(&reference, &position));
                SecretSource::NotRead(vec![reference])
            }
            FoundValue::Composed(node) => {
                if let Ok(composed) =
                    extract::compose(&node, |_, reference| Err::<Redacted, Reference>(reference))
                {
                    resolved.parts.extend(composed.parts);
                    filled = Some(composed.filled);
                    SecretSource::Value(composed.literal)
                } else {
                    let references = extract::references(&node);
                    let values =
                        references.iter().filter_map(|reference| sources.available(reference, &position));
                    resolved.parts.extend(values);
                    SecretSource::NotRead(references)
                }
            }
        };
        resolved.insert(form, variable, path, source, filled);
    }
    resolved
}

/// Returns a warning for each secret that a deploy could not read.
fn unavailable(secrets: &[FoundSecret], sources: &mut SecretSources<'_>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for FoundSecret { variable, form, value, position, .. } in secrets {
        let check: SecretCheck = match value {
            FoundValue::Composed(_) => Redacted::checked_part,
            FoundValue::Literal(_) | FoundValue::Reference(_) => Redacted::checked,
        };
        let mut checked = |name: &str, reference: &Reference| {
            if !sources.is_repeatable(reference, position) {
                return Ok(Redacted::new(""));
            }
            if *form == Form::File {
                return sources.look_up(reference, position);
            }
            sources.checked(name, reference, position, check)
        };
        let checked = match value {
            FoundValue::Literal(_) => Ok(()),
            FoundValue::Reference(reference) => checked(variable, reference).map(drop),
            FoundValue::Composed(node) => {
                extract::compose(node, |name, reference| checked(name, &reference)).map(drop)
            }
        };
        if let Err(reason) = checked {
            warnings.push(Diagnostic {
                id: Id::SecretNotReadable,
                severity: Severity::Warning,
                message: format!("`handsctl deploy` would fail: it could not read the secret {variable}"),
                location: Some(position.location.clone()),
                label: reason,
                masked: false,
            });
        }
    }
    warnings
}

/// Returns the config files, and whether they may be absent: those of `--config`, else those of `HANDSCTL_CONFIG`, else
/// ./config.toml.
#[must_use]
pub fn config_files(typed: &[PathBuf], environment: &[(String, String)]) -> (Vec<PathBuf>, bool) {
    let mut files = typed.to_vec();
    if files.is_empty()
        && let Some((_, value)) = environment.iter().find(|(name, _)| name == "HANDSCTL_CONFIG")
    {
        files = std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect();
    }
    let optional = files.is_empty();
    if optional {
        files.push(PathBuf::from(DEFAULT_FILE));
    }
    (files, optional)
}

#[derive(Default)]
struct Loader {
    tree: Table,
    diagnostics: Vec<Diagnostic>,
    /// Paths of the config files, as the user gave them.
    names: Vec<String>,
    /// Number of keys in the config files.
    keys: usize,
    /// Dotted keys with invalid values.
    wrong: Vec<String>,
    broken: bool,
}

impl Loader {
    /// Adds a layer, and returns the number of its valid keys.
    fn add(&mut self, schema: &TableShape, mut parsed: Parsed) -> usize {
        self.diagnostics.append(&mut parsed.diagnostics);
        let mut checked = check::check(schema, &mut parsed.table);
        self.diagnostics.append(&mut checked.diagnostics);
        self.wrong.append(&mut checked.wrong);
        self.broken |= parsed.broken;
        let keys = tree::count(&parsed.table);
        tree::merge(schema, &mut self.tree, parsed.table);
        keys
    }

    fn files(
        &mut self,
        schema: &TableShape,
        request: &Request,
        environment: &[(String, String)],
        directory: &Path,
    ) {
        let (files, optional) = config_files(&request.files, environment);
        for file in files {
            let name = file.display().to_string();
            let edited = request.edited.as_ref().filter(|(path, _)| *path == file);
            let content = edited.map_or_else(
                || File::open(directory.join(&file)).and_then(|file| bounded::read(file, CONFIG_LIMIT)),
                |(_, text)| Ok(text.clone().into_bytes()),
            );
            match content {
                Ok(bytes) => self.file(schema, &name, bytes),
                Err(error) if optional && error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.unreadable(format!("cannot read {name}: {}", reason::of_io(&error))),
            }
        }
    }

    fn file(&mut self, schema: &TableShape, name: &str, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => {
                let parsed = layer::file(schema, name, &text);
                self.keys += tree::count(&parsed.table);
                self.add(schema, parsed);
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.unreadable(format!("cannot read {name}: byte {at} is not UTF-8"));
            }
        }
        self.names.push(name.to_owned());
    }

    /// Reads the objects in the files of `[deploy].extra_manifests`.
    fn extra_manifests(&mut self, settings: &Settings, directory: &Path) -> Vec<ExtraObject> {
        let files = settings.entry(&["deploy", "extra_manifests"]).map(|entry| &entry.node.data);
        let Some(Data::List(files)) = files else { return Vec::new() };
        let mut objects = Vec::new();
        for node in files {
            let Some(written) = node.data.as_text() else { continue };
            let at = base(&node.position.layer, &node.position.location.source.name, directory).join(written);
            let named_at = Some(node.position.location.clone());
            let files = match manifests(&at, written, &shown(&at, directory)) {
                Ok(files) => files.iter().map(|(name, text)| extra_manifests::objects(name, text)).collect(),
                Err(mistake) => vec![FileObjects { mistakes: vec![mistake], ..FileObjects::default() }],
            };
            for FileObjects { objects: read, mistakes } in files {
                let object =
                    |(source, manifest)| ExtraObject { source, manifest, listed_at: named_at.clone() };
                objects.extend(read.into_iter().map(object));
                self.diagnostics.extend(mistakes.into_iter().map(|message| Diagnostic {
                    id: Id::ExtraManifest,
                    severity: Severity::Error,
                    message,
                    location: named_at.clone(),
                    label: String::new(),
                    masked: false,
                }));
            }
        }
        objects
    }

    fn unreadable(&mut self, message: String) {
        self.broken = true;
        self.diagnostics.push(Diagnostic {
            id: Id::ConfigUnreadable,
            severity: Severity::Error,
            message,
            location: None,
            label: String::new(),
            masked: false,
        });
    }

    fn resolve(
        &mut self,
        secrets: Vec<FoundSecret>,
        mut sources: SecretSources<'_>,
        mode: SecretMode,
    ) -> ResolvedSecrets {
        let mut resolved = ResolvedSecrets::default();
        for FoundSecret { variable, path, form, value, position } in secrets {
            let mut filled = None;
            let references = match &value {
                FoundValue::Literal(_) => Vec::new(),
                FoundValue::Reference(reference) => vec![reference.clone()],
                FoundValue::Composed(node) => extract::references(node),
            };
            let source = match value {
                FoundValue::Literal(literal) => Ok(SecretSource::Value(literal)),
                FoundValue::Reference(Reference::Secret { secret, key }) => {
                    Ok(SecretSource::Reference { secret, key })
                }
                FoundValue::Reference(reference) => {
                    let secret = match form {
                        Form::Variable | Form::Key => {
                            sources.checked(&variable, &reference, &position, Redacted::checked)
                        }
                        Form::File => sources.look_up(&reference, &position),
                    };
                    secret.map(SecretSource::Value)
                }
                FoundValue::Composed(node) => {
                    let checked = |name: &str, reference: Reference| {
                        sources.checked(name, &reference, &position, Redacted::checked_part)
                    };
                    extract::compose(&node, checked).map(|composed| {
                        resolved.parts.extend(composed.parts);
                        filled = Some(composed.filled);
                        SecretSource::Value(composed.literal)
                    })
                }
            };
            match source {
                Ok(source) => {
                    resolved.insert(form, variable, path, source, filled);
                }
                Err(_) if mode == SecretMode::ResolveIfAvailable => {
                    resolved.insert(form, variable, path, SecretSource::NotRead(references), None);
                }
                Err(reason) => self.diagnostics.push(Diagnostic {
                    id: Id::SecretUnavailable,
                    severity: Severity::Error,
                    message: format!("cannot read the secret {variable}"),
                    location: Some(position.location),
                    label: reason,
                    masked: false,
                }),
            }
        }
        resolved
    }
}

/// Returns the displayed names and texts of the manifest files at a path: one file, or those of a folder. `shown` is the path
/// in an error.
fn manifests(at: &Path, written: &str, shown: &str) -> Result<Vec<(String, String)>, String> {
    let failed = |name: &str, error: std::io::Error| format!("cannot read {name}: {}", reason::of_io(&error));
    if !at.is_dir() {
        let text = read_text(at, MANIFEST_LIMIT).map_err(|error| failed(shown, error))?;
        return Ok(vec![(written.to_owned(), text)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(at).map_err(|error| failed(shown, error))? {
        let path = entry.map_err(|error| failed(shown, error))?.path();
        let is_manifest = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{shown} contains no .yaml, .yml or .json file"));
    }
    let read = |path: PathBuf| {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{}/{file}", written.trim_end_matches('/'));
        let shown = format!("{}/{file}", shown.trim_end_matches('/'));
        let text = read_text(&path, MANIFEST_LIMIT).map_err(|error| failed(&shown, error))?;
        Ok((name, text))
    };
    files.into_iter().map(read).collect()
}

/// The sources of secrets on this computer.
struct SecretSources<'a> {
    environment: &'a [(String, String)],
    directory: &'a Path,
    /// The secret from standard input, which can be read only once.
    standard_input: Option<Result<Redacted, String>>,
}

/// Checks a secret for the variable or key of this name.
type SecretCheck = fn(Redacted, &str) -> Result<Redacted, String>;

impl SecretSources<'_> {
    /// Whether a source on this computer can be read now and once more later.
    fn is_repeatable(&self, reference: &Reference, position: &KeyPosition) -> bool {
        match reference {
            Reference::Env { .. } => true,
            Reference::File { file } if file == Reference::STANDARD_INPUT => false,
            Reference::File { file } => {
                let folder = base(&position.layer, &position.location.source.name, self.directory);
                // A missing file and a folder give an error without a read.
                std::fs::metadata(folder.join(file)).map_or(true, |file| file.is_file() || file.is_dir())
            }
            Reference::Secret { .. } => false,
        }
    }

    /// Returns a secret that can be read now and once more later.
    fn available(&mut self, reference: &Reference, position: &KeyPosition) -> Option<Redacted> {
        if self.is_repeatable(reference, position) { self.look_up(reference, position).ok() } else { None }
    }

    /// Reads a secret that becomes the variable or the key `name`.
    fn checked(
        &mut self,
        name: &str,
        reference: &Reference,
        position: &KeyPosition,
        check: SecretCheck,
    ) -> Result<Redacted, String> {
        let secret = self.look_up(reference, position)?;
        check(secret, name).map_err(|reason| format!("{reference}: {reason}"))
    }

    fn look_up(&mut self, reference: &Reference, position: &KeyPosition) -> Result<Redacted, String> {
        match reference {
            Reference::Env { env } => from_variable(self.environment, env),
            Reference::File { file } if file == Reference::STANDARD_INPUT => {
                self.standard_input.get_or_insert_with(from_standard_input).clone()
            }
            Reference::File { file } => {
                let folder = base(&position.layer, &position.location.source.name, self.directory);
                let path = folder.join(file);
                from_file(&path, &shown(&path, self.directory))
            }
            Reference::Secret { secret, .. } => Err(format!("Secret {secret} is read only by the container")),
        }
    }
}

/// Returns the folder that a path is relative to: that of the config file, so that it works from every directory.
fn base(layer: &SourceLayer, name: &str, directory: &Path) -> PathBuf {
    match (layer, Path::new(name).parent()) {
        (SourceLayer::File, Some(folder)) => directory.join(folder),
        _ => directory.to_owned(),
    }
}

/// Returns a path as seen from the directory in which the command runs: a file may stand beside a config file elsewhere.
fn shown(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

fn from_variable(environment: &[(String, String)], name: &str) -> Result<Redacted, String> {
    match environment.iter().find(|(variable, _)| variable == name) {
        Some((_, value)) => trimmed(value, &format!("the environment variable {name}")),
        None => Err(format!("the environment variable {name} is not set: export {name}=…")),
    }
}

fn from_file(path: &Path, written: &str) -> Result<Redacted, String> {
    let text = read_text(path, SECRET_LIMIT)
        .map_err(|error| format!("cannot read {written}: {}", reason::of_io(&error)))?;
    trimmed(&text, written)
}

fn read_text(path: &Path, limit: u32) -> std::io::Result<String> {
    bounded::read_text(File::open(path)?, limit)
}

fn from_standard_input() -> Result<Redacted, String> {
    if std::io::stdin().is_terminal() {
        return Err("standard input is a terminal: pipe the secret into the command".to_owned());
    }
    let text = bounded::read_text(std::io::stdin(), SECRET_LIMIT)
        .map_err(|error| format!("cannot read standard input: {}", reason::of_io(&error)))?;
    trimmed(&text, "standard input")
}

/// Returns a secret without line breaks at its ends and byte order marks. A secret from a file can be one of several
/// lines.
fn trimmed(text: &str, source: &str) -> Result<Redacted, String> {
    let secret = Redacted::trimmed(text);
    if secret.expose().is_empty() { Err(format!("{source} is empty")) } else { Ok(secret) }
}
