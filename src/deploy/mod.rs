//! The steps that `deploy`, `rollback`, `restart` and `up` share, in the order in which they run.
//!
//! - `recipe`: the steps of `deploy` and `rollback`.
//! - `prepare`: reads the cluster, decides what is wanted, compares. `check`: Pod Security, the account's rights.
//!   `conversation_guard`: refuses to stop a pod that would delete a conversation's volume.
//! - `version_change`: warns of what another release of the application changes.
//! - `dry_run`: says what would be done.
//! - `prepull`: pulls a changed image before the old pod is stopped.
//! - `execute`: records the revision, applies, follows, verifies, prunes.
//! - `rollout`: follows the rollout, and makes an error of what stops it.
//! - `verify`: probes the application. `sandbox_capacity`: how many sandboxes fit. `app_settings`: gives the
//!   application model and key.
//! - `auto_rollback`: brings the last good revision back.
//! - `summary`: the last line, and what to type next.

pub(crate) mod app_settings;
mod auto_rollback;
mod check;
pub(crate) mod conversation_guard;
mod dry_run;
mod execute;
mod prepare;
mod prepull;
pub(crate) mod recipe;
pub(crate) mod rollout;
mod sandbox_capacity;
pub(crate) mod summary;
pub(crate) mod verify;
mod version_change;
