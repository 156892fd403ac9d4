//! Files that hold what a test expects. `INSTA_UPDATE=always` updates them, as it does insta's own snapshots.

use std::env;
use std::fs;
use std::path::Path;

/// Panics if the file's text differs from `actual`.
pub(crate) fn assert_matches(file: &Path, actual: &str) {
    if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(file, actual).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(
        actual == expected,
        "{} differs (INSTA_UPDATE=always updates it)\n--- expected\n{expected}--- actual\n{actual}",
        file.display()
    );
}
