//! The commands: one file per command, with its arguments, its help and its steps.
//!
//! - The application: `up`, `deploy`, `diff`, `status`, `logs`, `exec`, `open`, `restart`, `rollback`, `history`, `list`, `teardown`.
//! - Its data: `backup`, `restore`. The sandboxes of its conversations: `sandbox`. What a deploy needs: `doctor`.
//! - The local cluster: `cluster`. Images on its nodes: `image`.
//! - Without a cluster: `config`, `render`, `rbac`, `explain`, `schema`, `completion`, `man`, `options`.
//! - A command of this computer run as if in the pod: `dev`. Versions of handsctl and the cluster: `version`.

pub mod backup;
pub mod cluster;
pub mod completion;
pub mod config;
pub mod deploy;
pub mod dev;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod history;
pub mod image;
pub mod list;
pub mod logs;
pub mod man;
pub mod open;
pub mod options;
pub mod rbac;
pub mod render;
pub mod restart;
pub mod restore;
pub mod rollback;
pub mod sandbox;
pub mod schema;
pub mod status;
pub mod teardown;
pub mod up;
pub mod version;
