//! The steps that `deploy`, `rollback`, `restart` and `up` share, in the order in which they run: `request` has the
//! parameters of `deploy` and `rollback`, `recipe` their steps.
//!
//! - `prepare`: reads the cluster, builds the plan and compares them. `pod_security`: checks the namespaces before
//!   anything is planned. `check`: checks the planned changes and the account's rights before the first write; add new
//!   preflight checks there. Its parts: `conversation_guard`: the stop of a pod that would delete a conversation's volume.
//!   `claim_guard`: that of one that keeps the data of a deleted claim. `app_keys`: the key of the volume. `edition_change`:
//!   an edition that was not asked for. `new_volume`: a volume that is created anew. `service_account`, `secret_keys`,
//!   `existing_claim`: what the pod needs of others. `restored_rights`: a rollback that adds rights or an exposure.
//!   `dev_namespace`: profile dev among sandboxes. `shared_host`: the same host. `live_exposure`: others who expose it.
//! - `version_change`: warns about another app version. `conversations`: warns about the conversations that a stop
//!   interrupts. `replaced_images`: pods that run an earlier build of their image. `dry_run`: reports the changes.
//! - `run_changes`: what differs from the latest revision. `refusals`: the line of config.toml of a rejection.
//!   `quota_room`: the room in the quotas. `terminating`: waits for deletions. `prepull`: pulls a changed image early.
//! - `execute`: records the revision, applies, follows the rollout, verifies, prunes. `sandbox_policy`: keeps a policy that
//!   still limits sandboxes. `rejected_pods`: asks anew about pods that the API server rejected before the run.
//! - `rollout`: follows the rollout and turns its findings into an error. `verify`: probes the application.
//!   `sandbox_capacity`: how many sandboxes fit. `app_settings`: gives the application its model and key; `api_settings`:
//!   one without config.toml. `auto_rollback`: rolls back to the last good revision with another content.
//! - `summary`: the last line and the next commands. `missing_application`: why an application is missing.

pub(crate) mod api_settings;
pub(crate) mod app_keys;
pub(crate) mod app_settings;
mod auto_rollback;
mod check;
pub(crate) mod claim_guard;
pub(crate) mod conversation_guard;
pub(crate) mod conversations;
mod dev_namespace;
mod dry_run;
mod edition_change;
mod execute;
mod existing_claim;
#[cfg(test)]
mod history_tests;
mod live_exposure;
pub(crate) mod missing_application;
mod new_volume;
mod pod_security;
pub(crate) mod prepare;
mod prepull;
mod quota_room;
pub(crate) mod recipe;
pub(crate) mod refusals;
mod rejected_pods;
pub(crate) mod replaced_images;
pub(crate) mod request;
mod restored_rights;
pub(crate) mod rollout;
mod run_changes;
mod sandbox_capacity;
mod sandbox_policy;
mod secret_keys;
mod service_account;
mod shared_host;
pub(crate) mod summary;
mod terminating;
pub(crate) mod verify;
mod version_change;
