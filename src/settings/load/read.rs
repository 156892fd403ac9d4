//! The reads: config files, and files that hold secrets. Everything else of this folder is pure.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::layer::{self, Parsed};
use super::schema::{TableShape, schema_shape};
use super::tree::{self, Data, KeyPlace, SourceLayer, Table};
use super::{check, diagnose};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;
use crate::settings::extra_manifests::{self, ExtraObject};
use crate::settings::resolved::{ResolvedSecrets, Settings};
use crate::settings::rules::checker;
use crate::settings::secrets::extract::{self, FoundSecret, FoundValue};
use crate::settings::secrets::value::{Redacted, Reference, SecretSource};

const DEFAULT_FILE: &str = "config.toml";

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--config`, in order; empty: `HANDSCTL_CONFIG`, else ./config.toml if it is there.
    pub files: Vec<PathBuf>,
    /// `--set KEY=VALUE`.
    pub set: Vec<String>,
    /// Flags that are keys.
    pub flags: Flags,
}

/// Flags that are keys of `[deploy]`.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--name`.
    pub name: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
}

/// Settings without a mistake.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was set, and defaults.
    pub settings: Settings,
    /// Remarks that do not stop the command.
    pub warnings: Vec<Diagnostic>,
    /// `config.toml  (12 keys set)`.
    pub summary: String,
    /// Whether there was a config file.
    pub from_file: bool,
}

/// Whether secrets are needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Resolve,
    Leave,
}

/// Reads and checks all settings. `directory` is what relative paths are relative to, `environment` the process' own.
///
/// # Errors
/// `Kind::Config` with every mistake and every warning; `Kind::Internal` where the schema and the types differ.
pub fn read(request: &Request, environment: &[(String, String)], directory: &Path) -> Result<Loaded, Error> {
    load(request, environment, directory, Secrets::Resolve)
}

/// The same for commands that send no secrets (`render`, `status`, `logs`, `teardown`): secrets that stand in variables
/// or files of this computer are not looked up, and need not be there.
///
/// # Errors
/// As [`read`].
pub fn read_without_secrets(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
) -> Result<Loaded, Error> {
    load(request, environment, directory, Secrets::Leave)
}

fn load(
    request: &Request,
    environment: &[(String, String)],
    directory: &Path,
    wanted: Secrets,
) -> Result<Loaded, Error> {
    let schema = schema_shape()?;
    let mut reading = Reading::default();
    reading.files(&schema, request, environment, directory);
    reading.add(&schema, layer::environment(&schema, environment));
    for text in &request.set {
        reading.add(&schema, layer::set(&schema, text));
    }
    reading.add(&schema, flags(&request.flags));

    let mut taken = extract::take(&schema, &mut reading.tree);
    reading.diagnostics.append(&mut taken.diagnostics);
    let secrets = match wanted {
        Secrets::Resolve => reading.resolve(taken.secrets, environment, directory),
        Secrets::Leave => known(taken.secrets),
    };
    let tree = std::mem::take(&mut reading.tree);
    let mut settings = Settings::assemble(&schema, tree, secrets, taken.plain)?;
    settings.extra = reading.extra_manifests(&settings, directory);
    // What a file that could not be parsed says is not known, so nothing can contradict it.
    if !reading.broken {
        reading.diagnostics.extend(checker::check_all(&schema, &settings, &reading.wrong));
    }
    let warnings = diagnose::into_result(reading.diagnostics, &reading.names)?;
    let summary = diagnose::summary(&reading.names, reading.keys, warnings.len());
    Ok(Loaded { settings, warnings, summary, from_file: !reading.names.is_empty() })
}

fn flags(flags: &Flags) -> Parsed {
    let mut parsed = Parsed::default();
    if let Some(name) = &flags.name {
        layer::flag(&mut parsed.table, "--name", &["deploy", "name"], name);
    }
    if let Some(namespace) = &flags.namespace {
        layer::flag(&mut parsed.table, "--namespace", &["deploy", "namespace"], namespace);
    }
    parsed
}

