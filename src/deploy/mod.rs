//! The steps that `deploy`, `rollback`, `restart` and `up` share, in the order in which they run.
//!
//! - `prepare`: reads the state of the cluster, plans, compares, checks the account's rights.
//! - `version_change`: says what another version of the application changes.
//! - `dry_run`: says what would be done.
//! - `conversation_guard`: refuses to stop a pod that would delete a conversation's volume.
//! - `prepull`: pulls a changed image before the old pod is stopped.
//! - `execute`: records, applies, follows, prunes, concludes.
//! - `rollout`: follows the rollout, and explains a failed one.
//! - `verify`: asks the application whether it answers. `sandbox_capacity`: how many sandboxes fit.
//!   `app_settings`: gives it model and key.
//! - `auto_rollback`: brings the last good revision back.
//! - `summary`: the last line, and what to type next.

pub(crate) mod app_settings;
pub(crate) mod auto_rollback;
pub(crate) mod conversation_guard;
pub(crate) mod dry_run;
pub(crate) mod execute;
pub(crate) mod prepare;
pub(crate) mod prepull;
pub(crate) mod rollout;
pub(crate) mod sandbox_capacity;
pub(crate) mod summary;
pub(crate) mod verify;
pub(crate) mod version_change;
