//! Flags that several commands share, and the values they take.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

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
    /// Confirm that data may be deleted. Which cluster is meant is never confirmed by it: --context says that
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

/// `90`, `15s`, `10m`, `1h30m`: whole seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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

    #[test]
    fn durations_are_read_as_kubectl_does() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "m", "5x", "5m3", "-1s", "0s", "0"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
