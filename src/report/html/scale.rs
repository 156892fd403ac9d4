//! Times → places on the timeline, in percent of its width. Pure.

use std::time::Duration;

use serde::Serialize;

/// The distances between labelled times, in milliseconds.
const STEPS: &[u64] = &[
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
    600_000, 1_800_000, 3_600_000,
];
/// The maximum number of labelled times, without the first one.
const MAX_TICKS: u128 = 6;
/// A label this close to the right edge, in hundredths of a percent, would leave it.
const EDGE: u128 = 9_400;

/// The duration that the width of the timeline stands for.
#[derive(Clone, Copy)]
pub(super) struct Scale(pub(super) Duration);

/// A labelled time on the axis.
#[derive(Serialize)]
pub(super) struct Tick {
    left: String,
    text: String,
    /// Whether its label ends at the mark instead of being centred.
    is_last: bool,
}

impl Scale {
    /// Returns a duration in percent of the whole, with two digits after the point.
    pub(super) fn percent(self, part: Duration) -> String {
        let hundredths = self.hundredths(part);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    fn hundredths(self, part: Duration) -> u128 {
        let whole = self.0.as_millis().max(1);
        (part.as_millis() * 10_000 / whole).min(10_000)
    }

    fn step(self) -> Duration {
        let whole = self.0.as_millis();
        let fits = |step: &&u64| whole / u128::from(**step) <= MAX_TICKS;
        let longest = STEPS.last().map_or(1, |step| u128::from(*step));
        let step = STEPS.iter().find(fits).map_or_else(
            // Days: as many whole hours as are needed.
            || u64::try_from((whole / MAX_TICKS / longest + 1) * longest).unwrap_or(u64::MAX),
            |step| *step,
        );
        Duration::from_millis(step)
    }

    /// Returns the labelled times.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let step = self.step();
        let times = (0u32..).map(|index| step * index).take_while(|at| *at <= self.0);
        times
            .map(|at| Tick {
                left: self.percent(at),
                text: if at.is_zero() { "0".to_owned() } else { seconds(at) },
                is_last: self.hundredths(at) > EDGE,
            })
            .collect()
    }
}

/// Formats a duration: `46 ms`, `41.2 s`, `10 s`, `1 m 12 s`.
pub(super) fn seconds(duration: Duration) -> String {
    let tenths = duration.as_millis() / 100;
    match tenths {
        0..10 => format!("{} ms", duration.as_millis()),
        10..600 if duration.as_millis().is_multiple_of(1000) => format!("{} s", tenths / 10),
        10..600 => format!("{}.{} s", tenths / 10, tenths % 10),
        600.. if (tenths % 600) < 10 => format!("{} m", tenths / 600),
        _ => format!("{} m {} s", tenths / 600, tenths % 600 / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_placed_in_proportion() {
        let scale = Scale(Duration::from_secs(40));
        assert_eq!(scale.percent(Duration::from_secs(10)), "25.00");
        assert_eq!(scale.percent(Duration::from_secs(50)), "100.00");
        assert_eq!(Scale(Duration::ZERO).percent(Duration::ZERO), "0.00");
    }

    #[test]
    fn axis_has_a_few_round_times() {
        let labels = |milliseconds: u64| {
            let ticks = Scale(Duration::from_millis(milliseconds)).ticks();
            ticks.into_iter().map(|tick| tick.text).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(labels(41_200), "0, 10 s, 20 s, 30 s, 40 s");
        assert_eq!(labels(46), "0, 10 ms, 20 ms, 30 ms, 40 ms");
        assert_eq!(labels(150_000), "0, 30 s, 1 m, 1 m 30 s, 2 m, 2 m 30 s");
        assert_eq!(labels(0), "0");
        assert_eq!(labels(7 * 24 * 3_600_000).split(", ").count(), 6, "a week");
        let last =
            |milliseconds: u64| Scale(Duration::from_millis(milliseconds)).ticks().pop().unwrap().is_last;
        assert!(last(41_200) && !last(49_000), "a label at the edge ends there");
    }

    #[test]
    fn times_have_few_digits() {
        let text = |milliseconds: u64| seconds(Duration::from_millis(milliseconds));
        let texts = [46, 1_000, 41_260, 59_950, 60_000, 72_000].map(text);
        assert_eq!(texts, ["46 ms", "1 s", "41.2 s", "59.9 s", "1 m", "1 m 12 s"]);
    }
}
