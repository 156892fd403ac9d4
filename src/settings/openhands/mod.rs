//! OpenHands' own tables, as in `openhands/core/config/*.py` of the published package (0.45 to 1.6). Their doc comments
//! become the descriptions of the keys, so each must make sense on its own.
//!
//! - `tables`: all tables.
//! - One file for each table: `core`, `llm`, `agent`, `sandbox`, `kubernetes` (and `[security]`), `condenser`, `mcp`,
//!   `model_routing`.
//! - `free_table`: a table whose keys are not checked.
//!
//! The schema has three extensions. `x-unknown` on a table: how the application treats an unknown key in it.
//! `x-ignored` on a key: why the Kubernetes runtime does not use the key. `x-since` on a key: the first OpenHands
//! version that has it.

mod agent;
mod condenser;
mod core;
mod free_table;
mod kubernetes;
mod llm;
mod mcp;
mod model_routing;
mod sandbox;
mod tables;

pub use agent::{Agent, AgentOptions, NamedAgent};
pub use condenser::{Condenser, CondenserModel, CondenserType};
pub use core::{Core, FileStore, Runtime};
pub use free_table::FreeTable;
pub use kubernetes::{Kubernetes, Security};
pub use llm::{Llm, LlmOptions};
pub use mcp::Mcp;
pub use model_routing::{ModelRouting, Router};
pub use sandbox::Sandbox;
pub use tables::OpenHands;
