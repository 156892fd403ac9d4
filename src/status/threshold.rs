//! Metrics of a running application: compared with their thresholds, and over time. Pure.

use std::collections::{BTreeMap, VecDeque};

/// A metric with its reading and its threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// `memory`.
    pub name: &'static str,
    /// The measured value.
    pub reading: Reading,
    /// The threshold.
    pub threshold: Threshold,
}

/// The measured value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A percentage.
    Percent(f64),
    /// A duration.
    Milliseconds(u64),
    /// The value is unknown; the text is the reason.
    Unknown(String),
}

/// How full a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Used bytes.
    pub used: u64,
    /// The bytes of the file system.
    pub capacity: u64,
}

impl VolumeUsage {
    /// Returns the used part in percent; 0 of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share in percent")]
    pub fn percent(self) -> f64 {
        if self.capacity == 0 { 0.0 } else { self.used as f64 / self.capacity as f64 * 100.0 }
    }
}

/// The threshold of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Exceeded above this percentage.
    AtMost(u32),
    /// Exceeded below this percentage.
    AtLeast(u32),
    /// Exceeded above this number of milliseconds.
    Within(u64),
}

impl Metric {
    /// Returns whether the reading exceeds the threshold. An unknown reading does not.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        match (&self.reading, self.threshold) {
            (Reading::Percent(percent), Threshold::AtMost(limit)) => *percent > f64::from(limit),
            (Reading::Percent(percent), Threshold::AtLeast(minimum)) => *percent < f64::from(minimum),
            (Reading::Milliseconds(milliseconds), Threshold::Within(limit)) => *milliseconds > limit,
            _ => false,
        }
    }

    /// Describes an exceeded threshold: `memory 91 %, more than 85 %`. None if it is not exceeded.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let bound = match self.threshold {
            Threshold::AtMost(limit) => format!("more than {limit} %"),
            Threshold::AtLeast(minimum) => format!("less than {minimum} %"),
            Threshold::Within(limit) => format!("more than {limit} ms"),
        };
        self.is_exceeded().then(|| format!("{} {}, {bound}", self.name, self.value()))
    }

    /// Formats the reading: `91 %`, `250 ms`, or the reason why it is unknown.
    #[must_use]
    pub fn value(&self) -> String {
        match &self.reading {
            Reading::Percent(percent) => format!("{percent:.0} %"),
            Reading::Milliseconds(milliseconds) => format!("{milliseconds} ms"),
            Reading::Unknown(reason) => reason.clone(),
        }
    }
}

/// How many readings are kept of a metric.
const KEPT: usize = 40;

/// The readings of the metrics over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricHistory(BTreeMap<&'static str, VecDeque<Option<f64>>>);

impl MetricHistory {
    /// Adds a reading of each metric, and forgets the oldest ones.
    pub fn add(&mut self, metrics: &[Metric]) {
        for metric in metrics {
            let readings = self.0.entry(metric.name).or_default();
            readings.push_back(number(&metric.reading));
            if readings.len() > KEPT {
                readings.pop_front();
            }
        }
    }

    /// Returns the readings of a metric, oldest first; None for an unknown one.
    pub fn of(&self, name: &str) -> impl Iterator<Item = Option<f64>> {
        self.0.get(name).into_iter().flatten().copied()
    }

    /// Returns whether there is something to compare: a second reading.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        self.0.values().any(|readings| readings.len() > 1)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds are far below the limit up to which an f64 is exact"
)]
fn number(reading: &Reading) -> Option<f64> {
    match reading {
        Reading::Percent(percent) => Some(*percent),
        Reading::Milliseconds(milliseconds) => Some(*milliseconds as f64),
        Reading::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(reading: Reading, bound: Threshold) -> Metric {
        Metric { name: "memory", reading, threshold: bound }
    }

    #[test]
    fn metric_is_bad_beyond_threshold_not_at_it() {
        let percent = |percent: f64, bound| metric(Reading::Percent(percent), bound).is_exceeded();
        assert!(!percent(85.0, Threshold::AtMost(85)) && percent(85.1, Threshold::AtMost(85)));
        assert!(!percent(95.0, Threshold::AtLeast(95)) && percent(94.9, Threshold::AtLeast(95)));
        let milliseconds =
            |milliseconds| metric(Reading::Milliseconds(milliseconds), Threshold::Within(5000)).is_exceeded();
        assert!(!milliseconds(5000) && milliseconds(5001));
        assert!(!metric(Reading::Unknown("no metrics".into()), Threshold::AtMost(1)).is_exceeded());
    }

    #[test]
    fn reason_names_reading_and_threshold() {
        let bad = metric(Reading::Percent(91.4), Threshold::AtMost(85));
        assert_eq!(bad.reason().as_deref(), Some("memory 91 %, more than 85 %"));
        assert_eq!(metric(Reading::Percent(1.0), Threshold::AtMost(85)).reason(), None);
    }

    #[test]
    fn volume_without_bytes_is_empty() {
        assert!(VolumeUsage { used: 1, capacity: 0 }.percent() < f64::EPSILON);
        assert!((VolumeUsage { used: 1, capacity: 4 }.percent() - 25.0).abs() < f64::EPSILON);
    }

    #[test]
    fn oldest_readings_are_forgotten_and_unknown_ones_are_gaps() {
        let metric = |reading| [Metric { name: "memory", reading, threshold: Threshold::AtMost(85) }];
        let mut history = MetricHistory::default();
        history.add(&metric(Reading::Percent(1.0)));
        assert!(!history.is_comparable());
        history.add(&metric(Reading::Unknown("no metrics API".to_owned())));
        assert!(history.is_comparable());
        assert_eq!(history.of("memory").collect::<Vec<_>>(), [Some(1.0), None]);
        for _ in 0..KEPT {
            history.add(&metric(Reading::Milliseconds(2)));
        }
        assert_eq!(history.of("memory").collect::<Vec<_>>(), vec![Some(2.0); KEPT]);
        assert_eq!(history.of("cpu").count(), 0);
    }
}
