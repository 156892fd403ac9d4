//! The command `history`: the kept revisions and what each one changed.
//!
//! - `command`: its arguments, the table, and one revision in full.
//! - `diff`: `history diff` compares two revisions.
//! - `page`: the page of `--report` of one revision.
//! - `recorded`: reads and compares the revisions, for both.

mod command;
mod diff;
mod page;
mod recorded;

pub use command::{HistoryArgs, HistoryCommand};
pub(crate) use command::{RevisionObject, run};
pub use diff::HistoryDiffArgs;
