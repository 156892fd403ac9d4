//! IP addresses.

use std::net::{IpAddr, Ipv4Addr};

use super::error::FormatError;
use super::newtype::formatted;

/// An IP address: `127.0.0.1`, `0.0.0.0`, `::1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: std::borrow::Cow<'static, str>,
    address: IpAddr,
}

impl Address {
    /// The loopback address, reachable only from this computer.
    pub const LOOPBACK: Self =
        Self { text: std::borrow::Cow::Borrowed("127.0.0.1"), address: IpAddr::V4(Ipv4Addr::LOCALHOST) };

    /// Parses an address.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        match text.parse() {
            Ok(address) => Ok(Self { text: text.to_owned().into(), address }),
            Err(_) => Err(FormatError::new(
                invalid_offset(text),
                "an IP address is expected, as in 127.0.0.1 or 0.0.0.0",
            )),
        }
    }

    /// The address as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.address
    }
}

/// Returns the offset of the first character that no address contains, else the end of the text.
fn invalid_offset(text: &str) -> usize {
    let allowed = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    text.find(|c| !allowed(c)).unwrap_or(text.len())
}

formatted!(Address, "ip-address");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_ipv4_and_ipv6_addresses() {
        let offset = |text: &str| Address::parse(text).err().map(|error| error.offset);
        assert_eq!((offset("127.0.0.1"), offset("0.0.0.0"), offset("::1")), (None, None, None));
        assert_eq!(offset("127.0.0"), Some(7));
        assert_eq!(offset("localhost"), Some(0));
        assert_eq!(offset("127.0.0.1/8"), Some(9));
        assert_eq!(offset(""), Some(0));
        assert_eq!(Address::parse("127.0.0.1").unwrap(), Address::LOOPBACK);
    }
}
