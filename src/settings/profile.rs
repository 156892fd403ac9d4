//! The presets of each profile: values of keys that no other source sets.

use super::handsctl::Profile;
use super::secrets::value::SecretSource;

/// Name of the file with the key of a Google Cloud service account.
pub(super) const KEY_FILE: &str = "key.json";
/// Name of the Secret that customarily contains that file on GKE.
const GOOGLE_SECRET: &str = "google-cloud-key";

impl Profile {
    pub(super) const ALL: &'static [Self] = &[Self::App, Self::Dev, Self::OpenShift, Self::Gke];

    /// Returns the profile with this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|profile| profile.name() == name)
    }

    /// The name of the profile in config.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Dev => "dev",
            Self::OpenShift => "openshift",
            Self::Gke => "gke",
        }
    }

    /// The preset keys and their values.
    pub(super) const fn presets(self) -> &'static [(&'static [&'static str], &'static str)] {
        match self {
            Self::App => &[],
            // No process in the pod listens on a port.
            Self::Dev => &[(&["deploy", "expose"], "none")],
            Self::OpenShift => &[(&["deploy", "expose"], "route")],
            Self::Gke => &[(&["deploy", "expose"], "loadbalancer")],
        }
    }

    /// The key file that the application gets unless the user configures another.
    pub(super) fn key_file(self) -> Option<SecretSource> {
        (self == Self::Gke)
            .then(|| SecretSource::Reference { secret: GOOGLE_SECRET.to_owned(), key: KEY_FILE.to_owned() })
    }
}
