//! The commands of conversations that run in the application's own pod, as those of Agent Canvas.
//!
//! - `application`: whether the conversations share its pod, and the way to them. `errors`: why there is none.
//! - `list`: lists the conversations. `describe`: one of them. `logs`: its events. `exec`: where its commands run.
//! - `gc`: deletes conversations that nobody has used for long.

pub(in crate::commands) mod application;
pub(in crate::commands) mod describe;
mod errors;
pub(in crate::commands) mod exec;
pub(in crate::commands) mod gc;
pub(in crate::commands) mod list;
pub(in crate::commands) mod logs;
