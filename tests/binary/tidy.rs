//! The rules of the layout: allowed imports, effects in pure modules, and descriptive names. Each rule is shown to
//! catch the lines that break it.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::CommandFactory as _;
use handsctl::cli::Cli;

use source::{File, Source};

use super::words;

/// What each module may import of ours; see the layout in `src/lib.rs`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("catalogue", &[]),
    ("diagnostic", &["catalogue"]),
    ("error", &["catalogue", "diagnostic"]),
    ("phrase", &[]),
    ("reason", &[]),
    ("process_group", &[]),
    ("proxy", &["object"]),
    ("flags", &[]),
    ("command_line", &["flags"]),
    ("object", &["error"]),
    ("timeline", &[]),
    ("logs", &["error"]),
    ("archive", &["error", "catalogue"]),
    ("settings", &["object", "error", "catalogue", "diagnostic"]),
    ("plan", &["object", "settings", "timeline", "error", "catalogue", "diagnostic"]),
    ("status", &["object", "timeline", "catalogue", "diagnostic"]),
    ("event", &["object", "status", "timeline", "error", "catalogue", "diagnostic"]),
    (
        "cluster",
        &[
            "archive",
            "object",
            "settings",
            "plan",
            "status",
            "timeline",
            "logs",
            "event",
            "error",
            "catalogue",
            "diagnostic",
            "process_group",
            "proxy",
        ],
    ),
    ("provider", &["object", "settings", "event", "error", "catalogue", "process_group", "proxy"]),
    (
        "report",
        &["object", "plan", "status", "timeline", "logs", "event", "error", "catalogue", "diagnostic"],
    ),
    (
        "session",
        &[
            "flags",
            "command_line",
            "settings",
            "plan",
            "cluster",
            "provider",
            "proxy",
            "report",
            "event",
            "error",
            "catalogue",
            "diagnostic",
        ],
    ),
    (
        "deploy",
        &[
            "archive",
            "flags",
            "command_line",
            "session",
            "object",
            "settings",
            "plan",
            "status",
            "timeline",
            "cluster",
            "provider",
            "report",
            "event",
            "error",
            "catalogue",
        ],
    ),
    (
        "doctor",
        &["session", "object", "settings", "plan", "cluster", "provider", "error", "catalogue", "diagnostic"],
    ),
    (
        "commands",
        &[
            "archive",
            "flags",
            "command_line",
            "session",
            "deploy",
            "doctor",
            "object",
            "settings",
            "plan",
            "status",
            "logs",
            "cluster",
            "provider",
            "report",
            "event",
            "error",
            "catalogue",
            "diagnostic",
            "next_commands",
        ],
    ),
    ("foreign_commands", &[]),
    ("next_commands", &["error", "catalogue"]),
    ("help", &[]),
    (
        "cli",
        &[
            "flags",
            "command_line",
            "foreign_commands",
            "help",
            "commands",
            "session",
            "report",
            "error",
            "catalogue",
        ],
    ),
];
/// What every module may import.
const EVERYWHERE: &[&str] = &["phrase", "reason"];
/// Modules without a clock, an environment, a stream, a process or a network.
const PURE: &[&str] = &[
    "archive",
    "object",
    "plan",
    "status",
    "timeline",
    "logs",
    "settings",
    "catalogue",
    "diagnostic",
    "error",
    "reason",
    "phrase",
    "proxy",
];
/// The one file of the pure modules that reads.
const READS: &str = "settings/load/read.rs";
/// Paths that pure code does not name.
const EFFECTS: &[&str] = &[
    "tokio",
    "hyper",
    "kube::Client",
    "kube::client",
    "std::process",
    "std::env",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Timestamp::now",
    "Zoned::now",
    "Instant::now",
    "SystemTime",
];
/// Files that read the process's environment.
const READ_ENVIRONMENT: &[&str] = &["session/", "provider/environment.rs", "report/streams.rs"];
/// What only `cluster/client` and `object/kind.rs` contain: the forms of API requests.
const REQUEST_TEXTS: &[&str] =
    &["\"/apis/", "\"/api/v1/namespaces", "labelSelector=", "%3D", "\"preconditions\"", "fieldManager="];
