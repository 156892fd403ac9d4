//! Quantities of cpu, memory and storage, parsed and printed as in apimachinery's `resource` package.

use std::cmp::Ordering;

use super::error::FormatError;
use super::newtype::formatted;

/// An amount of a resource: `500m`, `2`, `1Gi`.
#[derive(Debug, Clone)]
pub struct Quantity {
    text: String,
    /// In units of 10⁻⁹, the finest resolution of Kubernetes.
    nanos: i128,
    notation: Notation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = Quantity::ONE;
/// Larger amounts are capped to this, as in apimachinery.
const LARGEST: i128 = i64::MAX as i128 * NANO;
/// A larger number without a suffix stands for mebibytes.
const LARGEST_GIBIBYTES: f64 = 64.0;
const EXPECTED: &str =
    "a number with a suffix such as m, k, M, G, Ki, Mi or Gi is expected, as in 500m or 1Gi";

/// Suffix, notation, base and exponent.
const SUFFIXES: &[(&str, Notation, i128, i32)] = &[
    ("n", Notation::Decimal, 10, -9),
    ("u", Notation::Decimal, 10, -6),
    ("m", Notation::Decimal, 10, -3),
    ("", Notation::Decimal, 10, 0),
    ("k", Notation::Decimal, 10, 3),
    ("M", Notation::Decimal, 10, 6),
    ("G", Notation::Decimal, 10, 9),
    ("T", Notation::Decimal, 10, 12),
    ("P", Notation::Decimal, 10, 15),
    ("E", Notation::Decimal, 10, 18),
    ("Ki", Notation::Binary, 2, 10),
    ("Mi", Notation::Binary, 2, 20),
    ("Gi", Notation::Binary, 2, 30),
    ("Ti", Notation::Binary, 2, 40),
    ("Pi", Notation::Binary, 2, 50),
    ("Ei", Notation::Binary, 2, 60),
];

impl Quantity {
    /// One whole unit, such as a cpu, a byte or an object, in units of 10⁻⁹.
    pub const ONE: i128 = 1_000_000_000;

    /// The smallest useful amount of memory or storage, in units of 10⁻⁹ bytes. A smaller one lacks its suffix.
    pub const MEBIBYTE: i128 = Self::ONE << 20;

