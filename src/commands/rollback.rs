//! `rollback`: makes the set what it was.

use std::time::Duration;

use super::deploy::{self, Target};
use super::preflight::{Look, Wanted};
use super::run::{self, Deadline};
use super::session::{self, Session};
use crate::cli::{Global, RollbackArgs};
use crate::report::Streams;

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `rollback`. The configuration only says which set is meant, so its secrets need not be there.
pub(super) async fn run(global: &Global, arguments: &RollbackArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    run::run(
        global,
        "rollback",
        arguments.apply.rollout.output,
        streams,
        deadline,
        |events, held| async move {
            let loaded = session::load_without_secrets(global)?;
            session::tell(&loaded, &events).await;
            let session = Session::to_change(global, loaded, streams).await?;
            let ownership = deploy::ownership(&session.settings, arguments.apply.ownership);
            let look = Look { wanted: Wanted::Revision(arguments.to), delete_data: false, ownership };
            let target = Target { command: "rollback", look, deadline, held: &held, recovers: false };
            let outcome =
                deploy::deploy(&session, &arguments.apply.rollout, arguments.dry_run, target, &events).await;
            session.tell_wire(&events).await;
            Ok(outcome.map_err(|error| session.explain(error))?)
        },
    )
    .await
}
