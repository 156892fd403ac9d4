//! The sandboxes of the application's conversations.
//!
//! - `part`: the names of a conversation's objects.
//! - `ended`: sandboxes that have ended, whose rest blocks their conversation.
//! - `stuck_conversations`: the finding about them.
//! - `conversation`: the objects of each conversation, by their exact names. `garbage`: what `sandbox gc` deletes of them.
//!   `removal`: what `teardown --sandboxes` deletes.
//! - `interrupted_conversations`: what a stop of the application means for the running ones.
//! - `pod_conversation`: a conversation without a sandbox, in the application's own pod, and when nobody uses it any more.

mod conversation;
mod ended;
mod garbage;
mod interrupted_conversations;
mod part;
mod pod_conversation;
mod removal;
mod stuck_conversations;

pub use conversation::{AppKnowledge, Conversation, SandboxObjects, conversations, note, short_id};
pub use ended::{EndedSandbox, ended, has_ended, running};
pub use garbage::{Garbage, GarbageObject, GarbageOptions, garbage};
pub use interrupted_conversations::{interrupted_conversations, interrupted_in_the_pod};
pub use part::{ConversationPart, NAME_PREFIX, is_of_conversation};
pub use pod_conversation::PodConversation;
pub use removal::removal;
pub use stuck_conversations::{SandboxCleanup, SandboxHealth, sandbox_health, stuck_reason};