    /// Parses a quantity. Negative amounts are rejected: no key accepts one.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        if text.starts_with('-') {
            return Err(FormatError::new(0, "may not be negative"));
        }
        let start = usize::from(text.starts_with('+'));
        let number_length = text[start..].find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let suffix_at = number_length.map_or(text.len(), |length| start + length);
        let (digits, scale) = parse_number(start, &text[start..suffix_at])?;
        let (notation, base, exponent) = parse_suffix(suffix_at, &text[suffix_at..])?;
        let nanos = scaled(&digits, scale, base, exponent);
        Ok(Self { text: text.to_owned(), nanos, notation })
    }

    /// Returns a quantity from a constant that is known to be valid.
    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(quantity) => quantity,
            Err(error) => {
                debug_assert!(false, "{text}: {error}");
                Self { text: text.to_owned(), nanos: 0, notation: Notation::Decimal }
            }
        }
    }

    /// The quantity as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The amount in thousandths, rounded up, as the scheduler counts cpu; 0 if it is negative.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.scaled_up(1_000_000)
    }

    /// The amount in whole units, rounded up, as the scheduler counts memory; 0 if it is negative.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.scaled_up(Self::ONE)
    }

    fn scaled_up(&self, nanos: i128) -> u64 {
        u64::try_from((self.nanos().max(0) + nanos - 1) / nanos).unwrap_or(u64::MAX)
    }

    /// Whether the amount is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Returns the amount of memory or storage that a number without its suffix stands for: `10Gi` for `10`, `1500Mi` for
    /// `1500`, `10Mi` for `10m`, which is a hundredth of a byte. `None` if the text has another suffix, or is no number.
    #[must_use]
    pub fn with_missing_suffix(text: &str) -> Option<String> {
        let (number, is_milli) = text.strip_suffix('m').map_or((text, false), |number| (number, true));
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let amount: f64 = number.parse().ok().filter(|amount| is_number && *amount > 0.0)?;
        let suffix = if is_milli || amount > LARGEST_GIBIBYTES { "Mi" } else { "Gi" };
        Some(format!("{number}{suffix}"))
    }

    /// Returns the string that replaces a number without quotes: `10Gi` for 10 if the key is an amount of memory or storage,
    /// `10` for any other.
    #[must_use]
    pub fn suggestion(key: &str, number: &str) -> String {
        let is_in_bytes = key.contains("memory") || key.contains("storage") && !key.contains("claims");
        let with_suffix = if is_in_bytes { Self::with_missing_suffix(number) } else { None };
        with_suffix.unwrap_or_else(|| number.to_owned())
    }

    /// The amount in units of 10⁻⁹.
    #[must_use]
    pub fn nanos(&self) -> i128 {
        self.nanos
    }

    /// The quantity as the API server prints it: `1024Mi` is `1Gi`, `0.5` is `500m`, `1000m` is `1`.
    #[must_use]
    pub fn canonical(&self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        match self.notation {
            // Below 1024, and if binary suffixes would round, apimachinery changes to decimal suffixes.
            Notation::Binary if self.nanos >= 1024 * NANO && self.nanos % NANO == 0 => {
                self.canonical_binary()
            }
            Notation::Binary | Notation::Decimal => {
                let (mantissa, exponent) = self.thousands();
                let suffix = SUFFIXES.iter().find(|row| row.1 == Notation::Decimal && row.3 == exponent);
                format!("{mantissa}{}", suffix.map_or("", |row| row.0))
            }
            Notation::Exponent => match self.thousands() {
                (mantissa, 0) => mantissa.to_string(),
                (mantissa, exponent) => format!("{mantissa}e{exponent}"),
            },
        }
    }

    fn canonical_binary(&self) -> String {
        let mut mantissa = self.nanos / NANO;
        let mut exponent = 0;
        while mantissa % 1024 == 0 && exponent < 60 {
            mantissa /= 1024;
            exponent += 10;
        }
        let suffix = SUFFIXES.iter().find(|row| row.1 == Notation::Binary && row.3 == exponent);
        format!("{mantissa}{}", suffix.map_or("", |row| row.0))
    }

    /// Returns mantissa and exponent of ten; the exponent is the largest multiple of 3 with a whole mantissa.
    fn thousands(&self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.nanos, -9);
        while mantissa % 1000 == 0 && exponent < 18 {
            mantissa /= 1000;
            exponent += 3;
        }
        (mantissa, exponent)
    }
}

formatted!(Quantity, "quantity");

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// Returns the digits without the point, and the number of digits after it.
fn parse_number(start: usize, text: &str) -> Result<(String, i32), FormatError> {
    if let Some(second) = text.match_indices('.').nth(1) {
        return Err(FormatError::new(start + second.0, "a second decimal point"));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(FormatError::new(start, EXPECTED));
    }
    if text.len() > 60 {
        return Err(FormatError::new(start + 60, "too many digits"));
    }
    Ok((format!("{whole}{fraction}"), i32::try_from(fraction.len()).unwrap_or(i32::MAX)))
}

