//! The lines of container logs: which are read, which are new, which are shown, and in what order. Pure.
//!
//! - `target`: what the command line names. `query`: the logs to read. `containers`: which containers of a pod have a log, and how they ended.
//! - `stamp`: the server's timestamp of a line. `line_buffer`: splits received bytes into lines.
//! - `position`: where a followed log continues, and where lines may be missing.
//! - `next_request`: what is requested after a connection has ended.
//! - `level`: the level of a line. `line_filter`: which lines are shown.
//! - `batch`: lines of one source on their way to the output. `event_line`: Kubernetes Events as such lines. `followed_events`:
//!   the Events of a watch that are new. `conversation_event`: the events of a conversation as lines. `merge`: orders the
//!   lines of several sources by time.

pub mod batch;
pub(crate) mod containers;
pub(crate) mod conversation_event;
pub(crate) mod event_line;
pub(crate) mod followed_events;
pub mod level;
pub(crate) mod line_buffer;
pub mod line_filter;
pub(crate) mod merge;
pub(crate) mod next_request;
pub(crate) mod position;
pub mod query;
pub(crate) mod stamp;
pub mod target;
