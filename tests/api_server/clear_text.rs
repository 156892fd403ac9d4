//! Secrets that the user's own manifests have in clear text: no output and no file shows them.

use std::path::{Path, PathBuf};

use crate::bed::{Bed, Namespace, Run};
use crate::planted;

const CONFIG: &str = "[deploy]\nextra_manifests = [\"extra.yaml\"]\n";

fn write(namespace: &Namespace, manifests: &str) {
    namespace.config(CONFIG);
    std::fs::write(namespace.folder.path().join("extra.yaml"), manifests).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { paths.extend(files(&path)) } else { paths.push(path) }
    }
    paths
}

fn assert_hidden(secrets: &[String], run: &Run, command: &[&str]) {
    for secret in secrets {
        planted::assert_hidden(secret, &command.join(" "), &format!("{}{}", run.stdout, run.stderr));
    }
}

#[test]
fn secrets_of_extra_manifests_are_in_no_output() {
    let namespace = Bed::shared().namespace("clear-text");
    let (first, mut secrets) = planted::manifests("1", "busybox");
    let (second, more) = planted::manifests("2", "busybox");
    secrets.extend(more);
    write(&namespace, &first);
    let run = |command: &[&str]| {
        let run = namespace.handsctl(command);
        assert_hidden(&secrets, &run, command);
        run
    };
    run(&["diff"]).exits(1);
    run(&["deploy", "-vv", "--no-wait", "--events", "events"]).exits(0).says("HC0214");
    run(&["diff"]).exits(0);

    write(&namespace, &second);
    let diff = run(&["diff"]).exits(1);
    for field in
        ["data.password", "data.harmless", "data[\"app.yaml\"]", ".args", ".env[name=\"DB_PASSWORD\"].value"]
    {
        assert!(diff.stdout.contains(field), "{field} has changed:\n{}", diff.stdout);
    }
    assert!(diff.stdout.contains("example.org/api-token"), "{}", diff.stdout);
    for form in ["json", "yaml", "markdown"] {
        run(&["diff", "-o", form]).exits(1);
    }
    run(&["deploy", "--dry-run=server", "-v"]).exits(0);
    run(&["deploy", "-v", "--no-wait", "-o", "json"]).exits(0);
    for command in [
        &["history"][..],
        &["history", "2"],
        &["history", "2", "-o", "yaml"],
        &["history", "2", "-o", "json"],
        &["history", "diff"],
        &["history", "diff", "-o", "json"],
        &["history", "diff", "-o", "yaml"],
        &["diff", "--revision", "1"],
        &["diff", "--revision", "1", "-o", "json"],
        &["status"],
        &["status", "-o", "json"],
        &["rollback", "--to", "1", "--dry-run"],
    ] {
        run(command);
    }
    let shown = run(&["history", "2", "-o", "json"]).exits(0);
    assert!(
        shown.stdout.contains("(redacted)") && shown.stdout.contains("this is shown"),
        "{}",
        shown.stdout
    );
    // Fields that another manager takes.
    let theirs = planted::word("theirs");
    let patch = format!("{{\"data\":{{\"password\":\"{theirs}\",\"theirs_token\":\"{theirs}\"}}}}");
    namespace.bed.kubectl(&[
        "patch",
        "configmap",
        "side",
        "--type=merge",
        "-p",
        &patch,
        "-n",
        &namespace.name,
    ]);
    for command in
        [&["diff"][..], &["diff", "-o", "json"], &["deploy", "-v"], &["deploy", "-o", "json"], &["status"]]
    {
        let run = run(command);
        planted::assert_hidden(&theirs, &command.join(" "), &format!("{}{}", run.stdout, run.stderr));
    }
    run(&["deploy"]).exits(7).says(".data.password").says("(redacted)");
    for path in files(namespace.folder.path()) {
        if !path.ends_with("extra.yaml") {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for secret in &secrets {
                planted::assert_hidden(secret, &path.display().to_string(), &text);
            }
        }
    }
}

#[test]
fn evidence_folder_has_no_secret_of_a_manifest() {
    let namespace = Bed::shared().namespace("clear-evidence");
    let image = "registry.example/simulate-image-pull-backoff:1";
    let (manifests, secrets) = planted::manifests("1", image);
    write(&namespace, &manifests);
    let command = ["deploy", "--evidence", "kept", "--events", "events"];
    let run = namespace.handsctl(&command).exits(9);
    assert_hidden(&secrets, &run, &command);
    let kept = files(&namespace.folder.path().join("kept"));
    let names: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    assert!(names.iter().any(|name| name.ends_with("deployment-side.yaml")), "{names:?}");
    for path in kept.iter().chain([&namespace.folder.path().join("events")]) {
        let text = std::fs::read_to_string(path).unwrap();
        for secret in &secrets {
            planted::assert_hidden(secret, &path.display().to_string(), &text);
        }
    }
}
