//! Secrets of the configuration.
//!
//! - `value`: a secret that neither `Debug` nor `Serialize` reveals, and the source of its value.
//! - `extract`: moves secrets out of a tree.

pub(super) mod extract;
pub mod value;