/// Names of folders, files and types that are meaningless.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "manager", "types", "thing", "look", "place",
    "seen", "found", "wanted", "held", "known", "asked",
];
/// Lines of a `mod.rs`: it introduces its files and defines nothing.
const MOD_RS_LINES: usize = 60;

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

/// Each of these files breaks the rule once.
fn assert_catches(rule: impl Fn(&Source) -> Vec<String>, bad: &[(&str, &str)]) {
    for file in bad {
        let offenders = rule(&Source::parse(&[*file]));
        assert_eq!(offenders.len(), 1, "{file:?}: {offenders:?}");
    }
}

fn contains(segments: &[String], sequence: &str) -> bool {
    let sequence: Vec<&str> = sequence.split("::").collect();
    segments.windows(sequence.len()).any(|window| window == sequence)
}

/// Imports that the table does not allow, and imports of modules that it does not know.
fn forbidden_imports(source: &Source) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in &source.files {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == file.top_module()) else {
            if !matches!(file.path.as_str(), "lib.rs" | "main.rs") {
                offenders.push(format!(
                    "src/{}: `{}` is not in the table of the layout",
                    file.path,
                    file.top_module()
                ));
            }
            continue;
        };
        for path in
            file.paths.iter().filter(|path| path.segments.first().is_some_and(|first| first == "crate"))
        {
            let Some(imported) = path.segments.get(1).map(String::as_str) else { continue };
            if imported != file.top_module()
                && !allowed.contains(&imported)
                && !EVERYWHERE.contains(&imported)
            {
                offenders.push(format!("{}: {}", file.at(path.line), path.segments.join("::")));
            }
        }
    }
    offenders
}

#[test]
fn modules_import_only_what_the_layout_allows() {
    assert_none("an import against the data flow", &forbidden_imports(Source::shared()));
    assert_catches(
        forbidden_imports,
        &[
            ("plan/build.rs", "use crate::commands::deploy;"),
            ("plan/build.rs", "use crate::{cluster::client::api::Api, object::ObjectId};"),
            ("cluster/apply/waves.rs", "use super::super::super::session::runner;"),
            ("status/evaluate.rs", "fn f() { crate::plan::build::build(); }"),
            ("status/evaluate.rs", "fn f() { format!(\"{}\", crate::report::color()); }"),
            ("object/id.rs", "use crate::newcomer::Something;"),
            ("newcomer.rs", "fn f() {}"),
        ],
    );
}

/// Only the printer of differences imports the plan.
fn plan_in_the_report(source: &Source) -> Vec<String> {
    let files = source
        .files
        .iter()
        .filter(|file| file.top_module() == "report" && file.path != "report/text/diff.rs");
    files
        .flat_map(|file| {
            let paths = file.paths.iter().filter(|path| contains(&path.segments, "crate::plan"));
            paths.map(|path| format!("{}: {}", file.at(path.line), path.segments.join("::")))
        })
        .collect()
}

#[test]
fn report_imports_the_plan_only_for_differences() {
    assert_none("an import of the plan", &plan_in_the_report(Source::shared()));
    assert_catches(plan_in_the_report, &[("report/summary.rs", "use crate::plan::Member;")]);
}

fn effects_in_pure_modules(source: &Source) -> Vec<String> {
    let files = source.files.iter().filter(|file| PURE.contains(&file.top_module()) && file.path != READS);
    files
        .flat_map(|file| {
            let effect = |segments: &[String]| EFFECTS.iter().any(|effect| contains(segments, effect));
            let paths = file.paths.iter().filter(move |path| effect(&path.segments));
            paths.map(|path| format!("{}: {}", file.at(path.line), path.segments.join("::")))
        })
        .collect()
}

