//! `doctor`: checks everything that a deploy of the configuration needs.

mod command;
mod examination;
mod installation;
mod output;
mod print;

pub use command::DoctorArgs;
pub(crate) use command::run;
pub(crate) use output::DoctorObject;
