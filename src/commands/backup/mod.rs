//! `backup` and `restore`: the application's state as one file.
//!
//! - `backup_command`, `restore_command`: the arguments, the help and the steps.
//! - `application_volume`: finds the volume with the application's state. `stopped_application`: mounts it while the
//!   application is stopped. `sandbox_volumes`: the volumes of conversations.
//! - `destination`: the file that a backup is written to. `description`: a backup as `restore --dry-run` prints it.

mod application_volume;
mod backup_command;
mod description;
mod destination;
mod restore_command;
mod sandbox_volumes;
mod stopped_application;

pub use backup_command::BackupArgs;
pub(crate) use backup_command::run as run_backup;
pub use description::BackupDescription;
pub use restore_command::RestoreArgs;
pub(crate) use restore_command::run as run_restore;
