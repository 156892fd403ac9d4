//! Secrets of the configuration.
//!
//! - `value`: a secret that neither `Debug` nor `Serialize` shows, and where its value comes from.
//! - `extract`: takes secrets out of a tree.

pub(super) mod extract;
pub mod value;
