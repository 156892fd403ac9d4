//! Output for people, programs and CI services. The only code that writes to a stream.
//!
//! - `streams`: stdout and stderr: what they are (terminal, width), and the writes. `raw_terminal`: the terminal of a
//!   remote command.
//! - `reporter`: runs concurrently with the command and writes its events.
//! - `screen`: a text on a terminal, of which only the changed lines are drawn again.
//! - `progress`: the output while a command runs: on a terminal, as lines, as NDJSON.
//! - `html`: the page of `--report`.
//! - `junit`: the result as JUnit XML. `evidence_folder`: the files of `--evidence`.
//! - `log_writer`: writes the lines of container logs.
//! - `summary`: the result of a command, as one object.
//! - `schemas`: JSON Schemas of the outputs for programs. `versioned`: their version.
//! - `text`: errors, diagnostics, diffs and tables as text.

mod evidence_folder;
mod html;
mod junit;
mod log_writer;
mod progress;
mod raw_terminal;
mod reporter;
#[cfg(test)]
mod scenario;
mod schemas;
mod screen;
mod streams;
mod summary;
mod text;
mod versioned;

pub use evidence_folder::EvidenceFolder;
pub use html::{ReportFile, RevisionPage, SharedTimeline};
pub use junit::ConfigCheck;
pub use log_writer::LogWriter;
pub use raw_terminal::{RawTerminal, terminal_size};
pub use reporter::{EventsTarget, JunitFile, Output, ReadingProgress, Reporter};
pub use schemas::{
    diff_schema, events_schema, failure_schema, list_schema_of, result_schema_of, schema_of, summary_schema,
};
pub use screen::Screen;
pub use streams::{Streams, Written};
pub use summary::{ReportedWarning, RunSummary, Summary};
pub use text::color::ColorChoice;
pub use text::diff::{DiffBasis, DiffReport};
pub(crate) use text::error::ErrorObject;
pub use text::log_text::{LogForm, LogObject};
pub use text::mark::Mark;
pub use text::messages::Answer;
pub use text::recorded_diff::RecordedDiff;
pub(crate) use text::sanitize::one_line;
pub use text::sparkline::sparkline;
pub use text::table::table;
pub(crate) use text::wrap::wrapped;
pub use versioned::Versioned;
