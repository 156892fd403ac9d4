//! handsctl: a mini-kubectl for OpenHands.
//!
//! # Layout
//!
//! The folders follow the data flow. An arrow names the data that one folder passes on to the next.
//!
//! ```text
//! main.rs, cli.rs   parse the command line, run the command, exit with its code; the list of commands
//! flags.rs          flags that several commands share
//! commands/         one file per command: its arguments, its help, its steps
//! deploy/           the steps that deploy, rollback, restart and up share
//! session/          shared by all commands that use a cluster: connection, runner, lock, confirmation
//!
//! settings/         config.toml, environment, flags → Settings
//! plan/             Settings and live objects → the planned objects and their changes
//! object/           kinds, ids, labels and YAML of Kubernetes objects
//! cluster/          effects on the API server: apply, watch, follow, probe, delete
//! status/           live objects → verdict and findings
//! provider/         effects on this computer: local clusters, programs, kubeconfig
//! report/           events, errors and results → streams
//!
//! event.rs          the events of a run, as one enum, and their channel
//! error.rs          the error type: what could not be done, its cause, and hints
//! diagnostic.rs     a mistake in config.toml with its position
//! catalogue.rs      every id of an error, a warning or a finding, with its explanation
//! phrase.rs         counts, durations and ages as text
//! ```
//!
//! Calls go down this list and never back up: `commands` connects the parts, `settings` and `plan` compute the desired
//! state, `cluster` and `provider` change the cluster and this computer and send events, `status` evaluates the watched
//! objects, `report` writes. Each folder's `mod.rs` introduces its files in one sentence each, in the order in which
//! data passes through them.
//!
//! `object`, `plan`, `status` and `settings` (except `settings/load/read.rs`) are pure: no clock, no environment, no
//! stream, no network. Only `report` writes to a stream. `tests/binary/tidy.rs` reads this folder and names each line that
//! breaks a rule.

pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod commands;
mod deploy;
pub mod diagnostic;
pub mod error;
pub mod event;
pub mod flags;
#[cfg(test)]
mod golden;
pub mod object;
pub mod phrase;
pub mod plan;
pub mod provider;
pub mod report;
mod session;
pub mod settings;
pub mod status;
