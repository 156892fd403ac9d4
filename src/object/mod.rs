//! The vocabulary of Kubernetes objects that every other room uses. Pure: no settings, no set, no cluster.
//!
//! What an object is:
//! - `id`: group, kind, namespace and name, printed as kubectl prints them.
//! - `kind`: the kinds that handsctl sends or watches, with their paths at the API.
//! - `labels`: the labels and annotations that say which objects are ours.
//!
//! What is in it:
//! - `item_selector`: one item of a list, by its keys or by its value.
//! - `field_path`: one field of an object, as server-side apply names it.
//! - `managed_fields`: which manager set which field, and whether an apply would change anything.
//! - `references`: the names that an object refers to.
//!
//! - `yaml`: objects from and to YAML.

pub mod field_path;
pub mod id;
pub mod item_selector;
pub mod kind;
pub mod labels;
pub mod managed_fields;
pub mod references;
pub mod yaml;

pub use id::ObjectId;