#[test]
fn pure_modules_have_no_effects() {
    assert_none("an effect in a pure module", &effects_in_pure_modules(Source::shared()));
    assert_catches(
        effects_in_pure_modules,
        &[
            ("plan/build.rs", "use std::env;"),
            ("plan/build.rs", "use std::{env, fmt};"),
            ("status/evaluate.rs", "fn f() { jiff::Timestamp::now(); }"),
            ("object/id.rs", "fn f() { format!(\"{}\", std::process::id()); }"),
            ("settings/resolved.rs", "async fn f() { tokio::task::yield_now().await; }"),
        ],
    );
}

fn streams_outside_the_report(source: &Source) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in source.files.iter().filter(|file| file.top_module() != "report") {
        let printed = file
            .macros
            .iter()
            .filter(|(_, name)| matches!(name.as_str(), "println" | "print" | "eprintln" | "eprint"));
        offenders.extend(printed.map(|(line, name)| format!("{}: {name}!", file.at(*line))));
        let streams = file.paths.iter().filter(|path| {
            path.exported_as.is_none()
                && ["io::stdout", "io::stderr"].iter().any(|stream| contains(&path.segments, stream))
        });
        offenders.extend(streams.map(|path| format!("{}: {}", file.at(path.line), path.segments.join("::"))));
    }
    offenders
}

#[test]
fn only_the_report_writes_to_a_stream() {
    assert_none("a stream outside report/", &streams_outside_the_report(Source::shared()));
    assert_catches(
        streams_outside_the_report,
        &[
            ("cluster/inspect.rs", "fn f() { eprintln!(\"x\"); }"),
            ("session/runner.rs", "use std::io::stderr;"),
            ("session/runner.rs", "fn f() { std::io::stdout(); }"),
        ],
    );
}

fn exits_allows_and_stubs(source: &Source) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in &source.files {
        let exits = file.paths.iter().filter(|path| contains(&path.segments, "process::exit"));
        offenders.extend(exits.map(|path| file.at(path.line)));
        let allows = file.attributes.iter().filter(|(_, name)| name == "allow");
        offenders.extend(allows.map(|(line, _)| file.at(*line)));
        let stubs = file.macros.iter().filter(|(_, name)| matches!(name.as_str(), "todo" | "unimplemented"));
        offenders.extend(stubs.map(|(line, _)| file.at(*line)));
    }
    offenders
}

#[test]
fn nothing_exits_allows_a_lint_or_is_a_stub() {
    assert_none("an exit, an allow or a stub", &exits_allows_and_stubs(Source::shared()));
    assert_catches(
        exits_allows_and_stubs,
        &[
            ("session/runner.rs", "fn f() { std::process::exit(1); }"),
            ("plan/build.rs", "#[allow(dead_code)]\nfn f() {}"),
            ("plan/build.rs", "fn f() { todo!() }"),
        ],
    );
}

/// Groups of files that import each other, each as one line.
fn import_cycles(source: &Source) -> Vec<String> {
    let graph = source.graph();
    let reaches = |from: usize| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<usize> = graph[from].iter().copied().collect();
        while let Some(file) = next.pop() {
            if reached.insert(file) {
                next.extend(&graph[file]);
            }
        }
        reached
    };
    let reached: Vec<BTreeSet<usize>> = (0..graph.len()).map(reaches).collect();
    let mut cycles = BTreeSet::new();
    for from in (0..graph.len()).filter(|from| reached[*from].contains(from)) {
        let members = reached[from].iter().filter(|to| reached[**to].contains(&from));
        let names: Vec<&str> = members.map(|file| source.files[*file].path.as_str()).collect();
        cycles.insert(names.join(" ↔ "));
    }
    cycles.into_iter().collect()
}

