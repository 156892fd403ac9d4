//! Values → text, for people and for programs.
//!
//! - `error`: an error or a finding. `diagnostic`: a location in config.toml, in rustc's form.
//! - `diff`: the differences that a deploy would apply. `recorded_diff`: those between two revisions. `table`: rows and columns.
//! - `markdown`: a summary with collapsed blocks, for a comment on a pull request and for a step summary.
//! - `github`: annotations, groups and the step summary of GitHub Actions.
//! - `gitlab`: the sections of a GitLab job's log.
//! - `json_text`: JSON without secrets, and without what a terminal or GitHub's runner would execute.
//! - `json_objects`: objects and findings in the form that all JSON outputs share.
//! - `log_text`: the lines of container logs.
//! - `mark`: the mark before the result of a check.
//! - `messages`: errors, warnings, questions and results outside of the event stream.
//!
//! Form:
//! - `format`: numbers, durations, labels.
//! - `color`: whether to use colour (`NO_COLOR`, `CLICOLOR`, a terminal). `style`: the meaning of each colour.
//! - `sparkline`: values over time as bars.
//! - `wrap`: wraps lines at spaces for a narrow terminal.
//! - `sanitize`: removes control characters from untrusted text.

pub(super) mod color;
pub(super) mod diagnostic;
pub(super) mod diff;
pub(super) mod error;
pub(super) mod format;
pub(super) mod github;
pub(super) mod gitlab;
pub(super) mod json_objects;
pub(super) mod json_text;
pub(super) mod log_text;
pub(super) mod mark;
pub(super) mod markdown;
pub(super) mod messages;
pub(super) mod recorded_diff;
pub(super) mod sanitize;
pub(super) mod sparkline;
pub(super) mod style;
pub(super) mod table;
pub(crate) mod wrap;
