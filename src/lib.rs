//! handsctl: a mini-kubectl for OpenHands.
//!
//! # Layout
//!
//! The folders are the data flow. An arrow says what goes on from one to the next.
//!
//! ```text
//! main.rs, cli.rs   parse, run a command, exit with its code; the list of commands
//! flags.rs          flags that several commands share
//! commands/         one file per command: its arguments, its help, its recipe
//! deploy/           the steps that deploy, rollback, restart and up share
//! session/          what every command with a cluster needs: connection, runner, lock, confirmation
//!
//! settings/         config.toml, environment, flags → Settings
//! plan/             Settings → objects, and what follows from those that are there
//! object/           the vocabulary of Kubernetes objects
//! cluster/          effects on the API server: apply, watch, follow, probe, delete
//! status/           live objects → verdict and findings
//! provider/         effects on this computer: local clusters, programs, kubeconfig
//! report/           events, errors and results → streams
//!
//! event.rs          everything that can happen, as one enum, and its channel
//! error.rs          what could not be done, because of what, and what to type next
//! diagnostic.rs     a mistake at a place in config.toml
//! catalogue.rs      every id of an error, a warning or a finding, explained
//! phrase.rs         counts and spans of time in a sentence
//! ```
//!
//! A command goes down this list and never back up: `commands` wire, `settings` and `plan` say what is wanted,
//! `cluster` and `provider` do it and tell what happens as events, `status` judges what the watches show, `report`
//! writes. Each folder's `mod.rs` introduces its files in one sentence each, in the order in which data passes
//! through them.
//!
//! `object`, `plan`, `status` and `settings` (but for its reads) are pure: no clock, no environment, no stream, no
//! network. Only `report` writes to a stream. `tests/tidy.rs` reads this folder and fails with the line that breaks a
//! rule.

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
