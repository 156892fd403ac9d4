//! `dev`: runs a command on this computer as if it ran in the pod of profile `dev`.

use std::time::Duration;

use clap::Args;

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished, Phase};
use crate::flags::{Global, ReadArgs, parse_duration};
use crate::object::kind::DEPLOYMENT;
use crate::plan::manifests::values::DEV_TARGET;
use crate::provider::mirrord::{self, MirrordTarget};
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::step::Deadline;

/// Run a command on this computer as if it ran in the pod
///
/// In order: check that the pod `ubuntu-dev` is deployed, start the command under mirrord, wait for its end. `handsctl deploy` with `profile = "dev"` creates the pod. The command uses this terminal, and handsctl exits with
/// its exit code.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl dev -- make run\n  handsctl dev -- kubectl get pods")]
pub struct DevArgs {
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
    /// Time limit until the command starts [default: 1m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// The step of the command that runs.
const MIRRORD: &str = "mirrord";

/// Runs `dev`.
pub(crate) async fn run(global: &Global, arguments: &DevArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, Output::Human);
    let reading = ReadInvocation { global, command: "dev", progress, deadline, output, streams };
    let prepare = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("dev", session.target()).await;
        read_until(deadline, &session, streams, async {
            session.server_version().await?;
            ensure_deployed(&session).await
        })
        .await?;
        Ok(session)
    };
    let follow = async |session: Session, events: &Events| {
        let target = MirrordTarget {
            workload: format!("deployment/{DEV_TARGET}"),
            namespace: session.settings.deploy.namespace.to_string(),
            context: session.connection.choice.context.clone(),
            kubeconfig: global.kubeconfig.clone(),
        };
        // Its arguments may hold secrets that handsctl does not know.
        let program = arguments.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
        events.begin(Phase::Track, MIRRORD, format!("runs {program} as in {}", target.workload)).await;
        let exit = mirrord::exec(&session.environment, &target, &arguments.command).await?;
        let message = format!("{program} ended with exit code {exit}");
        events.done(Phase::Track, MIRRORD, message.as_str()).await;
        Ok(Finished { exit, message, ..Finished::default() })
    };
    reading.follow(Interrupts::ForProgram, prepare, follow).await
}

/// Checks that the Deployment of profile `dev` exists.
///
/// # Errors
/// Exit 12 if it does not exist.
async fn ensure_deployed(session: &Session) -> Result<()> {
    let namespace = &session.settings.deploy.namespace;
    let deployments = DEPLOYMENT.in_namespace(namespace.as_str());
    let deployment = session.connection.api.get_opt(&deployments, DEV_TARGET).await;
    let deployment = deployment.map_err(|error| {
        session.with_credentials_hint(error.into_error(&format!("cannot get deployment/{DEV_TARGET}")))
    })?;
    if deployment.is_some() {
        return Ok(());
    }
    let message = format!("there is no deployment/{DEV_TARGET} in namespace {namespace}");
    Err(Error::new(Id::NothingDeployed, Kind::Down, message)
        .hint("handsctl deploy creates it, with [deploy] profile = \"dev\""))
}
