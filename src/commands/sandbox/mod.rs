//! The commands of the conversations' sandboxes.
//!
//! - `list`: lists them. `describe`: one with its objects, conditions and Events; `description`: the same for programs.
//!   `logs`: its log. `exec`: runs a command in it.
//! - `gc`: deletes what blocks a conversation, and what is left of conversations that do not exist any more.
//! - `read`: what they read: the objects, and what the application answers about their conversations. `others`: other
//!   applications in the same namespace.
//! - `typed`: the conversation that a typed word means.
//! - `shared_pod`: the same commands where the conversations run in the application's own pod.

pub mod describe;
pub(in crate::commands) mod description;
pub mod exec;
pub mod gc;
pub mod list;
pub mod logs;
pub(in crate::commands) mod others;
pub(in crate::commands) mod read;
mod shared_pod;
mod typed;
