//! What an application that keeps its settings itself gets, and whether it took it. Pure.
//!
//! - `request`: builds the requests that give it the configured settings.
//! - `decision`: decides whether to give them.
//! - `reset`: resets what the configuration no longer has.
//! - `answer`: compares what it answers with them.

pub mod answer;
pub mod decision;
pub mod request;
pub mod reset;