#[test]
fn no_circle_of_files() {
    assert_none("files that import each other", &import_cycles(Source::shared()));
    let lib = ("lib.rs", "mod a;");
    let cycles_of = |files: &[(&str, &str)]| import_cycles(&Source::parse(&[&[lib], files].concat()));
    let direct =
        [("a/mod.rs", "mod b;\nmod c;"), ("a/b.rs", "use super::c::C;"), ("a/c.rs", "use crate::a::b::B;")];
    assert_eq!(cycles_of(&direct), ["a/b.rs ↔ a/c.rs"]);
    let through_an_export = [
        ("a/mod.rs", "mod b;\nmod c;\npub use c::C;"),
        ("a/b.rs", "use crate::a::C;"),
        ("a/c.rs", "use super::b;"),
    ];
    assert_eq!(cycles_of(&through_an_export), ["a/b.rs ↔ a/c.rs"]);
    let parent = [("a/mod.rs", "mod b;\nuse b::B;\npub struct A(B);"), ("a/b.rs", "use super::A;")];
    assert_eq!(cycles_of(&parent), ["a/mod.rs ↔ a/b.rs"]);
    let none = [("a/mod.rs", "mod b;\nmod c;\npub use b::B;"), ("a/b.rs", ""), ("a/c.rs", "use super::B;")];
    assert_eq!(cycles_of(&none), Vec::<String>::new());
}

fn definitions_in_mod_rs(source: &Source) -> Vec<String> {
    let files = source.files.iter().filter(|file| file.is_mod_rs());
    let mut offenders = Vec::new();
    for file in files {
        offenders.extend(file.definitions.iter().map(|line| file.at(*line)));
        if file.lines > MOD_RS_LINES {
            offenders.push(format!("src/{}: {} lines", file.path, file.lines));
        }
    }
    offenders
}

#[test]
fn mod_rs_introduces_and_defines_nothing() {
    assert_none("a definition in a mod.rs, or a long one", &definitions_in_mod_rs(Source::shared()));
    assert_catches(
        definitions_in_mod_rs,
        &[
            ("plan/mod.rs", "pub mod build;\nfn f() {}"),
            ("plan/mod.rs", "pub struct Plan;"),
            ("plan/mod.rs", &"\n".repeat(MOD_RS_LINES + 1)),
        ],
    );
}

/// The files and folders of `commands/`, without the `mod.rs`.
fn files_of_commands(source: &Source) -> BTreeSet<String> {
    let commands = source.files.iter().filter(|file| file.top_module() == "commands");
    commands.filter_map(|file| file.module.get(1).cloned()).collect()
}

#[test]
fn commands_has_a_file_for_each_subcommand() {
    let subcommands: BTreeSet<String> =
        Cli::command().get_subcommands().map(|command| command.get_name().replace('-', "_")).collect();
    assert_eq!(files_of_commands(Source::shared()), subcommands);
    let helper = Source::parse(&[("commands/mod.rs", "mod confirm;"), ("commands/confirm.rs", "")]);
    assert_eq!(files_of_commands(&helper), BTreeSet::from(["confirm".to_owned()]));
}

fn types_of_the_same_name(source: &Source) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in &source.files {
        for (line, name) in &file.public_types {
            places.entry(name).or_default().push(file.at(*line));
        }
    }
    let doubled = places.into_iter().filter(|(_, at)| at.len() > 1);
    doubled.map(|(name, at)| format!("{name}: {}", at.join(", "))).collect()
}

#[test]
fn a_public_type_name_is_defined_once() {
    assert_none("one name for two things", &types_of_the_same_name(Source::shared()));
    let twice = [("plan/a.rs", "pub struct Change;"), ("status/b.rs", "pub(crate) enum Change {}")];
    assert_eq!(types_of_the_same_name(&Source::parse(&twice)).len(), 1);
    let private = [("plan/a.rs", "pub struct Change;"), ("status/b.rs", "enum Change {}")];
    assert_eq!(types_of_the_same_name(&Source::parse(&private)), Vec::<String>::new());
}

