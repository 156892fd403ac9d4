//! The page of `docs/screens` and its recordings, which `api_server/screens.rs` compares with the product.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The situations that the page has a screen of, each with its recordings.
const SITUATIONS: &[(&str, &[&str])] = &[
    ("Help", &["help"]),
    ("A configuration to start with", &["config-init"]),
    ("The first `up`", &["up"]),
    ("A deploy", &["deploy-waiting", "deploy"]),
    ("The second deploy", &["deploy-again"]),
    ("The same in CI", &["deploy-in-ci"]),
    ("An image that does not exist", &["image-not-found"]),
    ("A container that crashes", &["crash"]),
    ("Mistakes in config.toml", &["configuration-mistakes"]),
    ("Fields that others own", &["conflict"]),
    ("Status", &["status", "status-watch"]),
    ("Sandboxes", &["sandbox-list"]),
    ("Differences", &["diff"]),
    ("History and rollback", &["history", "rollback"]),
    ("Teardown", &["teardown"]),
    ("Doctor", &["doctor"]),
];

/// The folder with the page and the recordings.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens")
}

/// The names of all recordings.
pub(crate) fn recorded_names() -> BTreeSet<String> {
    SITUATIONS.iter().flat_map(|(_, names)| *names).map(|name| (*name).to_owned()).collect()
}

/// The first line of a recording: the command behind a prompt.
pub(crate) fn recorded_command(name: &str) -> String {
    let text = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    text.lines().next().and_then(|line| line.strip_prefix("$ ")).unwrap().to_owned()
}

#[test]
fn page_shows_each_recording_below_its_heading() {
    let page = fs::read_to_string(folder().join("README.md")).unwrap();
    let sections: BTreeMap<&str, &str> =
        page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    for (heading, names) in SITUATIONS {
        let section = sections.get(heading).unwrap_or_else(|| panic!("no section {heading}"));
        let pictures = section.split("](").skip(1).filter_map(|rest| rest.split_once(".svg)"));
        let pictures: Vec<&str> = pictures.map(|(name, _)| name).collect();
        assert_eq!(pictures, *names, "{heading}");
        let texts = names.iter().map(|name| format!("[{name}.txt]({name}.txt)"));
        let row = format!("| {heading} | {} |", texts.collect::<Vec<_>>().join(", "));
        assert!(page.contains(&row), "the table lacks {row}");
    }
    assert_eq!(
        sections.len(),
        SITUATIONS.len() + 1,
        "besides, one about the recordings: {:?}",
        sections.keys()
    );
}

#[test]
fn each_recording_is_a_text_and_a_picture_of_the_same_command() {
    let files =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> =
        files.filter(|file| !["README.md", "kind.md", "canvas.png"].contains(&file.as_str())).collect();
    let expected =
        recorded_names().into_iter().flat_map(|name| [format!("{name}.txt"), format!("{name}.svg")]);
    assert_eq!(files, expected.collect());
    for name in recorded_names() {
        let svg = fs::read_to_string(folder().join(format!("{name}.svg"))).unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let elements = |tag: &'static str| document.descendants().filter(move |node| node.has_tag_name(tag));
        let title = elements("title").next().and_then(|title| title.text());
        assert_eq!(title, Some(format!("$ {}", recorded_command(&name)).as_str()), "{name}");
        let needs_others = |node: &roxmltree::Node<'_, '_>| {
            node.has_tag_name("script") || node.attributes().any(|attribute| attribute.name() == "href")
        };
        assert!(!document.descendants().any(|node| needs_others(&node)), "{name} needs another file");
        let number = |node: &roxmltree::Node<'_, '_>, name: &str| -> f64 {
            node.attribute(name).unwrap().parse().unwrap()
        };
        let width = number(&document.root_element(), "width");
        for text in elements("text") {
            assert!(number(&text, "x") + number(&text, "textLength") < width, "{name}: {:?}", text.text());
        }
    }
}