/// Secrets without a look-up.
fn known(found: Vec<FoundSecret>) -> ResolvedSecrets {
    let mut held = ResolvedSecrets::default();
    for FoundSecret { variable, form, value, .. } in found {
        let source = match value {
            FoundValue::Literal(literal) => SecretSource::Value(literal),
            FoundValue::Reference(Reference::Secret { secret, key }) => {
                SecretSource::Reference { secret, key }
            }
            FoundValue::Reference(elsewhere) => SecretSource::NotRead(vec![elsewhere]),
            FoundValue::Composed(node) => match extract::compose(&node, Err::<Redacted, Reference>) {
                Ok(composed) => {
                    held.parts.extend(composed.parts);
                    SecretSource::Value(composed.literal)
                }
                Err(_) => SecretSource::NotRead(extract::references(&node)),
            },
        };
        held.of(form).insert(variable, source);
    }
    held
}

#[derive(Default)]
struct Reading {
    tree: Table,
    diagnostics: Vec<Diagnostic>,
    /// Config files that were read, as the user wrote them.
    names: Vec<String>,
    /// How many keys they set.
    keys: usize,
    /// Dotted keys whose values could not be used.
    wrong: Vec<String>,
    broken: bool,
}

impl Reading {
    fn add(&mut self, schema: &TableShape, mut parsed: Parsed) {
        self.diagnostics.append(&mut parsed.diagnostics);
        let mut checked = check::check(schema, &mut parsed.table);
        self.diagnostics.append(&mut checked.diagnostics);
        self.wrong.append(&mut checked.wrong);
        self.broken |= parsed.broken;
        tree::merge(schema, &mut self.tree, parsed.table);
    }

