//! What a pipeline reads of a command without a cluster: annotations, sections, JUnit XML, schemas.

use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::{in_home, run_in_home};
use crate::planted;

/// A mistake on line 2, and text that ends XML and Markdown.
const MISTAKE: &str = "[deploy]\nhots = \"</failure> ]]> & `x`\"\n";

fn with_config(text: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

/// The names of the cases with a failure, in a report that is valid XML.
fn failed_cases(path: &Path) -> Vec<String> {
    let xml = std::fs::read_to_string(path).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let failed = cases.filter(|case| case.children().any(|child| child.has_tag_name("failure")));
    failed.map(|case| case.attribute("name").unwrap().to_owned()).collect()
}

pub(crate) fn schema(name: &str) -> Validator {
    let home = TempDir::new().unwrap();
    let schema = run_in_home(home.path(), &["schema", name]).exits(0).json();
    assert!(schema["title"].as_str().unwrap().contains("handsctl"), "{schema}");
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Panics with the mistakes if the value does not match the schema.
pub(crate) fn assert_matches(schema: &Validator, value: &Value) {
    let mistakes: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(mistakes.is_empty(), "{mistakes:?} in {value}");
}

#[test]
fn annotation_names_the_file_from_the_top_of_the_repository() {
    let workspace = TempDir::new().unwrap();
    let folder = workspace.path().join("repository/sub");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), MISTAKE).unwrap();
    let run = || {
        in_home(&folder, &["config", "check"])
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", workspace.path())
            .run()
            .exits(3)
    };
    run().says("\n::error file=repository/sub/config.toml,line=2,col=1,");
    std::fs::create_dir(workspace.path().join("repository/.git")).unwrap();
    run().says("\n::error file=sub/config.toml,line=2,col=1,");
}

#[test]
fn gitlab_job_of_a_failed_deploy_has_no_open_section() {
    let home = with_config(MISTAKE);
    let run = in_home(home.path(), &["deploy"]).env("GITLAB_CI", "true").env("CI", "true").run().exits(3);
    let marks = |mark: &str| run.stderr.matches(&format!("\u{1b}[0Ksection_{mark}:")).count();
    assert_eq!(marks("start"), marks("end"), "{}", run.stderr);
    let run = in_home(home.path(), &["deploy"]).run().exits(3);
    assert!(!run.stderr.contains("section_"), "only in GitLab: {}", run.stderr);
}

#[test]
fn config_check_writes_junit_with_every_mistake() {
    let secret = planted::secret("junit");
    let home = with_config(&format!("{MISTAKE}[llm]\napi_key = {}\n", Value::from(secret.as_str())));
    let report = home.path().join("report.xml");
    let words = ["config", "check", "--junit", report.to_str().unwrap()];
    let run = run_in_home(home.path(), &words).exits(3);
    let failed = failed_cases(&report);
    assert!(failed.iter().any(|name| name.contains(" config.toml:2:1: unknown key")), "{failed:?}");
    assert_eq!(failed.last().unwrap(), "handsctl config check");
    planted::assert_hidden(&secret, "junit", &std::fs::read_to_string(&report).unwrap());
    assert!(run.stderr.contains("HC01"), "people still read it: {}", run.stderr);

    std::fs::write(home.path().join("config.toml"), "").unwrap();
    run_in_home(home.path(), &words).exits(0);
    assert_eq!(failed_cases(&report), [""; 0]);
}

#[test]
fn config_check_reports_each_warning_and_the_error_as_events() {
    let events = |home: &TempDir, code: i32| -> Vec<Value> {
        let file = home.path().join("events");
        run_in_home(home.path(), &["config", "check", "--events", file.to_str().unwrap()]).exits(code);
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let types = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect()
    };
    let lines = events(&with_config("[llm]\napi_key = { env = \"NOT_SET\" }\n"), 0);
    assert_eq!(types(&lines), ["started", "config", "warning", "finished"]);
    assert_eq!(lines[2]["id"], "HC0330");
    let lines = events(&with_config(MISTAKE), 3);
    assert_eq!(types(&lines), ["started", "finished"]);
    assert_eq!(lines[1]["error"]["diagnostics"].as_array().map(Vec::len), Some(1), "{}", lines[1]);
}

#[test]
fn doctor_reports_its_checks_as_events_and_as_junit() {
    let home = with_config("[cluster]\nprovider = \"existing\"\n");
    let (events, report) = (home.path().join("events"), home.path().join("report.xml"));
    let words = ["doctor", "--events", events.to_str().unwrap(), "--junit", report.to_str().unwrap()];
    let run = run_in_home(home.path(), &words);
    assert_eq!(run.code, Some(4), "no cluster: {}", run.stderr);
    let text = std::fs::read_to_string(&events).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert_matches(&schema("events"), line);
    }
    let cluster = lines.iter().find(|line| line["type"] == "check" && line["category"] == "api");
    let cluster = cluster.unwrap_or_else(|| panic!("{text}"));
    assert_eq!((&cluster["result"], &cluster["problem"]["exit"]), (&Value::from("failed"), &Value::from(4)));
    assert_eq!(
        (&lines[lines.len() - 1]["type"], &lines[lines.len() - 1]["exit"]),
        (&"finished".into(), &4.into())
    );
    let failed = failed_cases(&report);
    assert!(
        failed.contains(&"cluster".to_owned()) && failed.contains(&"handsctl doctor".to_owned()),
        "{failed:?}"
    );
}

#[test]
fn deploy_that_fails_early_writes_junit_with_its_error() {
    let home = with_config(MISTAKE);
    let report = home.path().join("report.xml");
    run_in_home(home.path(), &["deploy", "--junit", report.to_str().unwrap()]).exits(3);
    assert_eq!(failed_cases(&report), ["handsctl deploy"]);
    assert!(std::fs::read_to_string(&report).unwrap().contains("unknown key"), "with its diagnostics");
    run_in_home(home.path(), &["deploy", "--junit", "/no/such/report.xml"])
        .exits(2)
        .says("/no/such/report.xml");
}

#[test]
fn failures_match_their_schemas() {
    let home = with_config(MISTAKE);
    let json = |words: &[&str]| run_in_home(home.path(), words).exits(3).json();
    assert_matches(&schema("failure"), &json(&["status", "-o", "json"]));
    assert_matches(&schema("deploy"), &json(&["deploy", "-o", "json"]));
    assert_matches(&schema("check"), &json(&["config", "check", "-o", "json"]));
    let run = run_in_home(home.path(), &["deploy", "--events", "-"]).exits(3);
    let events = schema("events");
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 1, "{}", run.stdout);
    for line in &lines {
        assert_matches(&events, line);
    }
}

#[test]
fn results_without_a_cluster_match_their_schemas() {
    let home = with_config("[cluster]\nprovider = \"kwok\"\n");
    let state = home.path().join(".local/state/handsctl/clusters/old");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("handsctl.json"), "{}").unwrap();
    let matches = |name: &str, code: i32, words: &[&str]| {
        let words = [words, &["-o", "json"]].concat();
        assert_matches(&schema(name), &run_in_home(home.path(), &words).exits(code).json());
    };
    matches("version", 0, &["version", "--client"]);
    matches("version", 0, &["version"]);
    matches("cluster-list", 0, &["cluster", "list"]);
    matches("cluster-status", 12, &["cluster", "status"]);
    matches("show", 0, &["config", "show"]);
    matches("show", 0, &["config", "show", "--origin"]);
    matches("rbac", 0, &["rbac"]);
}
