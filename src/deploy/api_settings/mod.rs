//! The part of `deploy` that gives an application which keeps its settings itself what config.toml says about it.
//!
//! - `verify`: checks that the page does not give the key away, and gives the settings.
//! - `give`: gives the settings, and records what it gave. `profiles`: gives the models that the page offers.
//! - `client`: sends the requests. `not_given`: why the application did not get its settings.

mod client;
mod give;
mod not_given;
mod profiles;
mod verify;

pub(crate) use verify::{KeysInUse, verify};
