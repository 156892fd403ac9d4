//! What a run did, and when: the rows of the timeline, and their compact form that a revision keeps. Pure.
//!
//! - `row`: a step, a workload or a container with its states and its marks.
//! - `run_record`: the rows of a run as text of a limited size, and how long its phases took.

mod row;
mod run_record;

pub use row::{Moment, MomentKind, Row, RowKind, Span, SpanState};
pub use run_record::RunRecord;
