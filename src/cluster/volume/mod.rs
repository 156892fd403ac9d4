//! The files of volumes, read and written through a container that mounts them.
//!
//! - `programs`: the commands that run in the container. Pure.
//! - `transfer`: runs them, and connects their streams with readers and writers of this computer.
//! - `volume_pod`: a short-lived pod that mounts a volume while nothing else does.

mod programs;
pub mod transfer;
pub mod volume_pod;
