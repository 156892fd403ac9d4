//! What `doctor` checks: everything that a deploy of this configuration needs from the cluster and from this computer.
//! Nothing is changed.
//!
//! - `check`: the result of one check, and the exit code that follows from all of them. Pure.
//! - `examine`: reads what the checks need, all categories at once, and runs them. `reading`: lists and gets, with the reason
//!   where one failed. `application`: asks about the application's pod and objects. `in_pod`: name resolution and connections from the application's pod.
//!
//! The checks are pure: objects → results.
//! - `configuration`: the configuration's warnings. `computer`: the container engine.
//! - `server`: the API server's version and clock. `metrics`: the metrics API. `rights`: what the account lacks.
//! - `storage`: storage classes and claims.
//! - `ingress`: ingress classes and their controllers. `dns`: the cluster's DNS. `connections`: what `in_pod` reports.
//! - `policies`: whether the network plugin enforces policies. `webhooks`: webhooks that nobody serves.
//! - `host`: whether another Ingress has the host.
//! - `nodes`: nodes, the images on them, and the room for sandboxes. `quota`, `limit_range`, `pod_security`: whether the
//!   namespace of sandboxes has room for one and admits it.
//! - `login_answers`: whether the page of the running application keeps its key, which `login` asks.
//! - `namespace`: whether objects can be created in a namespace. `admission`: whether the application's pod is admitted.

mod admission;
mod application;
pub(crate) mod check;
mod computer;
pub(crate) mod configuration;
mod connections;
mod dns;
pub(crate) mod examine;
mod host;
mod in_pod;
mod ingress;
mod limit_range;
mod login;
mod login_answers;
mod metrics;
mod namespace;
mod nodes;
mod pod_security;
mod policies;
mod quota;
mod reading;
mod rights;
mod server;
mod storage;
mod webhooks;
