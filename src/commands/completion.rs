//! `completion`: prints a completion script for a shell.

use clap::Args;

use crate::report::Streams;

/// Print the completion script for a shell
///
/// The script completes commands, options and their fixed values.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  source <(handsctl completion bash)")]
pub struct CompletionArgs {
    /// Shell for which the script is printed
    pub shell: clap_complete::Shell,
}

/// Runs `completion`. `command_line` defines all commands and flags.
pub(crate) fn run(
    arguments: &CompletionArgs,
    mut command_line: clap::Command,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command_line, "handsctl", &mut script);
    let _written = streams.out(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
