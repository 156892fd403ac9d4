//! Documentation of config.toml.
//!
//! - `reference`: every key with its meaning, default, allowed values, and the field of an object that it sets.
//! - `unset_values`: the values of a key that nobody sets: its default, or what handsctl or a profile sets instead.
//! - `field_keys`: the key that sets a field, a variable or an object.
//! - `template`: the files that `config init` writes.

pub(super) mod field_keys;
pub(super) mod reference;
pub(super) mod template;
pub(super) mod unset_values;
