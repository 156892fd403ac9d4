//! `up`: the local cluster, the set on it, its URL.

use std::time::Duration;

use clap::Args;

use super::deploy::{self, Target};
use super::{cluster, image};
use crate::deploy::prepare::{Look, Wanted};
use crate::flags::{ApplyArgs, Global};
use crate::provider::Environment;
use crate::report::Streams;
use crate::session::cluster_session::{self, Session};
use crate::session::runner;
use crate::session::step::Deadline;

/// Make the local cluster, deploy, print the URL
///
/// In order: `cluster up`; images that this computer's engine has and a kind cluster's nodes lack are loaded;
/// `deploy`; where OpenHands answers. Running it again changes only what differs. With provider = "existing" nothing is made: it needs --context or a pin, cluster.context.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl up\n  handsctl up --config team.toml --set cluster.name=trial\n  handsctl up --timeout 5m -o json"
)]
pub struct UpArgs {
    /// Leave what was applied where its rollout fails, instead of bringing back the last good revision
    #[arg(long)]
    pub no_rollback: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub apply: ApplyArgs,
}

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `up`.
pub(crate) async fn run(global: &Global, arguments: &UpArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    runner::run(global, "up", arguments.apply.rollout.output, streams, deadline, |events, held| async move {
        let loaded = cluster_session::load(global)?;
        cluster_session::report_config(&loaded, &events).await;
        let session = match cluster::up::bring_up(global, &loaded.settings, false, deadline, &events).await? {
            Some(connection) => {
                let session = Session::new(&Environment::read()?, loaded.settings, connection);
                image::load::load_missing(&session, &events).await;
                session
            }
            None => Session::to_change(global, loaded, streams).await?,
        };
        let ownership = deploy::ownership(&session.settings, arguments.apply.ownership);
        let look = Look { wanted: Wanted::Configuration, delete_data: false, ownership };
        let recovers = !arguments.no_rollback;
        let target = Target { command: "deploy", look, deadline, held: &held, recovers };
        let outcome = deploy::deploy(&session, &arguments.apply.rollout, None, target, &events).await;
        session.report_traffic(&events).await;
        Ok(outcome.map_err(|error| session.with_credentials_hint(error))?)
    })
    .await
}
