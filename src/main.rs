//! Parse, run, render the error, exit with its code.

use std::process::ExitCode;

use clap::Parser as _;
use handsctl::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return handsctl::commands::not_understood(&error),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(handsctl::commands::main(cli));
            // A read of the terminal that is still waiting must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => handsctl::commands::no_runtime(error),
    }
}
