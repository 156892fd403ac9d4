//! handsctl: a mini-kubectl for OpenHands.
//!
//! # Layout
//!
//! The folders are the data flow. What is typed ([`cli`]) and written in config.toml becomes
//! [`settings`]; settings become the objects of a [`plan`], in the vocabulary of [`object`]; [`cluster`] sends them and watches them;
//! [`status`] judges what it sees; [`provider`] makes local clusters. Effects tell what happens as an
//! [`event`]; only [`report`] writes to a stream. [`commands`] wires one recipe per verb. [`error`],
//! [`diagnostic`] and [`catalogue`] are the words for what goes wrong.
//!
//! `object`, `plan`, `status` and `settings` (but for its reads) are pure: no clock, no environment, no stream, no
//! network. `tests/tidy.rs` reads this folder and fails with the line that breaks a rule.

pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod diagnostic;
pub mod error;
pub mod event;
pub mod object;
pub mod plan;
pub mod provider;
pub mod report;
pub mod settings;
pub mod status;
