//! The steps that `deploy`, `rollback`, `restart` and `up` share, in the order in which they run.
//!
//! - `request`: the parameters of `deploy` and `rollback`. `recipe`: their steps.
//! - `prepare`: reads the cluster, builds the plan and compares them. `pod_security`: checks the namespaces before
//!   anything is planned. `check`: checks the planned changes and the account's rights before the first write; add new
//!   preflight checks there. `conversation_guard`: prevents the stop of a pod that would delete a conversation's volume.
//!   `claim_guard`: prevents the stop of a pod that keeps the data of a deleted claim.
//!   `new_volume`: warns about a volume that is created anew. `service_account`, `secret_keys`, `existing_claim`: check
//!   that what the pod needs of others exists. `restored_rights`: stops a rollback that adds rights, images or an exposure.
//!   `dev_namespace`: keeps profile dev apart from the sandboxes of others. `shared_host`: warns about another Ingress
//!   with the same host. `live_exposure`: stops if others expose the application.
//! - `version_change`: warns about the effects of another app version. `conversations`: warns about the conversations
//!   that a stop of the application interrupts. `replaced_images`: finds pods that run an earlier build of their image.
//! - `dry_run`: reports the planned changes. `run_changes`: what differs from the latest revision, and the last good run.
//! - `refusals`: adds the line of config.toml to a rejection before the first write. `quota_room`: the room in the quotas.
//! - `terminating`: waits for namespaces and members that are being deleted. `prepull`: pulls a changed image before a stop.
//! - `execute`: records the revision, applies, follows the rollout, verifies, prunes.
//!   `sandbox_policy`: keeps a policy that still limits sandboxes.
//! - `rejected_pods`: asks anew about pods that the API server rejected before the run.
//! - `rollout`: follows the rollout and turns its findings into an error. `verify`: probes the application.
//!   `sandbox_capacity`: estimates how many sandboxes fit. `app_settings`: posts the application its model and key.
//! - `auto_rollback`: rolls back to the last good revision with another content.
//! - `missing_application`: explains why an application is missing. `summary`: builds the last line and the next commands.

pub(crate) mod app_settings;
mod auto_rollback;
mod check;
pub(crate) mod claim_guard;
pub(crate) mod conversation_guard;
pub(crate) mod conversations;
mod dev_namespace;
mod dry_run;
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
