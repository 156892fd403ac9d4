//! Effects on the API server: connect, apply, watch, follow, probe, delete. Never prints.
//!
//! - `client`: one connection: which context, requests and answers, what a refusal or a lost connection means.
//! - `access`: which RBAC rules a command needs, and whether the account has them.
//! - `inspect`: reads what is known of a set before anything is planned.
//! - `watch`: the objects of a set, kept up to date.
//! - `apply`: namespaces, inventory, lock, revisions, members, prune.
//! - `rollout`: follows what was applied until it is ready or has failed.
//! - `app`: the application itself: probes, logs, metrics, port-forward.
//! - `diff`: what a deploy would change, by dry run.
//! - `teardown`: deletes a set.
//! - `nodes`: what a new local cluster needs, and what nodes have room for.
//! - `scripted`: an API server for tests, in process.

pub mod access;
pub mod app;
pub mod apply;
pub mod client;
pub mod diff;
pub mod inspect;
pub mod nodes;
pub mod rollout;
#[cfg(test)]
pub(crate) mod scripted;
pub mod teardown;
pub mod watch;
