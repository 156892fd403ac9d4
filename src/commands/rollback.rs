//! `rollback`: restores an earlier revision of the set.

use std::time::Duration;

use clap::Args;

use super::deploy::change_policy;
use crate::deploy::recipe::deploy;
use crate::deploy::request::DeployRequest;
use crate::flags::{ApplyArgs, DryRun, Global, parse_revision};
use crate::plan::goal::Goal;
use crate::report::Streams;
use crate::session::cluster_session::Secrets;
use crate::session::runner::{Invocation, Run};

/// Restore an earlier revision, with its configuration
///
/// In order: read the revisions, choose one, inspect the cluster, check the account's rights, pull a changed image, apply
/// the changed objects of that revision, watch the rollout, probe the application, delete objects that the revision does
/// not have. Without a number: the last good revision that differs from the deployed one. The result is recorded as a new
/// revision; config.toml is not changed, so the next deploy applies it again. With --yes, it accepts a revision that
/// adds rights, an image of another repository or an exposure.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl rollback\n  handsctl history && handsctl rollback 3")]
pub struct RollbackArgs {
    /// Number of the revision, see `history` [default: the last good one that differs from the deployed one]
    #[arg(value_name = "REVISION", value_parser = parse_revision)]
    pub revision: Option<u64>,
    /// The same as REVISION
    #[arg(long, value_name = "REVISION", conflicts_with = "revision", value_parser = parse_revision)]
    pub to: Option<u64>,
    /// Change nothing: `client` shows the planned changes, `server` lets the API server check them
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `rollback`. The configuration only names the set, so its secrets may be missing.
pub(crate) async fn run(global: &Global, arguments: &RollbackArgs, streams: &Streams) -> anyhow::Result<u8> {
    let rollout = &arguments.apply.rollout;
    let invocation = Invocation {
        global,
        command: "rollback",
        output: rollout.output,
        timeout: rollout.timeout.unwrap_or(TIMEOUT),
        streams,
    };
    let work = async |run: &Run<'_>| {
        let request = DeployRequest {
            command: "rollback",
            goal: Goal::Revision(arguments.revision.or(arguments.to)),
            policy: change_policy(run.settings(), &arguments.apply),
            dry_run: arguments.dry_run,
            note: arguments.apply.note.clone(),
            probe: rollout.probe,
            restarts_replaced: false,
            accepts_additions: global.yes,
            auto_rollback: false,
        };
        // A dry run needs no lock.
        let limit = rollout.lock.lock_wait.filter(|_| arguments.dry_run.is_none());
        run.waiting_for_lock(limit, async || deploy(run, &request).await).await
    };
    invocation.change_cluster(Secrets::Unneeded, work).await
}
