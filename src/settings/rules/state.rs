//! The store and the database of the application's state, and the pods that share them.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::handsctl::{Database, Profile, StorageKind, Strategy};
use crate::settings::openhands::FileStore;

impl RuleChecker<'_> {
    pub(crate) fn state(&mut self) {
        self.storage();
        self.database();
        self.file_store();
        self.volume();
        self.replicas();
        self.strategy();
    }

    fn storage(&mut self) {
        let storage = self.settings.deploy.storage.clone();
        let is_set = |key: &str| self.settings.is_set(&["deploy", "storage", key]);
        let credentials = ["access_key_id", "secret_access_key", "key_json"]
            .map(|key| self.settings.is_set(&["deploy", "storage", "credentials", key]));
        let (bucket, endpoint) = (is_set("bucket"), is_set("endpoint"));
        if self.is_wrong("deploy.storage") {
            return;
        }
        if storage.kind == StorageKind::Local {
            for (set, key) in [(bucket, "bucket"), (endpoint, "endpoint")] {
                if set {
                    let message =
                        format!("`deploy.storage.{key}` needs `kind = \"s3\"` or `\"google_cloud\"`");
                    self.contradiction(&["deploy", "storage", key], message, "state is stored on the volume");
                }
            }
        } else if !bucket {
            let message = "`deploy.storage` needs `bucket`";
            self.contradiction(
                &["deploy", "storage", "kind"],
                message,
                "add bucket = \"…\"; the bucket must exist",
            );
        }
        if storage.kind == StorageKind::GoogleCloud && endpoint {
            let message = "`deploy.storage.endpoint` needs `kind = \"s3\"`";
            self.contradiction(&["deploy", "storage", "endpoint"], message, "leave it out");
        }
        let keys = [
            ("access_key_id", credentials[0], StorageKind::S3),
            ("secret_access_key", credentials[1], StorageKind::S3),
            ("key_json", credentials[2], StorageKind::GoogleCloud),
        ];
        for (key, set, kind) in keys {
            // On GKE the key may be for a service other than the store.
            let is_for_another_service = key == "key_json" && self.settings.deploy.profile == Profile::Gke;
            if set && storage.kind != kind && !is_for_another_service {
                let message =
                    format!("`deploy.storage.credentials.{key}` does not apply to this kind of storage");
                self.contradiction(
                    &["deploy", "storage", "credentials", key],
                    message,
                    "nothing would use it",
                );
            }
        }
        for (set, other, missing) in [(0, 1, "secret_access_key"), (1, 0, "access_key_id")] {
            if credentials[set] && !credentials[other] {
                let message = format!("`deploy.storage.credentials` needs `{missing}` as well");
                let key = keys[set].0;
                self.contradiction(&["deploy", "storage", "credentials", key], message, "S3 requires both");
            }
        }
    }

    fn database(&mut self) {
        let has_host = self.settings.deploy.database.host.is_some();
        if self.is_wrong("deploy.database") || self.is_version_wrong() {
            return;
        }
        let version = self.settings.app_version();
        if has_host && !version.is_at_least(0, 60) {
            let message = format!("OpenHands {version} uses no database");
            self.contradiction(&["deploy", "database", "host"], message, "supported since 0.60");
        }
        let (database, default) = (self.settings.deploy.database.clone(), Database::default());
        let keys = [
            ("name", database.name != default.name),
            ("user", database.user != default.user),
            ("port", database.port != default.port),
            ("password", self.settings.is_set(&["deploy", "database", "password"])),
            ("ssl_mode", database.ssl_mode.is_some()),
        ];
        for (key, is_set) in keys {
            if !has_host && is_set {
                let message = format!("`deploy.database.{key}` needs `host`");
                self.contradiction(
                    &["deploy", "database", key],
                    message,
                    "without a host the database is a file on the volume",
                );
            }
        }
    }

    /// The environment variable that handsctl sets overrides the application's own key.
    fn file_store(&mut self) {
        let core = &self.settings.openhands.core;
        let kind = self.settings.deploy.storage.kind;
        let path = &["core", "file_store"];
        let agrees = matches!(
            (core.file_store, kind),
            (None, _)
                | (Some(FileStore::Local | FileStore::Memory), StorageKind::Local)
                | (Some(FileStore::S3), StorageKind::S3)
                | (Some(FileStore::GoogleCloud), StorageKind::GoogleCloud)
        );
        let file_store_path = core.file_store_path.clone().filter(|path| !path.is_empty());
        let uses_memory = core.file_store == Some(FileStore::Memory);
        if !agrees && !self.is_wrong("deploy.storage") {
            let message = "`core.file_store` differs from `deploy.storage.kind`, which takes precedence";
            self.contradiction(path, message, "set only [deploy.storage] kind");
        } else if uses_memory {
            let message = "`core.file_store` is memory: settings and conversations are lost at every restart"
                .to_owned();
            let label = "\"local\" stores them on the volume";
            self.report(Id::VolatileState, Severity::Warning, path, message, label);
        }
        let state = self.settings.edition().state;
        if let Some(path) = file_store_path.filter(|path| kind == StorageKind::Local && path != state) {
            let message = format!("`core.file_store_path` is {path}, but the volume is mounted at {state}");
            self.contradiction(&["core", "file_store_path"], message, "leave it out");
        }
    }

    pub(super) fn volume(&mut self) {
        if !self.settings.needs_volume() && !self.is_wrong("deploy.storage") {
            for key in ["existing_claim", "storage_class", "storage_size", "volume"] {
                if self.settings.is_set(&["deploy", key]) {
                    let message = format!("`deploy.{key}` needs a volume, but the application has none");
                    self.contradiction(
                        &["deploy", key],
                        message,
                        "all state is in the bucket and the database",
                    );
                }
            }
            return;
        }
        if self.settings.deploy.existing_claim.is_none() {
            self.size(&["deploy", "storage_size"], &self.settings.deploy.storage_size);
            return;
        }
        for key in ["storage_class", "storage_size", "volume"] {
            if self.settings.is_set(&["deploy", key]) {
                let message = format!("`deploy.{key}` and `deploy.existing_claim` exclude each other");
                self.contradiction(
                    &["deploy", key],
                    message,
                    "an existing volume claim keeps its own class, size and volume",
                );
            }
        }
    }

    fn replicas(&mut self) {
        let deploy = &self.settings.deploy;
        let autoscaling = deploy.autoscaling.clone();
        let most = autoscaling
            .as_ref()
            .map_or(deploy.replicas, |autoscaling| autoscaling.max.unwrap_or(autoscaling.min));
        let path: &[&str] =
            if autoscaling.is_some() { &["deploy", "autoscaling"] } else { &["deploy", "replicas"] };
        if let Some(autoscaling) = &autoscaling {
            match autoscaling.max {
                None if !self.is_wrong("deploy.autoscaling.max") => {
                    self.contradiction(
                        path,
                        "`deploy.autoscaling` needs `max`",
                        "add max = 4, the largest number of pods",
                    );
                }
                Some(max) if autoscaling.min > max => {
                    let message = format!(
                        "`deploy.autoscaling.min` ({}) is larger than `max` ({max})",
                        autoscaling.min
                    );
                    self.contradiction(&["deploy", "autoscaling", "min"], message, "");
                }
                _ => {}
            }
            if self.settings.is_set(&["deploy", "replicas"]) {
                let message = "`deploy.replicas` and `deploy.autoscaling` exclude each other";
                self.contradiction(&["deploy", "replicas"], message, "set only [deploy.autoscaling] min");
            }
        }
        if most <= 1 || self.is_wrong("deploy.storage") || self.is_wrong("deploy.database") {
            return;
        }
        if self.settings.shares_state() {
            let message =
                format!("with up to {most} pods, a running conversation exists in only one of them");
            let label = "it runs in that pod's memory; stored state is shared";
            self.report(Id::MemoryOfOnePod, Severity::Warning, path, message, label);
            return;
        }
        let message = format!("{most} replicas cannot share state that is local to one pod");
        let label = if self.settings.app_version().is_at_least(0, 60) {
            "use 1, or set a bucket in [deploy.storage] and a host in [deploy.database]"
        } else {
            "use 1: state can be shared only in OpenHands 0.60 and later"
        };
        self.contradiction(path, message, label);
    }

    fn strategy(&mut self) {
        if self.settings.deploy.strategy == Strategy::RollingUpdate && !self.settings.shares_state() {
            let message = "`RollingUpdate` starts the new pod before the old pod releases the volume";
            self.contradiction(
                &["deploy", "strategy"],
                message,
                "use \"Recreate\": the volume can be mounted only once",
            );
        }
    }
}
