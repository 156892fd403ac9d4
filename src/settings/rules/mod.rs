//! Values that are fine by themselves and cannot work together.
//!
//! - `checker`: runs every rule, and reports what it finds.
//! - `bounds`: quota and limit range. `scheduling`: tolerations. `state`: where the application keeps its state.
//! - `models`: named models and condensers. `servers`: MCP servers.

mod bounds;
pub(super) mod checker;
mod models;
mod scheduling;
mod servers;
mod state;
