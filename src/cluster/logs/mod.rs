//! Container logs.
//!
//! - `read`: lists the pods and reads the logs of their containers; with `follow` those of later pods as well.
//! - `targets`: finds the pods that the command line names.
//! - `merging`: orders the lines by time.
//! - `stream`: reads the log of one container across lost connections.

mod merging;
pub mod read;
mod stream;
pub mod targets;
