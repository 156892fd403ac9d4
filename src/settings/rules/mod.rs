//! Values that are valid alone but contradict each other.
//!
//! - `checker`: runs every rule and collects the diagnostics.
//! - `bounds`: quota and limit range. `scheduling`: tolerations. `state`: the store and the database of the
//!   application.
//! - `sizes`: amounts of memory and storage that lack their suffix.
//! - `exposure`: an application without a login that others reach. `extra_exposure`: the same by an extra manifest.
//!   `exposing_fields`: the fields by which an object exposes it. `exposing_pod`: those of a pod. `exposing_field`: one of
//!   them.
//! - `sandbox_rights`: an extra manifest that gives rights to every sandbox.
//! - `manifest_secrets`: an extra manifest with a secret in clear text.
//! - `local_addresses`: URLs of this computer.
//! - `editions`: the image and keys that do not fit the edition. `named_models`: the same of `[llm.NAME]`.
//! - `models`: named models and condensers. `servers`: MCP servers.

mod bounds;
pub(super) mod checker;
mod editions;
pub(super) mod exposing_field;
pub(super) mod exposing_fields;
mod exposing_pod;
pub(super) mod exposure;
mod extra_exposure;
mod local_addresses;
mod manifest_secrets;
mod models;
mod named_models;
mod sandbox_rights;
mod scheduling;
mod servers;
mod sizes;
mod state;
