//! The container engines that kind can use, called through their own clients.
//!
//! - `program`: docker, podman or nerdctl. `detect`: finds the first usable one.
//! - `client`: its client and its server. `info`, `container`, `image`: requests for each of these.
//! - `location`: the computer that it runs on. `server_choice`: the server that the user chose. `fault`: why it cannot
//!   be used.

mod client;
mod container;
mod detect;
mod fault;
mod image;
mod info;
mod location;
mod program;
mod server_choice;

pub(super) use client::{Client, Server};
pub(super) use container::Container;
pub(super) use detect::{Patience, find};
pub(super) use fault::NoEngine;
pub(super) use image::{Image, lacks_platform};
pub(super) use info::Info;
pub(super) use location::{EngineLocation, locate};
pub(super) use program::Engine;
