//! Asks for a confirmation before data is deleted, because it cannot be restored.

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::flags::Global;
use crate::report::{Answer, Streams};

/// Asks whether the object may be deleted in the cluster of this context. `--yes` answers the question.
///
/// # Errors
/// Exit 2 if the answer is no, or if there is no terminal.
pub(crate) async fn deletion(global: &Global, object: &str, context: &str, streams: &Streams) -> Result<()> {
    question(global, streams, &format!("Delete {object}, in {context}?"), &format!("deleting {object}")).await
}

/// Asks a question that must be answered with yes before the action. `--yes` answers the question.
///
/// # Errors
/// Exit 2 if the answer is no, or if there is no terminal.
pub(crate) async fn question(global: &Global, streams: &Streams, question: &str, action: &str) -> Result<()> {
    if global.yes {
        return Ok(());
    }
    match streams.prompt(question).await? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Error::new(Id::Usage, Kind::Usage, "not confirmed; nothing was deleted")),
        Answer::NotAsked => Err(not_asked(action)),
    }
}

/// Checks that the question can be asked or is answered by `--yes`, before anything is read for it.
///
/// # Errors
/// Exit 2 if there is no terminal.
pub(crate) fn ensure_answerable(global: &Global, streams: &Streams, action: &str) -> Result<()> {
    if global.yes || streams.can_ask() { Ok(()) } else { Err(not_asked(action)) }
}

fn not_asked(action: &str) -> Error {
    let message = format!("{action} deletes data and needs a confirmation, but there is no terminal");
    Error::new(Id::Usage, Kind::Usage, message).hint("--yes confirms it")
}
