//! Versions of Kubernetes and of the application.

use super::error::FormatError;
use super::newtype::formatted;

/// A release of Kubernetes: `v1.34.4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion(String);

impl KubernetesVersion {
    /// Checks for `v` and three numbers separated by dots.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        if !text.starts_with('v') {
            return Err(FormatError::new(0, "must begin with `v`, as in v1.34.4"));
        }
        let mut start = 1;
        let mut parts = 0;
        for part in text[1..].split('.') {
            if let Some((at, c)) = part.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
                return Err(FormatError::new(
                    start + at,
                    format!("`{c}` is not allowed: v1.34.4 is a version"),
                ));
            }
            if part.is_empty() || part.len() > 4 {
                return Err(FormatError::new(start, "a number is expected here, as in v1.34.4"));
            }
            parts += 1;
            start += part.len() + 1;
        }
        if parts == 3 {
            return Ok(Self(text.to_owned()));
        }
        Err(FormatError::new(text.len(), "three numbers are expected, as in v1.34.4"))
    }

    /// The version as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

formatted!(KubernetesVersion, "kubernetes-version");

/// A release of the application: `0.59` or `0.59.1`. Only its first two numbers determine the features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRelease {
    text: String,
    major: u32,
    minor: u32,
}

impl AppRelease {
    /// Checks for two or three numbers separated by dots.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut numbers = Vec::new();
        let mut start = 0;
        for part in text.split('.') {
            if let Some((at, c)) = part.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
                return Err(FormatError::new(start + at, format!("`{c}` is not allowed: 0.59 is a version")));
            }
            match part.parse() {
                Ok(number) if part.len() <= 4 => numbers.push(number),
                _ => return Err(FormatError::new(start, "a number is expected here, as in 0.59")),
            }
            start += part.len() + 1;
        }
        match numbers[..] {
            [major, minor] | [major, minor, _] => Ok(Self { text: text.to_owned(), major, minor }),
            _ => Err(FormatError::new(text.len(), "two or three numbers are expected, as in 0.59")),
        }
    }

    /// The release as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first two numbers.
    #[must_use]
    pub fn numbers(&self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

formatted!(AppRelease, "app-version");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_v_and_three_numbers() {
        let offset = |text: &str| KubernetesVersion::parse(text).err().map(|error| error.offset);
        assert_eq!(offset("v1.34.4"), None);
        assert_eq!(offset("1.34.4"), Some(0));
        assert_eq!(offset("v1.34"), Some(5));
        assert_eq!(offset("v1.x.4"), Some(3));
        assert_eq!(offset("v1..4"), Some(3));
        assert_eq!(offset(""), Some(0));
    }

    #[test]
    fn app_release_is_two_or_three_numbers() {
        let parse = |text: &str| AppRelease::parse(text).map(|release| release.numbers());
        assert_eq!(parse("0.59"), Ok((0, 59)));
        assert_eq!(parse("1.6.0"), Ok((1, 6)));
        let offset = |text: &str| parse(text).err().map(|error| error.offset);
        assert_eq!(offset("v0.59"), Some(0));
        assert_eq!(offset("0.59-dev"), Some(4));
        assert_eq!(offset("0."), Some(2));
        assert_eq!(offset("1"), Some(1));
        assert_eq!(offset("0.59.0.1"), Some(8));
        assert_eq!(offset(""), Some(0));
    }
}