    fn files(
        &mut self,
        schema: &TableShape,
        request: &Request,
        environment: &[(String, String)],
        directory: &Path,
    ) {
        let mut files = request.files.clone();
        if files.is_empty()
            && let Some((_, value)) = environment.iter().find(|(name, _)| name == "HANDSCTL_CONFIG")
        {
            files = std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect();
        }
        let optional = files.is_empty();
        if optional {
            files.push(PathBuf::from(DEFAULT_FILE));
        }
        for file in files {
            let name = file.display().to_string();
            match std::fs::read(directory.join(&file)) {
                Ok(bytes) => self.file(schema, &name, bytes),
                Err(error) if optional && error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.unreadable(format!("cannot read {name}: {error}")),
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

    /// The objects of the files that `[deploy].extra_manifests` names.
    fn extra_manifests(&mut self, settings: &Settings, directory: &Path) -> Vec<ExtraObject> {
        let named = settings.entry(&["deploy", "extra_manifests"]).map(|entry| &entry.node.data);
        let Some(Data::List(named)) = named else { return Vec::new() };
        let mut objects = Vec::new();
        for node in named {
            let Some(written) = node.data.as_text() else { continue };
            let at = base(&node.place.layer, &node.place.location.source.name, directory).join(written);
            let read = manifests(&at, written).and_then(|files| {
                let documents = files.iter().map(|(name, text)| extra_manifests::objects(name, text));
                documents.collect::<Result<Vec<_>, _>>()
            });
            let named_at = Some(node.place.location.clone());
            match read {
                Ok(read) => {
                    let object =
                        |(source, manifest)| ExtraObject { source, manifest, named_at: named_at.clone() };
                    objects.extend(read.into_iter().flatten().map(object));
                }
                Err(message) => self.diagnostics.push(Diagnostic {
                    id: Id::ExtraManifest,
                    severity: Severity::Error,
                    message,
                    location: named_at,
                    label: String::new(),
                    masked: false,
                }),
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
        found: Vec<FoundSecret>,
        environment: &[(String, String)],
        directory: &Path,
    ) -> ResolvedSecrets {
        let mut held = ResolvedSecrets::default();
        let mut shelf = SecretSources { environment, directory, standard_input: None };
        for FoundSecret { variable, form, value, place } in found {
            let source = match value {
                FoundValue::Literal(literal) => Ok(SecretSource::Value(literal)),
                FoundValue::Reference(Reference::Secret { secret, key }) => {
                    Ok(SecretSource::Reference { secret, key })
                }
                FoundValue::Reference(reference) => {
                    shelf.look_up(&reference, &place).map(SecretSource::Value)
                }
                FoundValue::Composed(node) => {
                    extract::compose(&node, |reference| shelf.look_up(&reference, &place)).map(|composed| {
                        held.parts.extend(composed.parts);
                        SecretSource::Value(composed.literal)
                    })
                }
            };
            match source {
                Ok(source) => {
                    held.of(form).insert(variable, source);
                }
                Err(reason) => self.diagnostics.push(Diagnostic {
                    id: Id::SecretUnavailable,
                    severity: Severity::Error,
                    message: format!("the secret {variable} cannot be had"),
                    location: Some(place.location),
                    label: reason,
                    masked: false,
                }),
            }
        }
        held
    }
}

/// The files at a path, by the names that people see, with their texts: itself, or what a folder has.
fn manifests(at: &Path, written: &str) -> Result<Vec<(String, String)>, String> {
    let failed = |name: &str, error: std::io::Error| format!("cannot read {name}: {error}");
    if !at.is_dir() {
        let text = std::fs::read_to_string(at).map_err(|error| failed(written, error))?;
        return Ok(vec![(written.to_owned(), text)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(at).map_err(|error| failed(written, error))? {
        let path = entry.map_err(|error| failed(written, error))?.path();
        let is_manifest = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{written} has no file that ends with .yaml, .yml or .json"));
    }
    let read = |path: PathBuf| {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{}/{file}", written.trim_end_matches('/'));
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&name, error))?;
        Ok((name, text))
    };
    files.into_iter().map(read).collect()
}

/// Where secrets of this computer stand.
struct SecretSources<'a> {
    environment: &'a [(String, String)],
    directory: &'a Path,
    /// What was read from it, because it can be read once.
    standard_input: Option<Result<Redacted, String>>,
}

impl SecretSources<'_> {
    fn look_up(&mut self, reference: &Reference, place: &KeyPlace) -> Result<Redacted, String> {
        match reference {
            Reference::Env { env } => from_variable(self.environment, env),
            Reference::File { file } if file == Reference::STANDARD_INPUT => {
                self.standard_input.get_or_insert_with(from_standard_input).clone()
            }
            Reference::File { file } => {
                let folder = base(&place.layer, &place.location.source.name, self.directory);
                from_file(&folder.join(file), file)
            }
            Reference::Secret { secret, .. } => Err(format!("Secret {secret} is read by the container only")),
        }
    }
}

/// The folder of the file that names a path, so that a config file works from everywhere.
fn base(layer: &SourceLayer, name: &str, directory: &Path) -> PathBuf {
    match (layer, Path::new(name).parent()) {
        (SourceLayer::File, Some(folder)) => directory.join(folder),
        _ => directory.to_owned(),
    }
}

fn from_variable(environment: &[(String, String)], name: &str) -> Result<Redacted, String> {
    match environment.iter().find(|(variable, _)| variable == name) {
        Some((_, value)) if !value.is_empty() => Ok(Redacted::new(value.clone())),
        Some(_) => Err(format!("the environment variable {name} is empty")),
        None => Err(format!("the environment variable {name} is not set")),
    }
}

/// One line break at the end belongs to the editor, not to the secret.
fn from_file(path: &Path, written: &str) -> Result<Redacted, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {written}: {error}"))?;
    without_line_break(&text, written)
}

fn from_standard_input() -> Result<Redacted, String> {
    if std::io::stdin().is_terminal() {
        return Err("standard input is a terminal: pipe the secret into the command".to_owned());
    }
    let text = std::io::read_to_string(std::io::stdin())
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    without_line_break(&text, "standard input")
}

fn without_line_break(text: &str, written: &str) -> Result<Redacted, String> {
    let secret = text.strip_suffix('\n').map_or(text, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    if secret.is_empty() {
        return Err(format!("{written} is empty"));
    }
    Ok(Redacted::new(secret))
}
