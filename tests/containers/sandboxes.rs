//! `exec` and `sandbox` with the real application: bytes and exit codes of commands, and what a killed application leaves.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use super::kind::{Conversation, READY, Site, docker, is_ready, shared, wait_until};

/// Kills the container of a pod with SIGKILL.
fn kill(site: &Site, pod: &str) {
    let pod = site.get(&["pod", pod]);
    let container = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    let scope = format!("cri-containerd-{}.scope", container.trim_start_matches("containerd://"));
    let node = format!("{}-control-plane", site.own.cluster);
    docker(&["exec", &node, "systemctl", "kill", "-s", "KILL", &scope]);
}

/// Kind, name and UID of every object that a clean-up could reach, in all namespaces.
fn objects(site: &Site) -> BTreeSet<String> {
    let kinds = "pods,services,ingresses,pvc,configmaps,secrets,deployments,roles,rolebindings";
    let columns = "custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name,U:.metadata.uid";
    let text = site.kubectl(&["get", kinds, "-A", "--no-headers", "-o", columns]);
    // Pods of the cluster itself may be restarted, and leases are renewed.
    let lines = text.lines().filter(|line| !line.contains("kube-system"));
    // The width of the columns follows from their longest cell.
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The names of the objects that are gone.
fn deleted(before: &BTreeSet<String>, after: &BTreeSet<String>) -> BTreeSet<String> {
    let name = |line: &String| line.split_whitespace().nth(2).unwrap_or_default().to_owned();
    before.difference(after).map(name).collect()
}

fn note_of(site: &Site, conversation: &Conversation) -> (String, Option<String>) {
    let list = site.handsctl(&["sandbox", "list", "-o", "json"]).exits(0).json();
    let mut items = list.as_array().unwrap().iter();
    let item = items.find(|item| item["conversation"] == conversation.id.as_str()).unwrap();
    (item["known"].as_str().unwrap().to_owned(), item["note"].as_str().map(str::to_owned))
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn command_in_a_container_keeps_bytes_and_exit_code() {
    let (site, _, _guard) = shared();
    let input: Vec<u8> = (0..5 * 1024 * 1024_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    let mut command = site.command(&["exec", "-i", "--", "cat"]).into_command();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = input.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == input, "{} of {} bytes, or others", output.stdout.len(), input.len());

    let run = site.handsctl(&["exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).exits(7);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("out\n", "err\n"));
    for (program, code, reason) in [
        ("no-such-program", 127, "the container has no such program"),
        ("", 127, "the container has no such program"),
        ("/etc/passwd", 126, "the container cannot execute this file"),
    ] {
        let run = site.handsctl(&["exec", "--", program]).exits(code);
        assert!(run.stderr.starts_with(&format!("cannot run `{program}` in pod/")), "{run:?}");
        assert!(run.stderr.ends_with(&format!("{reason}\n")) && run.stderr.lines().count() == 1, "{run:?}");
    }
    let shell = site.command(&["exec"]).run_with("echo shell-$((40 + 2)); exit 4\n").exits(4);
    assert_eq!(shell.stdout, "shell-42\n");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn gc_clears_what_a_killed_application_leaves() {
    let (site, _, _guard) = shared();
    let (ended, deleted_by_user) = (site.start_conversation(), site.start_conversation());
    site.handsctl(&["sandbox", "exec", &ended.id[..12], "--", "sh", "-c", "echo file > /workspace/f"])
        .exits(0);
    kill(site, site.pod()["metadata"]["name"].as_str().unwrap());
    kill(site, &ended.pod);
    wait_until("the application is restarted and the sandbox has ended", READY, || {
        let app = site.pod();
        let phase = site.get(&["pod", &ended.pod])["status"]["phase"].clone();
        app["status"]["containerStatuses"][0]["restartCount"] != 0 && is_ready(&app) && phase == "Failed"
    });
    let (known, note) = note_of(site, &ended);
    assert_eq!(known, "yes");
    assert!(note.unwrap().starts_with("blocks its conversation"));
    assert_eq!(note_of(site, &deleted_by_user), ("yes".to_owned(), None));

    let before = objects(site);
    site.handsctl(&["sandbox", "gc", "--delete-data"]).exits(2).says("--yes confirms it");
    site.handsctl(&["sandbox", "gc", "--delete-data", "--dry-run"]).exits(0).says("4 objects of namespace");
    assert_eq!(objects(site), before);
    site.handsctl(&["sandbox", "gc", "--delete-data", "--yes"]).exits(0).says("4 objects deleted");
    let after = objects(site);
    let of = |conversation: &Conversation, suffixes: &[&str]| -> BTreeSet<String> {
        suffixes.iter().map(|suffix| format!("{}{suffix}", conversation.pod)).collect()
    };
    let names = deleted(&before, &after);
    assert_eq!(
        names,
        of(&ended, &["", "-svc", "-svc-code", "-ingress-code"]),
        "the claim of a known conversation stays"
    );
    assert!(after.is_subset(&before));

    // After a restart the application deletes a conversation, and none of its objects (it has forgotten their namespace).
    let node = format!("{}-control-plane", site.own.cluster);
    let script = format!(
        "import urllib.request as u; print(u.urlopen(u.Request('http://localhost:3000/api/conversations/{}', method='DELETE')).read())",
        deleted_by_user.id
    );
    let kubectl = ["exec", &node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "-n", "openhands"];
    docker(&[&kubectl[..], &["exec", "deploy/openhands", "--", "python", "-c", &script]].concat());
    assert_eq!(note_of(site, &deleted_by_user).0, "no");
    site.handsctl(&["sandbox", "gc", "--yes"]).exits(0).says("--delete-data deletes it");
    wait_until("its pod is gone", READY, || {
        site.kubectl(&["get", "pod", "--ignore-not-found", "-o", "name", &deleted_by_user.pod]).is_empty()
    });
    site.claim(&deleted_by_user);
    site.handsctl(&["sandbox", "gc", "--yes", "--delete-data"]).exits(0).says("1 object deleted");
    let names = deleted(&after, &objects(site));
    assert_eq!(names, of(&deleted_by_user, &["", "-svc", "-svc-code", "-ingress-code", "-pvc"]));
    site.claim(&ended);
    site.kubectl(&["delete", "pvc", &format!("{}-pvc", ended.pod)]);
}
