//! Settings for the tests of the checks.

use crate::settings::{Request, Settings, read_without_secrets};

/// Returns the settings of a config.toml with this text.
pub(super) fn settings(config: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    read_without_secrets(&Request::default(), &[], folder.path()).unwrap().settings
}
