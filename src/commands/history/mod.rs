//! The command `history`: the kept revisions and what each one changed.
//!
//! - `command`: its arguments, the table, and one revision in full.
//! - `diff`: `history diff` compares two revisions.
//! - `recorded`: reads and compares the revisions, for both.

mod command;
mod diff;
mod recorded;

pub use command::{HistoryArgs, HistoryCommand};
pub(crate) use command::{RevisionObject, run};
pub use diff::HistoryDiffArgs;
