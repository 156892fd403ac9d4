//! Fields and objects that others manage.
//!
//! - `policy`: what `[deploy.ownership]` and the flags say of them, and the manifest that leaves fields to others.
//! - `conflict`: the fields of a server-side apply conflict, and the table that shows them.
//! - `adoption`: whether an object of another tool may be taken over, and what becomes of that tool's fields.

pub mod adoption;
pub mod conflict;
pub mod policy;
