//! A local cluster that answers, while it is being made ready.

use crate::cluster::client::connect::Connection;
use crate::cluster::client::version::Version;
use crate::event::Events;
use crate::provider::LocalCluster;
use crate::session::step::Deadline;
use crate::settings::Settings;

/// A local cluster that was just made, started or found, and how to talk to it.
pub(crate) struct Standing<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) cluster: LocalCluster,
    pub(crate) connection: Connection,
    pub(crate) version: Version,
    pub(crate) deadline: Deadline,
    pub(crate) events: &'a Events,
}
