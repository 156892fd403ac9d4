//! Documentation of config.toml.
//!
//! - `reference`: every key with its meaning, default, allowed values, and the field of an object that it sets.
//! - `template`: the file that `config init` writes.

pub(super) mod reference;
mod template;
