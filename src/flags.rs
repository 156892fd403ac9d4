//! Flags that several commands share, and their values.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The config files; a key in a later one overrides earlier ones.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help = "Config file; repeatable, a key in a later file overrides earlier files [env: HANDSCTL_CONFIG=] [default: ./config.toml if it exists]"
    )]
    pub config: Vec<PathBuf>,
    /// Set one key to a TOML value: `--set deploy.replicas=1`; repeatable
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
    /// Namespace of the application [default: deploy.namespace, else openhands]
    #[arg(short, long, global = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub namespace: Option<String>,
    /// Name of the installation [default: deploy.name, else openhands]
    #[arg(long, global = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub context: Option<String>,
    /// Path of the kubeconfig [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Use the service account of the pod in which handsctl runs; a typed context or kubeconfig overrides the variable
    #[arg(long, global = true, env = "HANDSCTL_IN_CLUSTER", value_parser = parse_in_cluster)]
    pub in_cluster: bool,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Color,
    /// Write every event as NDJSON to a file, or to stdout with `-`
    #[arg(long, value_name = "FILE|-", global = true)]
    pub events: Option<PathBuf>,
    /// Write the result as JUnit XML to a file
    #[arg(long, value_name = "FILE", global = true)]
    pub junit: Option<PathBuf>,
    /// Write the objects, Events and logs of a failed rollout to a folder
    #[arg(long, value_name = "DIR", global = true)]
    pub evidence: Option<PathBuf>,
    /// Write the run as one HTML page to a file: a timeline, the findings, the changed objects. `history N` writes that of a
    /// kept revision
    #[arg(long, value_name = "FILE", global = true)]
    pub report: Option<PathBuf>,
    /// Write only errors to stderr: no progress, no warnings. What a command writes to stdout stays
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more: every object, the number of requests and bytes, the slowest request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Delete data without a question; `rollback` also accepts rights, images and an exposure that the revision adds.
    /// It does not confirm the choice of the cluster; --context does
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// The local cluster that a command of the group `cluster` names, instead of `cluster.name`.
    #[arg(skip)]
    pub cluster: Option<String>,
    /// The words of the command line after the program, for commands that messages suggest.
    #[arg(skip)]
    pub words: Vec<String>,
    /// The name under which the program was called, which commands in texts have.
    #[arg(skip)]
    pub program: ProgramName,
    /// The command as a message suggests it again, without its global flags: `rollback --to 3 --adopt`. None for a command
    /// without the flags of ownership.
    #[arg(skip)]
    pub again: Option<String>,
    /// The context that the command has chosen, for commands of kubectl that messages suggest: the typed one, that of
    /// config.toml, or the current one. Empty until then, and with the service account of a pod.
    #[arg(skip)]
    pub chosen_context: Arc<OnceLock<String>>,
}

/// The name under which the program was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgramName {
    /// `handsctl`.
    #[default]
    Handsctl,
    /// `kubectl hands`: kubectl runs its plugin.
    Plugin,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Use colour on terminals, unless `NO_COLOR` is set.
    Auto,
    /// Always use colour.
    Always,
    /// Never use colour.
    Never,
}

/// The output format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Flags of every command that ends with a rollout.
#[derive(Debug, Clone, Args)]
pub struct RolloutArgs {
    /// Do not wait for the rollout
    #[arg(long)]
    pub no_wait: bool,
    /// Wait for the rollout, as without the flag; other tools have it
    #[arg(long, hide = true, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Time limit of the whole command [default: 15m; of `handsctl up`: 30m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub lock: LockArgs,
    /// When to probe the application after the rollout
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub probe: Probe,
    /// Output format of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// The flag of every command that changes the installation under its lock.
#[derive(Debug, Clone, Copy, Args)]
pub struct LockArgs {
    /// Wait this long if another run is changing the installation [default: exit 13 at once]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub lock_wait: Option<Duration>,
}

/// Flags of every command that applies the installation.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub rollout: RolloutArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub ownership: OwnershipArgs,
    /// Replace the deployed edition of OpenHands by the configured one, with a volume of its own; the earlier volume is kept
    #[arg(long)]
    pub change_edition: bool,
    /// Text for the history, kept with the revision that this run makes; at most 300 characters
    #[arg(long, value_name = "TEXT", value_parser = parse_note)]
    pub note: Option<String>,
}

