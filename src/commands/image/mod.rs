//! The commands that put images on the nodes before a pod waits for them.
//!
//! - `load`: copies them from this computer's container engine to a kind cluster. `pull`: makes every node pull them.

pub mod load;
pub mod pull;
