//! What people read about config.toml.
//!
//! - `reference`: every key: meaning, default, allowed values, the field of the object that it becomes.
//! - `template`: the file that `config init` writes.

pub(super) mod reference;
mod template;
