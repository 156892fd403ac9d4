//! `restore`: replaces the application's state by that of a backup.
//!
//! - `command`: the arguments, the help and the steps. `description`: a backup as `--dry-run` prints it.
//! - `order`: which volume is replaced when. `volumes`: writes and replaces the files.
//! - `snapshot`: replaces the whole volume by a snapshot. `snapshot_check`: whether it can be restored. `claim_source`: the
//!   claim that is made from it. `target_check`: whether an application can read the state.

mod claim_source;
mod command;
mod description;
mod order;
mod snapshot;
mod snapshot_check;
mod target_check;
mod volumes;

pub use command::RestoreArgs;
pub(crate) use command::run;
pub use description::BackupDescription;
