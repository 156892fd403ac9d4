//! The application in its pod.
//!
//! - `client`: sends requests to it through the API server.
//! - `probe`: checks through the API server that it responds.
//! - `url_probe`: checks at its URL: attempts, pauses, limits. `http_get`: one GET, through the environment's proxies.
//! - `node_port`: finds its URL at a port of the nodes.
//! - `port_forward`: forwards a local port to it.
//! - `login`: asks whether it keeps its key to itself. `keyed_request`: sends requests with the key.
//! - `exec`: runs a command in its container.
//! - `app_pods`: lists its pods.
//! - `sandbox_pods`: lists the pods and Services of its sandboxes. `sandbox_objects`: all objects of conversations.
//!   `conversations`: which conversations it knows. `conversation_count`: how many run in its own pod. `pod_conversations`:
//!   lists and deletes these, and reads their events. `pod_log`: reads the log of a sandbox.
//! - `server_version`: the version of its server. `metrics`: reads its resource usage. `volume_usage`: reads how full its
//!   volumes are.

pub mod app_pods;
pub mod client;
pub mod conversation_count;
pub mod conversations;
pub mod exec;
mod http_get;
pub mod keyed_request;
pub mod login;
pub mod metrics;
pub mod node_port;
pub mod pod_conversations;
pub mod pod_log;
pub mod port_forward;
pub mod probe;
pub mod sandbox_objects;
pub mod sandbox_pods;
pub mod server_version;
pub mod url_probe;
pub mod volume_usage;
