//! tests/fixtures/config: invalid files, each with its expected diagnostics.

use super::{all_rendered, fixtures};
use crate::golden;
use crate::settings::load::read::{Request, read};

/// The number of files in `tests/fixtures/config`.
const FILES: usize = 165;

#[test]
fn invalid_files_give_expected_diagnostics() {
    let mut files: Vec<_> = std::fs::read_dir(fixtures())
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert_eq!(files.len(), FILES, "a file was added or removed");
    for path in files {
        let name = path.file_name().expect("a name");
        let request = Request { files: vec![name.into()], ..Request::default() };
        golden::assert_matches(&path.with_extension("txt"), &all_rendered(&read(&request, &[], &fixtures())));
    }
}
