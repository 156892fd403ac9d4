//! handsctl: a mini-kubectl for OpenHands.
//!
//! # Layout
//!
//! Listed from caller to callee; a file uses only what is listed below it. Where a line has an arrow, it names input and
//! output.
//!
//! ```text
//! main.rs, cli.rs   parse the command line, run the command, exit with its code; the list of commands
//! commands/         one file per command: its arguments, its help, its steps
//! deploy/           the steps that deploy, rollback, restart and up share
//! doctor/           what a deploy needs from the cluster and from this computer, as checks
//! session/          shared by all commands that use a cluster: connection, runner, lock, confirmation
//! command_line.rs   which command uses which global flag, and how a suggested command repeats them
//! foreign_commands.rs  commands of other tools, and ours that do the same
//! next_commands.rs  the commands to type next, for an id or an exit code
//! help.rs           the texts of --help: groups of commands, the options of every command
//! flags.rs          flags that several commands share; a command's own flags are in its file
//!
//! report/           events, errors and results → streams
//! provider/         effects on this computer: local clusters, programs, kubeconfig
//! cluster/          all traffic with the API server: apply, watch, follow, probe, delete
//! event.rs          the events of a run, as one enum, and their channel
//! status/           observed objects → verdict and findings
//! plan/             settings and live objects → planned objects, their changes, and the set's record in the cluster
//! settings/         config.toml, environment, flags → Settings
//! object/           kinds, ids, labels and YAML of Kubernetes objects
//! logs/             the lines of container logs: which are read, new and shown, and in what order
//! archive/          the file of a backup: its manifest, its checksums, the paths that it may have
//! timeline/         the rows of a run's timeline, and their compact form that a revision keeps
//!
//! error.rs          the error type: what could not be done, its cause, hints, and its exit code
//! diagnostic.rs     a mistake in config.toml with its position
//! catalogue.rs      every id of an error, a warning or a finding, with its explanation; a new one needs an entry here
//! reason.rs         what the operating system or a library reported, in words
//! phrase.rs         counts, durations and ages as text
//! process_group.rs  processes that end with handsctl
//! proxy.rs          the proxy of a connection, by Go's rules; of the API server, of downloads and of the application's URL
//! ```
//!
//! A run goes through them like this: `settings` and `plan` compute the desired state, `cluster` and `provider` read and
//! change the cluster and this computer and send events, `status` evaluates the watched objects, `report` writes. A name
//! that appears in several folders is one subject at several stages: `plan` decides, `cluster` does, `deploy` and
//! `commands` connect, `report` shows.
//!
//! Words: the *set* is everything that one configuration deploys; a *member* is an object of it; the *inventory* is the
//! list of its members in the cluster, on the set's *parent* (an ApplySet); a *revision* is one recorded deploy. A *fault*
//! is a state that may heal; a *finding* is a fault that is final, with the *evidence* that proves it.
//!
//! Each folder's `mod.rs` introduces its files. `archive`, `object`, `plan`, `status`, `timeline`, `logs` and `settings`
//! (except `settings/load/read.rs`) are pure: no clock, no environment, no stream, no network. Only `report` writes to a stream.
//! `tests/binary/tidy.rs` names each line that breaks a rule. For tests only: `golden.rs` (expected texts in files),
//! `damage.rs` (random damage of texts), `cluster/{scripted.rs,in_memory}`, `cluster/client/connect_tests.rs`,
//! `deploy/history_tests.rs`, `plan/history_model.rs`, `plan/diff/tests.rs`, `plan/inventory/damaged_revisions.rs`,
//! `provider/assets/{build,download}_tests.rs`, `report/scenario.rs`, `settings/tests`, `status/fixtures.rs`,
//! `status/fixtures/healthy_rollouts.rs`,
//! `doctor/fixtures.rs`.

pub mod archive;
pub mod catalogue;
pub mod cli;
pub mod cluster;
mod command_line;
pub mod commands;
#[cfg(test)]
mod damage;
mod deploy;
pub mod diagnostic;
mod doctor;
pub mod error;
pub mod event;
pub mod flags;
mod foreign_commands;
#[cfg(test)]
mod golden;
mod help;
pub mod logs;
mod next_commands;
pub mod object;
pub mod phrase;
pub mod plan;
mod process_group;
pub mod provider;
pub mod proxy;
pub mod reason;
pub mod report;
mod session;
pub mod settings;
pub mod status;
pub mod timeline;
