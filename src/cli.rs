//! The list of commands and their dispatch. Each command's arguments are defined in its own file under `commands/`.

use std::process::ExitCode;

use clap::builder::styling::Styles;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::cluster::{down, status as cluster_status, up as cluster_up};
use crate::commands::config::{check, explain as config_explain, init, schema, show};
use crate::commands::image::{load, pull};
use crate::commands::{
    completion, deploy, dev, diff, explain, history, logs, open, rbac, render, restart, rollback, status,
    teardown, up, version,
};
use crate::error::{Error, Kind};
use crate::flags::{Color, Global};
use crate::report::{ColorChoice, Output, Streams};
use crate::session::output::{into_error, output_form};

/// Run OpenHands on Kubernetes: one config.toml, one command
///
/// handsctl reads OpenHands' own config.toml, renders the manifests, applies them server-side, watches the
/// rollout, probes the application and reports the result. `handsctl up` also creates a local cluster.
#[derive(Debug, Parser)]
#[command(name = "handsctl", version, styles = Styles::plain(), max_term_width = 100, after_help = TOP_EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of every command")]
    pub global: Global,
    #[command(subcommand)]
    #[expect(missing_docs, reason = "each command has its own documentation")]
    pub command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  handsctl up                          create a local cluster, deploy OpenHands, print its URL
  handsctl deploy --context prod       apply config.toml to an existing cluster
  handsctl render --split manifests    write the manifests to files, without a cluster
  handsctl status && echo healthy      use the exit code as the verdict

Exit codes: 0 done or healthy, 1 differences, 2 usage, 3 configuration, 4 unreachable, 5 not authenticated,
6 forbidden, 7 owned by someone else, 8 rejected, 9 rollout failed, 10 timed out, 11 degraded, 12 down,
13 locked, 14 prerequisite missing, 70 internal, 130 interrupted, 143 terminated";

/// A command of handsctl.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum Command {
    Up(up::UpArgs),
    /// Manage the local cluster: up, down, status
    #[command(subcommand)]
    Cluster(ClusterCommand),
    Deploy(deploy::DeployArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Logs(logs::LogsArgs),
    Open(open::OpenArgs),
    Rollback(rollback::RollbackArgs),
    History(history::HistoryArgs),
    Restart(restart::RestartArgs),
    /// Put images on the nodes before pods need them: load, pull
    #[command(subcommand)]
    Image(ImageCommand),
    Teardown(teardown::TeardownArgs),
    Render(render::RenderArgs),
    Rbac(rbac::RbacArgs),
    Dev(dev::DevArgs),
    /// Write, check and explain the config file: init, check, show, explain, schema
    #[command(subcommand)]
    Config(ConfigCommand),
    Explain(explain::ExplainArgs),
    Version(version::VersionArgs),
    Completion(completion::CompletionArgs),
}

/// A command of the group `cluster`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum ClusterCommand {
    Up(cluster_up::ClusterUpArgs),
    Down(down::ClusterDownArgs),
    Status(cluster_status::ClusterStatusArgs),
}

/// A command of the group `image`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum ImageCommand {
    Load(load::ImageLoadArgs),
    Pull(pull::ImagePullArgs),
}

/// A command of the group `config`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum ConfigCommand {
    Init(init::ConfigInitArgs),
    Check(check::ConfigCheckArgs),
    Show(show::ConfigShowArgs),
    Explain(config_explain::ConfigExplainArgs),
    Schema(schema::ConfigSchemaArgs),
}

/// Runs the command, prints its error and returns the exit code of the process.
pub async fn main(cli: Cli) -> ExitCode {
    let color = match cli.global.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let streams = Streams::from_environment(color, cli.global.quiet, cli.global.verbose);
    match dispatch(&cli, &streams).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let error = into_error(error);
            streams.error(&error, error_output(&cli.command));
            ExitCode::from(error.kind().exit_code())
        }
    }
}

