//! Figures of a running application, and when they are bad. Pure.

/// A figure and its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// `memory`.
    pub name: &'static str,
    /// The figure.
    pub measured: Measured,
    /// When it is bad.
    pub bound: Bound,
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// Of a hundred.
    Percent(f64),
    /// A time.
    Milliseconds(u64),
    /// It is not known, for this reason.
    Unknown(String),
}

/// When a figure is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Above this many percent.
    AtMost(u32),
    /// Below this many percent.
    AtLeast(u32),
    /// Longer than this many milliseconds.
    Within(u64),
}

impl Gauge {
    /// Whether the figure is beyond its bound; what is not known is not bad.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match (&self.measured, self.bound) {
            (Measured::Percent(percent), Bound::AtMost(most)) => *percent > f64::from(most),
            (Measured::Percent(percent), Bound::AtLeast(least)) => *percent < f64::from(least),
            (Measured::Milliseconds(took), Bound::Within(most)) => *took > most,
            _ => false,
        }
    }

    /// `memory 91 %, more than 85 %`; None where the figure is not bad.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let bound = match self.bound {
            Bound::AtMost(most) => format!("more than {most} %"),
            Bound::AtLeast(least) => format!("less than {least} %"),
            Bound::Within(most) => format!("more than {most} ms"),
        };
        self.is_bad().then(|| format!("{} {}, {bound}", self.name, self.figure()))
    }

    /// `91 %`, `250 ms`, or why it is not known.
    #[must_use]
    pub fn figure(&self) -> String {
        match &self.measured {
            Measured::Percent(percent) => format!("{percent:.0} %"),
            Measured::Milliseconds(took) => format!("{took} ms"),
            Measured::Unknown(why) => why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(measured: Measured, bound: Bound) -> Gauge {
        Gauge { name: "memory", measured, bound }
    }

    #[test]
    fn a_figure_is_bad_beyond_its_bound_and_not_at_it() {
        let percent = |percent: f64, bound| gauge(Measured::Percent(percent), bound).is_bad();
        assert!(!percent(85.0, Bound::AtMost(85)) && percent(85.1, Bound::AtMost(85)));
        assert!(!percent(95.0, Bound::AtLeast(95)) && percent(94.9, Bound::AtLeast(95)));
        let took = |took| gauge(Measured::Milliseconds(took), Bound::Within(5000)).is_bad();
        assert!(!took(5000) && took(5001));
        assert!(!gauge(Measured::Unknown("nobody".into()), Bound::AtMost(1)).is_bad());
    }

    #[test]
    fn the_reason_names_figure_and_bound() {
        let bad = gauge(Measured::Percent(91.4), Bound::AtMost(85));
        assert_eq!(bad.reason().as_deref(), Some("memory 91 %, more than 85 %"));
        assert_eq!(gauge(Measured::Percent(1.0), Bound::AtMost(85)).reason(), None);
    }
}