fn parse_suffix(at: usize, suffix: &str) -> Result<(Notation, i128, i32), FormatError> {
    if let Some((_, notation, base, exponent)) = SUFFIXES.iter().find(|row| row.0 == suffix) {
        return Ok((*notation, *base, *exponent));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).filter(|digits| {
        let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    match exponent.and_then(|digits| digits.parse().ok()) {
        Some(exponent) => Ok((Notation::Exponent, 10, exponent)),
        None => Err(FormatError::new(at, suffix_message(suffix))),
    }
}

fn suffix_message(suffix: &str) -> String {
    let suggestion = match suffix {
        "K" | "KB" | "kB" | "kb" | "Kb" => "k or Ki",
        "MB" | "mb" | "Mb" | "mi" | "MiB" | "Mib" => "M or Mi",
        "g" | "GB" | "gb" | "Gb" | "gi" | "GiB" | "Gib" => "G or Gi",
        "t" | "TB" | "tb" | "Tb" | "ti" | "TiB" | "Tib" => "T or Ti",
        _ => return format!("`{suffix}` is not a suffix: {EXPECTED}"),
    };
    format!("`{suffix}` is not a suffix: {suggestion}")
}

/// Returns the amount in units of 10⁻⁹, rounded up and capped at [`LARGEST`].
fn scaled(digits: &str, scale: i32, base: i128, exponent: i32) -> i128 {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let (factor, tens) = if base == 2 { (1_i128 << exponent, 9 - scale) } else { (1, 9 + exponent - scale) };
    let magnitude = i32::try_from(digits.len()).unwrap_or(i32::MAX) + tens;
    if magnitude > 38 {
        return LARGEST;
    }
    if magnitude < -20 {
        return 1;
    }
    // Digits below 10⁻⁹ only decide the rounding.
    let kept = digits.len().min(28);
    let dropped = i32::try_from(digits.len() - kept).unwrap_or(0);
    let inexact = digits.bytes().skip(kept).any(|byte| byte != b'0');
    let mantissa: i128 = digits[..kept].parse().unwrap_or(i128::MAX);
    let Some(value) = mantissa.checked_mul(factor) else { return LARGEST };
    let value = scale_by_tens(value, tens + dropped);
    value.map_or(LARGEST, |(whole, rest)| (whole + i128::from(rest || inexact)).min(LARGEST))
}

/// Returns `value` × 10^`tens`, and whether digits were cut off; None if it is too large.
fn scale_by_tens(value: i128, tens: i32) -> Option<(i128, bool)> {
    let power = 10_i128.checked_pow(tens.unsigned_abs());
    match (tens >= 0, power) {
        (true, Some(power)) => value.checked_mul(power).map(|product| (product, false)),
        (true, None) => None,
        (false, Some(power)) => Some((value / power, value % power != 0)),
        (false, None) => Some((0, value != 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of the pairs are from the comments of apimachinery's `quantity.go`.
    #[test]
    fn canonical_is_the_api_server_form() {
        for (written, printed) in [
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("0.1Gi", "107374182400m"),
            ("1023Ki", "1023Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1024", "1024"),
            ("1000", "1k"),
            ("10000", "10k"),
            ("1000000Ki", "1000000Ki"),
            ("5000M", "5G"),
            ("1e3", "1e3"),
            ("12e5", "1200e3"),
            ("1E3", "1e3"),
            ("1E", "1E"),
            ("0.0001e3", "100e-3"),
            ("0", "0"),
            ("0Gi", "0"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0000000001", "1n"),
            ("1.0000000001", "1000000001n"),
            ("9Ei", "9223372036854775807"),
            ("10E", "9223372036854775807"),
            ("007", "7"),
        ] {
            let quantity = Quantity::parse(written).expect(written);
            assert_eq!(quantity.canonical(), printed, "{written}");
            assert_eq!(Quantity::parse(printed).expect(printed), quantity, "{printed}");
        }
    }

    #[test]
    fn quantities_compare_by_amount() {
        let quantity = Quantity::from_static;
        assert!(quantity("1Gi") > quantity("1G"));
        assert!(quantity("250m") < quantity("1"));
        assert_eq!(quantity("1024Mi"), quantity("1Gi"));
    }

    #[test]
    fn number_without_suffix_gets_the_likely_one() {
        for (written, meant) in [
            ("10", Some("10Gi")),
            ("0.5", Some("0.5Gi")),
            ("512", Some("512Mi")),
            ("10m", Some("10Mi")),
            ("0", None),
            ("10k", None),
            ("1e3", None),
            ("inf", None),
            ("true", None),
        ] {
            assert_eq!(Quantity::with_missing_suffix(written).as_deref(), meant, "{written}");
        }
    }

    #[test]
    fn suggested_suffix_depends_on_the_key() {
        assert_eq!(Quantity::suggestion("deploy.storage_size", "10"), "10Gi");
        assert_eq!(Quantity::suggestion("deploy.resources.limits.memory", "512"), "512Mi");
        assert_eq!(Quantity::suggestion("deploy.resources.limits.cpu", "2"), "2");
        let claims = "deploy.quota.gold.storageclass.storage.k8s.io/persistentvolumeclaims";
        assert_eq!(Quantity::suggestion(claims, "10"), "10");
    }

    #[test]
    fn error_offset_is_offending_character() {
        let offset = |text: &str| Quantity::parse(text).err().map(|error| error.offset);
        assert_eq!(offset(""), Some(0));
        assert_eq!(offset("Gi"), Some(0));
        assert_eq!(offset("2GB"), Some(1));
        assert_eq!(offset("-1"), Some(0));
        assert_eq!(offset("1.2.3"), Some(3));
        assert_eq!(offset("1 Gi"), Some(1));
        assert_eq!(offset("1e"), Some(1));
        assert_eq!(offset("ß"), Some(0));
    }
}
