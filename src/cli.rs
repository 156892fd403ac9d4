//! The list of commands and their dispatch. Each command's arguments are defined in its own file under `commands/`.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use clap::builder::styling::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::catalogue::Id;
use crate::command_line::{self, GlobalFlag, RepeatedFlags};
use crate::commands::cluster::{down, list as cluster_list, status as cluster_status, up as cluster_up};
use crate::commands::config::{
    check, edit, explain as config_explain, get, init, schema as config_schema, set, show,
};
use crate::commands::image::{load, pull};
use crate::commands::sandbox::{
    describe as sandbox_describe, exec as sandbox_exec, gc as sandbox_gc, list as sandbox_list,
    logs as sandbox_logs,
};
use crate::commands::{
    backup, completion, deploy, dev, diff, doctor, exec, explain, history, list, logs, man, open, options,
    rbac, render, restart, restore, rollback, schema, status, teardown, up, version,
};
use crate::error::{Error, Kind};
use crate::flags::{Color, Global, ProgramName};
use crate::foreign_commands;
use crate::help;
use crate::report::{ColorChoice, Output, Streams};
use crate::session::cluster_session::{self, Secrets};
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
    /// The command in words, `cluster up`, and the typed global flags that it does not use.
    #[arg(skip)]
    unused: UnusedFlags,
}

/// The typed global flags that a command does not use.
#[derive(Debug, Default)]
struct UnusedFlags {
    command: String,
    flags: Vec<GlobalFlag>,
}

const TOP_EXAMPLES: &str = "\
Examples:
  handsctl up                        # create a local cluster, deploy OpenHands
  handsctl deploy --context prod     # apply config.toml to an existing cluster
  handsctl render --split manifests  # write the manifests to files
  handsctl status && echo healthy    # use the exit code as the verdict

Exit codes: 0 done or healthy, 1 differences, 2 usage, 3 configuration,
4 unreachable, 5 not authenticated, 6 forbidden, 7 owned by someone else,
8 rejected, 9 rollout failed, 10 timed out, 11 degraded, 12 down, 13 locked,
14 prerequisite missing, 70 internal, 130 interrupted, 143 terminated

handsctl COMMAND --help explains a command";

/// A command of handsctl.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum Command {
    Up(up::UpArgs),
    /// Manage the local cluster: up, down, status, list
    #[command(subcommand)]
    Cluster(ClusterCommand),
    Deploy(deploy::DeployArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    Logs(logs::LogsArgs),
    Exec(exec::ExecArgs),
    Open(open::OpenArgs),
    /// Manage sandboxes: list, logs, describe, exec, gc
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    Rollback(rollback::RollbackArgs),
    History(history::HistoryArgs),
    List(list::ListArgs),
    Restart(restart::RestartArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    /// Put images on the nodes before pods need them: load, pull
    #[command(subcommand)]
    Image(ImageCommand),
    Teardown(teardown::TeardownArgs),
    Render(render::RenderArgs),
    Rbac(rbac::RbacArgs),
    Dev(dev::DevArgs),
    /// Write, change, check and explain config.toml
    #[command(subcommand)]
    Config(ConfigCommand),
    Explain(explain::ExplainArgs),
    Schema(schema::SchemaArgs),
    Version(version::VersionArgs),
    Completion(completion::CompletionArgs),
    Man(man::ManArgs),
    Options(options::OptionsArgs),
}

/// A command of the group `cluster`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum ClusterCommand {
    Up(cluster_up::ClusterUpArgs),
    Down(down::ClusterDownArgs),
    Status(cluster_status::ClusterStatusArgs),
    List(cluster_list::ClusterListArgs),
}

/// A command of the group `image`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum ImageCommand {
    Load(load::ImageLoadArgs),
    Pull(pull::ImagePullArgs),
}

/// A command of the group `sandbox`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum SandboxCommand {
    List(sandbox_list::SandboxListArgs),
    Logs(sandbox_logs::SandboxLogsArgs),
    Describe(sandbox_describe::SandboxDescribeArgs),
    Exec(sandbox_exec::SandboxExecArgs),
    Gc(sandbox_gc::SandboxGcArgs),
}

