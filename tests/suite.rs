//! The one test binary: linking kube's tree costs seconds, so it is linked once.
//!
//! - `binary`: the binary alone; no cluster.
//! - `api_server`: the binary against a real Kubernetes API server, which `bed` prepares through the product's own code
//!   and ends with the process. `cargo test -- --skip api_server` leaves these tests out.
//! - `containers`: the binary with a container engine, kind and the real application. The runner reports these tests as
//!   ignored unless `-- --ignored` or `-- --include-ignored` asks for them.
//!
//! The other files are what tests share: `bed` (cluster, namespaces, the command line), `fault` (a proxy that makes
//! faults or only records), `planted` (secrets that no output may show), `yaml_traps`.

#![cfg(test)]

mod bed;
mod fault;
mod planted;
mod yaml_traps;

mod binary {
    mod cli;
    mod config;
    mod engines;
    mod provider;
    mod render;
    mod tidy;
}

mod api_server {
    mod deploy;
    mod dev;
    mod differences;
    mod extra;
    mod faults;
    mod images;
    mod ingress;
    mod interrupts;
    mod kills;
    mod locking;
    mod logs;
    mod ownership;
    mod profiles;
    mod pruning;
    mod rbac;
    mod refusals;
    mod rendering;
    mod revisions;
    mod roles;
    mod rollouts;
    mod secrets;
    mod state;
    mod status;
    mod teardown;
    mod terminal;
}

mod containers {
    mod application;
    mod kind;
}
