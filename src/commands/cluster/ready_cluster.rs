//! A local cluster that answers, while it is being made ready.

use crate::cluster::client::connect::Connection;
use crate::cluster::client::version::ServerVersion;
use crate::event::Events;
use crate::provider::LocalCluster;
use crate::session::step::Deadline;
use crate::settings::Settings;

/// A local cluster that was just made, started or found, and how to talk to it.
pub(crate) struct ReadyCluster<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) cluster: LocalCluster,
    pub(crate) connection: Connection,
    pub(crate) version: ServerVersion,
    pub(crate) deadline: Deadline,
    pub(crate) events: &'a Events,
}
