//! What a pipeline reads of a command on a real API server: schemas, summaries, JUnit XML, and a status to wait for.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::refusals::wait_for_output;
use crate::bed::{Bed, Namespace, in_home};
use crate::binary::pipelines::{assert_matches, schema};

fn deployed(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace
}

/// Scales the application to zero, and waits until it has no pod.
fn stop(namespace: &Namespace) {
    namespace.bed.kubectl(&["scale", "deployment/oh", "--replicas=0", "-n", &namespace.name]);
    let pods = ["get", "pods", "-n", &namespace.name, "-o", "name"];
    wait_for_output(namespace.bed, &pods, |text| text.trim().is_empty());
}

fn events(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn outputs_match_their_schemas() {
    let namespace = Bed::shared().namespace("schemas");
    let path = namespace.folder.path().join("events");
    let file = path.to_str().unwrap();
    let deploy = namespace.handsctl(&["deploy", "-o", "json", "--events", file]).exits(0).json();
    assert_matches(&schema("deploy"), &deploy);
    let line = schema("events");
    assert!(events(&path).len() > 20);
    for event in events(&path) {
        assert_matches(&line, &event);
    }
    assert_matches(&schema("status"), &namespace.handsctl(&["status", "-o", "json"]).exits(0).json());
    namespace.config("[deploy]\nhost = \"other.example\"\n");
    let diff = namespace.handsctl(&["diff", "-o", "json", "--events", file]).exits(1).json();
    assert_matches(&schema("diff"), &diff);
    assert_eq!(diff["different"], true);
    let finished = events(&path).pop().unwrap();
    assert_eq!((&finished["type"], &finished["exit"]), (&"finished".into(), &1.into()), "{finished}");
    stop(&namespace);
    let down = namespace.handsctl(&["status", "-o", "json", "--events", file]).exits(12).json();
    assert_matches(&schema("status"), &down);
    assert!(!down["findings"].as_array().unwrap().is_empty(), "{down}");
    let types: Vec<Value> = events(&path).into_iter().map(|event| event["type"].clone()).collect();
    assert!(types.contains(&"finding".into()) && types.contains(&"rollout".into()), "{types:?}");
    let words = ["list", "-n", &namespace.name, "--context", &namespace.bed.context, "-o", "json"];
    let list = in_home(namespace.folder.path(), &words).env("KUBECONFIG", &namespace.bed.kubeconfig).run();
    assert_matches(&schema("list"), &list.exits(0).json());
}

#[test]
fn waiting_status_ends_when_the_application_is_healthy() {
    let namespace = deployed("status-wait");
    stop(&namespace);
    let words = ["status", "--wait-for=healthy", "--timeout", "3s", "-o", "json"];
    let run = namespace.handsctl(&words).exits(12);
    assert_eq!(run.json()["verdict"], "down", "at the time limit the last status is the result");

    let path = namespace.folder.path().join("events");
    let words = ["status", "--wait-for=healthy", "--timeout", "60s", "--events", path.to_str().unwrap()];
    let run = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| namespace.handsctl(&words));
        let limit = Instant::now() + Duration::from_secs(30);
        let is_seen = |event: &Value| event["type"] == "rollout" && event["ready"] == false;
        while !events(&path).iter().any(is_seen) {
            assert!(Instant::now() < limit && !waiting.is_finished(), "{:?}", events(&path));
            std::thread::sleep(Duration::from_millis(100));
        }
        namespace.bed.kubectl(&["scale", "deployment/oh", "--replicas=1", "-n", &namespace.name]);
        waiting.join().unwrap()
    });
    let run = run.exits(0).says("deployment.apps/oh 1/1");
    assert!(run.stdout.starts_with("oh  healthy"), "{}", run.stdout);
    assert_eq!(events(&path).pop().unwrap()["exit"], 0);
}

#[test]
fn diff_and_status_write_markdown_for_a_pull_request() {
    let namespace = deployed("markdown");
    namespace.config("[deploy]\nhost = \"other.example\"\n");
    let markdown = namespace.handsctl(&["diff", "-o", "markdown"]).exits(1).stdout;
    assert!(markdown.starts_with("### handsctl diff: "), "{markdown}");
    assert!(markdown.contains("<details><summary><code>ingress.networking.k8s.io/oh</code>"), "{markdown}");
    assert!(markdown.contains("```diff\n") && markdown.contains("\n+   other.example\n"), "{markdown}");
    let summary = namespace.folder.path().join("summary");
    let in_github = |words: &[&str]| {
        let command = namespace.command(words).env("GITHUB_ACTIONS", "true");
        command.env("GITHUB_STEP_SUMMARY", &summary).run()
    };
    in_github(&["diff"]).exits(1);
    assert_eq!(std::fs::read_to_string(&summary).unwrap(), markdown);
    stop(&namespace);
    in_github(&["status"]).exits(12);
    let text = std::fs::read_to_string(&summary).unwrap();
    let status = text.strip_prefix(&markdown).unwrap();
    assert!(
        status.contains("### handsctl status") && status.contains("| verdict | down (exit 12) |"),
        "{status}"
    );
}

#[test]
fn junit_has_the_objects_of_a_deploy_and_the_findings_of_a_status() {
    let namespace = Bed::shared().namespace("junit");
    let path = namespace.folder.path().join("report.xml");
    let report = |words: &[&str], exit: i32| {
        namespace.handsctl(&[words, &["--junit", path.to_str().unwrap()]].concat()).exits(exit);
        std::fs::read_to_string(&path).unwrap()
    };
    let xml = report(&["deploy"], 0);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let names: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"))
        .filter_map(|node| node.attribute("name"))
        .collect();
    let deployment = format!("deployment.apps/oh in {}", namespace.name);
    assert!(names.contains(&deployment.as_str()) && names.contains(&"handsctl deploy"), "{names:?}");
    assert!(!xml.contains("<failure"), "{xml}");
    stop(&namespace);
    let xml = report(&["status"], 12);
    roxmltree::Document::parse(&xml).unwrap();
    assert!(xml.contains("<failure") && xml.contains(&deployment), "{xml}");
}