fn request_texts(source: &Source) -> Vec<String> {
    let is_elsewhere =
        |file: &&File| !file.path.starts_with("cluster/client/") && file.path != "object/kind.rs";
    let mut offenders = Vec::new();
    for file in source.files.iter().filter(is_elsewhere) {
        let texts =
            file.strings.iter().filter(|(_, text)| REQUEST_TEXTS.iter().any(|form| text.contains(form)));
        offenders.extend(texts.map(|(line, text)| format!("{}: {text}", file.at(*line))));
    }
    offenders
}

#[test]
fn api_requests_are_built_in_one_place() {
    assert_none("a hand-made API request", &request_texts(Source::shared()));
    assert_catches(
        request_texts,
        &[
            ("cluster/inspect.rs", "fn f() { get(\"/apis/apps/v1/deployments\"); }"),
            ("cluster/inspect.rs", "fn f() { format!(\"?labelSelector={x}\"); }"),
            ("deploy/verify.rs", "fn f() { json!({ \"preconditions\": { \"uid\": uid } }); }"),
        ],
    );
}

fn banned_words(source: &Source) -> Vec<String> {
    let texts = source.files.iter().flat_map(|file| file.strings.iter().map(move |text| (file, text)));
    texts
        .flat_map(|(file, (line, text))| {
            words::offences_of_message(text)
                .into_iter()
                .map(move |offence| format!("{}: {offence}", file.at(*line)))
        })
        .collect()
}

#[test]
fn texts_use_no_banned_words() {
    assert_none("a word that only a reader of the source understands", &banned_words(Source::shared()));
    assert_catches(banned_words, &[("deploy/check.rs", "fn f() { error(\"the set was not changed\"); }")]);
}

/// The commands of kubectl about objects without a namespace, and those whose namespace a placeholder contains.
const KUBECTL_WITHOUT_NAMESPACE: &[&str] = &[
    "config ",
    "create namespace ",
    "delete namespace ",
    "label namespace ",
    "wait --for=delete namespace/",
    "get node ",
    "describe node",
    "get storageclass",
    "get ingressclass",
    "get pods -A",
    "uncordon ",
    "get validatingwebhookconfigurations,",
    // `{on}` is the object with its namespace.
    "patch {on} ",
    "annotate {on} ",
    "edit {on}",
    "describe resourcequota {namespace} ",
    // `{object}` is the object with its namespace, unless it has none.
    "logs {object}",
    "delete {object}",
    "describe {object}",
];
/// The files whose texts are about kubectl's commands and suggest none.
const ABOUT_KUBECTL: &[&str] = &["foreign_commands.rs", "command_line.rs"];

/// Returns the suggested commands of kubectl that lack a namespace, or whose verb gets no context.
fn kubectl_hints(source: &Source) -> Vec<String> {
    let verbs = include_str!("../../src/command_line.rs");
    let (_, verbs) = verbs.split_once("KUBECTL_VERBS: &[&str] = &[").unwrap();
    let verbs = verbs.split_once("];").unwrap().0;
    let mut offenders = Vec::new();
    for file in source.files.iter().filter(|file| !ABOUT_KUBECTL.contains(&file.path.as_str())) {
        for (line, text) in &file.strings {
            for command in text.split("kubectl ").skip(1) {
                // The verb comes first: the context is inserted before it.
                if command.starts_with("-n ") {
                    offenders.push(format!("{}: kubectl {command}", file.at(*line)));
                }
                let verb: String = command.chars().take_while(char::is_ascii_lowercase).collect();
                // `apply -f -` and `diff` are behind a pipe: their standard input has the namespace.
                let is_command = command[verb.len()..].starts_with([' ', '"']) && !command.contains("-f -");
                if !is_command || !(verbs.contains(&format!("\"{verb}\"")) || verb == "config") {
                    continue;
                }
                let has_namespace = command.contains(" -n ") || command.contains(" {namespace}");
                if !has_namespace && !KUBECTL_WITHOUT_NAMESPACE.iter().any(|known| command.starts_with(known))
                {
                    offenders.push(format!("{}: kubectl {command}", file.at(*line)));
                }
            }
        }
    }
    offenders
}

