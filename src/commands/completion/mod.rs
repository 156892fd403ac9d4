//! `completion`, and the answers to the shells that complete a word.
//!
//! - `command`: prints the script for a shell. `script`: the scripts. Pure.
//! - `complete`: a request of a script → its answer, with clap's engine.
//! - `line`: the typed words, and the options among them that choose the cluster. Pure.
//! - `source`: where the values of an argument come from. `keys`: those of config.toml and of the catalogue. Pure.
//! - `lookup`: those of the kubeconfig and of the cluster, within a time limit.
//! - `answer`: the candidates as each shell reads them. Pure.

mod answer;
mod command;
mod complete;
mod keys;
mod line;
mod lookup;
mod script;
mod source;

pub(crate) use command::run;
pub use command::{CompletionArgs, CompletionShell};
pub(crate) use complete::complete;
