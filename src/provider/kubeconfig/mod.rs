//! Edits the user's kubeconfig. Lines that handsctl did not write stay unchanged, comments included.
//!
//! - `edit`: inserts, replaces and removes entries in the text. Pure.
//! - `file`: reads, locks and replaces the file.
//! - `merge`: chooses the entries (cluster, user, context) that are added to a file or removed from it.
//! - `contexts`: merges a cluster into every file concerned and records those files.

pub(super) mod contexts;
mod edit;
mod file;
mod merge;

pub(super) use edit::{ContextEntry, ContextOwner};
pub(super) use merge::{check, owner, remove, server};
