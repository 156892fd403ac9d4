//! The config file, without a cluster.
//!
//! - `init`: writes one. `check`: finds every mistake. `show`: every key with its value.
//! - `explain`: what a key means. `schema`: the JSON Schema, for editors.

pub mod check;
pub mod explain;
pub mod init;
pub mod schema;
pub mod show;
