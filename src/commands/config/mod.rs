//! The commands of the config file. They need no cluster.
//!
//! - `init`: writes one. `check`: reports every error. `show`: prints every key with its value.
//! - `explain`: prints the documentation of a key. `schema`: prints the JSON Schema, for editors.

pub mod check;
pub mod explain;
pub mod init;
pub mod schema;
pub mod show;
