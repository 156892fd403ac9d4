//! Where the application keeps its state, and how many pods share it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{DnsName, HttpUrl};
use crate::settings::secrets::value::Secret;

/// Where settings and conversations are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The kind of store.
    #[schemars(extend("x-aliases" = {"gcs": "google_cloud", "gs": "google_cloud", "google": "google_cloud", "aws": "s3", "minio": "s3", "volume": "local"}))]
    pub kind: StorageKind,
    /// Name of the bucket, which has to be there.
    pub bucket: Option<String>,
    /// Address of a store that speaks S3's protocol; absent: Amazon's.
    pub endpoint: Option<HttpUrl>,
    /// Keys of the store; none where the pod's account or its node has the right.
    pub credentials: Credentials,
}

/// A kind of store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// The application's volume.
    #[default]
    Local,
    /// A bucket of S3, or of what speaks its protocol.
    S3,
    /// A bucket of Google Cloud Storage.
    GoogleCloud,
}

/// Keys of a store.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// Access key of S3.
    #[schemars(extend("x-variable" = "AWS_ACCESS_KEY_ID"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<Secret>,
    /// Secret access key of S3.
    #[schemars(extend("x-variable" = "AWS_SECRET_ACCESS_KEY"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// Key file of a Google Cloud service account; it is mounted as a file.
    #[schemars(extend("x-file" = "key.json"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_json: Option<Secret>,
}

/// The database of releases from 0.60 on; without a host they keep a file on the volume.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Host of a `PostgreSQL` server.
    pub host: Option<DnsName>,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Name of the database, which has to be there.
    pub name: String,
    /// User.
    pub user: String,
    /// Password of that user.
    #[schemars(extend("x-variable" = "DB_PASS"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Whether the connection is encrypted; absent: where the server offers it.
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

/// Whether a connection to `PostgreSQL` is encrypted, as its own `PGSSLMODE` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never.
    Disable,
    /// Where the server insists.
    Allow,
    /// Where the server offers it.
    Prefer,
    /// Always, whoever the server is.
    Require,
    /// Always, to a server with a certificate of a known authority.
    VerifyCa,
    /// The same, and the certificate has to be for its name.
    VerifyFull,
}

/// How many pods the application has, by their use of cpu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-needs" = "max"))]
pub struct Autoscaling {
    /// Fewest pods.
    #[schemars(range(min = 1))]
    pub min: u32,
    /// Most pods; it has to be said.
    #[schemars(range(min = 1))]
    pub max: Option<u32>,
    /// Use of the requested cpu, in percent, that more pods keep it at.
    #[schemars(range(min = 1, max = 1000))]
    pub cpu: u32,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self { min: 1, max: None, cpu: 80 }
    }
}
