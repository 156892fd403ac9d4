//! `options`: lists the options of every command.

use clap::Args;

use crate::command_line::RepeatedFlags;
use crate::flags::Global;
use crate::report::Streams;

/// List the options of every command
///
/// They may stand before or after the command. A command rejects an option that it does not use, with exit code 2.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl options")]
pub struct OptionsArgs {}

/// Runs `options`; `text` is the list.
pub(crate) fn run(global: &Global, text: &str, streams: &Streams) -> anyhow::Result<u8> {
    let _written = streams.out(&RepeatedFlags::new(global).insert_into(text))?;
    Ok(0)
}
