//! Where state is kept, and who shares it.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::app_env::STATE;
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
                    self.contradiction(&["deploy", "storage", key], message, "state is kept on the volume");
                }
            }
        } else if !bucket {
            let message = "`deploy.storage` needs `bucket`";
            self.contradiction(
                &["deploy", "storage", "kind"],
                message,
                "add bucket = \"…\"; it has to be there",
            );
        }
        if storage.kind == StorageKind::GoogleCloud && endpoint {
            let message = "`deploy.storage.endpoint` is for S3";
            self.contradiction(&["deploy", "storage", "endpoint"], message, "leave it out");
        }
        let keys = [
            ("access_key_id", credentials[0], StorageKind::S3),
            ("secret_access_key", credentials[1], StorageKind::S3),
            ("key_json", credentials[2], StorageKind::GoogleCloud),
        ];
        for (key, set, kind) in keys {
            // On GKE the key may be for other services than the store.
            let elsewhere = key == "key_json" && self.settings.deploy.profile == Profile::Gke;
            if set && storage.kind != kind && !elsewhere {
                let message =
                    format!("`deploy.storage.credentials.{key}` does not belong to this kind of storage");
                self.contradiction(
                    &["deploy", "storage", "credentials", key],
                    message,
                    "nothing would use it",
                );
            }
        }
        for (set, other, missing) in [(0, 1, "secret_access_key"), (1, 0, "access_key_id")] {
            if credentials[set] && !credentials[other] {
                let message = format!("`deploy.storage.credentials` needs `{missing}`, too");
                let key = keys[set].0;
                self.contradiction(
                    &["deploy", "storage", "credentials", key],
                    message,
                    "one alone opens nothing",
                );
            }
        }
    }

    fn database(&mut self) {
        let has_host = self.settings.deploy.database.host.is_some();
        if self.is_wrong("deploy.database") || self.is_wrong("deploy.image") {
            return;
        }
        let version = self.settings.app_version();
        if has_host && !version.is_at_least(0, 60) {
            let message = format!("OpenHands {version} has no database");
            self.contradiction(&["deploy", "database", "host"], message, "0.60 and later have one");
        }
        let (database, default) = (self.settings.deploy.database.clone(), Database::default());
        let said = [
            ("name", database.name != default.name),
            ("user", database.user != default.user),
            ("port", database.port != default.port),
            ("password", self.settings.is_set(&["deploy", "database", "password"])),
            ("ssl_mode", database.ssl_mode.is_some()),
        ];
        for (key, is_said) in said {
            if !has_host && is_said {
                let message = format!("`deploy.database.{key}` needs `host`");
                self.contradiction(
                    &["deploy", "database", key],
                    message,
                    "without it a file on the volume is the database",
                );
            }
        }
    }

    /// The variable that handsctl sets wins over the application's own key.
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
        let is_memory = core.file_store == Some(FileStore::Memory);
        if !agrees && !self.is_wrong("deploy.storage") {
            let message = "`core.file_store` is not what `deploy.storage.kind` says, which wins";
            self.contradiction(path, message, "[deploy.storage] kind says where state is kept");
        } else if is_memory {
            let message =
                "`core.file_store` is memory: settings and conversations are lost with every restart"
                    .to_owned();
            let label = "\"local\" keeps them on the volume";
            self.report(Id::VolatileState, Severity::Warning, path, message, label);
        }
        if let Some(written) =
            file_store_path.filter(|written| kind == StorageKind::Local && written != STATE)
        {
            let message =
                format!("`core.file_store_path` is {written}, and the volume is mounted at {STATE}");
            self.contradiction(&["core", "file_store_path"], message, "leave it out");
        }
    }

    fn volume(&mut self) {
        if !self.settings.needs_volume() && !self.is_wrong("deploy.storage") {
            for key in ["existing_claim", "storage_class", "storage_size", "volume"] {
                if self.settings.is_set(&["deploy", key]) {
                    let message = format!("`deploy.{key}` is for a volume, and there is none");
                    self.contradiction(
                        &["deploy", key],
                        message,
                        "everything is in the bucket and the database",
                    );
                }
            }
            return;
        }
        if self.settings.deploy.existing_claim.is_none() {
            if self.settings.deploy.storage_size.is_zero() {
                let message = "`deploy.storage_size` is nothing".to_owned();
                self.report(Id::BadValue, Severity::Error, &["deploy", "storage_size"], message, "as in 5Gi");
            }
            return;
        }
        for key in ["storage_class", "storage_size", "volume"] {
            if self.settings.is_set(&["deploy", key]) {
                let message = format!("`deploy.{key}` and `deploy.existing_claim` exclude each other");
                self.contradiction(&["deploy", key], message, "the claim exists and keeps what it has");
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
                        "add max = 4, the most pods",
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
                self.contradiction(
                    &["deploy", "replicas"],
                    message,
                    "[deploy.autoscaling] min says how many there are at least",
                );
            }
        }
        if most <= 1 || self.is_wrong("deploy.storage") || self.is_wrong("deploy.database") {
            return;
        }
        if self.settings.shares_state() {
            let message =
                format!("with up to {most} pods a running conversation is known to one of them only");
            let label = "it lives in that pod's memory; what is stored is shared";
            self.report(Id::MemoryOfOnePod, Severity::Warning, path, message, label);
            return;
        }
        let message = format!("{most} replicas cannot share state that is local to one pod");
        let label = if self.settings.app_version().is_at_least(0, 60) {
            "1, or a bucket in [deploy.storage] and a host in [deploy.database]"
        } else {
            "1: conversations live in one pod's memory; 0.60 and later can have a database"
        };
        self.contradiction(path, message, label);
    }

    fn strategy(&mut self) {
        if self.settings.deploy.strategy == Strategy::RollingUpdate && !self.settings.shares_state() {
            let message = "`RollingUpdate` starts the new pod before the old one gives the volume back";
            self.contradiction(
                &["deploy", "strategy"],
                message,
                "the volume can be mounted once: \"Recreate\"",
            );
        }
    }
}
