//! The proxy of `fault` without a fault: only keeps what is asked, and what the real server answers.

pub(crate) use crate::fault::{Proxy as Recorder, Request};
