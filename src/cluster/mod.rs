//! Effects on the API: connect, apply, track, probe, logs, delete. Never prints.

pub mod answer;
pub mod api;
pub mod apply;
pub mod connect;
pub mod delete;
mod evidence;
mod fault;
pub mod ground;
pub mod live;
pub mod logs;
pub mod probe;
mod repeated;
pub mod rights;
pub mod rules;
mod sight;
pub mod simulated;
pub mod survey;
pub mod target;
mod token;
pub mod track;
pub mod version;
pub mod watch;
pub mod wire;
