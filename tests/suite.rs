//! The one test binary: linking kube's tree costs seconds, so it is linked once.
//!
//! - `binary`: the binary alone; no cluster.
//! - `api_server`: the binary against a real Kubernetes API server, which `bed` creates with the product itself and
//!   deletes at the end of the process. `cargo test -- --skip api_server` skips these tests.
//! - `browser`: the page of `--report` in a headless Chromium. The runner reports these tests as ignored, as those below.
//! - `containers`: the binary with a container engine, kind and the real application. The runner reports these tests as
//!   ignored without `-- --ignored` or `-- --include-ignored`.
//!
//! The other files are shared by the tests: `bed` (cluster, namespaces, command lines), `canvas` (a
//! proxy that plays Agent Canvas), `failures` (rollouts that fail, also
//! for `benches/diagnosis`), `fault` (a proxy that records requests and injects faults), `kubelet` (a node whose kubelet the test
//! plays), `placeholders` (what differs between screens of the same command), `planted` (secrets that no output may show),
//! `pseudo_terminal` (a command on a terminal), `recording` (a screen as text and as a picture), `webhook` (an admission
//! webhook), `yaml_traps` (texts that YAML changes).

#![cfg(test)]

mod bed;
mod canvas;
mod failures;
mod fault;
mod kubelet;
mod placeholders;
mod planted;
mod pseudo_terminal;
mod recording;
mod webhook;
mod yaml_traps;

mod binary {
    pub(crate) mod backup;
    mod cli;
    mod completion;
    mod config;
    pub(crate) mod documented;
    mod engines;
    mod guides;
    mod hidden;
    pub(crate) mod pipelines;
    mod provider;
    mod render;
    pub(crate) mod screens;
    mod shipping;
    mod stopping;
    mod tidy;
    mod words;
}

mod api_server {
    mod backup;
    mod claims;
    mod clear_text;
    mod completion;
    mod conversations;
    mod deletions;
    mod deploy;
    mod dev;
    mod diagnoses;
    mod differences;
    mod doctor;
    mod documented;
    mod editions;
    mod extra;
    mod faults;
    mod foreign_changes;
    mod forged;
    mod given_settings;
    mod history;
    mod images;
    mod ingress;
    mod interrupts;
    mod kills;
    mod locking;
    mod logs;
    mod ownership;
    mod pipelines;
    mod preemption;
    mod profiles;
    mod pruning;
    mod rbac;
    mod refusals;
    mod rendering;
    mod revisions;
    mod roles;
    mod rollouts;
    mod sandboxes;
    mod screens;
    mod secrets;
    mod seeded_rollouts;
    mod shared_pod;
    mod snapshots;
    mod state;
    mod status;
    mod status_views;
    mod stumbles;
    mod teardown;
    mod terminal;
}

mod browser {
    mod report;
}

mod containers {
    mod application;
    mod backup;
    mod canvas;
    mod doctor;
    mod failures;
    mod image;
    mod kind;
    mod logs;
    mod sandboxes;
    mod volumes;
}
