//! `restore`: replaces the application's state by that of a backup.
//!
//! - `command`: the arguments, the help and the steps. `description`: a backup as `--dry-run` prints it.

mod command;
mod description;

pub use command::RestoreArgs;
pub(crate) use command::run;
pub use description::BackupDescription;