/// A command of the group `config`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented in its own file")]
pub enum ConfigCommand {
    Init(init::ConfigInitArgs),
    Set(set::ConfigSetArgs),
    Get(get::ConfigGetArgs),
    Edit(edit::ConfigEditArgs),
    Check(check::ConfigCheckArgs),
    Show(show::ConfigShowArgs),
    Explain(config_explain::ConfigExplainArgs),
    Schema(config_schema::ConfigSchemaArgs),
}

/// Returns clap's definition of the command line. A command hides the global flags that it does not use.
#[must_use]
pub fn definition() -> clap::Command {
    let root = Cli::command();
    let global: Vec<clap::Arg> = root.get_arguments().filter(|flag| flag.is_global_set()).cloned().collect();
    with_hidden_flags(root, "", &global)
}

fn with_hidden_flags(mut command: clap::Command, path: &str, global: &[clap::Arg]) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |child| with_hidden_flags(child, &path, global));
    }
    let Some(used) = command_line::used_flags(path) else { return command };
    let is_unused = |flag: &&clap::Arg| {
        GlobalFlag::ALL.iter().any(|global| global.id() == flag.get_id() && !used.contains(global))
    };
    // clap propagates a global flag only to commands that do not define it themselves.
    command.args(global.iter().filter(is_unused).map(|flag| flag.clone().hide(true)))
}

impl Cli {
    /// Checks that the command uses every typed global flag, and that they choose one cluster.
    ///
    /// # Errors
    /// Exit 2 with the flags that it would ignore, or that contradict each other.
    pub fn check_flags(&self) -> crate::error::Result<()> {
        ensure_flags_are_used(&self.unused)?;
        ensure_config_is_file(&self.global)?;
        ensure_one_cluster(&self.global)
    }
}

/// The program in the usage line of the plugin of kubectl.
const PLUGIN_NAME: &str = "kubectl hands";

/// Parses a command line, with the program as its first word.
///
/// # Errors
/// clap's usage errors, help and version.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let program = words.first().map(|word| command_line::program(word)).unwrap_or_default();
    let root = help::arranged(definition());
    let root = if program == ProgramName::Plugin { root.bin_name(PLUGIN_NAME) } else { root };
    let matches = root.try_get_matches_from(with_help_of_help(&words))?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.unused = unused_flags(&matches);
    // What is typed has priority over a variable, which a pod's spec may set for every command.
    let in_cluster = innermost(&matches).value_source(GlobalFlag::InCluster.id());
    cli.global.in_cluster &=
        in_cluster == Some(ValueSource::CommandLine) || other_choice(&cli.global).is_none();
    cli.global.cluster = cluster_argument(&cli.command).cloned();
    cli.global.program = program;
    cli.global.again = again(&cli.command);
    cli.global.words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(cli)
}

/// clap's own command `help` takes no flags: `help --help` becomes `help help`.
fn with_help_of_help(words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    if let [_, command, flag] = words.as_mut_slice()
        && command == "help"
        && (flag == "--help" || flag == "-h")
    {
        flag.clone_from(command);
    }
    words
}

/// Returns the cluster that the command line names, instead of `cluster.name`.
fn cluster_argument(command: &Command) -> Option<&String> {
    let Command::Cluster(command) = command else { return None };
    let argument = match command {
        ClusterCommand::Up(arguments) => &arguments.cluster,
        ClusterCommand::Down(arguments) => &arguments.cluster,
        ClusterCommand::Status(arguments) => &arguments.cluster,
        ClusterCommand::List(_) => return None,
    };
    argument.as_ref()
}

/// Returns the command as a message suggests it again, with its flags of ownership.
fn again(command: &Command) -> Option<String> {
    let (words, ownership) = match command {
        Command::Up(arguments) => ("up".to_owned(), arguments.apply.ownership),
        Command::Deploy(arguments) => ("deploy".to_owned(), arguments.apply.ownership),
        Command::Rollback(arguments) => {
            let revision = arguments.revision.or(arguments.to);
            let to = revision.map_or_else(String::new, |number| format!(" --to {number}"));
            (format!("rollback{to}"), arguments.apply.ownership)
        }
        _ => return None,
    };
    let [adopt, force] = command_line::OWNERSHIP_FLAGS;
    let typed = [(ownership.adopt, adopt), (ownership.force_conflicts, force)];
    let typed = typed.into_iter().filter(|(is_typed, _)| *is_typed);
    Some(typed.fold(words, |line, (_, flag)| line + " " + flag))
}

