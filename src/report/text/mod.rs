//! Values → text, for people and for programs.
//!
//! - `error`: an error or a finding. `diagnostic`: a place in config.toml, in rustc's form.
//! - `diff`: what a deploy would change. `table`: rows and columns.
//! - `github`: annotations, groups and the step summary of GitHub Actions.
//! - `json_objects`: objects and findings as every JSON output has them.
//! - `messages`: what a command says by itself: errors, warnings, questions.
//!
//! How it looks:
//! - `format`: numbers, spans of time, labels.
//! - `color`: whether there is colour. `style`: which colour means what.
//! - `sanitize`: removes control characters from what somebody else wrote.

pub(super) mod color;
pub(super) mod diagnostic;
pub(super) mod diff;
pub(super) mod error;
pub(super) mod format;
pub(super) mod github;
pub(super) mod json_objects;
pub(super) mod messages;
pub(super) mod sanitize;
pub(super) mod style;
pub(super) mod table;
