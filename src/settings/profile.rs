//! What a profile sets where nobody else does.

use super::handsctl::Profile;
use super::secrets::value::SecretSource;

/// Name of the file with the key of a Google Cloud account.
pub(super) const KEY_FILE: &str = "key.json";
/// Secret in which people on GKE have that file.
const GOOGLE_SECRET: &str = "google-cloud-key";

impl Profile {
    const ALL: &'static [Self] = &[Self::App, Self::Dev, Self::OpenShift, Self::Gke];

    /// The profile of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|profile| profile.name() == name)
    }

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Dev => "dev",
            Self::OpenShift => "openshift",
            Self::Gke => "gke",
        }
    }

    /// Keys and their values.
    pub(super) const fn presets(self) -> &'static [(&'static [&'static str], &'static str)] {
        match self {
            Self::App => &[],
            // Nothing listens in the pod.
            Self::Dev => &[(&["deploy", "expose"], "none")],
            Self::OpenShift => &[(&["deploy", "expose"], "route")],
            Self::Gke => &[(&["deploy", "expose"], "loadbalancer")],
        }
    }

    /// The key file that the application finds, where nobody names another.
    pub(super) fn key_file(self) -> Option<SecretSource> {
        (self == Self::Gke)
            .then(|| SecretSource::Reference { secret: GOOGLE_SECRET.to_owned(), key: KEY_FILE.to_owned() })
    }
}