/// Returns the matches of the last command word.
fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

/// Returns the typed flag that chooses a cluster of the kubeconfig.
fn other_choice(global: &Global) -> Option<&'static str> {
    let context = global.context.as_ref().map(|_| "--context");
    context.or_else(|| global.kubeconfig.as_ref().map(|_| "--kubeconfig"))
}

/// Rejects the name of standard input as a config file: relative paths in the file start at its folder.
///
/// # Errors
/// Exit 2 with the path that reads it.
fn ensure_config_is_file(global: &Global) -> crate::error::Result<()> {
    if global.config.iter().all(|file| file.as_os_str() != "-") {
        return Ok(());
    }
    let message =
        "--config - is not a file, and handsctl reads no config.toml from standard input by this name";
    Err(Error::new(Id::Usage, Kind::Usage, message)
        .hint("--config /dev/stdin reads it; its paths must be absolute"))
}

/// Rejects two choices of the cluster.
///
/// # Errors
/// Exit 2 if the service account of the pod and the kubeconfig are both typed.
fn ensure_one_cluster(global: &Global) -> crate::error::Result<()> {
    let Some(other) = other_choice(global).filter(|_| global.in_cluster) else { return Ok(()) };
    let message = format!("--in-cluster and {other} choose different clusters");
    Err(Error::new(Id::Usage, Kind::Usage, message)
        .hint("--in-cluster uses the service account of the pod, and no kubeconfig: leave one of them out"))
}

fn unused_flags(matches: &ArgMatches) -> UnusedFlags {
    let (mut words, mut matches) = (Vec::new(), matches);
    while let Some((word, inner)) = matches.subcommand() {
        words.push(word);
        matches = inner;
    }
    let command = words.join(" ");
    let used = command_line::used_flags(&command).unwrap_or(GlobalFlag::ALL);
    let is_typed = |flag: &GlobalFlag| matches.value_source(flag.id()) == Some(ValueSource::CommandLine);
    let flags = GlobalFlag::ALL.iter().filter(|flag| !used.contains(flag) && is_typed(flag)).copied();
    UnusedFlags { flags: flags.collect(), command }
}

/// Rejects global flags that the command would ignore: the user may rely on them.
///
/// # Errors
/// Exit 2 with the flags.
fn ensure_flags_are_used(unused: &UnusedFlags) -> crate::error::Result<()> {
    let UnusedFlags { command, flags } = unused;
    if flags.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> =
        flags.iter().map(|flag| flag.forms().last().copied().unwrap_or_default()).collect();
    let message = format!("handsctl {command} does not use {}", names.join(", "));
    let mut error = Error::new(Id::Usage, Kind::Usage, message);
    if command == "cluster list" {
        return Err(error.hint("it lists all local clusters that handsctl created"));
    }
    if command.starts_with("cluster ") {
        if flags.contains(&GlobalFlag::Name) {
            error = error.hint("[cluster].name is the cluster's name; --name is that of the application");
        }
        error = error.hint(format!("handsctl {command} NAME names a local cluster that handsctl created"));
    }
    Err(error)
}

/// The first word of the requests of the completion scripts.
const COMPLETE: &str = "__complete";

/// Answers a completion script; `started` is the start of the process. Returns the exit code of the process, or None if
/// the words are a command line.
#[must_use]
pub fn complete(words: &[OsString], started: Instant) -> Option<ExitCode> {
    let [_, request, rest @ ..] = words else { return None };
    if request != COMPLETE {
        return None;
    }
    let streams = Streams::from_environment(ColorChoice::Never, true, 0);
    completion::complete(definition(), rest, started, &streams);
    Some(ExitCode::SUCCESS)
}

