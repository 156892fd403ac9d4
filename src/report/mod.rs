//! Output for people, programs and CI services. The only code that writes to a stream.
//!
//! - `streams`: stdout and stderr: what they are (terminal, width), and the writes.
//! - `reporter`: runs concurrently with the command and writes its events.
//! - `progress`: the output while a command runs: on a terminal, as lines, as NDJSON.
//! - `summary`: the result of a command, as one object.
//! - `text`: errors, diagnostics, diffs and tables as text.

mod progress;
mod reporter;
#[cfg(test)]
mod scenario;
mod streams;
mod summary;
mod text;

pub use reporter::{EventsTarget, Output, ReadingProgress, Reporter};
pub use streams::{Streams, Written};
pub use summary::{ReportedWarning, RunSummary, Summary};
pub use text::color::ColorChoice;
pub use text::diff::DiffReport;
pub use text::messages::Answer;
pub use text::table::table;
