//! `rollback`: makes the set what it was.

use std::time::Duration;

use clap::Args;

use super::deploy::{self, Target};
use crate::deploy::prepare::{Look, Wanted};
use crate::flags::{ApplyArgs, DryRun, Global};
use crate::report::Streams;
use crate::session::cluster_session::{self, Session};
use crate::session::runner;
use crate::session::step::Deadline;

/// Bring back an earlier revision of the whole set, with its configuration
///
/// Without --to: the last good revision before the present one. It is recorded as a new revision; config.toml
/// is not changed, so the next deploy applies it again.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl rollback\n  handsctl history && handsctl rollback --to 3")]
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

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `rollback`. The configuration only says which set is meant, so its secrets need not be there.
pub(crate) async fn run(global: &Global, arguments: &RollbackArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    runner::run(
        global,
        "rollback",
        arguments.apply.rollout.output,
        streams,
        deadline,
        |events, held| async move {
            let loaded = cluster_session::load_without_secrets(global)?;
            cluster_session::report_config(&loaded, &events).await;
            let session = Session::to_change(global, loaded, streams).await?;
            let ownership = deploy::ownership(&session.settings, arguments.apply.ownership);
            let look = Look { wanted: Wanted::Revision(arguments.to), delete_data: false, ownership };
            let target = Target { command: "rollback", look, deadline, held: &held, recovers: false };
            let outcome =
                deploy::deploy(&session, &arguments.apply.rollout, arguments.dry_run, target, &events).await;
            session.report_traffic(&events).await;
            Ok(outcome.map_err(|error| session.with_credentials_hint(error))?)
        },
    )
    .await
}
