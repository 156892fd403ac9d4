//! Which RBAC rules a command needs, and whether the account has them.
//!
//! - `rules`: the permissions that each command needs. Pure.
//! - `access_review`: reviews with the server which of them the account has.
//! - `deployer_role`: the smallest roles for an account that deploys a configuration. Pure.

pub mod access_review;
pub mod deployer_role;
pub mod rules;
