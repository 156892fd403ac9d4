//! TODO

use std::path::PathBuf;
use std::time::Duration;
use clap::builder::styling::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};
use crate::flags::{Global, ImageArgs, UpArgs, DeployArgs, RollbackArgs, HistoryArgs, RolloutArgs, ClusterUpArgs, ClusterDownArgs, DiffArgs, StatusArgs, LogsArgs, OpenArgs, TeardownArgs, RenderArgs, DevArgs, RbacArgs, ConfigInitArgs, ConfigExplainArgs, ConfigCheckArgs, ConfigShowArgs, ExplainArgs, VersionArgs, CompletionArgs};
use crate::session::output::{output, classified};
use std::process::ExitCode;
use crate::dispatch::{Cli, Command};
use crate::error::Error;
use crate::report::{ColorChoice, Output, Streams};

/// Runs what was typed and gives the process' exit code.
pub async fn main(cli: Cli) -> ExitCode {
    let color = match cli.global.color {
        crate::flags::Color::Auto => ColorChoice::Auto,
        crate::flags::Color::Always => ColorChoice::Always,
        crate::flags::Color::Never => ColorChoice::Never,
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
        Command::Status(arguments) => self::status::command::run(global, arguments, streams).await,
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

/// The form in which an error of this command is printed.
fn output_of(command: &Command) -> Output {
    use crate::dispatch::{ClusterCommand, ConfigCommand, ImageCommand};
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

/// Run OpenHands on Kubernetes: one config.toml, one command
///
/// handsctl reads OpenHands' own config.toml, renders its manifests, applies them server-side, watches the
/// rollout, asks the application whether it answers, and says what it sees. Without a cluster it makes a local one.
#[derive(Debug, Parser)]
#[command(name = "handsctl", version, styles = Styles::plain(), max_term_width = 100, after_help = TOP_EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of every command")]
    pub global: Global,
    #[command(subcommand)]
    #[expect(missing_docs, reason = "the commands themselves are documented")]
    pub command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  handsctl up                          a local cluster, OpenHands on it, and its URL
  handsctl deploy --context prod       apply config.toml to a cluster that is there
  handsctl render --split manifests    the manifests as files, without a cluster
  handsctl status && echo healthy      the exit code is the verdict

Exit codes: 0 done or healthy, 1 differences, 2 usage, 3 configuration, 4 unreachable, 5 not authenticated,
6 forbidden, 7 somebody else's, 8 rejected, 9 rollout failed, 10 deadline, 11 degraded, 12 down,
13 locked, 14 prerequisite missing, 70 internal, 130 interrupted, 143 terminated";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the local cluster, deploy, print the URL
    ///
    /// In order: `cluster up`; images that this computer's engine has and a kind cluster's nodes lack are loaded;
    /// `deploy`; where OpenHands answers. Running it again changes only what differs. With provider = "existing" nothing is made: it needs --context or a pin, cluster.context.
    #[command(
        after_help = "Examples:\n  handsctl up\n  handsctl up --config team.toml --set cluster.name=trial\n  handsctl up --timeout 5m -o json"
    )]
    Up(UpArgs),
    /// The local cluster: up, down, status
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Apply config.toml to the cluster and wait until it works
    ///
    /// In order: read config.toml, look at the cluster, check the account's rights, make the namespace where it
    /// is missing, apply what differs (server-side), watch the rollout, ask the application whether it answers.
    /// Nobody else's object is changed; what is as it should be costs no request.
    #[command(
        after_help = "Examples:\n  handsctl deploy\n  handsctl deploy --dry-run=server\n  handsctl deploy --force-conflicts\n  handsctl deploy --context prod --timeout 10m --events deploy.ndjson\n  handsctl deploy --set 'deploy.image=\"docker.all-hands.dev/all-hands-ai/openhands:0.59\"'"
    )]
    Deploy(DeployArgs),
    /// Show what deploy would change: exit 0 nothing, 1 something, more than 1 an error
    ///
    /// In order: read config.toml, look at the cluster, let the API server try what differs as a dry run. Nothing is
    /// changed. Each field says who caused it: you, another manager (drift), or the server. Secrets are never shown.
    /// A new object is one line, but for its configuration; `render` prints it whole.
    #[command(
        after_help = "Examples:\n  handsctl diff\n  handsctl diff --set 'deploy.image=\"docker.all-hands.dev/all-hands-ai/openhands:0.59\"'\n  handsctl diff -o json | jq '.objects[] | select(.effects[].type == \"restarts\")'"
    )]
    Diff(DiffArgs),
    /// Is it healthy? The exit code says so: 0 healthy, 11 degraded, 12 down or nothing deployed
    #[command(after_help = "Examples:\n  handsctl status\n  handsctl status -o json | jq .verdict")]
    Status(StatusArgs),
    /// Print the logs of the application's pods
    #[command(
        after_help = "Examples:\n  handsctl logs -f\n  handsctl logs --since 10m --tail 100\n  handsctl logs --previous"
    )]
    Logs(LogsArgs),
    /// Open the application: at its URL, else through a port of this computer
    ///
    /// Where the application answers at its URL, the URL is printed and a browser opened. Else a port of this computer
    /// leads to it until Ctrl-C, also while its pod is replaced.
    #[command(
        after_help = "Examples:\n  handsctl open\n  handsctl open --forward --port 3000\n  curl \"$(handsctl open)alive\""
    )]
    Open(OpenArgs),
    /// Bring back an earlier revision of the whole set, with its configuration
    ///
    /// Without --to: the last good revision before the present one. It is recorded as a new revision; config.toml
    /// is not changed, so the next deploy applies it again.
    #[command(after_help = "Examples:\n  handsctl rollback\n  handsctl history && handsctl rollback --to 3")]
    Rollback(RollbackArgs),
    /// The revisions of the set that are kept, newest first
    #[command(after_help = "Examples:\n  handsctl history\n  handsctl history 3 -o yaml")]
    History(HistoryArgs),
    /// Replace the application's pods without a change: after a secret of somebody else's changed, or when it is stuck
    #[command(after_help = "Examples:\n  handsctl restart\n  handsctl restart --no-wait")]
    Restart(RolloutArgs),
    /// Bring images to the nodes before somebody waits for them: load, pull
    #[command(subcommand)]
    Image(ImageCommand),
    /// Delete what deploy made; the volume stays unless --delete-data
    ///
    /// In order: Ingress, Deployment with its pods (waited for), the rest, the set's parent. Kept and named:
    /// the volume claim, the namespace, sandboxes and their claims. Running it again is no error.
    #[command(after_help = "Examples:\n  handsctl teardown\n  handsctl teardown --delete-data --yes")]
    Teardown(TeardownArgs),
    /// Print the manifests, without a cluster; the same bytes for the same input
    #[command(
        after_help = "Examples:\n  handsctl render | kubectl diff --server-side -f -\n  handsctl render --split manifests --include-namespace"
    )]
    Render(RenderArgs),
    /// Print the smallest roles for an account that deploys this very configuration
    ///
    /// What can be left out has a comment that says what is lost without it. No cluster is asked.
    #[command(
        after_help = "Examples:\n  handsctl rbac | kubectl apply -f -\n  handsctl rbac user:ana@example.org\n  handsctl rbac serviceaccount:ci:deployer -o table"
    )]
    Rbac(RbacArgs),
    /// Run a command on this computer as if it ran in the pod `ubuntu-dev`, under mirrord
    ///
    /// The pod comes from `handsctl deploy` with `profile = "dev"`. The command has this terminal; its exit code is
    /// that of handsctl.
    #[command(after_help = "Examples:\n  handsctl dev -- make run\n  handsctl dev -- kubectl get pods")]
    Dev(DevArgs),
    /// The config file: init, check, show, explain, schema
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What an id (HC4103) or an exit code means
    #[command(after_help = "Examples:\n  handsctl explain HC4103\n  handsctl explain exit-code 9")]
    Explain(ExplainArgs),
    /// The version of handsctl and of the cluster
    #[command(after_help = "Examples:\n  handsctl version\n  handsctl version --client -o json")]
    Version(VersionArgs),
    /// Print the completion script of a shell
    #[command(after_help = "Examples:\n  source <(handsctl completion bash)")]
    Completion(CompletionArgs),
}

