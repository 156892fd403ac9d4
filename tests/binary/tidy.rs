//! The rules of the layout, read off the source: which module may import which, and what pure modules never touch.

use std::path::{Path, PathBuf};

/// What each module may import of ours; see the table in DESIGN and the layout in `src/lib.rs`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("catalogue", &[]),
    ("diagnostic", &["catalogue"]),
    ("error", &["catalogue", "diagnostic"]),
    ("phrase", &[]),
    ("flags", &[]),
    ("object", &["error"]),
    ("settings", &["object", "error", "catalogue", "diagnostic"]),
    ("plan", &["object", "settings", "error"]),
    ("status", &["object", "catalogue"]),
    ("event", &["object", "status", "catalogue", "diagnostic"]),
    ("cluster", &["object", "settings", "plan", "status", "event", "error", "catalogue", "diagnostic"]),
    ("provider", &["object", "settings", "event", "error", "catalogue"]),
    ("report", &["object", "plan", "status", "event", "error", "catalogue", "diagnostic"]),
    (
        "session",
        &["flags", "settings", "plan", "cluster", "provider", "report", "event", "error", "catalogue"],
    ),
    (
        "deploy",
        &[
            "flags",
            "session",
            "object",
            "settings",
            "plan",
            "status",
            "cluster",
            "provider",
            "report",
            "event",
            "error",
            "catalogue",
        ],
    ),
    (
        "commands",
        &[
            "flags",
            "session",
            "deploy",
            "object",
            "settings",
            "plan",
            "status",
            "cluster",
            "provider",
            "report",
            "event",
            "error",
            "catalogue",
            "diagnostic",
        ],
    ),
    ("cli", &["flags", "commands", "session", "report", "error"]),
];

/// Modules without a clock, an environment, a stream, a process or a network.
const PURE: &[&str] = &["object", "plan", "status", "settings", "catalogue", "diagnostic", "error"];
/// The one file of the pure modules that reads.
const READS: &str = "settings/load/read.rs";
/// What pure code never names.
const EFFECTS: &[&str] = &[
    "tokio",
    "kube::Client",
    "kube::client",
    "std::process",
    "std::env::",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Timestamp::now",
    "Instant::now",
    "SystemTime",
    "println!",
    "eprintln!",
    "io::stdout",
    "io::stderr",
];
/// Folder and file names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "manager", "types"];

struct Line {
    place: String,
    module: String,
    file: String,
    text: String,
}

fn source() -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.iter().flat_map(|path| lines(&root, path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Lines of code: what is said in comments, and what stands in tests, breaks no rule.
fn lines(root: &Path, path: &Path) -> Vec<Line> {
    let file = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let module = file.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let only_tests = file.contains("/tests/")
        || ["tests.rs", "fixtures.rs", "scenario.rs", "scripted.rs", "golden.rs"]
            .iter()
            .any(|name| file.ends_with(name));
    let text = if only_tests { String::new() } else { std::fs::read_to_string(path).unwrap() };
    text.lines()
        .enumerate()
        .take_while(|(_, line)| {
            line.trim() != "mod tests {"
                && line.trim() != "pub(crate) mod tests {"
                && line.trim() != "pub(super) mod tests {"
        })
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| Line {
            place: format!("src/{file}:{}", number + 1),
            module: module.clone(),
            file: file.clone(),
            text: line.to_owned(),
        })
        .collect()
}

fn broken(rule: &str, lines: &[String]) {
    assert!(lines.is_empty(), "{rule}:\n{}", lines.join("\n"));
}

#[test]
fn modules_import_only_what_the_layout_allows() {
    let mut offenders = Vec::new();
    for line in source() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == line.module) else {
            continue;
        };
        for (_, rest) in
            line.text.match_indices("crate::").map(|(at, word)| (at, &line.text[at + word.len()..]))
        {
            let imported: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = MAY_IMPORT.iter().any(|(module, _)| *module == imported);
            if known
                && imported != line.module
                && imported != "phrase"
                && !allowed.contains(&imported.as_str())
            {
                offenders.push(format!("{}: {}", line.place, line.text.trim()));
            }
        }
    }
    broken("an import against the data flow", &offenders);
}

#[test]
fn pure_modules_have_no_effects() {
    let offenders: Vec<String> = source()
        .into_iter()
        .filter(|line| PURE.contains(&line.module.as_str()) && line.file != READS)
        .filter(|line| EFFECTS.iter().any(|effect| line.text.contains(effect)))
        .map(|line| format!("{}: {}", line.place, line.text.trim()))
        .collect();
    broken("an effect in a pure module", &offenders);
}

#[test]
fn only_the_report_writes_to_a_stream() {
    let streams = ["println!", "print!", "eprintln!", "eprint!", "io::stdout()", "io::stderr()"];
    let offenders: Vec<String> = source()
        .into_iter()
        .filter(|line| line.module != "report" && streams.iter().any(|stream| line.text.contains(stream)))
        .map(|line| format!("{}: {}", line.place, line.text.trim()))
        .collect();
    broken("a stream outside report/", &offenders);
}

#[test]
fn only_main_and_tests_exit_or_allow() {
    let offenders: Vec<String> = source()
        .into_iter()
        .filter(|line| {
            ["process::exit", "#[allow", "todo!", "unimplemented!"]
                .iter()
                .any(|word| line.text.contains(word))
        })
        .map(|line| format!("{}: {}", line.place, line.text.trim()))
        .collect();
    broken("an exit, an allow or a stub", &offenders);
}

#[test]
fn names_say_what_is_in_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let offenders: Vec<String> = files
        .iter()
        .filter(|path| {
            path.strip_prefix(&root).unwrap().iter().any(|part| {
                let name = part.to_str().unwrap().trim_end_matches(".rs");
                EMPTY_NAMES.contains(&name)
            })
        })
        .map(|path| path.display().to_string())
        .collect();
    broken("a name for not having found the name", &offenders);
}

#[test]
fn every_test_file_is_part_of_the_suite() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let suite = std::fs::read_to_string(root.join("suite.rs")).unwrap();
    let mut forgotten = Vec::new();
    for folder in ["", "binary", "api_server", "containers"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "suite")
                && !suite.contains(&format!("mod {module};"))
            {
                forgotten.push(format!("{folder}/{name}"));
            }
        }
    }
    broken("a test file that nothing runs", &forgotten);
}
