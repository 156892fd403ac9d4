//! The page of `--report` in a headless Chromium: the recorded pages of `tests/fixtures/report`, which the unit tests
//! compare with what the binary writes.
//!
//! The page itself has no script. What a reader sees is measured by one that is added to a copy.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Debian's name, and that of Google's packages.
const BROWSERS: &[&str] = &["chromium", "google-chrome"];
/// The pages: a deploy that succeeds, one that fails, and a kept revision.
const PAGES: &[&str] = &["report", "report-failed", "report-revision"];
/// Measures the page; see the file.
const MEASURE: &str = include_str!("measure.js");
/// The widths of a desktop's window and of a telephone.
const WIDTHS: [u32; 2] = [1280, 400];

/// A colour scheme, as Chromium numbers them (`third_party/blink/public/mojom/css/preferred_color_scheme.mojom`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Dark = 0,
    Light = 1,
}

/// A page in a folder of its own, and its browser.
struct Page {
    folder: TempDir,
    html: String,
}

impl Page {
    fn recorded(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/report/{name}.html.snap"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let begin = text.find("<!DOCTYPE html>").unwrap_or_else(|| panic!("{name} is no page"));
        Self { folder: tempfile::tempdir().unwrap(), html: text[begin..].to_owned() }
    }

    fn write(&self, name: &str, html: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, html).unwrap();
        path
    }

    /// Opens a file in the browser, with its console on stderr.
    fn open(&self, file: &Path, arguments: &[&str]) -> Output {
        let mut errors = Vec::new();
        for browser in BROWSERS {
            let mut command = Command::new(browser);
            command
                // The account of a container has no user namespace for Chromium's own sandbox; the page is ours.
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--enable-logging=stderr",
                ])
                .arg(format!("--user-data-dir={}", self.folder.path().join("profile").display()))
                .args(arguments)
                .arg(format!("file://{}", file.display()));
            match command.output() {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{browser}: {}: {text}", output.status);
                    return output;
                }
                Err(error) => errors.push(format!("{browser}: {error}")),
            }
        }
        panic!("no browser (apt-get install chromium): {}", errors.join(", "));
    }

    /// Returns what the reader sees in a window of this width.
    fn measured(&self, width: u32, scheme: Scheme, change: impl Fn(&str) -> String) -> Value {
        let html = change(&self.html);
        let html = html.replace("</body>", &format!("<script>{MEASURE}</script></body>"));
        // A window of Chromium is at least 500 pixels wide, a frame is not. It has the scheme of the page around it.
        let frame = html.replace('&', "&amp;").replace('"', "&quot;");
        let around = format!(
            "<!DOCTYPE html><html style=\"color-scheme: light dark\"><title></title>\
             <iframe style=\"width: {width}px; height: 2000px; border: 0\" srcdoc=\"{frame}\"></iframe></html>"
        );
        let file = self.write("measured.html", &around);
        let scheme = format!("--blink-settings=preferredColorScheme={}", scheme as u8);
        let output = self.open(&file, &["--dump-dom", &scheme, "--window-size=1400,2100"]);
        let dom = String::from_utf8(output.stdout).unwrap();
        let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        let title = title.unwrap_or_else(|| panic!("{dom}")).0;
        let json =
            title.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&");
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
    }
}

/// Has the rules for paper apply on the screen.
fn as_printed(html: &str) -> String {
    assert!(html.contains("@media print {"), "the page has rules for paper");
    let without_narrow_screens = html.replace("@media screen and (", "@media not all and (");
    without_narrow_screens.replace("@media print {", "@media all {")
}

fn messages_of_the_console(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn row<'a>(measured: &'a Value, label: &str) -> &'a Value {
    let found = items(&measured["rows"]).iter().find(|row| row["label"] == label);
    found.unwrap_or_else(|| panic!("{label}: {measured:#}"))
}

fn part<'a>(row: &'a Value, list: &str, text: &str) -> &'a Value {
    let found = items(&row[list]).iter().find(|it| it["text"].as_str().is_some_and(|own| own.contains(text)));
    found.unwrap_or_else(|| panic!("{text}: {row:#}"))
}

