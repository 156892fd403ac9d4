//! `sandbox exec`: runs a command in the sandbox of a conversation, or in its folder of the application's pod.

use clap::Args;

use super::read;
use super::shared_pod::application;
use super::shared_pod::exec as shared_pod;
use crate::command_line::RepeatedFlags;
use crate::commands::exec::{ContainerTarget, RemoteArgs, container_in, run_in};
use crate::error::Result;
use crate::flags::Global;
use crate::report::Streams;
use crate::session::cluster_session::Session;

/// Run a command in the sandbox of a conversation, or a shell
///
/// Without a COMMAND: a shell, bash where the image has it. On a terminal the command has a terminal, too. handsctl exits
/// with the command's exit code.
///
/// Classic edition: a conversation without a pod has no sandbox; opening it in the application starts one.
///
/// Agent Canvas: its conversations share the application's pod. The command runs there, in the folder of the conversation.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl sandbox exec 0f1c2d3e\n  handsctl sandbox exec 0f1c2d3e -- ls -l /workspace"
)]
pub struct SandboxExecArgs {
    /// The conversation: its id, or the beginning of it
    #[arg(value_name = "CONVERSATION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub conversation: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub remote: RemoteArgs,
}

/// Runs `sandbox exec`.
pub(crate) async fn run(
    global: &Global,
    arguments: &SandboxExecArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let flags = RepeatedFlags::new(global);
    let why = flags.insert_into(&format!("handsctl sandbox describe {} shows why", arguments.conversation));
    let find = async |session: &Session| find_pod(session, &arguments.conversation, &why).await;
    run_in(global, "sandbox exec", &arguments.remote, streams, find).await
}

async fn find_pod(session: &Session, typed: &str, why: &str) -> Result<ContainerTarget> {
    if let Some(shared) = application::find(session).await? {
        return shared_pod::find_container(session, &shared, typed).await;
    }
    let namespace = session.settings.runtime_namespace();
    let hint = "it gets one when it is opened in the application";
    let pod = read::find_pod(session, typed, hint).await?;
    container_in(session, namespace, &pod, None, why).await
}
