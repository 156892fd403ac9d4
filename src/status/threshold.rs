//! Metrics of a running application, compared with their thresholds. Pure.

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
}
