//! Text → a checked tree of keys and values.
//!
//! - `read`: reads the config files and the files of secrets, the only reads of `settings`; then runs every step to
//!   [`Settings`](crate::settings::Settings).
//! - `bounded`: reads a source of bounded size.
//! - `layer`: one source → its tree, or its syntax errors.
//! - `tree`: keys and values, each with its position.
//! - `schema`: the JSON Schema of config.toml, and the form in which `check` walks it.
//! - `check`: checks a tree against the schema. `suggest`: finds the closest known key. `commented_table`: finds the
//!   header to uncomment.
//! - `redaction`: masks secrets in the text that diagnostics show.
//! - `diagnose`: all diagnostics → one error, or warnings.
//!
//! - `toml_writer`: a tree → text. `toml_key`: one key or text in quotes. `edit`: changes keys in the text of a file.

mod bounded;
pub(super) mod check;
mod commented_table;
pub(super) mod diagnose;
pub(super) mod edit;
pub(super) mod layer;
pub(super) mod read;
pub(super) mod redaction;
pub(super) mod schema;
pub(super) mod suggest;
pub(super) mod toml_key;
pub(super) mod toml_writer;
pub(super) mod tree;
