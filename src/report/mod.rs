//! What people, programs and CI services see. The only code that writes to a stream.
//!
//! - `streams`: stdout and stderr: who reads them, and what is written for whom.
//! - `reporter`: runs beside the work: events → whatever is shown of them.
//! - `progress`: what is shown while a command runs: on a terminal, as lines, as NDJSON.
//! - `summary`: what is known at the end, as one object.
//! - `text`: errors, diagnostics, diffs and tables as text.

mod progress;
mod reporter;
#[cfg(test)]
mod scenario;
mod streams;
mod summary;
mod text;

pub use reporter::{EventsTarget, Output, Reporter};
pub use streams::{Streams, Written};
pub use summary::{RunSummary, Summary, Warned};
pub use text::color::ColorChoice;
pub use text::diff::DiffReport;
pub use text::messages::Answer;
pub use text::table::table;
