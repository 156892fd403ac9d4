//! Durations.

use super::error::FormatError;
use super::newtype::formatted;

/// A duration in Go's notation: `15s`, `10m`, `1h30m`, `500ms`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Duration {
    text: String,
    millis: u64,
}

impl Duration {
    /// Parses numbers, each with its unit (`h`, `m`, `s`, `ms`).
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut millis: u64 = 0;
        let mut rest = text;
        if rest.is_empty() {
            return Err(FormatError::new(0, "a duration is expected, as in 15s, 10m or 1h30m"));
        }
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                return Err(FormatError::new(at, "a whole number is expected here"));
            }
            let unit_at = at + digits;
            let after = &rest[digits..];
            let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let factor = match &after[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "" => return Err(FormatError::new(unit_at, "a unit is missing: h, m, s or ms")),
                other => {
                    return Err(FormatError::new(unit_at, format!("unknown unit `{other}`: h, m, s or ms")));
                }
            };
            millis = rest[..digits]
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(factor))
                .and_then(|part| millis.checked_add(part))
                .ok_or_else(|| FormatError::new(at, "the duration is too long"))?;
            rest = &after[letters..];
        }
        Ok(Self { text: text.to_owned(), millis })
    }

    /// Returns a duration of whole seconds.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        let text = match (seconds / 60, seconds % 60) {
            (minutes, 0) if minutes > 0 => format!("{minutes}m"),
            _ => format!("{seconds}s"),
        };
        Self { text, millis: seconds.saturating_mul(1_000) }
    }

    /// The duration as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of seconds, rounded up.
    #[must_use]
    pub fn as_secs(&self) -> u64 {
        self.millis.div_ceil(1_000)
    }

    /// The duration as the standard library's type.
    #[must_use]
    pub fn as_std(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }
}

formatted!(Duration, "duration");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_sums_its_units() {
        let millis = |text: &str| Duration::parse(text).map(|duration| duration.as_std().as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("15s"), Ok(15_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(Duration::parse("1500ms").map(|duration| duration.as_secs()), Ok(2));
        assert_eq!(Duration::from_secs(600).as_str(), "10m");
        assert_eq!(Duration::from_secs(15).as_str(), "15s");
        assert_eq!(Duration::parse(Duration::from_secs(90).as_str()), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn error_offset_is_offending_character() {
        let offset = |text: &str| Duration::parse(text).err().map(|error| error.offset);
        assert_eq!(offset(""), Some(0));
        assert_eq!(offset("10"), Some(2));
        assert_eq!(offset("10 m"), Some(2));
        assert_eq!(offset("1h30x"), Some(4));
        assert_eq!(offset("-5s"), Some(0));
        assert_eq!(offset("99999999999999999999h"), Some(0));
    }
}
