//! Orders the lines of several sources by time. The lines of one source keep their order. Pure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::batch::{LogLine, LogLines};

/// Lines of one source that wait.
#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Waiting>,
    /// The time of the last line that left it; a line without one follows the line before it.
    last: i64,
}

#[derive(Debug)]
struct Waiting {
    lines: LogLines,
    /// The lines before this one have left.
    next: usize,
    /// When they arrived, in milliseconds.
    arrived: u64,
}

impl Queue {
    /// The time of the next line.
    fn time(&self) -> Option<i64> {
        let waiting = self.batches.front()?;
        let line = waiting.lines.lines.get(waiting.next)?;
        // A source's own order counts: its next line is never earlier than its last one.
        Some(line.time.unwrap_or(self.last).max(self.last))
    }
}

/// The lines that wait for earlier ones of other sources.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    queues: Vec<Queue>,
    /// The times of the next lines of the sources that have one.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    /// The bytes of the waiting batches.
    size: usize,
}

impl Merge {
    /// Adds a source; returns its number.
    pub(crate) fn add_source(&mut self) -> usize {
        self.queues.push(Queue { batches: VecDeque::new(), last: i64::MIN });
        self.queues.len() - 1
    }

    /// Adds lines of a source.
    pub(crate) fn push(&mut self, source: usize, lines: LogLines, now: u64) {
        let Some(queue) = self.queues.get_mut(source).filter(|_| !lines.lines.is_empty()) else { return };
        self.size += lines.data.len();
        let was_empty = queue.batches.is_empty();
        queue.batches.push_back(Waiting { lines, next: 0, arrived: now });
        if was_empty {
            self.heads.extend(queue.time().map(|time| Reverse((time, source))));
        }
    }

    /// The bytes that wait.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether no line of the source waits.
    pub(crate) fn is_empty(&self, source: usize) -> bool {
        self.queues.get(source).is_none_or(|queue| queue.batches.is_empty())
    }

    /// When the line arrived that is the next one.
    pub(crate) fn next_arrived(&self) -> Option<u64> {
        let Reverse((_, source)) = self.heads.peek()?;
        self.queues.get(*source)?.batches.front().map(|waiting| waiting.arrived)
    }

    /// Takes the next lines: those of one source that are not later than the next ones of every other. Returns the source
    /// as well.
    pub(crate) fn pop(&mut self) -> Option<(usize, LogLines)> {
        let Reverse((_, source)) = self.heads.pop()?;
        let limit = self.heads.peek().map(|Reverse((time, other))| (*time, *other));
        let queue = self.queues.get_mut(source)?;
        let mut lines: Vec<LogLine> = Vec::new();
        let data = queue.batches.front()?.lines.data.clone();
        let shared = queue.batches.front()?.lines.source.clone();
        while let Some(time) = queue.time() {
            if !lines.is_empty() && limit.is_some_and(|limit| (time, source) > limit) {
                break;
            }
            let Some(waiting) = queue.batches.front_mut() else { break };
            lines.push(waiting.lines.lines[waiting.next]);
            (waiting.next, queue.last) = (waiting.next + 1, time);
            if waiting.next == waiting.lines.lines.len() {
                self.size -= waiting.lines.data.len();
                queue.batches.pop_front();
                break;
            }
        }
        self.heads.extend(queue.time().map(|time| Reverse((time, source))));
        Some((source, LogLines { source: shared, data, lines }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::logs::batch::LogSource;

    /// Lines of one byte each, at these times; 0 stands for a line without one.
    fn lines(pod: &str, times: &[i64]) -> LogLines {
        let line = |(at, time): (usize, &i64)| LogLine {
            time: (*time != 0).then_some(*time),
            start: at,
            message: at,
            end: at + 1,
        };
        LogLines {
            source: Arc::new(LogSource::new("n", pod, "c")),
            data: Bytes::from(vec![b'x'; times.len()]),
            lines: times.iter().enumerate().map(line).collect(),
        }
    }

    fn merged(merge: &mut Merge) -> Vec<(usize, Vec<i64>)> {
        std::iter::from_fn(|| merge.pop())
            .map(|(source, lines)| (source, lines.lines.iter().map(|line| line.time.unwrap_or(0)).collect()))
            .collect()
    }

    #[test]
    fn lines_are_ordered_by_time_and_stay_together() {
        let mut merge = Merge::default();
        let (a, b) = (merge.add_source(), merge.add_source());
        merge.push(a, lines("a", &[1, 2, 5, 0, 7]), 0);
        merge.push(b, lines("b", &[3, 4, 5, 6, 9]), 0);
        assert_eq!(merge.size(), 10);
        let expected =
            [(0, vec![1, 2]), (1, vec![3, 4]), (0, vec![5, 0]), (1, vec![5, 6]), (0, vec![7]), (1, vec![9])];
        assert_eq!(merged(&mut merge), expected);
        assert_eq!(merge.size(), 0);
        assert!(merge.is_empty(a) && merge.next_arrived().is_none());
    }

    #[test]
    fn order_of_one_source_is_kept() {
        let mut merge = Merge::default();
        let (a, b) = (merge.add_source(), merge.add_source());
        merge.push(a, lines("a", &[8, 2, 9]), 3);
        merge.push(b, lines("b", &[4]), 4);
        assert_eq!(merge.next_arrived(), Some(4));
        assert_eq!(merged(&mut merge), [(1, vec![4]), (0, vec![8, 2, 9])]);
    }

    #[test]
    fn next_batch_of_a_source_waits_for_its_turn() {
        let mut merge = Merge::default();
        let (a, b) = (merge.add_source(), merge.add_source());
        merge.push(a, lines("a", &[1]), 0);
        merge.push(a, lines("a", &[6]), 0);
        merge.push(b, lines("b", &[3]), 0);
        assert_eq!(merged(&mut merge), [(0, vec![1]), (1, vec![3]), (0, vec![6])]);
    }
}
