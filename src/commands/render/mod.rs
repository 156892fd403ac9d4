//! `render`: prints the manifests without a cluster, or writes them to files.
//!
//! - `command`: the arguments and the steps. `rendering`: the objects as text. `missing_secret`: the Secret
//!   that is not printed, and the command that creates it.
//! - `file_name`: the name of each object's file, and which files of a former render are left over. `write`: the files.

mod command;
mod file_name;
mod missing_secret;
mod rendering;
mod write;

pub use command::RenderArgs;
pub(crate) use command::run;
