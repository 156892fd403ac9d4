//! One connection to a cluster.
//!
//! - `context`: which kubeconfig context is meant, and whether it may be changed without a question. Pure.
//! - `connect`: kubeconfig → connection. `token`: when a token expires.
//! - `version`: what the server is, and what it can do.
//! - `request`: what is asked, as HTTP. Pure. `api`: one request and its answer: deadline, retries, warnings.
//! - `status_error`: what the server's refusal means. Pure.
//! - `transport_error`: what it means that there was no answer. Pure.
//! - `lost_response`: whether an object is what we sent before the connection broke. Pure.
//! - `traffic`: what went over the wire, and whether the server is away. `server_clock`: what time it is there.
//! - `discovery`: kinds that handsctl does not know by itself.

pub mod api;
pub mod connect;
pub mod context;
pub mod discovery;
mod lost_response;
pub mod request;
pub mod server_clock;
pub mod status_error;
mod token;
pub mod traffic;
mod transport_error;
pub mod version;