#[test]
fn suggested_kubectl_commands_have_their_namespace() {
    assert_none("a command of kubectl without its namespace", &kubectl_hints(Source::shared()));
    assert_catches(
        kubectl_hints,
        &[("deploy/check.rs", "fn f() { hint(\"kubectl describe resourcequota shows what is used\"); }")],
    );
}

fn reads_of_the_environment(source: &Source) -> Vec<String> {
    let is_elsewhere = |file: &&File| !READ_ENVIRONMENT.iter().any(|place| file.path.starts_with(place));
    let reads = ["env::var", "env::var_os", "env::vars", "env::vars_os", "Environment::read"];
    let mut offenders = Vec::new();
    for file in source.files.iter().filter(is_elsewhere) {
        let paths = file.paths.iter().filter(|path| reads.iter().any(|read| contains(&path.segments, read)));
        offenders.extend(paths.map(|path| format!("{}: {}", file.at(path.line), path.segments.join("::"))));
    }
    offenders
}

#[test]
fn environment_is_read_only_where_listed() {
    assert_none("a read of the environment", &reads_of_the_environment(Source::shared()));
    assert_catches(
        reads_of_the_environment,
        &[
            ("commands/up.rs", "fn f() { Environment::read(); }"),
            ("provider/command.rs", "fn f() { std::env::var(\"HOME\"); }"),
            ("cluster/client/connect.rs", "use std::env::var_os;"),
        ],
    );
}

fn empty_names(source: &Source) -> Vec<String> {
    let is_meaningless = |name: &str| EMPTY_NAMES.contains(&name.to_ascii_lowercase().as_str());
    let mut offenders = Vec::new();
    for file in &source.files {
        if file.module.iter().any(|name| is_meaningless(name)) {
            offenders.push(format!("src/{}", file.path));
        }
        let types = file.public_types.iter().filter(|(_, name)| is_meaningless(name));
        offenders.extend(types.map(|(line, name)| format!("{}: {name}", file.at(*line))));
    }
    offenders
}

#[test]
fn names_say_what_is_in_them() {
    assert_none("a meaningless name", &empty_names(Source::shared()));
    assert_catches(
        empty_names,
        &[
            ("plan/helpers.rs", ""),
            ("common/a.rs", ""),
            ("plan/build.rs", "pub struct Place;"),
            ("plan/build.rs", "pub(crate) enum Known {}"),
        ],
    );
}

/// Test files that no `mod` line of the suite names in the block of their folder.
fn forgotten_test_files(suite: &str, files: &[&str]) -> Vec<String> {
    let is_forgotten = |file: &&&str| {
        let (folder, name) = file.split_once('/').unwrap_or(("", file));
        let block = match folder {
            "" => suite,
            folder => {
                let rest = suite.split_once(&format!("mod {folder} {{")).map_or("", |(_, rest)| rest);
                rest.split('}').next().unwrap_or_default()
            }
        };
        !block.contains(&format!("mod {};", name.trim_end_matches(".rs")))
    };
    files.iter().filter(is_forgotten).map(|file| (*file).to_owned()).collect()
}

#[test]
fn every_test_file_is_part_of_the_suite() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = Vec::new();
    for folder in ["", "binary", "api_server", "browser", "containers"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.strip_suffix(".rs").is_some_and(|stem| stem != "suite") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    assert!(files.len() > 30, "{files:?}");
    let suite = std::fs::read_to_string(root.join("suite.rs")).unwrap();
    assert_none("a test file that nothing runs", &forgotten_test_files(&suite, &files));
    let suite = "mod bed;\nmod binary {\n    mod cli;\n}\nmod api_server {\n    mod state;\n}";
    let files = ["/bed.rs", "binary/cli.rs", "binary/state.rs", "api_server/state.rs"];
    assert_eq!(forgotten_test_files(suite, &files), ["binary/state.rs"]);
}
