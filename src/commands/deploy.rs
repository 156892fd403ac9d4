//! `deploy`: applies the configuration to the cluster and waits until the application works.

use std::time::Duration;

use clap::Args;

use crate::deploy::recipe::deploy;
use crate::deploy::request::DeployRequest;
use crate::flags::{ApplyArgs, DryRun, Global};
use crate::plan::changes::ChangePolicy;
use crate::plan::goal::Goal;
use crate::plan::ownership::policy::Ownership;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::confirm;
use crate::session::runner::{Invocation, Run};
use crate::settings::Settings;

/// Apply config.toml and wait until the application works
///
/// In order: read config.toml, inspect the cluster, check the account's rights, create the namespace if it is missing,
/// pull a changed image, apply changed objects (server-side), watch the rollout, probe the application, delete objects
/// that are no longer configured. Objects that belong to others are not changed; unchanged objects are not sent.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl deploy\n  handsctl deploy --dry-run=server\n  handsctl deploy --force-conflicts\n  handsctl deploy --context prod --timeout 10m --events deploy.ndjson\n  handsctl deploy --set kubernetes.resource_memory_limit=4Gi"
)]
pub struct DeployArgs {
    /// Change nothing: `client` shows the planned changes, `server` lets the API server check them
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    /// Also delete volume claims of the installation that are no longer configured, with their data; and stop an application
    /// even if `on_stop = "clean"` makes it delete a conversation's volume
    #[arg(long)]
    pub delete_data: bool,
    /// Keep the applied objects if the rollout fails, instead of rolling back to the last good revision
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
            let object = format!(
                "volume claims and other objects with data of {} that are no longer configured",
                settings.deploy.name
            );
            confirm::deletion(global, &object, &run.session.connection.choice.context, streams).await?;
        }
        let policy =
            ChangePolicy { delete_data: arguments.delete_data, ..change_policy(settings, &arguments.apply) };
        let request = DeployRequest {
            command: "deploy",
            goal: Goal::Configuration,
            policy,
            dry_run: arguments.dry_run,
            note: arguments.apply.note.clone(),
            probe: rollout.probe,
            restarts_replaced: false,
            accepts_additions: false,
            auto_rollback: !arguments.no_rollback,
        };
        // A dry run needs no lock.
        let limit = rollout.lock.lock_wait.filter(|_| arguments.dry_run.is_none());
        run.waiting_for_lock(limit, async || deploy(run, &request).await).await
    };
    invocation.change_cluster(Secrets::Needed, work).await
}

/// Returns the policy for changes to the set, from the configuration and the flags.
pub(super) fn change_policy(settings: &Settings, arguments: &ApplyArgs) -> ChangePolicy {
    let ApplyArgs { rollout, ownership, change_edition, note: _ } = arguments;
    let rules = &settings.deploy.ownership;
    ChangePolicy {
        ownership: Ownership::new(rules, ownership.force_conflicts, ownership.adopt),
        revision_history: settings.deploy.revision_history as usize,
        delete_data: false,
        changes_edition: *change_edition,
        waits: !rollout.no_wait,
    }
}
