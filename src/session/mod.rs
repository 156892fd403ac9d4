//! Shared parts of all commands that use a cluster.
//!
//! - `cluster_session`: reads the configuration, chooses the cluster and connects to it.
//! - `local_state`: explains a failed connection by the state of the local cluster. `desired_cluster`: the local cluster
//!   of the configuration. `local_defaults`: whether the defaults of local clusters apply.
//! - `confirm`: asks before data is deleted.
//! - `config_file`: the config file that a command changes. `editor`: the user's editor.
//! - `runner`: runs a command beside its reporter, with signals, the deadline and the last event. `signals`: the first
//!   one ends a command in order, the second one at once.
//! - `reading`: runs a command that only reads beside its reporter.
//! - `remote_command`: runs a command in a container with the streams of this process.
//! - `long_calls`: what a command says about requests that wait long: while it waits, and when it times out.
//! - `step`: runs one named part of a command; also has the command's `Deadline`. `output`: the output format of its
//!   result; also converts foreign errors. `output_files`: the files that it writes beside its result.
//! - `set_lock`: acquires the set's lock for a command and releases it however the command ends. `revision_slot`: marks
//!   an unfinished revision as interrupted before that. `cleanup_slot`: undoes what a command must not leave, before both.
//!   `uncut`: requests that an interruption does not cut, and their end for a cleanup.
//! - `hidden_keys`: hides the keys of the application in the logs that a command quotes. `keyed_application`: finds a running
//!   application with its keys.
//! - `provenance`: who started this run, as its CI system says.
//! - `exposure`: computes the URL of the application.

mod cleanup_slot;
pub(crate) mod cluster_session;
pub(crate) mod config_file;
pub(crate) mod confirm;
pub(crate) mod desired_cluster;
pub(crate) mod editor;
pub(crate) mod exposure;
pub(crate) mod hidden_keys;
pub(crate) mod keyed_application;
mod local_defaults;
pub(crate) mod local_state;
pub(crate) mod long_calls;
pub(crate) mod output;
pub(crate) mod output_files;
mod provenance;
pub(crate) mod reading;
pub(crate) mod remote_command;
pub(crate) mod revision_slot;
pub(crate) mod runner;
pub(crate) mod set_lock;
pub(crate) mod signals;
pub(crate) mod step;
pub(crate) mod uncut;
