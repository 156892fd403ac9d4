//! `image load`, `image pull`: brings images to the nodes before somebody waits for them.

mod load;
mod pull;

use crate::cli::{Global, ImageCommand};
use crate::report::Streams;

pub(super) use load::bring;

/// Runs one of the commands.
pub(super) async fn run(global: &Global, command: &ImageCommand, streams: &Streams) -> anyhow::Result<u8> {
    match command {
        ImageCommand::Load(arguments) => load::run(global, arguments, streams).await,
        ImageCommand::Pull(arguments) => pull::run(global, arguments, streams).await,
    }
}

/// `1 image`, `3 nodes`.
fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}