async fn dispatch(cli: &Cli, streams: &Streams) -> anyhow::Result<u8> {
    let global = &cli.global;
    match &cli.command {
        Command::Up(arguments) => up::run(global, arguments, streams).await,
        Command::Cluster(command) => match command {
            ClusterCommand::Up(arguments) => cluster_up::run(global, arguments, streams).await,
            ClusterCommand::Down(arguments) => down::run(global, arguments, streams).await,
            ClusterCommand::Status(arguments) => cluster_status::run(global, arguments, streams).await,
        },
        Command::Deploy(arguments) => deploy::run(global, arguments, streams).await,
        Command::Diff(arguments) => diff::run(global, arguments, streams).await,
        Command::Status(arguments) => status::run(global, arguments, streams).await,
        Command::Logs(arguments) => logs::run(global, arguments, streams).await,
        Command::Image(command) => match command {
            ImageCommand::Load(arguments) => load::run(global, arguments, streams).await,
            ImageCommand::Pull(arguments) => pull::run(global, arguments, streams).await,
        },
        Command::Open(arguments) => open::run(global, arguments, streams).await,
        Command::Rollback(arguments) => rollback::run(global, arguments, streams).await,
        Command::History(arguments) => history::run(global, arguments, streams).await,
        Command::Restart(arguments) => restart::run(global, arguments, streams).await,
        Command::Teardown(arguments) => teardown::run(global, arguments, streams).await,
        Command::Dev(arguments) => dev::run(global, arguments).await,
        Command::Rbac(arguments) => rbac::run(global, arguments, streams),
        Command::Render(arguments) => render::run(global, arguments, streams),
        Command::Config(command) => match command {
            ConfigCommand::Init(arguments) => init::run(arguments, streams),
            ConfigCommand::Check(arguments) => check::run(global, arguments, streams),
            ConfigCommand::Show(arguments) => show::run(global, arguments, streams),
            ConfigCommand::Explain(arguments) => config_explain::run(arguments, streams),
            ConfigCommand::Schema(_) => schema::run(streams),
        },
        Command::Explain(arguments) => explain::run(arguments, streams),
        Command::Version(arguments) => version::run(global, arguments, streams).await,
        Command::Completion(arguments) => completion::run(arguments, Cli::command(), streams),
    }
}

/// Prints clap's output: help on stdout with exit code 0, a usage error on stderr with exit code 2.
#[must_use]
pub fn print_clap_error(error: &clap::Error) -> ExitCode {
    let streams = Streams::from_environment(ColorChoice::Auto, false, 0);
    let text = error.render().to_string();
    if error.use_stderr() {
        streams.err(&text);
        return ExitCode::from(Kind::Usage.exit_code());
    }
    match streams.out(&text) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.kind().exit_code()),
    }
}

/// Prints the error of the async runtime, which could not get threads or file descriptors.
#[must_use]
pub fn print_runtime_error(error: std::io::Error) -> ExitCode {
    let error = Error::io("cannot start", error);
    Streams::from_environment(ColorChoice::Auto, false, 0).error(&error, Output::Human);
    ExitCode::from(error.kind().exit_code())
}

/// Returns the output format of the command's errors, which is the format of its result.
fn error_output(command: &Command) -> Output {
    let format = match command {
        Command::Up(arguments) => arguments.apply.rollout.output,
        Command::Deploy(arguments) => arguments.apply.rollout.output,
        Command::Rollback(arguments) => arguments.apply.rollout.output,
        Command::Restart(arguments) => arguments.rollout.output,
        Command::Teardown(arguments) => arguments.output,
        Command::Image(ImageCommand::Load(arguments)) => arguments.images.output,
        Command::Image(ImageCommand::Pull(arguments)) => arguments.images.output,
        Command::Open(arguments) => arguments.output,
        Command::Rbac(arguments) => arguments.output,
        Command::History(arguments) => Some(arguments.output),
        Command::Status(arguments) => Some(arguments.output),
        Command::Cluster(ClusterCommand::Status(arguments)) => Some(arguments.output),
        Command::Diff(arguments) => Some(arguments.output),
        Command::Config(ConfigCommand::Check(arguments)) => Some(arguments.output),
        Command::Config(ConfigCommand::Show(arguments)) => Some(arguments.output),
        Command::Config(ConfigCommand::Explain(arguments)) => Some(arguments.output),
        Command::Version(arguments) => Some(arguments.output),
        // These commands have no flag -o. Move a command to the lines above when it gets one.
        Command::Cluster(ClusterCommand::Up(_) | ClusterCommand::Down(_))
        | Command::Logs(_)
        | Command::Render(_)
        | Command::Dev(_)
        | Command::Config(ConfigCommand::Init(_) | ConfigCommand::Schema(_))
        | Command::Explain(_)
        | Command::Completion(_) => None,
    };
    output_form(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_command_definitions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn errors_follow_the_output_flag_of_every_command() {
        fn collect_paths(command: &clap::Command, path: &[String], with_output: &mut Vec<Vec<String>>) {
            for child in command.get_subcommands() {
                let path = [path, &[child.get_name().to_owned()]].concat();
                if child.get_arguments().any(|argument| argument.get_id() == "output") {
                    with_output.push(path.clone());
                }
                collect_paths(child, &path, with_output);
            }
        }
        let mut with_output = Vec::new();
        collect_paths(&Cli::command(), &[], &mut with_output);
        assert!(with_output.len() >= 17, "{with_output:?}");
        for path in with_output {
            let words = ["handsctl".to_owned()].into_iter().chain(path.clone());
            let cli = Cli::try_parse_from(words.chain(["-o".to_owned(), "json".to_owned()])).unwrap();
            assert_eq!(error_output(&cli.command), Output::Json, "{path:?}");
        }
    }
}
