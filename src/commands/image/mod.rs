//! The commands that put images on the nodes before a pod waits for them.
//!
//! - `load`: copies them from this computer's container engine to a kind cluster. `pull`: makes every node pull them.
//! - `replaced`: pods that run the previous image of a name.

pub mod load;
pub mod pull;
pub(super) mod replaced;