/// Runs the command, prints its error and returns the exit code of the process.
pub async fn main(cli: Cli) -> ExitCode {
    let color = match cli.global.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let streams = Streams::from_environment(color, cli.global.quiet, cli.global.verbose);
    streams.report_panics();
    let result = match cli.check_flags() {
        Ok(()) => dispatch(&cli, &streams).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let flags = RepeatedFlags::new(&cli.global);
            let error = into_error(error).map_hints(|hint| flags.insert_into(hint));
            let code = ExitCode::from(error.kind().exit_code());
            let (output, own) = (error_output(&cli.command), streams.clone());
            tokio::select! {
                _it_never_panics = tokio::task::spawn_blocking(move || own.failure(&error, output)) => {}
                // Nobody reads it: a command that timed out must end.
                () = streams.blocked() => {}
            }
            code
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
            ClusterCommand::List(arguments) => cluster_list::run(global, arguments, streams).await,
        },
        Command::Deploy(arguments) => deploy::run(global, arguments, streams).await,
        Command::Diff(arguments) => diff::run(global, arguments, streams).await,
        Command::Status(arguments) => status::run(global, arguments, streams).await,
        Command::Doctor(arguments) => doctor::run(global, arguments, streams).await,
        Command::Logs(arguments) => logs::run(global, arguments, streams).await,
        Command::Exec(arguments) => exec::run(global, arguments, streams).await,
        Command::Image(command) => match command {
            ImageCommand::Load(arguments) => load::run(global, arguments, streams).await,
            ImageCommand::Pull(arguments) => pull::run(global, arguments, streams).await,
        },
        Command::Sandbox(command) => match command {
            SandboxCommand::List(arguments) => sandbox_list::run(global, arguments, streams).await,
            SandboxCommand::Logs(arguments) => sandbox_logs::run(global, arguments, streams).await,
            SandboxCommand::Describe(arguments) => sandbox_describe::run(global, arguments, streams).await,
            SandboxCommand::Exec(arguments) => sandbox_exec::run(global, arguments, streams).await,
            SandboxCommand::Gc(arguments) => sandbox_gc::run(global, arguments, streams).await,
        },
        Command::Open(arguments) => open::run(global, arguments, streams).await,
        Command::Rollback(arguments) => rollback::run(global, arguments, streams).await,
        Command::History(arguments) => history::run(global, arguments, streams).await,
        Command::List(arguments) => list::run(global, arguments, streams).await,
        Command::Restart(arguments) => restart::run(global, arguments, streams).await,
        Command::Backup(arguments) => backup::run(global, arguments, streams).await,
        Command::Restore(arguments) => restore::run(global, arguments, streams).await,
        Command::Teardown(arguments) => teardown::run(global, arguments, streams).await,
        Command::Dev(arguments) => dev::run(global, arguments, streams).await,
        Command::Rbac(arguments) => rbac::run(global, arguments, streams),
        Command::Render(arguments) => render::run(global, arguments, streams),
        Command::Config(command) => match command {
            ConfigCommand::Init(arguments) => init::run(global, arguments, streams).await,
            ConfigCommand::Set(arguments) => set::run(global, arguments, streams),
            ConfigCommand::Get(arguments) => get::run(global, arguments, streams),
            ConfigCommand::Edit(_) => edit::run(global, streams).await,
            ConfigCommand::Check(arguments) => check::run(global, arguments, streams).await,
            ConfigCommand::Show(arguments) => show::run(global, arguments, streams),
            ConfigCommand::Explain(arguments) => config_explain::run(global, arguments, streams),
            ConfigCommand::Schema(_) => config_schema::run(streams),
        },
        Command::Explain(arguments) => explain::run(global, arguments, streams),
        Command::Schema(arguments) => schema::run(arguments, streams),
        Command::Version(arguments) => version::run(global, arguments, streams).await,
        Command::Completion(arguments) => completion::run(arguments, definition(), streams),
        Command::Man(arguments) => man::run(arguments, help::manual(definition()), streams),
        Command::Options(_) => options::run(global, &help::options(&definition()), streams),
    }
}

