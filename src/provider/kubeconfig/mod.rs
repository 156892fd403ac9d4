//! The user's kubeconfig. Lines that are not ours stay as they are, comments included.
//!
//! - `edit`: text → text. Pure.
//! - `file`: reads, locks and replaces a file.
//! - `merge`: adds a cluster's entry to a file, and removes it.
//! - `contexts`: which files have an entry of ours.

pub(super) mod contexts;
mod edit;
mod file;
mod merge;

pub(super) use edit::{ContextEntry, ContextOwner};
pub(super) use merge::{owner, remove};
