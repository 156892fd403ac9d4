//! The programs of a local cluster.
//!
//! - `component`, `program`: which programs there are. `pinned`: their versions.
//! - `locate`: finds or makes all of them, in the order that follows.
//! - `search`: an explicit folder, PATH. `cache`: what an earlier run has made.
//! - `release`, `download`: an official release, with its checksum.
//! - `build`: through the Go module proxy.

mod build;
#[cfg(test)]
mod build_tests;
mod cache;
pub(super) mod component;
mod download;
#[cfg(test)]
mod download_tests;
mod locate;
mod pinned;
mod program;
mod release;
mod search;

pub(super) use locate::{Programs, locate, locate_kind, look_for_kind};
