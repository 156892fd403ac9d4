//! The page of `--report`: a rollout as a picture, in one HTML file without scripts.
//!
//! - `timeline`: events → rows of states with their times. `page`: the timeline → HTML. `page.html`: its template.
//! - `report_file`: the file, written when the command ends.

mod page;
mod report_file;
mod timeline;

pub use report_file::ReportFile;
