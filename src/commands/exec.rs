//! `exec`: runs a command in a container of the application.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::app::{app_pods, probe};
use crate::command_line::RepeatedFlags;
use crate::deploy::missing_application;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished, Phase};
use crate::flags::{Global, ReadArgs, parse_duration};
use crate::object::container_names::container_names;
use crate::object::exec_target;
use crate::object::kind::POD;
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::remote_command::{Attachment, AttachmentFlags, RemoteRun, command_or_shell, in_folder};
use crate::session::step::Deadline;

/// Run a command in a pod of the application, or a shell
///
/// Without a POD: the application's newest ready pod. Without a COMMAND: a shell, bash where the image has it. On a
/// terminal the command has a terminal, too: every key goes to it, Ctrl-C included. In a script a COMMAND reads standard
/// input only with -i, and the shell reads it always. handsctl exits with the command's exit code, with 127 if the
/// container has no such program, with 126 if it cannot execute it, and with its own exit codes if the command does not run
/// for another reason.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl exec\n  handsctl exec -- ls -l /.openhands\n  echo id | handsctl exec -i -- sh"
)]
pub struct ExecArgs {
    /// The pod [default: the application's newest ready one]
    #[arg(value_name = "POD", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub pod: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub remote: RemoteArgs,
    /// Run the command in this container [default: the pod's first one]
    #[arg(short, long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub container: Option<String>,
}

/// The command and its streams, for `exec` and `sandbox exec`.
#[derive(Debug, Clone, Args)]
pub struct RemoteArgs {
    /// Pass standard input to the command
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Run the command in a terminal: the default on one, unless -i is given
    #[arg(short = 't', long)]
    pub tty: bool,
    /// The command and its arguments, after `--` [default: a shell]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Time limit until the command starts [default: 1m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// A container that a command runs in.
#[derive(Debug)]
pub(super) struct ContainerTarget {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: Option<String>,
    /// The folder in which the command runs; None: that of the image.
    pub(super) folder: Option<String>,
    /// Whether its node is simulated, so that it most likely runs no container.
    pub(super) is_simulated: bool,
}

/// The step of the command that runs.
const EXEC: &str = "exec";

/// Runs `exec`.
pub(crate) async fn run(global: &Global, arguments: &ExecArgs, streams: &Streams) -> anyhow::Result<u8> {
    let why = RepeatedFlags::new(global).insert_into("handsctl status shows why");
    let find = async |session: &Session| find_container(session, arguments, &why).await;
    run_in(global, "exec", &arguments.remote, streams, find).await
}

/// Finds the container, runs the command in it, and returns its exit code.
pub(super) async fn run_in(
    global: &Global,
    name: &'static str,
    arguments: &RemoteArgs,
    streams: &Streams,
    find: impl AsyncFnOnce(&Session) -> Result<ContainerTarget>,
) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, Output::Human);
    let reading = ReadInvocation { global, command: name, progress, deadline, output, streams };
    let prepare = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target(name, session.target()).await;
        let finding = async {
            session.server_version().await?;
            find(&session).await
        };
        let target = read_until(deadline, &session, streams, finding).await;
        let target = target.map_err(|error| session.with_credentials_hint(error))?;
        Ok((session, target))
    };
    let follow = async |(session, target): (Session, ContainerTarget), events: &Events| {
        let exit = run_command(&session, &target, arguments, deadline, events, streams).await?;
        let message = format!("ended with exit code {exit}");
        events.done(Phase::Track, EXEC, message.as_str()).await;
        Ok(Finished { exit, message, ..Finished::default() })
    };
    // A terminal in raw mode sends no signal; without one Ctrl-C ends this command.
    reading.follow(Interrupts::EndCommand, prepare, follow).await
}

