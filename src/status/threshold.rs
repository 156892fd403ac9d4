//! Figures of a running application, and when they are bad. Pure.

/// A figure and its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// `memory`.
    pub name: &'static str,
    /// The figure.
    pub reading: Reading,
    /// When it is bad.
    pub bound: Threshold,
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Of a hundred.
    Percent(f64),
    /// A time.
    Milliseconds(u64),
    /// It is not known, for this reason.
    Unknown(String),
}

/// When a figure is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Above this many percent.
    AtMost(u32),
    /// Below this many percent.
    AtLeast(u32),
    /// Longer than this many milliseconds.
    Within(u64),
}

impl Metric {
    /// Whether the figure is beyond its bound; what is not known is not bad.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match (&self.reading, self.bound) {
            (Reading::Percent(percent), Threshold::AtMost(most)) => *percent > f64::from(most),
            (Reading::Percent(percent), Threshold::AtLeast(least)) => *percent < f64::from(least),
            (Reading::Milliseconds(took), Threshold::Within(most)) => *took > most,
            _ => false,
        }
    }

    /// `memory 91 %, more than 85 %`; None where the figure is not bad.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let bound = match self.bound {
            Threshold::AtMost(most) => format!("more than {most} %"),
            Threshold::AtLeast(least) => format!("less than {least} %"),
            Threshold::Within(most) => format!("more than {most} ms"),
        };
        self.is_bad().then(|| format!("{} {}, {bound}", self.name, self.value()))
    }

    /// `91 %`, `250 ms`, or why it is not known.
    #[must_use]
    pub fn value(&self) -> String {
        match &self.reading {
            Reading::Percent(percent) => format!("{percent:.0} %"),
            Reading::Milliseconds(took) => format!("{took} ms"),
            Reading::Unknown(why) => why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(measured: Reading, bound: Threshold) -> Metric {
        Metric { name: "memory", reading: measured, bound }
    }

    #[test]
    fn a_figure_is_bad_beyond_its_bound_and_not_at_it() {
        let percent = |percent: f64, bound| gauge(Reading::Percent(percent), bound).is_bad();
        assert!(!percent(85.0, Threshold::AtMost(85)) && percent(85.1, Threshold::AtMost(85)));
        assert!(!percent(95.0, Threshold::AtLeast(95)) && percent(94.9, Threshold::AtLeast(95)));
        let took = |took| gauge(Reading::Milliseconds(took), Threshold::Within(5000)).is_bad();
        assert!(!took(5000) && took(5001));
        assert!(!gauge(Reading::Unknown("nobody".into()), Threshold::AtMost(1)).is_bad());
    }

    #[test]
    fn the_reason_names_figure_and_bound() {
        let bad = gauge(Reading::Percent(91.4), Threshold::AtMost(85));
        assert_eq!(bad.reason().as_deref(), Some("memory 91 %, more than 85 %"));
        assert_eq!(gauge(Reading::Percent(1.0), Threshold::AtMost(85)).reason(), None);
    }
}
