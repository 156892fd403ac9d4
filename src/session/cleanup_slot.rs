//! What a command must undo however it ends: by success, an error, a signal or at its deadline.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::step::Deadline;
use crate::catalogue::Id;
use crate::error::Result;
use crate::event::Events;
use crate::phrase;

/// Time limit of all cleanups of an interrupted command. CI systems kill a process a few seconds after SIGTERM.
const LIMIT: Duration = Duration::from_secs(3);

type Work = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The cleanups of a command that are still to be done.
#[derive(Default)]
pub(crate) struct CleanupSlot(Mutex<Vec<Cleanup>>);

struct Cleanup {
    /// The id of the warning if the cleanup fails.
    id: Id,
    /// What remains if it fails, as a sentence: `pod/x is still there`.
    consequence: String,
    work: Work,
}

impl CleanupSlot {
    /// Adds a cleanup, which runs before those that were added earlier. Its requests must not depend on the command's
    /// deadline.
    pub(crate) fn push(
        &self,
        id: Id,
        consequence: impl Into<String>,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let cleanup = Cleanup { id, consequence: consequence.into(), work: Box::pin(work) };
        if let Ok(mut cleanups) = self.0.lock() {
            cleanups.push(cleanup);
        }
    }

    /// Runs the cleanup that was added last.
    ///
    /// # Errors
    /// That of the cleanup. It is not tried again.
    pub(crate) async fn run_last(&self) -> Result<()> {
        match self.pop() {
            Some(cleanup) => cleanup.work.await,
            None => Ok(()),
        }
    }

    /// Removes the cleanup that was added last, because its work is done.
    pub(crate) fn forget_last(&self) {
        self.pop();
    }

    /// Runs all cleanups, and warns about each that fails or does not end in time.
    pub(super) async fn run_all(&self, deadline: Deadline, events: &Events) {
        let limit = LIMIT.min(deadline.for_release().saturating_duration_since(Instant::now()));
        let end = Instant::now() + limit;
        while let Some(Cleanup { id, consequence, work }) = self.pop() {
            let reason = match tokio::time::timeout_at(end, work).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.with_causes(),
                Err(_elapsed) => format!("no response within {}", phrase::span(limit)),
            };
            events.warn(id, format!("{consequence}: {reason}")).await;
        }
    }

    fn pop(&self) -> Option<Cleanup> {
        self.0.lock().ok()?.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Error;
    use crate::event::Event;

    #[tokio::test(start_paused = true)]
    async fn cleanups_run_in_reverse_order_and_failures_are_warnings() {
        let (events, mut receiver) = Events::channel();
        let (slot, order) = (CleanupSlot::default(), Arc::new(Mutex::new(Vec::new())));
        for name in ["first", "second", "third"] {
            let order = order.clone();
            slot.push(Id::ApplicationStopped, format!("{name} is left"), async move {
                order.lock().unwrap().push(name);
                if name == "second" { Err(Error::internal("no")) } else { Ok(()) }
            });
        }
        slot.run_last().await.unwrap();
        slot.push(Id::ApplicationStopped, "unneeded", async { panic!("it was forgotten") });
        slot.forget_last();
        slot.push(Id::ApplicationStopped, "slow is left", std::future::pending());
        slot.run_all(Deadline::after(Duration::from_secs(60)), &events).await;
        assert_eq!(*order.lock().unwrap(), ["third", "second", "first"]);
        let mut warnings = Vec::new();
        while let Some(Event::Warning { message, .. }) = receiver.try_recv() {
            warnings.push(message);
        }
        assert_eq!(warnings, ["slow is left: no response within 3 s", "second is left: no"]);
        slot.run_all(Deadline::after(Duration::from_secs(60)), &events).await;
        assert_eq!(order.lock().unwrap().len(), 3, "each runs once");
    }
}
