//! Which RBAC rules a command needs, and whether the account has them.
//!
//! - `rules`: the RBAC rules that each command needs. Pure.
//! - `access_review`: queries which of them the account has.
//! - `deployer_role`: those rules as the roles that `handsctl rbac` prints. Pure.

pub mod access_review;
pub mod deployer_role;
pub mod rules;
