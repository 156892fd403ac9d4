//! `cluster up`, `cluster down`, `cluster status`: the local cluster.

mod down;
mod ingress;
mod kind;
mod kwok;
mod status;
mod up;

use crate::cli::{ClusterCommand, Global};
use crate::report::Streams;

pub(super) use up::bring_up;

/// Runs one of the commands.
pub(super) async fn run(global: &Global, command: &ClusterCommand, streams: &Streams) -> anyhow::Result<u8> {
    match command {
        ClusterCommand::Up(arguments) => up::run(global, arguments, streams).await,
        ClusterCommand::Down(arguments) => down::run(global, arguments, streams).await,
        ClusterCommand::Status(arguments) => status::run(global, arguments, streams).await,
    }
}
