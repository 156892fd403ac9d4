//! Data that is deleted does not come back, so somebody has to say so.

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::flags::Global;
use crate::report::{Answer, Streams};

/// Asks whether `what` may be deleted, in the cluster of this context.
///
/// # Errors
/// Exit 2 where the answer is no, or nobody can be asked.
pub(crate) async fn deletion(global: &Global, what: &str, context: &str, streams: &Streams) -> Result<()> {
    question(global, streams, &format!("Delete {what}, in {context}?"), &format!("deleting {what}")).await
}

/// Asks a question that must be answered with yes before `what` is done.
///
/// # Errors
/// Exit 2 where the answer is no, or nobody can be asked.
pub(crate) async fn question(global: &Global, streams: &Streams, question: &str, what: &str) -> Result<()> {
    if global.yes {
        return Ok(());
    }
    match streams.ask(question).await? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Error::new(Id::Usage, Kind::Usage, "not confirmed; nothing was deleted")),
        Answer::Nobody => {
            let message = format!("{what} deletes data and needs a confirmation, and nobody can be asked");
            Err(Error::new(Id::Usage, Kind::Usage, message).hint("--yes confirms it"))
        }
    }
}