/// Prints clap's output: help on stdout with exit code 0, a usage error on stderr with exit code 2. If the words have
/// `-o json` or `-o yaml`, the error is also the value on stdout.
#[must_use]
pub fn print_clap_error(error: &clap::Error, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let streams = Streams::from_environment(ColorChoice::Auto, false, 0);
    let words: Vec<OsString> = words.into_iter().collect();
    let program = words.first().map(|word| command_line::program(word)).unwrap_or_default();
    let named = |text: &str| match program {
        ProgramName::Plugin => command_line::as_plugin(text),
        ProgramName::Handsctl => text.to_owned(),
    };
    let output = typed_output(words.clone());
    let text = named(&error.render().to_string());
    let rejected = foreign_command_error(error, &words, &streams);
    if let Some(error) = rejected.or_else(|| rejected_argument_error(error, &words)) {
        let error = error.map_hints(named);
        streams.failure(&error, output);
        return ExitCode::from(error.kind().exit_code());
    }
    if error.use_stderr() {
        if output != Output::Human {
            // Of a value that cannot be written only the exit code is left.
            let _unwritten = streams.failure_value(&usage_error(&text), output);
        }
        streams.err(&text);
        return ExitCode::from(Kind::Usage.exit_code());
    }
    match streams.out(&text) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.kind().exit_code()),
    }
}

/// Returns the format after `-o` or `--output` in a command line that cannot be parsed.
fn typed_output(words: impl IntoIterator<Item = OsString>) -> Output {
    let mut is_next = false;
    for word in words {
        let word = word.to_string_lossy();
        let value = if std::mem::take(&mut is_next) {
            Some(&*word)
        } else if word == "--" {
            break;
        } else {
            is_next = matches!(&*word, "-o" | "--output");
            let attached = word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o"));
            attached.map(|value| value.trim_start_matches('='))
        };
        match value {
            Some("json") => return Output::Json,
            Some("yaml") => return Output::Yaml,
            _ => {}
        }
    }
    Output::Human
}

/// Returns clap's usage error for programs: the first paragraph is the message, tips are hints.
fn usage_error(text: &str) -> Error {
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let error = Error::new(Id::Usage, Kind::Usage, message);
    paragraphs.flat_map(str::lines).map(str::trim).fold(error, |error, line| match line.split_once(": ") {
        Some(("tip", tip)) => error.hint(tip),
        Some(("Usage", usage)) => error.fact("usage", usage),
        _ => error,
    })
}

/// Returns the error for an argument of another tool, with the one of handsctl that does the same.
fn rejected_argument_error(error: &clap::Error, words: &[OsString]) -> Option<Error> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let root = definition();
    let (mut command, mut path) = (&root, Vec::new());
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        let Some(child) = command.find_subcommand(word) else { continue };
        path.push(child.get_name());
        command = child;
    }
    let path = path.join(" ");
    let meant = foreign_commands::meant_argument(&path, argument)?;
    let message = format!("handsctl {path} has no argument `{argument}`");
    let error = Error::new(Id::Usage, Kind::Usage, message);
    let error = meant.lines().fold(error, Error::hint);
    Some(error.hint(format!("handsctl {path} --help lists its arguments")))
}

/// Returns the error for a command of another tool, with the one of handsctl that does the same, or for a mistyped
/// command, with those that resemble it.
fn foreign_command_error(error: &clap::Error, words: &[OsString], streams: &Streams) -> Option<Error> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let at = words.iter().position(|typed| typed.to_str() == Some(word))?;
    let group = words[..at].last().and_then(|group| group.to_str());
    let group = group.filter(|group| foreign_commands::is_group(group));
    let command = group.map_or_else(|| word.clone(), |group| format!("{group} {word}"));
    let error_of_word = Error::new(Id::Usage, Kind::Usage, format!("handsctl has no command `{command}`"));
    let Some(counterpart) = foreign_commands::counterpart(group, word) else {
        return Some(mistyped_command(error, group, error_of_word));
    };
    let error = error_of_word;
    let answer = with_installation(counterpart, at, words, streams);
    Some(answer.lines().fold(error, Error::hint))
}

/// Adds the commands that resemble a mistyped one, the most similar first.
fn mistyped_command(clap: &clap::Error, group: Option<&str>, error: Error) -> Error {
    let similar = match clap.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(similar)) => similar.clone(),
        Some(ContextValue::String(similar)) => vec![similar.clone()],
        _ => Vec::new(),
    };
    let prefix = group.map_or_else(String::new, |group| format!("{group} "));
    // clap lists the most similar last, and its own `help`.
    let similar = similar.iter().rev().filter(|word| *word != "help");
    let error =
        similar.fold(error, |error, word| error.hint(format!("did you mean handsctl {prefix}{word}?")));
    error.hint(format!("handsctl {prefix}--help lists the commands"))
}

