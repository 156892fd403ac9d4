//! A local cluster that answers, passed to the parts of `cluster up` that make it ready.

use crate::cluster::client::connect::Connection;
use crate::cluster::client::version::ServerVersion;
use crate::event::Events;
use crate::provider::LocalCluster;
use crate::session::step::Deadline;
use crate::settings::Settings;

/// A local cluster that `cluster up` created, started or reused, and the connection to it.
pub(crate) struct ReadyCluster<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) cluster: LocalCluster,
    pub(crate) connection: Connection,
    pub(crate) version: ServerVersion,
    pub(crate) deadline: Deadline,
    pub(crate) events: &'a Events,
}
