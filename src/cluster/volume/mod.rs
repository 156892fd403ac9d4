//! The files of volumes, read and written through a container that mounts them.
//!
//! - `programs`: the commands that run in the container. Pure.
//! - `transfer`: runs them, and connects their streams with readers and writers of this computer.
//! - `volume_pod`: a short-lived pod that mounts a volume while nothing else does.
//! - `snapshot`: snapshots of whole volumes, where the cluster has their API.

mod programs;
pub mod snapshot;
pub mod transfer;
pub mod volume_pod;
