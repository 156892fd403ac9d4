//! One connection to a cluster.
//!
//! - `context`: chooses the kubeconfig context, and decides whether a change of it needs a confirmation. Pure.
//! - `kubeconfig`: reads the kubeconfig files, or the service account of a pod. `client_go`: client-go's rules for
//!   their values. Pure.
//! - `connect`: kubeconfig → connection. `token`: when a token expires.
//! - `credentials`: runs a credential plugin and renews its token. `exec_credential`: what a plugin is asked and
//!   answers. Pure. `credential_error`: an unusable kubeconfig or a failed login → error. Pure.
//! - `transport`: TCP, proxy and TLS. `certificate`: accepts a certificate that is its own authority. Pure.
//!   `client_identity`: reads the client certificate and its key.
//! - `version`: the server's version and features.
//! - `request`: builds HTTP requests. Pure. `api`: sends a request: deadline, retries, warnings.
//!   `reduced_json`: parses a response without the fields that nobody reads. Pure.
//! - `retry`: whether and when a failed request is sent again. Pure. `in_flight`: how many requests are sent at a time;
//!   fewer after a 429. `write_gate`: no writes while the lock is unconfirmed. `pending_calls`: the calls that wait for a response.
//! - `status_error`: an error response (a `Status` with a code such as 401 or 409) → error. Pure.
//! - `transport_error`: no response → error. Pure.
//! - `lost_response`: recognizes our own write whose response was lost. Pure.
//! - `traffic`: counts requests and bytes, and tracks outages. `server_clock`: the server's time.
//!   `boot_instant`: time that passes during a suspend, too.
//! - `discovery`: looks up kinds that are not built in.

pub mod api;
pub(crate) mod boot_instant;
mod certificate;
mod client_go;
mod client_identity;
pub mod connect;
#[cfg(test)]
mod connect_tests;
pub mod context;
mod credential_error;
mod credentials;
pub mod discovery;
mod exec_credential;
pub(crate) mod in_flight;
pub mod kubeconfig;
mod lost_response;
pub mod pending_calls;
mod reduced_json;
pub mod request;
pub(crate) mod retry;
pub mod server_clock;
pub mod status_error;
mod token;
pub mod traffic;
mod transport;
pub(crate) mod transport_error;
pub mod version;
mod write_gate;
