//! Ranges of IP addresses.

use std::net::IpAddr;

use super::error::FormatError;
use super::newtype::formatted;

/// A range of IP addresses in CIDR notation: `203.0.113.0/24`, `2001:db8::/32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRange {
    text: String,
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Parses a range. Bits behind the prefix are an error, because `10.1.2.3/8` looks like one host and is 10.0.0.0/8.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let expected = "a range is expected, as in 203.0.113.0/24 or 203.0.113.7/32";
        let Some((address, prefix_text)) = text.split_once('/') else {
            return Err(FormatError::new(text.len(), expected));
        };
        let at_prefix = address.len() + 1;
        let address: IpAddr = address.parse().map_err(|_| FormatError::new(0, expected))?;
        let (bits, length) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let is_decimal = !prefix_text.is_empty() && prefix_text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = prefix_text
            .parse()
            .ok()
            .filter(|prefix| is_decimal && *prefix <= length)
            .ok_or_else(|| FormatError::new(at_prefix, format!("a prefix is 0 to {length}")))?;
        let host_bits = u32::from(length - prefix);
        if host_bits > 0 && bits.trailing_zeros() < host_bits {
            return Err(FormatError::new(at_prefix, "the bits of the address behind the prefix must be 0"));
        }
        Ok(Self { text: text.to_owned(), address, prefix })
    }

    /// The range as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every address of another range is in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let differing = match (self.address, other.address) {
            (IpAddr::V4(one), IpAddr::V4(two)) => u128::from(one.to_bits() ^ two.to_bits()) << 96,
            (IpAddr::V6(one), IpAddr::V6(two)) => one.to_bits() ^ two.to_bits(),
            _ => return false,
        };
        self.prefix <= other.prefix && differing.leading_zeros() >= u32::from(self.prefix)
    }

    /// Whether the range is every address.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

formatted!(IpRange, "ip-range");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_contains_smaller_ranges_of_its_family() {
        let contains =
            |one: &str, other: &str| IpRange::parse(one).unwrap().contains(&IpRange::parse(other).unwrap());
        for other in ["10.0.0.0/8", "10.1.0.0/16", "10.255.255.255/32"] {
            assert!(contains("10.0.0.0/8", other), "{other}");
        }
        for other in ["11.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32"] {
            assert!(!contains("10.0.0.0/8", other), "{other}");
        }
        assert!(contains("0.0.0.0/0", "203.0.113.7/32") && contains("2001:db8::/32", "2001:db8::1/128"));
    }

    #[test]
    fn parses_ranges_and_names_the_wrong_character() {
        let offset = |text: &str| IpRange::parse(text).err().map(|error| error.offset);
        for valid in ["203.0.113.0/24", "203.0.113.7/32", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/128"] {
            assert_eq!(offset(valid), None, "{valid}");
        }
        assert_eq!(offset("203.0.113.7"), Some(11));
        assert_eq!(offset("example.com/24"), Some(0));
        assert_eq!(offset("10.1.2.3/8"), Some(9), "host bits");
        for wrong_prefix in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert_eq!(offset(wrong_prefix), Some(9), "{wrong_prefix}");
        }
        assert!(IpRange::parse("::/0").unwrap().is_everything());
        assert!(!IpRange::parse("10.0.0.0/8").unwrap().is_everything());
    }
}
