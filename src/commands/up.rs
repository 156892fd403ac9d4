//! `up`: the local cluster, the set on it, its URL.

use std::time::Duration;

use super::deploy::{self, Target};
use super::preflight::{Look, Wanted};
use super::run::{self, Deadline};
use super::session::{self, Session};
use super::{cluster, image};
use crate::cli::{Global, UpArgs};
use crate::provider::Environment;
use crate::report::Streams;

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `up`.
pub(super) async fn run(global: &Global, arguments: &UpArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    run::run(global, "up", arguments.apply.rollout.output, streams, deadline, |events, held| async move {
        let loaded = session::load(global)?;
        session::tell(&loaded, &events).await;
        let session = match cluster::bring_up(global, &loaded.settings, false, deadline, &events).await? {
            Some(connection) => {
                let session = Session::new(&Environment::read()?, loaded.settings, connection);
                image::bring(&session, &events).await;
                session
            }
            None => Session::to_change(global, loaded, streams).await?,
        };
        let ownership = deploy::ownership(&session.settings, arguments.apply.ownership);
        let look = Look { wanted: Wanted::Configuration, delete_data: false, ownership };
        let recovers = !arguments.no_rollback;
        let target = Target { command: "deploy", look, deadline, held: &held, recovers };
        let outcome = deploy::deploy(&session, &arguments.apply.rollout, None, target, &events).await;
        session.tell_wire(&events).await;
        Ok(outcome.map_err(|error| session.explain(error))?)
    })
    .await
}
