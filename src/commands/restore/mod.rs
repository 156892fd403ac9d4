//! `restore`: replaces the application's state by that of a backup.
//!
//! - `command`: the arguments, the help and the steps. `description`: a backup as `--dry-run` prints it.
//! - `order`: which volume is replaced when. `volumes`: writes and replaces the files.

mod command;
mod description;
mod order;
mod volumes;

pub use command::RestoreArgs;
pub(crate) use command::run;
pub use description::BackupDescription;
