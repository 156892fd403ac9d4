//! Environment variables with which the application runs without root and stores its state in the configured place.

use std::collections::BTreeMap;

use super::edition::Configuration;
use super::handsctl::{Database, Storage, StorageKind};
use super::load::schema::{Shape, TableShape};
use super::load::toml_key::dotted;
use super::openhands::FileStore;
use super::profile::KEY_FILE;
use super::resolved::{KeyOrigin, KeyValue, Settings};
use super::secrets::extract;

/// Path of the mounted key of a Google Cloud service account.
const GOOGLE_KEY: &str = "/var/secrets/google/key.json";

impl Settings {
    /// Returns the application's variables that are not secrets: handsctl's own, overridden by `[deploy].env`.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<String, String> =
            self.own_variables().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        variables.extend(self.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables
    }

    /// Returns the keys of OpenHands whose variable is set: the application prefers the variable to its config.toml.
    pub(super) fn overriding_variables(&self, schema: &TableShape) -> Vec<KeyValue> {
        if self.edition().configuration == Configuration::Api {
            return Vec::new();
        }
        let own: BTreeMap<_, _> = self.own_variables().into_iter().collect();
        let tables = schema.keys.iter().filter(|(name, _)| !matches!(name.as_str(), "cluster" | "deploy"));
        let keys = tables.filter_map(|(name, key)| Some((name, key.shape.as_table()?)));
        let mut overriding = Vec::new();
        for (table, shape) in keys {
            for (name, key) in &shape.keys {
                let path = [table.clone(), name.clone()];
                let Some(variable) = extract::variable(&path) else { continue };
                let written = self.entry(&["deploy", "env", &variable]);
                let value = match (self.env.get(&variable), own.get(variable.as_str())) {
                    (Some(value), _) => value,
                    (None, Some(value)) if written.is_none() => value,
                    _ => continue,
                };
                // The application ignores an empty variable.
                if let Some(value) = parse_variable(&key.shape, value) {
                    let origin = written
                        .map_or(KeyOrigin::Handsctl, |entry| KeyOrigin::from_position(&entry.node.position));
                    overriding.push(KeyValue { key: dotted(&path), value, origin });
                }
            }
        }
        overriding
    }

    fn own_variables(&self) -> Vec<(&'static str, String)> {
        match self.edition().configuration {
            Configuration::File => self.variables_beside_file(),
            Configuration::Api => {
                let variables = self.edition().variables.iter().copied().flatten();
                variables.map(|(name, value)| (*name, (*value).to_owned())).collect()
            }
        }
    }

    fn variables_beside_file(&self) -> Vec<(&'static str, String)> {
        let mut variables: Vec<(&str, String)> = [
            // The image's own value, 42420, is useless in a sandbox; with 0 the entry script does not switch users.
            ("SANDBOX_USER_ID", "0"),
            ("RUN_AS_OPENHANDS", "false"),
            ("WORKSPACE_BASE", ""),
            ("HOME", "/tmp"),
            // Without it litellm downloads a price list from the internet at every start.
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        variables.extend(self.file_store());
        if self.files.contains_key(KEY_FILE) {
            variables.push(("GOOGLE_APPLICATION_CREDENTIALS", GOOGLE_KEY.to_owned()));
        }
        // The image sets this variable, which would override the key.
        if let Some(init) = self.openhands.core.init_git_in_empty_workspace {
            variables.push(("INIT_GIT_IN_EMPTY_WORKSPACE", init.to_string()));
        }
        let version = self.app_version();
        if version.is_at_least(0, 60) {
            variables.push(("OH_PERSISTENCE_DIR", self.edition().state.to_owned()));
            // V1 conversations would run the agent inside the application's own container, beside its token.
            variables.push(("ENABLE_V1", "0".to_owned()));
            variables.extend(database(&self.deploy.database));
        }
        if version.is_at_least(1, 4) {
            // Without them the conversation list calls Docker and returns 500; earlier versions do not start with them.
            variables.push(("OH_SANDBOX_KIND", "ProcessSandboxServiceInjector".to_owned()));
            variables.push(("OH_SANDBOX_SPEC_KIND", "ProcessSandboxSpecServiceInjector".to_owned()));
        }
        variables
    }

    /// The bucket is `FILE_STORE_PATH`: the application reads `AWS_S3_BUCKET` only without a path, and a path is always
    /// set (`openhands/storage/__init__.py`).
    fn file_store(&self) -> Vec<(&'static str, String)> {
        let Storage { kind, bucket, endpoint, .. } = &self.deploy.storage;
        let bucket = bucket.clone().unwrap_or_default();
        let store =
            |name: &str, path: String| vec![("FILE_STORE", name.to_owned()), ("FILE_STORE_PATH", path)];
        match kind {
            StorageKind::Local if self.openhands.core.file_store == Some(FileStore::Memory) => {
                store("memory", self.edition().state.to_owned())
            }
            StorageKind::Local => store("local", self.edition().state.to_owned()),
            StorageKind::S3 => {
                let mut variables = store("s3", bucket);
                if let Some(endpoint) = endpoint {
                    let secure = endpoint.as_str().starts_with("https:");
                    variables.push(("AWS_S3_ENDPOINT", endpoint.to_string()));
                    variables.push(("AWS_S3_SECURE", secure.to_string()));
                }
                variables
            }
            StorageKind::GoogleCloud => store("google_cloud", bucket),
        }
    }
}

/// Returns a variable as the application reads it for a key of this shape, as TOML; None if it is ignored
/// (`load_from_env` in `openhands/core/config/utils.py`).
fn parse_variable(shape: &Shape, value: &str) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    Some(match shape {
        Shape::Boolean => matches!(value.to_ascii_lowercase().as_str(), "true" | "1").to_string(),
        Shape::Integer { .. } => value.parse::<i64>().ok()?.to_string(),
        Shape::Number => value.parse::<f64>().ok()?.to_string(),
        Shape::Reference { secret: true } => "(redacted)".to_owned(),
        _ => super::load::toml_key::quoted(value),
    })
}

/// The variables of the database (`openhands/app_server/services/db_session_injector.py`); its driver, asyncpg, reads
/// `PGSSLMODE`.
fn database(database: &Database) -> Vec<(&'static str, String)> {
    let Some(host) = &database.host else { return Vec::new() };
    let mut variables = vec![
        ("DB_HOST", host.to_string()),
        ("DB_PORT", database.port.to_string()),
        ("DB_NAME", database.name.clone()),
        ("DB_USER", database.user.clone()),
    ];
    let mode = database.ssl_mode.and_then(|mode| toml::Value::try_from(mode).ok());
    if let Some(toml::Value::String(mode)) = mode {
        variables.push(("PGSSLMODE", mode));
    }
    variables
}
