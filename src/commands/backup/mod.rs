//! `backup`: the application's state as one file. `restore` uses what finds, stops and starts the application, too.
//!
//! - `command`: the arguments, the help and the steps.
//! - `application_volume`: finds the volume with the application's state. `stopped_application`: mounts it while the
//!   application is stopped. `sandbox_volumes`: the volumes of conversations.
//! - `snapshot`: a snapshot in the cluster instead of the file. `snapshot_source`: whether the cluster can take one.
//! - `copy`: copies a volume into the file. `destination`: the file.

pub(in crate::commands) mod application_volume;
mod command;
mod copy;
mod destination;
pub(in crate::commands) mod sandbox_volumes;
mod snapshot;
pub(in crate::commands) mod snapshot_source;
pub(in crate::commands) mod stopped_application;

pub use command::BackupArgs;
pub(crate) use command::run;
