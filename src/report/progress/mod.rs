//! What is shown while a command runs.
//!
//! - `terminal`: steps and objects for a terminal, as texts. `bars`: draws them.
//! - `lines`: a line for each change, where there is no terminal.
//! - `heartbeat`: when it is time to say what is waited for.
//! - `events_json`: the machine-readable stream.

pub(super) mod bars;
pub(super) mod events_json;
pub(super) mod heartbeat;
pub(super) mod lines;
pub(super) mod terminal;
