//! The page of `--report`: a rollout as a picture, in one HTML file without scripts.
//!
//! - `run_timeline`: events → rows of states with their times, while the command runs. `shared_timeline`: the same, for
//!   the command, which records it in its revision.
//! - `run_page`: the timeline → the content of a page. `revision_page`: a kept revision → the content of a page.
//! - `clean`: texts without secrets and control characters. `page`: the content → HTML. `page.html`: its template. `scale`: times → places.
//! - `report_file`: the file, written when the command ends.

mod clean;
mod page;
mod report_file;
mod revision_page;
mod run_page;
mod run_timeline;
mod scale;
mod shared_timeline;

pub use report_file::ReportFile;
pub use revision_page::RevisionPage;
pub use shared_timeline::SharedTimeline;
