//! Kubernetes objects: identity, kinds, labels and fields. Pure: no settings, no set, no cluster.
//!
//! Identity:
//! - `id`: an object's group, kind, namespace and name, printed as kubectl prints them.
//! - `kind`: the kinds that handsctl sends or watches, with their API paths.
//! - `labels`: the labels and annotations that mark our objects.
//!
//! Content:
//! - `deletion`: since when an object is being deleted, and what holds it. `finalizer`: what removes each.
//! - `condition`: whether a pod or a node is ready. `taint`: which pods a node repels.
//! - `webhook`: the failed webhook in a message of the API server, and where it is configured.
//! - `list_items`: the items of a list. `item_selector`: selectors of one list item, by its keys or by its value.
//! - `field_path`: paths of fields, as server-side apply writes them.
//! - `managed_fields`: the managers of fields; decides whether an apply would change anything.
//! - `references`: the names that an object refers to. `running_image`: the images that pods run, with their digests.
//! - `container_names`: the names of a pod's containers. `exec_target`: the container of a command that names none.
//! - `pod_spec`: the specification of an object's pods, their claims, a claim's size. `volume_snapshot`: how far one is.
//! - `entry_commands`: the commands of kubectl that give a Secret or a ConfigMap its entries.
//! - `manifest_yaml`: reads the user's manifests as kubectl reads them. `manifest_json`: those in JSON. `yaml`: objects.
//!
//! Secrets in texts:
//! - `mask`: hides known secrets, in every encoding of theirs. `shared_mask`: the same, while secrets are added.
//! - `secret_name`: names whose value is a secret. `secret_value`: values of such names that are none. `url_secret`:
//!   passwords in URLs. `api_key`: texts that look like a key. `assignment`: all of them, in any text.
//! - `literal_secret`: the same in an object, by its fields.

pub mod api_key;
pub mod assignment;
pub mod condition;
pub mod container_names;
pub mod deletion;
pub mod entry_commands;
pub mod exec_target;
pub mod field_path;
pub mod finalizer;
pub mod id;
pub mod item_selector;
pub mod kind;
pub mod labels;
pub mod list_items;
pub mod literal_secret;
pub mod managed_fields;
mod manifest_json;
pub mod manifest_yaml;
pub mod mask;
pub mod pod_spec;
pub mod references;
pub mod running_image;
pub mod secret_name;
pub mod secret_value;
pub mod shared_mask;
pub mod taint;
pub mod url_secret;
pub mod volume_snapshot;
pub mod webhook;
pub mod yaml;

pub use id::ObjectId;
pub use mask::Mask;
pub use shared_mask::SharedMask;
