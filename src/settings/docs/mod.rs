//! Documentation of config.toml.
//!
//! - `reference`: every key with its meaning, default, allowed values, and the field of an object that it sets.
//! - `template`: the files that `config init` writes.

pub(super) mod reference;
pub(super) mod template;
