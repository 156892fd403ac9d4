//! Text → a checked tree of keys and values.
//!
//! - `read`: the files and Secrets' files, the only reads of this room; then the whole way to settings.
//! - `layer`: one source → its tree, or what its parser refuses.
//! - `tree`: keys and values, each with its place.
//! - `schema`: the JSON Schema of config.toml, and the form in which `check` walks it.
//! - `check`: a tree against the schema. `suggest`: the key that was probably meant.
//! - `redaction`: masks secrets in the text that diagnostics show.
//! - `diagnose`: all diagnostics → one error, or warnings.
//!
//! - `toml_writer`: a tree → text. `toml_key`: one key or text in quotes.

pub(super) mod check;
pub(super) mod diagnose;
pub(super) mod layer;
pub(super) mod read;
pub(super) mod redaction;
pub(super) mod schema;
pub(super) mod suggest;
pub(super) mod toml_key;
pub(super) mod toml_writer;
pub(super) mod tree;
