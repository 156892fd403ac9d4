//! The application's version, from `[deploy].version` or the tag of its image.

use std::fmt;

use super::edition::{Edition, ReleaseNumbers, in_release};
use super::format::ImageRef;
use super::handsctl::Deploy;

/// A version of the application: the first two numbers determine its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppVersion {
    /// First number: 0 or 1.
    pub major: u32,
    /// Second number: 59 in 0.59.
    pub minor: u32,
    /// Whether the tag is not a version, so that the newest supported version is assumed.
    pub assumed: bool,
}

impl AppVersion {
    /// Returns the version in an image's tag; the one that the edition assumes if the tag is not a version.
    #[must_use]
    pub fn from_image(image: &ImageRef, edition: &Edition) -> Self {
        let (major, minor) = image.version().unwrap_or(edition.assumed_release);
        Self { major, minor, assumed: image.version().is_none() }
    }

    /// Returns the configured version: that of the key, otherwise that of the image's tag.
    #[must_use]
    pub fn of(deploy: &Deploy, edition: &Edition) -> Self {
        let Some(version) = &deploy.version else { return Self::from_image(&deploy.image, edition) };
        let (major, minor) = version.numbers();
        Self { major, minor, assumed: false }
    }

    /// The numbers of this version.
    #[must_use]
    pub const fn release(self) -> ReleaseNumbers {
        (self.major, self.minor)
    }

    /// Whether this is `major.minor` or later.
    #[must_use]
    pub fn is_at_least(self, major: u32, minor: u32) -> bool {
        self.release() >= (major, minor)
    }

    /// Returns the sandbox image that matches this version. None if the version is assumed, or the edition has none.
    #[must_use]
    pub fn runtime_image(self, edition: &Edition) -> Option<String> {
        let repository = in_release(edition.sandbox_image, self.release())?;
        (!self.assumed).then(|| format!("{repository}:{self}-nikolaik"))
    }
}

impl fmt::Display for AppVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::edition::CLASSIC;

    fn version(image: &str) -> AppVersion {
        AppVersion::from_image(&ImageRef::parse(image).expect(image), &CLASSIC)
    }

    fn is_supported(image: &str) -> bool {
        CLASSIC.supports(version(image).release())
    }

    #[test]
    fn version_comes_from_image_tag() {
        assert!(is_supported("a:0.45.0") && is_supported("a:1.6.0"));
        assert!(!is_supported("a:0.44") && !is_supported("a:1.7"));
        assert!(version("a:1.0").is_at_least(0, 60) && !version("a:0.59.0").is_at_least(0, 60));
        assert!(version("a:latest").assumed && is_supported("a:latest"));
        let own = version("acme/openhands:v0.59-dev");
        assert_eq!((own.major, own.minor, own.assumed), (0, 59, false));
    }

    #[test]
    fn runtime_image_uses_registry_of_version() {
        let image = |text: &str| version(text).runtime_image(&CLASSIC);
        assert_eq!(
            image("a:0.59").as_deref(),
            Some("docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik")
        );
        assert_eq!(
            image("a:0.60.1").as_deref(),
            Some("docker.openhands.dev/openhands/runtime:0.60-nikolaik")
        );
        assert_eq!(image("a:0.59-dev"), image("a:0.59"));
        assert_eq!(image("a:main"), None);
    }
}
