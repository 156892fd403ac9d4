//! The one test binary: linking kube's tree costs seconds, so it is linked once.
//!
//! `bed` prepares a real control plane through the product's own code and ends it with the process; with
//! `HANDSCTL_TEST_CLUSTER=off` each test that needs it says that it was not run. So do those of `kind`, which need a
//! container engine and the application's image, unless `HANDSCTL_TEST_KIND=1` is set.

#![cfg(test)]

mod application;
mod bed;
mod cli;
mod config;
mod deploy;
mod dev;
mod differences;
mod engines;
mod extra;
mod fault;
mod faults;
mod images;
mod ingress;
mod interrupts;
mod kills;
mod kind;
mod locking;
mod logs;
mod ownership;
mod planted;
mod profiles;
mod provider;
mod pruning;
mod rbac;
mod recorder;
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
mod tidy;
