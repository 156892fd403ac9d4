//! The programs of a local cluster.
//!
//! - `component`: the processes of a kwok cluster. `program`: the programs and their sets. `pinned`: their versions.
//! - `locate`: locates, downloads or builds all of them, with these files in this order:
//! - `search`: an explicit folder, PATH. `cache`: the downloads and builds of earlier runs.
//! - `release`, `download`: an official release, checked against its checksum.
//! - `build`: a build with modules from the Go module proxy.

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

pub(super) use locate::{Programs, find_installed_kind, locate, locate_kind};
