//! Images on the nodes, before somebody waits for them.
//!
//! - `load`: from this computer's container engine to a kind cluster. `pull`: every node pulls.

pub mod load;
pub mod pull;
