//! `config …`: the config file, without a cluster.

mod check;
mod explain;
mod init;
mod schema;
mod show;

use crate::cli::{ConfigCommand, Global};
use crate::report::Streams;

/// Runs one of the commands.
pub(super) fn run(global: &Global, command: &ConfigCommand, streams: &Streams) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Init(arguments) => init::run(arguments, streams),
        ConfigCommand::Check(arguments) => check::run(global, arguments, streams),
        ConfigCommand::Show(arguments) => show::run(global, arguments, streams),
        ConfigCommand::Explain(arguments) => explain::run(arguments, streams),
        ConfigCommand::Schema => schema::run(streams),
    }
}