async fn run_command(
    session: &Session,
    target: &ContainerTarget,
    arguments: &RemoteArgs,
    deadline: Deadline,
    events: &Events,
    streams: &Streams,
) -> Result<u8> {
    let has_terminal = streams.in_is_terminal() && streams.out_is_terminal();
    if arguments.tty && !has_terminal {
        streams.err("-t: standard input and output are no terminal, so the command has none\n");
    }
    let is_shell = arguments.command.is_empty();
    let flags = AttachmentFlags { stdin: arguments.stdin, terminal: arguments.tty, is_shell };
    let command = command_or_shell(&arguments.command);
    // Its arguments may hold secrets that handsctl does not know.
    let program = if is_shell { "a shell" } else { &command[0] };
    events.begin(Phase::Track, EXEC, format!("runs {program} in pod/{}", target.pod)).await;
    let command = match &target.folder {
        Some(folder) => in_folder(folder, command),
        None => command,
    };
    let run = RemoteRun {
        namespace: &target.namespace,
        pod: &target.pod,
        container: target.container.as_deref(),
        command: &command,
        attachment: Attachment::new(flags, has_terminal),
    };
    match run.run(session, deadline, streams).await {
        // A remote code has 8 bits; a runtime may report another number for one that it does not know.
        Ok(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        // Simulated nodes may serve commands all the same.
        Err(error) if target.is_simulated && error.kind() != Kind::Forbidden => {
            Err(probe::simulated_error("no command can run in one"))
        }
        Err(error) => Err(session.with_credentials_hint(error)),
    }
}

/// Finds the pod and the container that the arguments mean.
async fn find_container(session: &Session, arguments: &ExecArgs, why: &str) -> Result<ContainerTarget> {
    let namespace = session.settings.deploy.namespace.as_str();
    let pods = app_pods::list(&session.connection.api, &session.set()).await?;
    let typed = arguments.pod.as_deref().map(|pod| pod.strip_prefix("pod/").unwrap_or(pod));
    let pod = match typed {
        Some(name) => named_pod(session, name, &pods).await?,
        None => match exec_target::serving_pod(&pods) {
            Some(pod) => pod.clone(),
            None => {
                return Err(missing_application::error(session, "there is no pod to run a command in").await);
            }
        },
    };
    container_in(session, namespace, &pod, arguments.container.as_deref(), why).await
}

/// Returns the container of a pod for a command: the named one, or the pod's default.
///
/// # Errors
/// Exit 2 if the pod has no container of this name; exit 12 if none of its containers runs.
pub(super) async fn container_in(
    session: &Session,
    namespace: &str,
    pod: &Value,
    container: Option<&str>,
    why: &str,
) -> Result<ContainerTarget> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names = container_names(std::slice::from_ref(pod));
    if let Some(container) = container.filter(|container| !names.contains(container)) {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("pod/{name} has no container `{container}`");
        return Err(Error::new(Id::Usage, Kind::Usage, message).hint(format!("its containers: {names}")));
    }
    let is_simulated = session.is_simulated(pod).await;
    if !is_simulated && !exec_target::has_running_container(pod) {
        let message = format!("pod/{name} in namespace {namespace} has no running container");
        return Err(Error::new(Id::NotReady, Kind::Down, message).hint(why));
    }
    Ok(ContainerTarget {
        namespace: namespace.to_owned(),
        pod: name.to_owned(),
        container: container.or_else(|| exec_target::default_container(pod)).map(str::to_owned),
        folder: None,
        is_simulated,
    })
}

/// Reads the pod of this name in the namespace of the installation.
///
/// # Errors
/// Exit 2 if there is none: a typing error, or the name of a pod that was replaced.
async fn named_pod(session: &Session, name: &str, pods: &[Value]) -> Result<Value> {
    let names: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    if let Some(at) = names.iter().position(|listed| *listed == name) {
        return Ok(pods[at].clone());
    }
    let namespace = session.settings.deploy.namespace.as_str();
    let pod = session.connection.api.get_opt(&POD.in_namespace(namespace), name).await;
    let pod =
        pod.map_err(|error| error.into_error(&format!("cannot get pod/{name} in namespace {namespace}")))?;
    pod.ok_or_else(|| {
        let message = format!("there is no pod `{name}` in namespace {namespace}");
        Error::new(Id::Usage, Kind::Usage, message)
            .hint(format!("pods of the installation: {}", names.join(", ")))
    })
}
