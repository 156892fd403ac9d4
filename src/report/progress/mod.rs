//! The output while a command runs.
//!
//! - `terminal`: which rows a terminal shows, and their text. `bars`: draws them, with spinners.
//! - `lines`: a line for each change, for streams that are not a terminal.
//! - `kept_objects`: which of many kept objects these two list.
//! - `heartbeat`: repeats what the command waits for when no other event arrives. `gap`: what is missing, and how long it
//!   usually takes.
//! - `events_json`: the machine-readable stream.

pub(super) mod bars;
pub(super) mod events_json;
mod gap;
pub(super) mod heartbeat;
mod kept_objects;
pub(super) mod lines;
pub(super) mod terminal;
