//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Config file; repeatable, later files win key by key [default: ./config.toml where it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Vec<PathBuf>,
    /// Sets one key to a TOML value: `--set deploy.replicas=1`; repeatable
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
    /// Namespace of the application [default: deploy.namespace, else openhands]
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Name of the set [default: deploy.name, else openhands]
    #[arg(long, global = true)]
    pub name: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Use the account of the pod that this runs in
    #[arg(long, global = true, env = "HANDSCTL_IN_CLUSTER", value_parser = clap::builder::FalseyValueParser::new())]
    pub in_cluster: bool,
    /// Colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Color,
    /// Write what happens as NDJSON to a file, or `-` for stdout
    #[arg(long, value_name = "FILE|-", global = true)]
    pub events: Option<PathBuf>,
    /// Only errors and the result
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: every object, requests, bytes and the slowest call
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

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

/// Flags of `image load` and `image pull`.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// Names of images [default: the application's and the sandboxes' of config.toml]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Time for the whole command [default: 30m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Form of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Flags of `up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Leave what was applied where its rollout fails, instead of bringing back the last good revision
    #[arg(long)]
    pub no_rollback: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

/// Flags of `deploy`.
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    /// Change nothing: `client` shows what would be sent, `server` lets the API server check it
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    /// Also delete a volume claim of the set that is no longer configured, and with it what is on it; and stop an
    /// application whose `on_stop = "clean"` deletes a conversation's volume
    #[arg(long)]
    pub delete_data: bool,
    /// Leave what was applied where its rollout fails, instead of bringing back the last good revision
    #[arg(long)]
    pub no_rollback: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

/// Flags of `rollback`.
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// Number of the revision, see `history` [default: the last good one before the present one]
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Change nothing: `client` shows what would be sent, `server` lets the API server check it
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

/// Arguments of `history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// One revision with its objects; their manifests with -o yaml
    pub revision: Option<u64>,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Flags of every command that ends with a rollout.
#[derive(Debug, Clone, Args)]
pub struct RolloutArgs {
    /// Do not wait for the rollout
    #[arg(long)]
    pub no_wait: bool,
    /// Time for the whole command [default: 15m, up 30m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Whether to ask the application if it answers
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub probe: Probe,
    /// Form of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Flags of every command that applies the set.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub rollout: RolloutArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub ownership: OwnershipArgs,
}

/// Flags of every command that applies: what is done about fields and objects of others.
#[derive(Debug, Clone, Copy, Args)]
pub struct OwnershipArgs {
    /// Take over fields that others manage; not those that [deploy.ownership] says "yield" or "fail" of
    #[arg(long)]
    pub force_conflicts: bool,
    /// Take over objects of somebody else's that have the names of the set's, and what helm or kubectl manage of them
    #[arg(long)]
    pub adopt: bool,
}

/// Who checks a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// handsctl, from what is in the cluster.
    Client,
    /// The API server.
    Server,
}

/// Whether to ask the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Unless its node is simulated.
    Auto,
    /// Also where its node is simulated.
    Always,
    /// Not at all.
    Never,
}

/// Flags of `cluster up`.
#[derive(Debug, Clone, Args)]
pub struct ClusterUpArgs {
    /// Delete the cluster and make it anew where it differs from config.toml in what cannot be changed
    #[arg(long)]
    pub recreate: bool,
    /// Time for the whole command [default: 30m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Flags of `cluster down`.
#[derive(Debug, Clone, Args)]
pub struct ClusterDownArgs {
    /// Time for the whole command [default: 5m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Flags of `diff`.
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// As deploy with this flag: a volume claim that is no longer configured would go, too
    #[arg(long)]
    pub delete_data: bool,
    /// As deploy with this flag: fields that others manage would be taken over
    #[arg(long)]
    pub force_conflicts: bool,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Flags of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Flags of `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Go on for ever, pods that come later included
    #[arg(short, long, conflicts_with = "previous")]
    pub follow: bool,
    /// Lines from the end of each log
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// Only lines that are newer than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// One container
    #[arg(short, long)]
    pub container: Option<String>,
    /// Of the run before the last restart
    #[arg(short, long)]
    pub previous: bool,
    /// Begin each line with its time
    #[arg(long)]
    pub timestamps: bool,
}

/// Flags of `open`.
#[derive(Debug, Clone, Args)]
pub struct OpenArgs {
    /// Lead there through a port of this computer, whatever the URL is
    #[arg(long)]
    pub forward: bool,
    /// That port [default: 3000, or a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Only print the URL
    #[arg(long)]
    pub no_browser: bool,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Flags of `teardown`.
#[derive(Debug, Clone, Args)]
pub struct TeardownArgs {
    /// Also delete the volume claim, and with it settings and conversations
    #[arg(long)]
    pub delete_data: bool,
    /// Also delete the namespaces of the set that handsctl made; their volumes go with them, so this needs --delete-data
    #[arg(long, requires = "delete_data")]
    pub delete_namespace: bool,
    /// Time for the whole command [default: 5m]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Form of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Flags of `render`.
#[derive(Debug, Clone, Args)]
pub struct RenderArgs {
    /// Write one file per object into this folder instead of stdout
    #[arg(long, value_name = "DIR")]
    pub split: Option<PathBuf>,
    /// Also print the namespace that deploy would make
    #[arg(long)]
    pub include_namespace: bool,
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

/// Arguments of `dev`.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// The command and its arguments, behind `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// Arguments of `rbac`.
#[derive(Debug, Clone, Args)]
pub struct RbacArgs {
    /// Whose rights: user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME [default: a ServiceAccount that is made, too]
    #[arg(value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Form of the result [default: manifests]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Arguments of `config init`.
#[derive(Debug, Clone, Args)]
pub struct ConfigInitArgs {
    /// The file to write; `-` prints it
    #[arg(value_name = "FILE", default_value = "config.toml")]
    pub file: PathBuf,
    /// The kind of cluster, set in the file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// A kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A cluster like any other.
    App,
    /// Not OpenHands but the pod of `handsctl dev`.
    Dev,
    /// A Route instead of an Ingress.
    Openshift,
    /// A load balancer, and the key file of a Google Cloud account.
    Gke,
}

/// Arguments of `config explain`.
#[derive(Debug, Clone, Args)]
pub struct ConfigExplainArgs {
    /// A key or a table, with dots; without it: the tables
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Flags of `config check`.
#[derive(Debug, Clone, Args)]
pub struct ConfigCheckArgs {
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Flags of `config show`.
#[derive(Debug, Clone, Args)]
pub struct ConfigShowArgs {
    /// Say where each value comes from
    #[arg(long)]
    pub origin: bool,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// An id as it is printed in brackets, or `exit-code`
    pub subject: String,
    /// The number after `exit-code`
    pub number: Option<u8>,
}

/// Flags of `version`.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// Only the version of handsctl
    #[arg(long)]
    pub client: bool,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Arguments of `completion`.
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `90`, `15s`, `10m`, `1h30m`: whole seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds @ 1..) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = 0_u64;
    let mut digits = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return Err(format!("`{character}` is no unit of time: s, m, h or d")),
        };
        let number: u64 = digits.parse().map_err(|_| format!("a number must stand before `{character}`"))?;
        digits.clear();
        total = number.checked_mul(unit).and_then(|seconds| total.checked_add(seconds)).ok_or("too long")?;
    }
    if digits.is_empty() && total > 0 {
        Ok(Duration::from_secs(total))
    } else {
        Err("a duration such as 90s, 10m or 1h30m is expected".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_kubectl_does() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "m", "5x", "5m3", "-1s", "0s", "0"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
