//! What every command with a cluster needs.
//!
//! - `cluster_session`: the configuration, the choice of the cluster, the connection.
//! - `confirm`: asks before something is deleted.
//! - `runner`: runs a command beside its reporter: signals, the deadline, the last event.
//! - `step`: one named part of a command. `output`: the form of its result.
//! - `set_lock`: the set's lock, held by this process and released however the command ends.
//! - `exposure`: the URL under which people reach the application.

pub(crate) mod cluster_session;
pub(crate) mod confirm;
pub(crate) mod exposure;
pub(crate) mod output;
pub(crate) mod runner;
pub(crate) mod set_lock;
pub(crate) mod step;
