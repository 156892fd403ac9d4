//! Parse, run, render the error, exit with its code.

use std::process::ExitCode;

use clap::Parser as _;
use handsctl::cli::{Cli, Command};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return handsctl::cli::not_understood(&error),
    };
    // Starting threads takes a fifth of the time in which the version is printed.
    let mut builder =
        if is_offline(&cli.command) { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(handsctl::cli::main(cli));
            // A read of the terminal that is still waiting must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => handsctl::cli::no_runtime(error),
    }
}

/// Whether the command waits for nothing but files.
fn is_offline(command: &Command) -> bool {
    match command {
        Command::Version(arguments) => arguments.client,
        other => matches!(
            other,
            Command::Render(_) | Command::Config(_) | Command::Explain(_) | Command::Completion(_)
        ),
    }
}
