//! The application in its pod.
//!
//! - `client`: sends requests to it through the API server.
//! - `probe`: checks that it responds. `url_probe`: checks that it responds at its URL, with the request of `http_get`.
//! - `port_forward`: forwards a local port to it.
//! - `logs`: reads the logs of its containers and sandboxes.
//! - `metrics`: reads its resource usage.

pub mod client;
mod http_get;
pub mod logs;
pub mod metrics;
pub mod port_forward;
pub mod probe;
pub mod url_probe;
