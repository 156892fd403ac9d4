//! Backups of the real application: what it stores comes back, and an interruption costs nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::kind::{READY, Site, shared, wait_until};

/// Reads a path of the application's API in its own container, as JSON.
const READ: &str = "python3 -c 'import json,sys,urllib.request; print(urllib.request.urlopen(\"http://localhost:3000\" + sys.argv[1]).read().decode())' ";

/// Settings and conversations as the application of a namespace reports them.
fn state(site: &Site, namespace: &str) -> (Value, Vec<String>) {
    let read = |path: &str| -> Value {
        let script = format!("{READ}{path}");
        let text = site.kubectl(&["-n", namespace, "exec", "deploy/openhands", "--", "sh", "-c", &script]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    };
    let conversations = read("/api/conversations");
    let ids = conversations["results"].as_array().unwrap().iter();
    let mut ids: Vec<String> = ids.map(|it| it["conversation_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    (read("/api/settings"), ids)
}

fn replicas(site: &Site, namespace: &str) -> Value {
    site.get(&["-n", namespace, "deployment", "openhands"])["spec"]["replicas"].clone()
}

fn volume_pods(site: &Site, namespace: &str) -> usize {
    let pods = site.get(&["-n", namespace, "pods", "-l", "handsctl.dev/volume-of"]);
    pods["items"].as_array().map_or(0, Vec::len)
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Starts a command with an events file, and waits until this step has begun or ended.
fn started_until(
    site: &Site,
    arguments: &[&str],
    events: &Path,
    step: &str,
    action: &str,
) -> std::process::Child {
    let events_flag = events.to_str().unwrap();
    let child = site.command(&[arguments, &["--events", events_flag]].concat()).spawn();
    wait_until(step, READY, || {
        let text = std::fs::read_to_string(events).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|event| {
            event["name"].as_str().is_some_and(|name| name.starts_with(step)) && event["action"] == action
        })
    });
    child
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn backup_of_settings_and_conversation_is_restored_elsewhere() {
    let (site, _, _guard) = shared();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let file = path("before.tar.gz");
    let file_name = file.to_str().unwrap().to_owned();
    let conversation = site.start_conversation();
    site.run_in_sandbox(&conversation, "echo precious > /workspace/p.txt; ln -s /etc/passwd /workspace/out");
    let (settings, conversations) = state(site, "openhands");
    assert!(conversations.contains(&conversation.id), "{conversations:?}");

    let backup = site.handsctl(&["backup", &file_name, "--sandboxes"]).exits(0);
    let backup =
        backup.says("its state and ").says("only its owner may read it").says("out (a link that leads out");
    backup.hides("sk-planted");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    site.handsctl(&["backup", &file_name]).exits(2).says("a backup never replaces a file");
    let described = site.handsctl(&["restore", &file_name, "--dry-run", "-o", "json"]).exits(0).json();
    assert_eq!(described["version"], "0.59");
    let volumes = described["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|it| it["claim"] == format!("{}-pvc", conversation.pod)), "{described}");

    // A fresh installation: its settings are data already.
    let fresh = [
        "-n",
        "fresh",
        "--set",
        "deploy.host=\"fresh.localhost\"",
        "--set",
        "kubernetes.namespace=\"fresh\"",
    ];
    let in_fresh = |arguments: &[&str]| site.handsctl(&[arguments, &fresh].concat());
    site.handsctl(&["restore", &file_name, "-n", "nothing"])
        .exits(12)
        .says(" creates the installation with an empty volume");
    in_fresh(&["deploy"]).exits(0);
    in_fresh(&["restore", &file_name]).exits(2).says("HC5032").says("settings");
    let events = path("events");
    let restore = ["restore", &file_name, "--delete-data", "--yes"];

    // Killed while the files are beside the earlier ones.
    let before = state(site, "fresh");
    let mut child = started_until(site, &[&restore[..], &fresh].concat(), &events, "write state", "done");
    child.kill().unwrap();
    child.wait().unwrap();
    in_fresh(&["deploy"]).exits(0);
    assert_eq!(state(site, "fresh"), before, "the earlier files");

    in_fresh(&restore).exits(0).says("restored ").hides("sk-planted");
    assert_eq!(state(site, "fresh"), (settings, conversations));
    assert_eq!(replicas(site, "fresh"), 1);
    assert_eq!(volume_pods(site, "fresh"), 0);
    in_fresh(&["diff"]).exits(0);
    let left = site.kubectl(&["-n", "fresh", "exec", "deploy/openhands", "--", "ls", "-A", "/.openhands"]);
    assert!(!left.contains("handsctl"), "{left}");
    let again = path("again.tar.gz");
    in_fresh(&["backup", again.to_str().unwrap(), "--sandboxes"]).exits(0);
    let copy =
        site.handsctl(&["restore", again.to_str().unwrap(), "--dry-run", "-o", "json"]).exits(0).json();
    let sizes = |description: &Value| -> Vec<(Value, Value)> {
        let volumes = description["volumes"].as_array().unwrap().iter();
        volumes.map(|it| (it["name"].clone(), it["files"].clone())).collect()
    };
    assert_eq!(sizes(&copy), sizes(&described));
    in_fresh(&["restore", &file_name]).exits(2).says("HC5032");
    in_fresh(&["teardown", "--delete-data", "--delete-namespace", "--delete-foreign", "--yes"]).exits(0);
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn interrupted_backup_leaves_no_file_and_starts_the_application() {
    let (site, _, _guard) = shared();
    let folder = tempfile::tempdir().unwrap();
    let (file, events) = (folder.path().join("b.tar.gz"), folder.path().join("events"));
    let backup = ["backup", file.to_str().unwrap(), "--stop"];
    for (step, action) in [("stop", "begun"), ("mount ", "begun"), ("mount ", "done")] {
        let child = started_until(site, &backup, &events, step, action);
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let run = crate::bed::finish(child);
        assert_eq!(run.code, Some(130), "{}", run.stderr);
        // The copy of a small volume may be complete before the signal arrives.
        if (step, action) == ("mount ", "done") && file.exists() {
            std::fs::remove_file(&file).unwrap();
        }
        assert_eq!(names(folder.path()), ["events"], "after {step} {action}");
        assert_eq!((replicas(site, "openhands"), volume_pods(site, "openhands")), (1.into(), 0));
        std::fs::remove_file(&events).unwrap();
    }
    site.handsctl(&backup)
        .exits(0)
        .says("consistent: the application was stopped")
        .within(Duration::from_secs(120));
    site.handsctl(&["diff"]).exits(0);
    assert_eq!(names(folder.path()), ["b.tar.gz"]);
}
