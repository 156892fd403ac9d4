//! Values of a gauge over time, as a line of bars. Pure.

/// The bars from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws values between 0 and `top`, oldest first. A value that is unknown is a gap.
///
/// ```
/// assert_eq!(handsctl::report::sparkline([Some(0.0), None, Some(50.0), Some(100.0)], 100.0), "▁ ▅█");
/// ```
pub fn sparkline(values: impl IntoIterator<Item = Option<f64>>, top: f64) -> String {
    values.into_iter().map(|value| value.map_or(' ', |value| bar(value, top))).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of eight bars")]
fn bar(value: f64, top: f64) -> char {
    let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
    BARS[((share * 7.0).round() as usize).min(BARS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_top_have_the_highest_bar() {
        assert_eq!(sparkline([Some(-1.0), Some(200.0), Some(1.0)], 100.0), "▁█▁");
        assert_eq!(sparkline([Some(0.0)], 0.0), "▁");
    }
}
