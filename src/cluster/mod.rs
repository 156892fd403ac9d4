//! Effects on the API server: connect, apply, watch, follow, probe, delete. Never prints.
//!
//! - `client`: one connection: its context, requests and responses, and the meaning of errors.
//! - `access`: which RBAC rules a command needs, and whether the account has them.
//! - `inspect`: reads the state of a set, for the plan.
//! - `installations`: lists the sets of a cluster. `names`: names for the completion of a typed word.
//! - `watch`: the objects of a set, kept up to date.
//! - `apply`: namespaces, inventory, lock, revisions, members, prune.
//! - `rollout`: follows the applied objects until they are ready or have failed.
//! - `app`: the application itself: probes, metrics, port-forward. `logs`: the logs of containers.
//! - `volume`: the files of volumes, for backups.
//! - `diff`: what a deploy would change, by dry run.
//! - `namespace_objects`: everything in a namespace that is about to be deleted. `teardown`: deletes a set,
//!   `sandbox_teardown` the sandboxes of its application.
//!   `finalizer_controllers`: what should remove the finalizers of a deleted object.
//! - `nodes`: prepares the nodes of local clusters, and reads the capacity of nodes.
//! - `scripted`: an API server for tests, in process: the test writes each response. `in_memory`: one that stores objects.

pub mod access;
pub mod app;
pub mod apply;
pub mod client;
pub mod diff;
pub mod finalizer_controllers;
#[cfg(test)]
pub(crate) mod in_memory;
pub mod inspect;
pub mod installations;
pub mod logs;
pub mod names;
pub mod namespace_objects;
pub mod nodes;
pub mod rollout;
pub mod sandbox_teardown;
#[cfg(test)]
pub(crate) mod scripted;
pub mod teardown;
pub mod volume;
pub mod watch;
