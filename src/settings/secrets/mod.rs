//! Secrets of the configuration.
//!
//! - `value`: a secret that neither `Debug` nor `Serialize` reveals, and the source of its value.
//! - `misplaced`: references with the secret itself in place of a name.
//! - `extract`: moves secrets out of a tree.

pub(super) mod extract;
pub(super) mod misplaced;
pub mod value;