/// Flags of every command that applies: how it treats fields and objects that belong to others.
#[derive(Debug, Clone, Copy, Args)]
pub struct OwnershipArgs {
    /// Overwrite what others changed, except where [deploy.ownership] says "yield" or "fail"
    #[arg(long)]
    pub force_conflicts: bool,
    /// Adopt existing objects of the same names, such as those that helm or kubectl created
    #[arg(long)]
    pub adopt: bool,
}

/// Where a dry run is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// handsctl compares the plan with the objects in the cluster.
    Client,
    /// The API server checks each object without storing it.
    Server,
}

/// When to probe the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Probe unless the node is simulated.
    Auto,
    /// Probe on simulated nodes, too.
    Always,
    /// Do not probe.
    Never,
}

/// Flags of `image load` and `image pull`.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// Names of images [default: the application image and the sandbox image of config.toml]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Time limit of the whole command [default: 30m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the summary on stdout
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// The flag of every command that only reads from a cluster.
#[derive(Debug, Clone, Copy, Args)]
pub struct ReadArgs {
    /// Time limit of the whole command [default: 1m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

impl ReadArgs {
    /// The time limit without `--timeout`.
    pub const DEFAULT: Duration = Duration::from_secs(60);
}

/// Parses the variable of `--in-cluster`: the flag itself has no value.
fn parse_in_cluster(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
        "false" | "0" | "no" | "off" | "f" | "n" | "" => Ok(false),
        _ => Err("the environment variable HANDSCTL_IN_CLUSTER is true (1, yes, on) or false (0, no, off)"
            .to_owned()),
    }
}

/// Parses `90` (seconds), `15s`, `10m` or `1h30m`.
///
/// # Errors
/// The text is not a positive duration in whole seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
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
            _ => return Err(format!("`{character}` is not a unit of time: use s, m, h or d")),
        };
        let number: u64 = digits.parse().map_err(|_| format!("a number is missing before `{character}`"))?;
        digits.clear();
        total = number.checked_mul(unit).and_then(|seconds| total.checked_add(seconds)).ok_or("too long")?;
    }
    if digits.is_empty() && total > 0 {
        Ok(Duration::from_secs(total))
    } else {
        Err("expected a duration such as 90s, 10m or 1h30m".to_owned())
    }
}

/// Returns a parser of numbers, whose error is one sentence: what is expected.
pub(crate) fn number<T: FromStr + PartialOrd>(
    range: RangeInclusive<T>,
    expected: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    let (least, most) = range.into_inner();
    let bounds = Arc::new((least, most));
    move |text| {
        let number = text.parse().ok();
        number.filter(|number| *number >= bounds.0 && *number <= bounds.1).ok_or_else(|| expected.to_owned())
    }
}

/// Parses the number of a revision.
///
/// # Errors
/// The text is not a number from 1.
pub(crate) fn parse_revision(text: &str) -> Result<u64, String> {
    number(1..=u64::MAX, "a revision is a number from 1; handsctl history lists them")(text)
}

/// The maximum length of a note in characters, as a revision records it: on one line.
const MAX_NOTE: usize = 300;

/// Parses the text of `--note`.
///
/// # Errors
/// The text is longer than a revision keeps.
pub(crate) fn parse_note(text: &str) -> Result<String, String> {
    let length = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().count();
    if length > MAX_NOTE {
        return Err(format!("a note has at most {MAX_NOTE} characters, and this one has {length}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_that_a_revision_would_cut_is_refused() {
        let longest = "ü".repeat(MAX_NOTE);
        assert_eq!(parse_note(&longest), Ok(longest.clone()));
        assert!(parse_note(&format!("  {longest}\n")).is_ok(), "the revision keeps one line");
        let error = parse_note(&format!("{longest} and more")).unwrap_err();
        assert_eq!(error, "a note has at most 300 characters, and this one has 309");
    }

    #[test]
    fn durations_take_units_and_reject_zero() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "m", "5x", "5m3", "-1s", "0s", "0"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_out_of_their_range_get_the_sentence() {
        let port = number(1..=u16::MAX, "a port is a number from 1 to 65535");
        assert_eq!(port("3000"), Ok(3000));
        for wrong in ["", "0", "65536", "-1", "http"] {
            assert_eq!(port(wrong), Err("a port is a number from 1 to 65535".to_owned()), "{wrong}");
        }
        assert_eq!(parse_revision("7"), Ok(7));
        assert!(parse_revision("abc").unwrap_err().contains("handsctl history"));
    }
}
