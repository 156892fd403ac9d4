//! Effects on the API: connect, apply, track, probe, logs, delete. Never prints.

pub mod answer;
pub mod api;
pub mod apply;
pub mod connect;
pub mod delete;
pub mod diff;
mod evidence;
mod fault;
pub mod ground;
pub mod live;
pub mod lock;
pub mod logs;
pub mod probe;
pub mod prune;
mod remove;
pub mod restart;
pub mod revisions;
pub mod rights;
pub mod rules;
pub mod simulated;
pub mod survey;
pub mod target;
mod token;
pub mod track;
pub mod version;
pub mod watch;
pub mod wire;
