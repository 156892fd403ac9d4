//! `deploy`: makes the set in the cluster what the configuration says, and waits until it works.

use std::time::Duration;

use clap::Args;

use crate::deploy::recipe::{DeployRequest, deploy};
use crate::flags::{ApplyArgs, DryRun, Global};
use crate::plan::changes::ChangePolicy;
use crate::plan::desired::Goal;
use crate::plan::ownership::policy::Ownership;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::runner::{Invocation, Run};
use crate::settings::Settings;

/// Apply config.toml to the cluster and wait until it works
///
/// In order: read config.toml, look at the cluster, check the account's rights, make the namespace where it
/// is missing, apply what differs (server-side), watch the rollout, ask the application whether it answers.
/// Nobody else's object is changed; what is as it should be costs no request.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl deploy\n  handsctl deploy --dry-run=server\n  handsctl deploy --force-conflicts\n  handsctl deploy --context prod --timeout 10m --events deploy.ndjson\n  handsctl deploy --set 'deploy.image=\"docker.all-hands.dev/all-hands-ai/openhands:0.59\"'"
)]
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

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `deploy`.
pub(crate) async fn run(global: &Global, arguments: &DeployArgs, streams: &Streams) -> anyhow::Result<u8> {
    let rollout = &arguments.apply.rollout;
    let invocation = Invocation {
        global,
        command: "deploy",
        output: rollout.output,
        timeout: rollout.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| {
        let settings = run.settings();
        if arguments.delete_data && arguments.dry_run.is_none() {
            let what = format!("volume claims of {} that are no longer configured", settings.deploy.name);
            confirm::deletion(global, &what, &run.session.connection.choice.context, streams).await?;
        }
        let policy =
            ChangePolicy { delete_data: arguments.delete_data, ..change_policy(settings, &arguments.apply) };
        let request = DeployRequest {
            command: "deploy",
            goal: Goal::Configuration,
            policy,
            dry_run: arguments.dry_run,
            probe: rollout.probe,
            auto_rollback: !arguments.no_rollback,
        };
        deploy(run, &request).await
    };
    invocation.change_cluster(Secrets::Needed, work).await
}

/// How the set is changed: what the configuration says, and what was typed.
pub(super) fn change_policy(settings: &Settings, arguments: &ApplyArgs) -> ChangePolicy {
    let ApplyArgs { rollout, ownership } = arguments;
    let rules = &settings.deploy.ownership;
    ChangePolicy {
        ownership: Ownership::new(rules, ownership.force_conflicts, ownership.adopt),
        revision_history: settings.deploy.revision_history as usize,
        delete_data: false,
        waits: !rollout.no_wait,
    }
}
