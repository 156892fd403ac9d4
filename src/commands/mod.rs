//! One file per verb, each a recipe: what is done, in which order.

mod cluster;
mod completion;
mod config;
mod confirm;
mod course;
mod deploy;
mod dev;
mod diff;
mod dry_run;
mod explain;
mod gauges;
mod history;
mod image;
mod lock;
mod logs;
mod open;
mod outcome;
mod place;
mod preflight;
mod prepull;
mod probe;
mod rbac;
mod recovery;
mod release;
mod render;
mod restart;
mod risk;
mod rollback;
mod rollout;
mod room;
mod run;
mod seed;
mod session;
mod status;
mod teardown;
mod up;
mod version;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::Error;
use crate::report::{ColorChoice, Output, Streams};

/// Runs what was typed and gives the process' exit code.
pub async fn main(cli: Cli) -> ExitCode {
    let color = match cli.global.color {
        crate::cli::Color::Auto => ColorChoice::Auto,
        crate::cli::Color::Always => ColorChoice::Always,
        crate::cli::Color::Never => ColorChoice::Never,
    };
    let streams = Streams::from_environment(color, cli.global.quiet, cli.global.verbose);
    let output = output_of(&cli.command);
    match dispatch(cli, &streams).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let error = classified(error);
            streams.error(&error, output);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

async fn dispatch(cli: Cli, streams: &Streams) -> anyhow::Result<u8> {
    let global = &cli.global;
    match &cli.command {
        Command::Up(arguments) => up::run(global, arguments, streams).await,
        Command::Cluster(command) => cluster::run(global, command, streams).await,
        Command::Deploy(arguments) => deploy::run(global, arguments, streams).await,
        Command::Diff(arguments) => diff::run(global, arguments, streams).await,
        Command::Status(arguments) => status::run(global, arguments, streams).await,
        Command::Logs(arguments) => logs::run(global, arguments, streams).await,
        Command::Image(command) => image::run(global, command, streams).await,
        Command::Open(arguments) => open::run(global, arguments, streams).await,
        Command::Rollback(arguments) => rollback::run(global, arguments, streams).await,
        Command::History(arguments) => history::run(global, arguments, streams).await,
        Command::Restart(arguments) => restart::run(global, arguments, streams).await,
        Command::Teardown(arguments) => teardown::run(global, arguments, streams).await,
        Command::Dev(arguments) => dev::run(global, arguments).await,
        Command::Rbac(arguments) => rbac::run(global, arguments, streams),
        Command::Render(arguments) => render::run(global, arguments, streams),
        Command::Config(command) => config::run(global, command, streams),
        Command::Explain(arguments) => explain::run(arguments, streams),
        Command::Version(arguments) => version::run(global, arguments, streams).await,
        Command::Completion(arguments) => completion::run(arguments, streams),
    }
}

/// What clap has to say: help on stdout with 0, a mistake on stderr with 2.
#[must_use]
pub fn not_understood(error: &clap::Error) -> ExitCode {
    let streams = Streams::from_environment(ColorChoice::Auto, false, 0);
    let text = error.render().to_string();
    if error.use_stderr() {
        streams.err(&text);
        return ExitCode::from(crate::error::Kind::Usage.exit_code());
    }
    match streams.out(&text) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.kind().exit_code()),
    }
}

/// This computer gives no threads or file descriptors.
#[must_use]
pub fn no_runtime(error: std::io::Error) -> ExitCode {
    let error = Error::io("cannot start", error);
    Streams::from_environment(ColorChoice::Auto, false, 0).error(&error, Output::Human);
    ExitCode::from(error.kind().exit_code())
}

/// What is no error of ours is an internal one.
fn classified(error: anyhow::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|other| {
        let message = other.to_string();
        match other.chain().nth(1) {
            Some(cause) => Error::internal(message).caused_by(cause.to_string()),
            None => Error::internal(message),
        }
    })
}

/// The form in which an error of this command is printed.
fn output_of(command: &Command) -> Output {
    use crate::cli::{ClusterCommand, ConfigCommand, ImageCommand};
    match command {
        Command::Up(arguments) => output(arguments.apply.rollout.output),
        Command::Restart(arguments) => output(arguments.output),
        Command::Image(ImageCommand::Load(arguments) | ImageCommand::Pull(arguments)) => {
            output(arguments.output)
        }
        Command::Open(arguments) => output(arguments.output),
        Command::Rollback(arguments) => output(arguments.apply.rollout.output),
        Command::History(arguments) => output(Some(arguments.output)),
        Command::Deploy(arguments) => output(arguments.apply.rollout.output),
        Command::Teardown(arguments) => output(arguments.output),
        Command::Status(arguments) | Command::Cluster(ClusterCommand::Status(arguments)) => {
            output(Some(arguments.output))
        }
        Command::Diff(arguments) => output(Some(arguments.output)),
        Command::Config(ConfigCommand::Check(arguments)) => output(Some(arguments.output)),
        Command::Config(ConfigCommand::Show(arguments)) => output(Some(arguments.output)),
        Command::Version(arguments) => output(Some(arguments.output)),
        _ => Output::Human,
    }
}

fn output(format: Option<crate::cli::Format>) -> Output {
    match format {
        None | Some(crate::cli::Format::Table) => Output::Human,
        Some(crate::cli::Format::Json) => Output::Json,
        Some(crate::cli::Format::Yaml) => Output::Yaml,
    }
}
