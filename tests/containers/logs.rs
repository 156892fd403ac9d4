//! `logs -f` across everything that ends its connections, with numbered lines of ten pods.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::kind::{BUSYBOX, READY, Site, docker, one_at_a_time, wait_until};

const PODS: usize = 10;
/// Writes `RUN NUMBER …` ten times a second, and `RUN COUNT END` at the end, which a file or a signal causes.
const WRITER: &str = concat!(
    "run=$(cut -c1-8 /proc/sys/kernel/random/uuid); i=0; pad=$(printf %0180d 0); ",
    "end() { echo \"$run $i END\"; exit $1; }; trap \"end 0\" TERM; ",
    "while [ ! -e /tmp/crash ]; do n=0; ",
    "while [ $n -lt $LINES ]; do echo \"$run $i $pad\"; i=$((i+1)); n=$((n+1)); done; ",
    "sleep 0.1; done; end 1",
);

/// A cluster with writers.
fn writers(test: &str, pods: usize, lines: u32) -> Site {
    let site = Site::with_workers(test, 0);
    site.handsctl(&["cluster", "up", "--timeout", "12m"]).exits(0);
    site.kubectl(&["create", "namespace", "openhands"]);
    let labels = json!({ "app": "writer" });
    let container = json!({
        "name": "w", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", WRITER],
        "env": [{ "name": "LINES", "value": lines.to_string() }],
    });
    site.create(
        "openhands",
        &json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "writer" },
            "spec": {
                "serviceName": "none", "podManagementPolicy": "Parallel", "replicas": pods,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "terminationGracePeriodSeconds": 5, "containers": [container] },
                },
            },
        }),
    );
    wait_until("the writers run", READY, || ready_pods(&site) == Some(pods));
    site
}

/// The number of ready writers; None while the API server does not respond.
fn ready_pods(site: &Site) -> Option<usize> {
    let node = format!("{}-control-plane", site.own.cluster);
    let kubectl = ["exec", &node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "-n", "openhands"];
    let output = Command::new("docker").args(kubectl).args(["get", "pods", "-o", "json"]).output().unwrap();
    let pods: Value = serde_json::from_slice(&output.stdout).ok()?;
    let is_ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
    Some(pods["items"].as_array()?.iter().filter(is_ready).count())
}

#[test]
#[ignore = "needs a container engine and busybox, see CONTRIBUTING.md"]
fn every_line_of_ten_pods_is_printed_once_whatever_restarts() {
    let _guard = one_at_a_time();
    let site = writers("lines", PODS, 100);
    let node = format!("{}-control-plane", site.own.cluster);
    let file = site.own.home.join("lines");
    let mut command = site.command(&["logs", "-f", "statefulset/writer", "--prefix"]).into_command();
    command.stdout(File::create(&file).unwrap()).stderr(Stdio::null());
    let mut follow = command.spawn().unwrap();
    let seconds = |count| std::thread::sleep(Duration::from_secs(count));

    seconds(5);
    site.kubectl(&["delete", "pod", "writer-3", "--wait=false"]);
    seconds(3);
    site.kubectl(&["exec", "writer-5", "--", "touch", "/tmp/crash"]);
    seconds(5);
    docker(&["exec", &node, "systemctl", "restart", "kubelet"]);
    seconds(8);
    docker(&["exec", &node, "pkill", "-KILL", "kube-apiserver"]);
    wait_until("the API server responds again", READY, || ready_pods(&site) == Some(PODS));
    seconds(9);
    wait_until("the writers are asked to end", READY, || {
        let kubectl =
            ["exec", &node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "-n", "openhands"];
        let scale = ["scale", "statefulset/writer", "--replicas=0"];
        Command::new("docker").args(kubectl).args(scale).output().unwrap().status.success()
    });
    wait_until("the writers have ended", READY, || ready_pods(&site) == Some(0));
    // The kubelet looks every 5 s whether a container of a followed log has ended.
    seconds(8);
    kill_process(Pid::from_child(&follow), Signal::INT).unwrap();
    assert_eq!(follow.wait().unwrap().code(), Some(130));

    let (mut next, mut ended, mut gaps) = (BTreeMap::new(), 0, Vec::new());
    for line in BufReader::new(File::open(&file).unwrap()).lines().map(Result::unwrap) {
        if line.starts_with("-- gap: ") {
            gaps.push(line);
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let number: u64 = words[3].parse().unwrap();
        let expected = next.entry((words[0].to_owned(), words[2].to_owned())).or_insert(0);
        if words[4] == "END" {
            // The signal may reach the shell between a line and the count of it.
            assert!([number, number + 1].contains(expected), "{expected} expected: {line}");
            ended += 1;
        } else {
            assert_eq!(number, *expected, "{line}");
            *expected += 1;
        }
    }
    eprintln!("{} lines", next.values().sum::<u64>());
    assert_eq!((next.len(), ended), (PODS + 2, PODS + 2), "{next:?}");
    assert!(next.values().sum::<u64>() > 100_000, "{next:?}");
    assert_eq!(gaps, Vec::<String>::new());
}

#[test]
#[ignore = "needs a container engine and busybox, see CONTRIBUTING.md"]
fn lines_that_are_rotated_away_unread_are_a_gap() {
    let _guard = one_at_a_time();
    // More than 10 MiB in 10 s, the size and the interval at which the kubelet rotates.
    let site = writers("rotation", 1, 1500);
    let mut follow = site.command(&["logs", "-f", "statefulset/writer"]).spawn();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.ends_with('0'), "{first}");
    // Nobody reads while the kubelet rotates several times.
    std::thread::sleep(Duration::from_secs(60));
    let (mut next, mut gaps, mut is_after_gap) = (1_u64, 0, false);
    while gaps == 0 || is_after_gap {
        let line = lines.next().unwrap();
        if line.starts_with("-- gap: lines of pod/writer-0 container w between ") {
            (gaps, is_after_gap) = (gaps + 1, true);
            continue;
        }
        let number: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(number == next || (is_after_gap && number > next), "{next} expected: {line}");
        (next, is_after_gap) = (number + 1, false);
    }
    // After the gap no line is missing or repeated.
    for _ in 0..20_000 {
        let line = lines.next().unwrap();
        if line.starts_with("-- gap: ") {
            break;
        }
        let number: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(number, next, "{line}");
        next += 1;
    }
    kill_process(Pid::from_child(&follow), Signal::INT).unwrap();
    drop(lines);
    follow.wait().unwrap();
}
