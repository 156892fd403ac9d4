//! `completion`: the script that a shell sources.

use clap::Args;

use crate::report::Streams;

/// Print the completion script of a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  source <(handsctl completion bash)")]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Runs `completion`. `command_line` is everything that can be typed.
pub(crate) fn run(
    arguments: &CompletionArgs,
    mut command_line: clap::Command,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command_line, "handsctl", &mut script);
    let _nobody_reads = streams.out(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
