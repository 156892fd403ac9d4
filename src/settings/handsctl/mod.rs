//! handsctl's own two tables. Their doc comments become the descriptions in the JSON Schema, `config explain` and
//! `config init`, so each must make sense on its own.
//!
//! - `cluster`: `[cluster]`.
//! - `deploy`: `[deploy]`. Its inner tables: `resources`; `scheduling`: tolerations, spreading, quota and limit range;
//!   `state`: storage, database, autoscaling; `limits`: grace periods, restarts and thresholds,
//!   with their defaults.

mod cluster;
mod deploy;
mod limits;
mod resources;
mod scheduling;
mod state;

pub use cluster::{Cluster, Ingress, Provider};
pub use deploy::{
    Deploy, EditionChoice, Expose, ExposureConsent, ImagePullPolicy, LoadBalancer, OnStop, OwnershipRule,
    Profile, RollbackOnFailure, SandboxEgress, SeedSettings, Strategy,
};
pub use limits::{Thresholds, Tolerate};
pub use resources::{ResourceList, Resources};
pub use scheduling::{
    LimitRange, Quota, TaintEffect, Toleration, TolerationOperator, TopologySpread, WhenUnsatisfiable,
};
pub use state::{Autoscaling, Credentials, Database, SslMode, Storage, StorageKind};
