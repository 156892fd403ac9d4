//! Live objects → verdicts and findings. Pure: time is an argument.

mod finding;

pub use finding::{Finding, Lookup};
