//! One connection to a cluster.
//!
//! - `context`: chooses the kubeconfig context, and decides whether a change of it needs a confirmation. Pure.
//! - `connect`: kubeconfig → connection. `token`: when a token expires. `credential_error`: an unusable kubeconfig or a
//!   failed login → error. Pure.
//! - `version`: the server's version and features.
//! - `request`: builds HTTP requests. Pure. `api`: sends a request: deadline, retries, warnings.
//! - `retry`: whether and when a failed request is sent again. Pure. `in_flight`: fewer requests after a 429.
//!   `write_gate`: no writes while the lock is unconfirmed. `pending_calls`: the calls that wait for a response.
//! - `status_error`: an error response (a `Status` with a code such as 401 or 409) → error. Pure.
//! - `transport_error`: no response → error. Pure.
//! - `lost_response`: recognizes our own write whose response was lost. Pure.
//! - `traffic`: counts requests and bytes, and tracks outages. `server_clock`: the server's time.
//! - `discovery`: looks up kinds that are not built in.

pub mod api;
pub mod connect;
pub mod context;
mod credential_error;
pub mod discovery;
mod in_flight;
mod lost_response;
pub mod pending_calls;
pub mod request;
pub(crate) mod retry;
pub mod server_clock;
pub mod status_error;
mod token;
pub mod traffic;
mod transport_error;
pub mod version;
mod write_gate;