/// The local cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make it, start it, or leave it as it is
    #[command(after_help = "Examples:\n  handsctl cluster up\n  handsctl cluster up --recreate --yes")]
    Up(ClusterUpArgs),
    /// Delete it, with everything in it
    #[command(after_help = "Examples:\n  handsctl cluster down --yes")]
    Down(ClusterDownArgs),
    /// Say whether it is there and running: exit 0 running, 12 otherwise
    #[command(
        after_help = "Examples:\n  handsctl cluster status\n  handsctl cluster status -o json | jq .condition"
    )]
    Status(StatusArgs),
}

/// Images on the nodes.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Bring images of this computer's container engine to every node of a kind cluster
    ///
    /// A node that has the very same image, by its digest, is left alone.
    #[command(
        after_help = "Examples:\n  handsctl image load\n  handsctl image load acme/openhands:0.59 acme/runtime:dev"
    )]
    Load(ImageArgs),
    /// Have every node pull images that it does not have
    ///
    /// The application gives a sandbox 300 s to become ready, and a pull counts. Nodes whose taints, labels or state
    /// keep the image's pods away are skipped, and said.
    #[command(
        after_help = "Examples:\n  handsctl image pull\n  handsctl image pull ghcr.io/acme/runtime:dev --timeout 1h"
    )]
    Pull(ImageArgs),
}

/// The config file.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write a config.toml with every key, its meaning and its default, all behind `#`
    #[command(after_help = "Examples:\n  handsctl config init\n  handsctl config init - | less")]
    Init(ConfigInitArgs),
    /// Find every mistake: exit 3 where there is one
    #[command(
        after_help = "Examples:\n  handsctl config check\n  handsctl config check --config base.toml --config prod.toml -o json"
    )]
    Check(ConfigCheckArgs),
    /// Print every key with its value
    #[command(after_help = "Examples:\n  handsctl config show --origin\n  handsctl config show -o json")]
    Show(ConfigShowArgs),
    /// What a key means: form, default, which field of which object it becomes
    #[command(
        after_help = "Examples:\n  handsctl config explain deploy.storage_size\n  handsctl config explain kubernetes\n  handsctl config explain"
    )]
    Explain(ConfigExplainArgs),
    /// Print the JSON Schema of config.toml, for editors
    ///
    /// Editors that use Taplo take it with a first line `#:schema ./config.schema.json` in config.toml.
    #[command(after_help = "Examples:\n  handsctl config schema > config.schema.json")]
    Schema,
}
