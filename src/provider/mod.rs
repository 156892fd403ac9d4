//! Local clusters: thin adapters over existing tools. Everything here ends at a kubeconfig; nodes, storage classes and
//! ingresses are objects, which `commands` has applied and awaited like any other.
//!
//! - `dispatch`: which provider is meant, and the calls to it.
//! - `local_cluster`, `cluster_spec`, `cluster_status`: what is given, what is wanted, what is found.
//!
//! The providers:
//! - `kind`: containers as nodes. `engine`: the container engines that it can use.
//! - `kwok`: a control plane as processes, with simulated nodes.
//! - `assets`: the programs of both: found, downloaded or built.
//!
//! What they stand on:
//! - `kubeconfig`: the user's kubeconfig, changed line by line.
//! - `state_file`: what handsctl remembers of a cluster. `file_lock`: one handsctl at a time.
//! - `environment`: the environment variables and folders of this computer.
//! - `command`: child processes. `process_id`: who this process is. `readyz`: waits for an API server.
//! - `mirrord`: runs a command as if in a pod.

mod assets;
mod cluster_spec;
mod cluster_status;
mod command;
mod dispatch;
mod engine;
mod environment;
mod file_lock;
pub mod kind;
mod kubeconfig;
pub mod kwok;
mod local_cluster;
pub mod mirrord;
mod process_id;
mod readyz;
mod state_file;

pub use assets::component::Component;
pub use cluster_spec::{ClusterSpec, Ports, ResourceAmount, Workload};
pub use cluster_status::{ClusterStatus, Details};
pub use dispatch::{
    choose, down, kind_cluster, load_images, made_context, made_ports, nodes_with_image, status, up,
};
pub use environment::{Environment, ExplicitFolder};
pub use local_cluster::{
    Condition, DownResult, LocalCluster, LocalProvider, ProviderChoice, StartOutcome, UpOptions,
};
pub use process_id::{Process, is_gone};
