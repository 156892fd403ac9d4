//! Parses the command line, runs the command and exits with its code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use handsctl::cli::Command;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let started = Instant::now();
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = handsctl::cli::complete(&words, started) {
        return code;
    }
    let cli = match handsctl::cli::parse(words) {
        Ok(cli) => cli,
        Err(error) => return handsctl::cli::print_clap_error(&error, std::env::args_os()),
    };
    // Starting the threads takes a fifth of the run time of `handsctl version --client`.
    let mut builder =
        if is_offline(&cli.command) { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(handsctl::cli::main(cli));
            // A pending read of the terminal must not keep the process alive.
            runtime.shutdown_background();
            code
        }
        Err(error) => handsctl::cli::print_runtime_error(error, std::env::args_os()),
    }
}

/// Returns true if the command only reads and writes files.
fn is_offline(command: &Command) -> bool {
    match command {
        Command::Version(arguments) => arguments.client,
        other => matches!(
            other,
            Command::Render(_)
                | Command::Config(_)
                | Command::Explain(_)
                | Command::Schema(_)
                | Command::Completion(_)
                | Command::Man(_)
                | Command::Options(_)
        ),
    }
}
