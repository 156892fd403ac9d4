//! The sandboxes of the application's conversations.
//!
//! - `ended`: sandboxes that have ended, whose rest blocks their conversation.
//! - `stuck_conversations`: the finding about them.
//! - `interrupted_conversations`: what a stop of the application means for the running ones.

mod ended;
mod interrupted_conversations;
mod stuck_conversations;

pub use ended::{EndedSandbox, NAME_PREFIX, ended, is_of_conversation, running};
pub use interrupted_conversations::interrupted_conversations;
pub use stuck_conversations::{SandboxCleanup, SandboxHealth, sandbox_health, stuck_reason};