/// Replaces the placeholders of a suggested command of kubectl by the installation of the configuration and of the typed
/// flags, if they can be read. `at` is the position of the unknown command.
fn with_installation(text: &str, at: usize, words: &[OsString], streams: &Streams) -> String {
    if !text.contains("NAME") {
        return text.to_owned();
    }
    let parsed = |rest: &[OsString]| {
        let mut words = [&words[..at], &["status".into()], rest].concat();
        words.retain(|word| word != "--");
        parse(words).ok()
    };
    // What follows are flags of the other tool, as well.
    let Some(cli) = parsed(&words[at + 1..]).or_else(|| parsed(&[])) else { return text.to_owned() };
    let Ok(loaded) = cluster_session::load(&cli.global, Secrets::Unread, streams) else {
        return text.to_owned();
    };
    let settings = &loaded.settings;
    let names = foreign_commands::Names {
        name: settings.deploy.name.as_str(),
        namespace: settings.deploy.namespace.as_str(),
        cluster: settings.cluster.name.as_str(),
    };
    let text = foreign_commands::with_names(text, names);
    RepeatedFlags::new(&cli.global).insert_into(&text)
}

/// Prints the error of the async runtime, which could not get threads or file descriptors.
#[must_use]
pub fn print_runtime_error(error: std::io::Error, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let error = Error::io("cannot start", error);
    Streams::from_environment(ColorChoice::Auto, false, 0).failure(&error, typed_output(words));
    ExitCode::from(error.kind().exit_code())
}

