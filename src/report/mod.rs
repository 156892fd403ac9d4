//! What people, programs and CI services see. The only code that writes to a stream.

/// Compares a text with the recorded one in tests/fixtures/report.
#[cfg(test)]
macro_rules! assert_recorded {
    ($name:literal, $text:expr) => {
        insta::with_settings!({
            snapshot_path => "../../tests/fixtures/report",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!($name, $text) })
    };
}

mod bars;
mod color;
mod diagnostic;
mod diff;
mod failure;
mod github;
mod human;
mod json;
mod line;
mod paint;
mod reporter;
mod say;
#[cfg(test)]
mod scenario;
mod streams;
mod strip;
mod summary;
mod table;
mod waiting;
mod wording;

pub use color::ColorChoice;
pub use diff::DiffReport;
pub use reporter::{EventsTarget, Output, Reporter};
pub use say::Answer;
pub use streams::{Streams, Written};
pub use summary::{Reported, Summary, Warned};
pub use table::table;
pub use wording::age;
