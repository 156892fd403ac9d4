//! Strings with a syntax of their own. Each type holds only valid strings.
//!
//! - `name`: DNS labels and names, label keys and values, names of variables and resources.
//! - `image`: image references.
//! - `quantity`: quantities of CPU and memory.
//! - `duration`: durations.
//! - `version`: versions of Kubernetes and of the application.
//! - `address`: IP addresses. `ip_range`: ranges of them.
//! - `server`: URLs, programs and names of MCP servers.
//! - `field`: a field of an object of the set, as in `[deploy.ownership]`.
//!
//! - `newtype`: the macro that implements their common traits.
//! - `by_name`: all formats by name, for the check of config.toml.
//! - `error`: the error of an invalid string, with the position of the offending character.

mod address;
pub mod by_name;
mod duration;
mod error;
mod field;
mod image;
mod ip_range;
mod name;
mod newtype;
mod quantity;
mod server;
mod version;

pub use address::Address;
pub use duration::Duration;
pub use error::FormatError;
pub use field::OwnedField;
pub use image::ImageRef;
pub use ip_range::IpRange;
pub use name::{DnsLabel, DnsName, LabelKey, LabelValue, ResourceName, VariableName};
pub use quantity::Quantity;
pub use server::{HttpUrl, Program, ServerName, ServerUrl, host_of_url};
pub use version::{AppRelease, KubernetesVersion};