/// Asserts what holds for every page: nothing overlaps or leaves its place, and every text is readable.
fn assert_readable(page: &str, measured: &Value) {
    assert!(number(&measured["overflow"]) <= 0.0, "{page}: wider than the window: {measured:#}");
    assert_eq!(measured["cut"], 0, "{page}: texts that are cut: {measured:#}");
    assert_eq!(measured["faint"], Value::Array(Vec::new()), "{page}: too little contrast");
    assert_eq!(measured["axis"]["overlaps"], false, "{page}: {measured:#}");
    assert_eq!(measured["axis"]["outside"], false, "{page}: {measured:#}");
    assert!(items(&measured["rows"]).len() > 1, "{page}: {measured:#}");
    for row in items(&measured["rows"]) {
        assert_eq!(row["labelOverlapsLane"], false, "{page}: {row:#}");
        assert!(number(&row["width"]) > 150.0 && number(&row["height"]) > 10.0, "{page}: {row:#}");
        assert!(!items(&row["states"]).is_empty() || items(&row["bars"]).is_empty(), "{page}: {row:#}");
        let mut end = 0.0;
        for bar in items(&row["bars"]) {
            let (left, right) = (number(&bar["left"]), number(&bar["right"]));
            // Two pixels are the least width of a bar.
            assert!(left >= end - 2.5 && right <= number(&row["width"]) + 2.5, "{page}: {bar:#} in {row:#}");
            end = right;
        }
        for mark in items(&row["marks"]) {
            let centre = f64::midpoint(number(&mark["left"]), number(&mark["right"]));
            let expected = number(&row["width"]) * number(&mark["declared"]) / 100.0;
            assert!((centre - expected).abs() < 2.0, "{page}: {mark:#} in {row:#}");
            assert!(number(&mark["top"]).abs() < 6.0, "{page}: not in its row: {mark:#}");
            assert_eq!(mark["target"], true, "{page}: leads to its line of the table: {mark:#}");
        }
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test suite -- --ignored browser::"]
fn report_has_no_script_and_no_error_in_the_console() {
    for name in PAGES {
        let page = Page::recorded(name);
        assert!(!page.html.contains("<script"), "{name}");
        let file = page.write("page.html", &page.html);
        let output = page.open(&file, &["--dump-dom", "--v=0"]);
        assert_eq!(messages_of_the_console(&output), Vec::<String>::new(), "{name}");
        // All that it has is in it without scripts.
        let dom = String::from_utf8(output.stdout).unwrap();
        assert_eq!(dom.matches("class=\"bar ").count(), page.html.matches("class=\"bar ").count(), "{name}");
        assert!(dom.contains("class=\"bar "), "{name}");
    }
    // An error would have been seen.
    let page = Page::recorded("report");
    let broken = page.html.replace("</body>", "<script>nothing()</script></body>");
    let output = page.open(&page.write("broken.html", &broken), &["--dump-dom"]);
    assert_eq!(messages_of_the_console(&output).len(), 1, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs Chromium: cargo test --test suite -- --ignored browser::"]
fn report_is_readable_in_every_width_and_colour_scheme() {
    for name in PAGES {
        let page = Page::recorded(name);
        let mut backgrounds = Vec::new();
        for scheme in [Scheme::Light, Scheme::Dark] {
            for width in WIDTHS {
                let measured = page.measured(width, scheme, str::to_owned);
                assert_eq!(measured["width"], width, "{name}");
                assert_eq!(measured["dark"], scheme == Scheme::Dark, "{name}");
                assert_readable(&format!("{name}, {scheme:?}, {width}"), &measured);
                backgrounds.push(measured["background"].clone());
            }
        }
        assert_ne!(backgrounds[0], backgrounds[2], "{name}: dark differs from light");
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test suite -- --ignored browser::"]
fn report_marks_stand_where_they_belong() {
    for width in WIDTHS {
        let measured = Page::recorded("report").measured(width, Scheme::Light, str::to_owned);
        let container = row(&measured, "openhandsopenhands-6d5f9c7b9-x2kqp");
        let [pulling, starting] =
            ["pulling image", "container not ready"].map(|it| part(container, "bars", it));
        let centre = |mark: &Value| f64::midpoint(number(&mark["left"]), number(&mark["right"]));
        let begin = centre(part(container, "marks", "Pulling image"));
        assert!((begin - number(&pulling["left"])).abs() < 2.0, "the pull begins there: {container:#}");
        let failed = centre(part(container, "marks", "Startup probe failed"));
        assert!(
            failed > number(&starting["left"]) && failed < number(&starting["right"]),
            "the probe fails while the container starts: {container:#}"
        );
        // 37.5 s of 41.2 s.
        let share = (number(&pulling["right"]) - number(&pulling["left"])) / number(&container["width"]);
        assert!((share - 37.5 / 41.2).abs() < 0.01, "{share}: {container:#}");

        let measured = Page::recorded("report-failed").measured(width, Scheme::Light, str::to_owned);
        let container = row(&measured, "openhandsopenhands-6d5f9c7b9-x2kqp");
        let failed = part(container, "bars", "the image does not exist");
        let finding = part(container, "marks", "HC4103");
        assert_eq!((&finding["class"], &failed["class"]), (&"finding".into(), &"failed".into()));
        assert!((centre(finding) - number(&failed["left"])).abs() < 3.0, "{container:#}");
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test suite -- --ignored browser::"]
fn report_can_be_printed() {
    for name in PAGES {
        let page = Page::recorded(name);
        // A4 without margins of 12 mm has 703 CSS pixels.
        assert_readable(&format!("{name}, printed"), &page.measured(703, Scheme::Light, as_printed));
        let file = page.write("page.html", &page.html);
        let pdf = page.folder.path().join("page.pdf");
        page.open(&file, &["--no-pdf-header-footer", &format!("--print-to-pdf={}", pdf.display())]);
        let pdf = std::fs::read(pdf).unwrap();
        assert!(pdf.starts_with(b"%PDF-"), "{name}");
        let pages = pdf.windows(11).filter(|bytes| *bytes == b"/Type /Page").count();
        assert!((1..=8).contains(&pages), "{name}: {pages} pages");
    }
}
