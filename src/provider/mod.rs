//! Local clusters: thin adapters over existing tools. A provider delivers a kubeconfig; nodes, storage classes and
//! ingresses are objects, which `commands` applies and awaits like any other.
//!
//! - `dispatch`: selects the provider and forwards the calls to it.
//! - `cluster_spec`: the desired state. `local_cluster`: the results of `up` and `down`. `cluster_status`: the status.
//! - `cluster_list`: the clusters that handsctl created.
//!
//! The providers:
//! - `kind`: nodes are containers. `engine`: the container engines that kind can use.
//! - `kwok`: the control plane runs as processes, nodes are simulated.
//! - `assets`: finds, downloads or builds the programs of both.
//!
//! Shared by the providers:
//! - `kubeconfig`: edits the user's kubeconfig line by line.
//! - `state_file`: the record of a cluster that handsctl created. `file_lock`: admits one handsctl at a time.
//! - `private_file`: files that only this user may read. `atomic_file`: replaces a file atomically.
//! - `environment`: the environment variables and folders of this computer.
//! - `command`: child processes. `process_id`: identity of a process. `readyz`: waits for an API server.
//! - `transfer`: reports bytes and rate of a transfer. `bounded_output`: output of child processes. `log_end`: of logs.
//! - `mirrord`: runs a local command as if it ran in a pod.

mod assets;
mod atomic_file;
mod bounded_output;
mod cluster_list;
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
mod log_end;
pub mod mirrord;
mod private_file;
mod process_id;
mod readyz;
mod state_file;
pub mod transfer;

pub use assets::component::ControlPlaneComponent;
pub use atomic_file::{NewFile, replace as replace_file};
pub use cluster_list::{ClusterList, ListedCluster, ListedCondition, list, names};
pub use cluster_spec::{ClusterSpec, Ports, ResourceAmount, Workload};
pub use cluster_status::{ClusterStatus, Details};
pub use dispatch::{
    choose, down, inspect_host, is_recorded_simulation, is_same_server, kind_cluster, live_status,
    load_images, nodes_with_image, recorded_context, recorded_differences, recorded_ports, recorded_server,
    replaced_images, status, up,
};
pub use environment::{Environment, ExplicitFolder};
pub use local_cluster::{
    Condition, DownResult, LocalCluster, LocalProvider, ProviderChoice, RECREATE_HINT, StartOutcome,
    UpOptions,
};
pub use process_id::{Process, has_exited};
