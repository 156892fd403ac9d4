//! Reports the size and the rate of a long transfer while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Events, Phase};
use crate::phrase;

/// How often a transfer is reported.
const INTERVAL: Duration = Duration::from_secs(1);

/// The bytes of a transfer, counted by the thread that moves them.
#[derive(Debug, Clone, Default)]
pub struct TransferredBytes {
    done: Arc<AtomicU64>,
    /// 0: the size of the whole is unknown.
    total: Arc<AtomicU64>,
}

impl TransferredBytes {
    /// Sets the size of the whole, once it is known.
    pub fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Sets the number of bytes so far.
    pub(super) fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// Adds bytes.
    pub fn add(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
    }

    /// Describes the transfer after this time: `12.0 MiB of 23.1 MiB, 4.1 MiB/s`.
    fn text(&self, elapsed: Duration) -> String {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = phrase::size(done.saturating_mul(1000) / milliseconds);
        match total {
            0 => format!("{}, {rate}/s", phrase::size(done)),
            total => format!("{} of {}, {rate}/s", phrase::size(done), phrase::size(total)),
        }
    }
}

/// Runs the work and reports the bytes behind the step's message, if it has one, as long as it runs. `measure` updates them before each
/// report, if the work does not.
pub async fn reported<T>(
    work: impl Future<Output = T>,
    bytes: &TransferredBytes,
    measure: impl Fn(&TransferredBytes),
    (phase, step, message): (Phase, &str, &str),
    events: &Events,
) -> T {
    let began = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = tokio::time::sleep(INTERVAL) => {
                measure(bytes);
                let text = bytes.text(began.elapsed());
                let text = if message.is_empty() { text } else { format!("{message}: {text}") };
                events.begin(phase, step, text).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[tokio::test(start_paused = true)]
    async fn running_transfer_reports_bytes_and_rate() {
        let (events, mut receiver) = Events::channel();
        let bytes = TransferredBytes::default();
        bytes.set(3 << 20);
        let work = tokio::time::sleep(Duration::from_millis(2500));
        let measure = |bytes: &TransferredBytes| bytes.expect(6 << 20);
        reported(work, &bytes, measure, (Phase::Cluster, "etcd", "downloading etcd"), &events).await;
        let mut messages = Vec::new();
        while let Some(Event::Step { message, .. }) = receiver.try_recv() {
            messages.push(message);
        }
        assert_eq!(
            messages,
            [
                "downloading etcd: 3.0 MiB of 6.0 MiB, 3.0 MiB/s",
                "downloading etcd: 3.0 MiB of 6.0 MiB, 1.5 MiB/s"
            ]
        );
        assert_eq!(TransferredBytes::default().text(Duration::ZERO), "0 B, 0 B/s");
    }
}
