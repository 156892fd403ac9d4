//! Edits the user's kubeconfig. Lines that handsctl did not write stay unchanged, comments included.
//!
//! - `edit`: edits the text. Pure.
//! - `file`: reads, locks and replaces the file.
//! - `merge`: adds a cluster's entry to a file or removes it.
//! - `contexts`: does both for a cluster and records the files that have its entry.

pub(super) mod contexts;
mod edit;
mod file;
mod merge;

pub(super) use edit::{ContextEntry, ContextOwner};
pub(super) use merge::{owner, remove};
