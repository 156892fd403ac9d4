//! Data that is deleted does not come back, so somebody has to say so.

use crate::catalogue::Id;
use crate::cli::Global;
use crate::error::{Error, Kind, Result};
use crate::report::{Answer, Streams};

/// Asks whether `what` may be deleted, in the cluster of this context.
///
/// # Errors
/// Exit 2 where the answer is no, or nobody can be asked.
pub(super) async fn deletion(global: &Global, what: &str, context: &str, streams: &Streams) -> Result<()> {
    if global.yes {
        return Ok(());
    }
    match streams.ask(&format!("Delete {what}, in {context}?")).await? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Error::new(Id::Usage, Kind::Usage, "not confirmed; nothing was deleted")),
        Answer::Nobody => Err(Error::new(
            Id::Usage,
            Kind::Usage,
            format!("deleting {what} needs a confirmation, and nobody can be asked"),
        )
        .hint("--yes confirms it")),
    }
}
