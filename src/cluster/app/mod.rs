//! The application in its pod.
//!
//! - `client`: requests to it, through the API server.
//! - `probe`: whether it answers. `url_probe`: whether it answers at its URL. `http_get`: the request for that.
//! - `port_forward`: a port of this computer that leads to it.
//! - `logs`: what its containers and its sandboxes print.
//! - `metrics`: how much it uses.

pub mod client;
mod http_get;
pub mod logs;
pub mod metrics;
pub mod port_forward;
pub mod probe;
pub mod url_probe;
