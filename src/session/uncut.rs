//! Requests that an interruption of the command does not cut: a request that was sent may take effect at any time later, also
//! after the cleanup that undoes it.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::{Error, Result};

/// Work in a task of its own, which goes on when the command is interrupted.
pub(crate) struct Uncut<T> {
    result: oneshot::Receiver<Result<T>>,
}

/// The end of work in a task of its own, for the cleanup that undoes it.
pub(crate) struct UncutEnd(JoinHandle<()>);

/// Starts work in a task of its own. Returns it, and its end.
pub(crate) fn uncut<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> (Uncut<T>, UncutEnd) {
    let (sender, result) = oneshot::channel();
    let task = tokio::spawn(async move {
        let _the_command_was_interrupted = sender.send(work.await);
    });
    (Uncut { result }, UncutEnd(task))
}

impl<T> Uncut<T> {
    /// Waits for the work's result.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) async fn result(self) -> Result<T> {
        self.result.await.unwrap_or_else(|_| Err(Error::internal("a task of the command has panicked")))
    }
}

/// How long a cleanup waits for a request that was sent before the interruption. All cleanups together have 3 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

impl UncutEnd {
    /// Waits until the work has ended, but not longer than a server needs for an answer; then ends it. Without an answer, the
    /// cleanup must undo what the request may have done.
    pub(crate) async fn reached_or_aborted(mut self) {
        if timeout(ANSWER_LIMIT, &mut self.0).await.is_err() {
            self.0.abort();
        }
    }

    /// Waits until the work has ended, with or without success.
    ///
    /// # Errors
    /// Exit 70 if it has panicked.
    pub(crate) async fn reached(self) -> Result<()> {
        self.0.await.map_err(|error| Error::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Work that takes effect after this many seconds; the flag tells whether it has.
    fn effect_after(seconds: u64) -> (Uncut<()>, UncutEnd, Arc<AtomicBool>) {
        let took_effect = Arc::new(AtomicBool::new(false));
        let effect = Arc::clone(&took_effect);
        let (work, end) = uncut(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            effect.store(true, Ordering::SeqCst);
            Ok(())
        });
        (work, end, took_effect)
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_after_the_interruption_and_its_end_is_awaited() {
        let (work, end, took_effect) = effect_after(1);
        let interrupted = timeout(Duration::from_millis(10), work.result()).await;
        assert!(interrupted.is_err());
        assert!(!took_effect.load(Ordering::SeqCst));
        end.reached().await.unwrap();
        assert!(took_effect.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn request_without_an_answer_is_given_up_before_the_cleanup() {
        let (_work, end, took_effect) = effect_after(30);
        let begin = tokio::time::Instant::now();
        end.reached_or_aborted().await;
        assert_eq!(begin.elapsed(), ANSWER_LIMIT);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!took_effect.load(Ordering::SeqCst), "it sends nothing after the command");
    }

    #[tokio::test]
    async fn result_of_the_work_is_that_of_the_command() {
        let (work, _end) = uncut(async { Ok(7) });
        assert_eq!(work.result().await.unwrap(), 7);
        let (work, _end) = uncut::<()>(async { Err(Error::internal("no")) });
        assert_eq!(work.result().await.unwrap_err().message(), Error::internal("no").message());
    }
}
