//! Orders the lines of several logs by time on their way to the output, in bounded memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use crate::logs::batch::{LogPart, LogSource};
use crate::logs::merge::Merge;

/// How long followed lines wait for earlier ones of other containers.
const WINDOW: Duration = Duration::from_millis(250);
/// The bytes that wait at most.
const MOST_BYTES: usize = 8 << 20;

/// Sends the lines of logs that end, in their order. Each log waits in its own channel, so memory is bounded by them.
pub(super) async fn in_order(mut logs: Vec<Receiver<LogPart>>, sender: Sender<LogPart>) {
    let mut merge = Merge::default();
    let mut refilled: Vec<usize> = logs.iter().map(|_| merge.add_source()).collect();
    loop {
        for source in refilled.drain(..) {
            while merge.is_empty(source) {
                match logs[source].recv().await {
                    Some(LogPart::Lines(lines)) => merge.push(source, lines, 0),
                    Some(part) => {
                        if sender.send(part).await.is_err() {
                            return;
                        }
                    }
                    None => break,
                }
            }
        }
        let Some((source, lines)) = merge.pop() else { return };
        refilled.push(source);
        if sender.send(LogPart::Lines(lines)).await.is_err() {
            return;
        }
    }
}

/// Sends the lines of followed logs in their order, as far as they arrive within [`WINDOW`].
pub(super) async fn within_window(mut logs: Receiver<LogPart>, sender: Sender<LogPart>) {
    let (mut merge, mut sources) = (Merge::default(), HashMap::<Arc<LogSource>, usize>::new());
    let start = Instant::now();
    let millis = |time: Instant| u64::try_from(time.duration_since(start).as_millis()).unwrap_or(u64::MAX);
    loop {
        let due = merge.next_arrived().map(|arrived| start + Duration::from_millis(arrived) + WINDOW);
        let part = tokio::select! {
            part = logs.recv() => match part {
                Some(part) => Some(part),
                None => return drop(send_while(&mut merge, &sender, |_| true).await),
            },
            () = sleep_until(due.unwrap_or(start)), if due.is_some() => None,
        };
        let sent = match part {
            Some(LogPart::Lines(lines)) => {
                let source = *sources.entry(lines.source.clone()).or_insert_with(|| merge.add_source());
                merge.push(source, lines, millis(Instant::now()));
                Ok(())
            }
            // Its place is after the lines that were read before it.
            Some(part) => match send_while(&mut merge, &sender, |_| true).await {
                Ok(()) => sender.send(part).await.map_err(|_| Closed),
                closed => closed,
            },
            None => Ok(()),
        };
        let now = Instant::now();
        let is_due = |merge: &Merge| {
            let arrived = merge.next_arrived().map(|arrived| start + Duration::from_millis(arrived));
            merge.size() > MOST_BYTES || arrived.is_some_and(|arrived| arrived + WINDOW <= now)
        };
        if sent.is_err() || send_while(&mut merge, &sender, is_due).await.is_err() {
            return;
        }
    }
}

/// Nobody reads the lines any more.
struct Closed;

async fn send_while(
    merge: &mut Merge,
    sender: &Sender<LogPart>,
    is_due: impl Fn(&Merge) -> bool,
) -> Result<(), Closed> {
    while is_due(merge) {
        let Some((_, lines)) = merge.pop() else { break };
        sender.send(LogPart::Lines(lines)).await.map_err(|_| Closed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::logs::batch::{LogLine, LogLines};

    fn line(pod: &str, time: i64) -> LogPart {
        let data = Bytes::from(format!("{pod}{time}"));
        let line = LogLine { time: Some(time), start: 0, message: 0, end: data.len() };
        LogPart::Lines(LogLines { source: Arc::new(LogSource::new("n", pod, "c")), data, lines: vec![line] })
    }

    async fn received(mut receiver: Receiver<LogPart>) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(part) = receiver.recv().await {
            texts.push(match part {
                LogPart::Lines(lines) => String::from_utf8_lossy(lines.message(&lines.lines[0])).into_owned(),
                part => {
                    format!("{part:?}").split_once(' ').map_or_else(String::new, |(kind, _)| kind.to_owned())
                }
            });
        }
        texts
    }

    #[tokio::test(start_paused = true)]
    async fn slow_log_holds_back_later_lines_of_others() {
        let ((fast, fast_log), (slow, slow_log), (sender, receiver)) = (channel(1), channel(1), channel(64));
        let writing = async {
            for time in [1, 3, 5] {
                fast.send(line("a", time)).await.unwrap();
            }
            drop(fast);
        };
        let writing_slowly = async {
            for time in [2, 4] {
                tokio::time::sleep(Duration::from_secs(60)).await;
                slow.send(line("b", time)).await.unwrap();
            }
            drop(slow);
        };
        let merging = in_order(vec![fast_log, slow_log], sender);
        let ((), (), (), texts) = tokio::join!(writing, writing_slowly, merging, received(receiver));
        assert_eq!(texts, ["a1", "b2", "a3", "b4", "a5"]);
    }

    #[tokio::test(start_paused = true)]
    async fn followed_lines_are_ordered_within_a_window() {
        let ((logs, log), (sender, receiver)) = (channel(8), channel(64));
        let writing = async {
            logs.send(line("a", 3)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            logs.send(line("b", 2)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            logs.send(line("b", 1)).await.unwrap();
            logs.send(line("a", 5)).await.unwrap();
            logs.send(LogPart::Ended { source: Arc::new(LogSource::new("n", "a", "c")) }).await.unwrap();
            logs.send(line("b", 4)).await.unwrap();
            drop(logs);
        };
        let ((), (), texts) = tokio::join!(writing, within_window(log, sender), received(receiver));
        assert_eq!(texts, ["b2", "a3", "b1", "a5", "Ended", "b4"]);
    }
}
