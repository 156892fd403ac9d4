//! `completion`: the script that a shell sources.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionArgs};
use crate::report::Streams;

/// Runs `completion`.
pub(super) fn run(arguments: &CompletionArgs, streams: &Streams) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "handsctl", &mut script);
    let _nobody_reads = streams.out(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
