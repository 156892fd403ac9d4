//! The commands of the config file. They need no cluster.
//!
//! - `init`: writes one. `set`: sets keys in it; `meant_assignment`: what wrong arguments mean.
//! - `edit`: opens it in an editor.
//! - `check`: reports every error. `show`: prints every key with its value. `get`: prints the value of one.
//! - `explain`: prints the documentation of a key. `schema`: prints the JSON Schema, for editors.

pub mod check;
pub mod edit;
pub mod explain;
pub mod get;
pub mod init;
mod meant_assignment;
pub mod schema;
pub mod set;
pub mod show;
