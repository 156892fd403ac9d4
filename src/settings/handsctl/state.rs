//! The application's state: its store, its database, and the number of pods that share them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{DnsName, HttpUrl};
use crate::settings::secrets::value::Secret;

/// Store of settings and conversations: the application's volume or a bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Where settings and conversations are stored.
    #[schemars(extend("x-aliases" = {"gcs": "google_cloud", "gs": "google_cloud", "google": "google_cloud", "aws": "s3", "minio": "s3", "volume": "local"}))]
    pub kind: StorageKind,
    /// Name of the bucket for settings and conversations, which must exist.
    pub bucket: Option<String>,
    /// URL of the S3-compatible store that has the bucket; absent: Amazon S3.
    pub endpoint: Option<HttpUrl>,
    /// Credentials of the bucket; not needed if the pod's service account or its node has access.
    pub credentials: Credentials,
}

/// Kind of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// The application's volume.
    #[default]
    Local,
    /// A bucket of Amazon S3 or of an S3-compatible store.
    S3,
    /// A bucket of Google Cloud Storage.
    GoogleCloud,
}

/// Credentials of the store.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// Access key ID of the S3 bucket.
    #[schemars(extend("x-variable" = "AWS_ACCESS_KEY_ID"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<Secret>,
    /// Secret access key of the S3 bucket.
    #[schemars(extend("x-variable" = "AWS_SECRET_ACCESS_KEY"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// Key of a Google Cloud service account, mounted as a file.
    #[schemars(extend("x-file" = "key.json"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_json: Option<Secret>,
}

/// Database of OpenHands 0.60 and later; without a host it is a file on the volume.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Host of the `PostgreSQL` server.
    pub host: Option<DnsName>,
    /// Port of the `PostgreSQL` server.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Name of the application's database on the `PostgreSQL` server, which must exist.
    pub name: String,
    /// User of the application's `PostgreSQL` database.
    pub user: String,
    /// Password of the user of the `PostgreSQL` database.
    #[schemars(extend("x-variable" = "DB_PASS"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Whether the connection to the `PostgreSQL` server is encrypted; absent: if the server offers it.
    pub ssl_mode: Option<SslMode>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            host: None,
            port: 5432,
            name: "openhands".to_owned(),
            user: "postgres".to_owned(),
            password: None,
            ssl_mode: None,
        }
    }
}

/// Whether the database connection is encrypted, with the values of `PostgreSQL`'s variable `PGSSLMODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// If the server requires it.
    Allow,
    /// If the server offers it.
    Prefer,
    /// Always, without verifying the server's certificate.
    Require,
    /// Always, and the server's certificate must come from a trusted authority.
    VerifyCa,
    /// Always, and the certificate must come from a trusted authority and match the host name.
    VerifyFull,
}

/// Autoscaling of the application's pods by cpu usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-needs" = "max"))]
pub struct Autoscaling {
    /// Smallest number of the application's pods with autoscaling.
    #[schemars(range(min = 1))]
    pub min: u32,
    /// Largest number of the application's pods with autoscaling; required.
    #[schemars(range(min = 1), extend("examples" = [3]))]
    pub max: Option<u32>,
    /// Cpu usage, in percent of the request, above which autoscaling adds pods and below which it removes pods.
    #[schemars(range(min = 1, max = 1000))]
    pub cpu: u32,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self { min: 1, max: None, cpu: 80 }
    }
}