/// Returns the output format of the command's errors, which is the format of its result.
fn error_output(command: &Command) -> Output {
    let format = match command {
        Command::Up(arguments) => arguments.apply.rollout.output,
        Command::Deploy(arguments) => arguments.apply.rollout.output,
        Command::Rollback(arguments) => arguments.apply.rollout.output,
        Command::Restart(arguments) => arguments.rollout.output,
        Command::Backup(arguments) => arguments.output,
        Command::Restore(arguments) => arguments.output,
        Command::Teardown(arguments) => arguments.output,
        Command::Image(ImageCommand::Load(arguments)) => arguments.images.output,
        Command::Image(ImageCommand::Pull(arguments)) => arguments.images.output,
        Command::Sandbox(SandboxCommand::List(arguments)) => Some(arguments.output),
        Command::Sandbox(SandboxCommand::Describe(arguments)) => Some(arguments.output),
        Command::Sandbox(SandboxCommand::Gc(arguments)) => arguments.output,
        Command::Open(arguments) => arguments.output,
        Command::Rbac(arguments) => arguments.output,
        Command::History(arguments) => Some(arguments.output()),
        Command::List(arguments) => Some(arguments.output),
        Command::Status(arguments) => Some(arguments.output),
        Command::Doctor(arguments) => Some(arguments.output),
        Command::Cluster(ClusterCommand::Status(arguments)) => Some(arguments.output),
        Command::Cluster(ClusterCommand::List(arguments)) => Some(arguments.output),
        Command::Diff(arguments) => arguments.output.format(),
        Command::Config(ConfigCommand::Check(arguments)) => Some(arguments.output),
        Command::Config(ConfigCommand::Show(arguments)) => Some(arguments.output),
        Command::Config(ConfigCommand::Explain(arguments)) => Some(arguments.output),
        Command::Config(ConfigCommand::Get(arguments)) => Some(arguments.output),
        Command::Version(arguments) => Some(arguments.output),
        Command::Logs(arguments) => arguments.format(),
        // These commands have no flag -o. Move a command to the lines above when it gets one.
        Command::Cluster(ClusterCommand::Up(_) | ClusterCommand::Down(_))
        | Command::Exec(_)
        | Command::Sandbox(SandboxCommand::Logs(_) | SandboxCommand::Exec(_))
        | Command::Render(_)
        | Command::Dev(_)
        | Command::Config(
            ConfigCommand::Init(_)
            | ConfigCommand::Set(_)
            | ConfigCommand::Edit(_)
            | ConfigCommand::Schema(_),
        )
        | Command::Explain(_)
        | Command::Schema(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Options(_) => None,
    };
    output_form(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_command_definitions() {
        Cli::command().debug_assert();
        definition().debug_assert();
    }

    /// The path of every command without subcommands: `["cluster", "up"]`.
    fn leaves(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        for child in command.get_subcommands() {
            let path = [path, &[child.get_name().to_owned()]].concat();
            if child.has_subcommands() { leaves(child, &path, all) } else { all.push(path) }
        }
    }

    /// A command line of the command with all arguments that it needs.
    fn complete_words(path: &[String], flags: &[&str]) -> Vec<OsString> {
        let needed: &[&str] = match path.last().map(String::as_str) {
            Some("explain") if path.len() == 1 => &["HC9001"],
            Some("completion") => &["bash"],
            Some("man") => &["pages"],
            Some("schema") if path.len() == 1 => &["events"],
            Some("dev") => &["--", "true"],
            Some("restore") => &["backup.tar.gz"],
            Some("set") => &["deploy.replicas=1"],
            Some("get") => &["deploy.replicas"],
            Some("logs" | "describe" | "exec") if path.len() == 2 => &["0f1c2d3e"],
            _ => &[],
        };
        let path = path.iter().map(String::as_str);
        ["handsctl"]
            .into_iter()
            .chain(path)
            .chain(flags.iter().copied())
            .chain(needed.iter().copied())
            .map(OsString::from)
            .collect()
    }

    #[test]
    fn every_command_accepts_or_rejects_every_global_flag() {
        let mut all = Vec::new();
        leaves(&Cli::command(), &[], &mut all);
        assert!(all.len() >= 20, "{all:?}");
        for path in all {
            let command = path.join(" ");
            let used =
                command_line::used_flags(&command).unwrap_or_else(|| panic!("{command} is not listed"));
            for flag in GlobalFlag::ALL {
                let value =
                    if matches!(flag, GlobalFlag::InCluster | GlobalFlag::Yes) { None } else { Some("a=b") };
                for form in flag.forms() {
                    let words: Vec<&str> = [*form].into_iter().chain(value).collect();
                    let cli = parse(complete_words(&path, &words)).unwrap();
                    let error = ensure_flags_are_used(&cli.unused).err();
                    assert_eq!(error.is_none(), used.contains(flag), "{command} {form}: {error:?}");
                    assert!(error.is_none_or(|error| error.kind() == Kind::Usage), "{command} {form}");
                }
            }
        }
    }

    /// Returns clap's error of the command with one wrong value, if the value is wrong.
    fn error_of_value(path: &[String], argument: &clap::Arg, value: &str) -> Option<String> {
        let words: Vec<OsString> = match argument.get_long() {
            Some(long) => complete_words(path, &[&format!("--{long}={value}")]),
            None => {
                ["handsctl"].into_iter().chain(path.iter().map(String::as_str)).map(OsString::from).collect()
            }
        };
        // Each position gets the value.
        let positions = if argument.get_long().is_none() { argument.get_index().unwrap_or(1) } else { 0 };
        let words = words.into_iter().chain((0..positions).map(|_| OsString::from(value)));
        parse(words).err().map(|error| error.to_string())
    }

    #[test]
    fn wrong_values_are_rejected_in_our_words() {
        let (mut root, mut paths) = (definition(), Vec::new());
        root.build();
        leaves(&root, &[], &mut paths);
        paths.push(vec!["history".to_owned()]);
        let mut rejected = 0;
        for path in paths {
            let mut command = &root;
            for word in &path {
                command = command.find_subcommand(word).unwrap();
            }
            let arguments =
                command.get_arguments().filter(|it| it.get_action().takes_values() && !it.is_hide_set());
            for argument in arguments {
                for value in ["1x", "-1", "99999999999999999999"] {
                    let Some(error) = error_of_value(&path, argument, value) else { continue };
                    rejected += 1;
                    for library in ["invalid digit", "too large to fit", "too small to fit", "is not in "] {
                        assert!(!error.contains(library), "{path:?} {argument}: {error}");
                    }
                }
            }
        }
        assert!(rejected > 100, "{rejected}");
    }

    #[test]
    fn commands_of_explain_are_command_lines() {
        use crate::next_commands::{for_exit, for_id};
        let all = Id::ALL.iter().flat_map(|id| for_id(*id));
        for (command, _) in all.chain(Kind::ALL.iter().flat_map(|kind| for_exit(*kind))) {
            let words: Vec<&str> = command.split(' ').collect();
            if words[0] == "handsctl" && words[1] != "COMMAND" {
                let parsed = parse(words.iter().map(OsString::from));
                assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
            }
        }
    }

    #[test]
    fn flag_before_the_command_counts_like_one_behind_it() {
        let words = ["handsctl", "--name", "foo", "-q", "cluster", "down"].map(OsString::from);
        let error = ensure_flags_are_used(&parse(words).unwrap().unused).unwrap_err();
        let list = ["handsctl", "cluster", "list", "-n", "a"].map(OsString::from);
        let listed = ensure_flags_are_used(&parse(list).unwrap().unused).unwrap_err();
        assert_eq!(listed.hints(), ["it lists all local clusters that handsctl created"]);
        assert_eq!(error.message(), "handsctl cluster down does not use --name");
        assert_eq!(
            error.hints(),
            [
                "[cluster].name is the cluster's name; --name is that of the application",
                "handsctl cluster down NAME names a local cluster that handsctl created"
            ]
        );
    }

    #[test]
    fn command_hides_global_flags_that_it_rejects() {
        let mut root = definition();
        root.build();
        let is_hidden = |path: &[&str], flag: &str| {
            let mut command = &root;
            for word in path {
                command = command.find_subcommand(word).unwrap();
            }
            command.get_arguments().find(|argument| argument.get_id() == flag).unwrap().is_hide_set()
        };
        assert!(!is_hidden(&["cluster", "down"], "kubeconfig") && is_hidden(&["cluster", "down"], "context"));
        assert!(!is_hidden(&["deploy"], "context") && !is_hidden(&["deploy"], "namespace"));
    }

    #[test]
    fn help_of_help_is_help() {
        for words in [&["help", "--help"][..], &["help", "-h"], &["help", "help"]] {
            let words = ["handsctl"].iter().chain(words).map(OsString::from);
            let error = parse(words).unwrap_err();
            assert!(!error.use_stderr(), "{error}");
            assert!(error.to_string().contains("Usage: handsctl help [COMMAND]"), "{error}");
        }
        let deploy = parse(["handsctl", "help", "deploy"].map(OsString::from)).unwrap_err().to_string();
        assert!(deploy.contains("Usage: handsctl deploy"), "{deploy}");
    }

    #[test]
    fn output_is_read_from_words_that_clap_rejects() {
        let output = |line: &str| typed_output(line.split(' ').map(OsString::from));
        for line in
            ["deploy --bad -o json", "status -ojson", "diff -o=json x", "--output json", "up --output=json"]
        {
            assert_eq!(output(line), Output::Json, "{line}");
        }
        assert_eq!(output("history -o yaml"), Output::Yaml);
        for line in ["deploy", "deploy -o", "deploy -o table", "dev -- kubectl get -o json", "explain json"] {
            assert_eq!(output(line), Output::Human, "{line}");
        }
    }

    #[test]
    fn usage_error_for_programs_has_message_tip_and_usage() {
        let text = |words: &[&str]| {
            let words = ["handsctl"].iter().chain(words).map(OsString::from);
            usage_error(&parse(words).unwrap_err().render().to_string())
        };
        let error = text(&["deploy", "--forse-conflicts"]);
        assert_eq!(error.message(), "unexpected argument '--forse-conflicts' found");
        assert_eq!(error.hints(), ["a similar argument exists: '--force-conflicts'"]);
        assert!(error.facts()[0].text.starts_with("handsctl deploy"), "{error:?}");
        assert!(text(&["status", "-o", "jsn"]).message().starts_with("invalid value 'jsn' for"));
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
            let cli = Cli::try_parse_from(complete_words(&path, &["-o", "json"])).unwrap();
            assert_eq!(error_output(&cli.command), Output::Json, "{path:?}");
        }
    }
}
