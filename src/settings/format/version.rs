//! Versions of Kubernetes.

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
}
