//! The file of a backup: a compressed tar with the files of each volume and a manifest at its end. Pure: it reads and
//! writes what its callers open.
//!
//! - `manifest`: what a backup contains: its origin, and each file's size and checksum. `entry_path`: the paths that an
//!   archive may have.
//! - `write`: turns the tar streams of volumes into a backup. `read`: checks a backup, returns the stream of one volume,
//!   and compares a volume with it.
//! - `contents`: what a volume holds, from the names of its files.

pub mod contents;
mod entry_path;
pub mod manifest;
pub mod read;
pub mod write;
