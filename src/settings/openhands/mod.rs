//! OpenHands' own tables, as `openhands/core/config/*.py` of the published package has them (0.45 to 1.6).
//!
//! - `tables`: all of them.
//! - One file for each table: `core`, `llm`, `agent`, `sandbox`, `kubernetes` (and `[security]`), `condenser`, `mcp`,
//!   `model_routing`.
//! - `free_table`: a table whose keys are not checked.
//!
//! Three marks stand in the schema beside the types: `x-unknown` on a table says what the application does with a
//! key that it does not know, `x-ignored` on a key says why the Kubernetes runtime does not use it, `x-since` is the
//! first version that may know the key.

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
