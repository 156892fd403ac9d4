//! Settings → objects: ordered, labelled, rendered. Pure.

mod object;

pub use object::ObjectId;
