//! tests/fixtures/config: wrong files, each with everything that is said about it.

use super::{all_rendered, fixtures};
use crate::settings::load::read::{Request, read};

/// `HANDSCTL_TEST_BLESS=1 cargo test --lib settings` writes the texts anew; read the difference before it is kept.
#[test]
fn everything_that_is_said_about_a_wrong_file() {
    let bless = std::env::var_os("HANDSCTL_TEST_BLESS").is_some();
    let mut seen = 0;
    let mut differing = Vec::new();
    let mut names: Vec<_> = std::fs::read_dir(fixtures())
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    names.sort();
    for path in names {
        let name = path.file_name().expect("a name");
        let request = Request { files: vec![name.into()], ..Request::default() };
        let said = all_rendered(&read(&request, &[], &fixtures()));
        let expected = path.with_extension("txt");
        if bless {
            std::fs::write(&expected, &said).expect("the expected text");
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        if said != wanted {
            differing.push(format!("{}\n--- expected\n{wanted}--- said\n{said}", path.display()));
        }
        seen += 1;
    }
    assert!(seen >= 40, "only {seen} fixtures");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
