//! `logs` on a real API server. All simulated pods share one log file, so each test marks its own lines.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::refusals::account;
use crate::bed::{Bed, CommandLine, Namespace, OwnCluster, Run, finish};
use crate::planted;

/// Time limit of each wait, on a busy computer.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// Appends a line of this age to the log of all pods.
fn append(bed: &Bed, line: &str, age: SignedDuration) {
    let time = Timestamp::now() - age;
    let mut file = std::fs::File::options().append(true).open(&bed.pod_log).unwrap();
    // One write call, because other tests append too.
    file.write_all(format!("{time:.9} stdout F {line}\n").as_bytes()).unwrap();
}

pub(super) fn append_now(bed: &Bed, line: &str) {
    append(bed, line, SignedDuration::ZERO);
}

/// The lines of stdout that contain the mark.
fn marked<'a>(run: &'a Run, mark: &str) -> Vec<&'a str> {
    run.stdout.lines().filter(|line| line.contains(mark)).collect()
}

fn deployed(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace
}

#[test]
fn forbidden_log_exits_6() {
    let namespace = deployed("forbidden-log");
    let read = json!([
        { "apiGroups": ["", "apps"], "resources": ["pods", "deployments", "secrets", "configmaps"], "verbs": ["get", "list", "watch"] },
    ]);
    let kubeconfig = account(&namespace, &read);
    for format in [&["logs"][..], &["logs", "-o", "json"]] {
        let run = namespace.command(format).env("KUBECONFIG", &kubeconfig).run().exits(6);
        assert!(
            run.stderr.contains("cannot read the log of pod/oh-") || run.stdout.contains("pods/log"),
            "{run:?}"
        );
    }
}

/// Names of the running pods.
fn pods(namespace: &Namespace) -> Vec<String> {
    let list = namespace.bed.get(&["pods", "-n", &namespace.name, "--field-selector=status.phase=Running"]);
    let items = list["items"].as_array().unwrap().iter();
    items
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A running `logs -f`. Dropping the value kills it.
struct FollowedLogs {
    child: Child,
    lines: Receiver<String>,
    messages: Receiver<String>,
}

impl FollowedLogs {
    fn start(command: CommandLine) -> Self {
        let mut child = command.spawn();
        let stdout = child.stdout.take().unwrap();
        let messages = read_lines(child.stderr.take().unwrap());
        Self { lines: read_lines(stdout), messages, child }
    }

    /// Waits for a line of a log with this mark.
    fn line(&self, mark: &str) -> String {
        Self::wait_for(&self.lines, mark)
    }

    /// Waits for a line on stderr with this text.
    fn message(&self, text: &str) -> String {
        Self::wait_for(&self.messages, text)
    }

    fn wait_for(lines: &Receiver<String>, mark: &str) -> String {
        let until = Instant::now() + WAIT_LIMIT;
        loop {
            match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(mark) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with {mark}: {error}"),
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the end of the process; returns the exit code.
    fn exit_code(&mut self) -> Option<i32> {
        exit_code(&mut self.child)
    }
}

/// Waits for the end of a child; returns the exit code.
fn exit_code(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begin.elapsed() < WAIT_LIMIT, "the command does not end");
        // The standard library has no wait with a deadline for a child.
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for FollowedLogs {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

fn read_lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn logs_filters_by_tail_since_and_timestamps() {
    let namespace = deployed("logs-select");
    let mark = &namespace.name;
    append(namespace.bed, &format!("{mark} old"), SignedDuration::from_mins(30));
    append_now(namespace.bed, &format!("{mark} new ÄÖ \u{1b}[31mred"));

    let all = namespace.handsctl(&["logs"]).exits(0);
    assert_eq!(
        marked(&all, mark),
        [format!("{mark} old"), format!("{mark} new ÄÖ \u{1b}[31mred")],
        "one container has no prefix, and only a terminal gets sanitized lines"
    );
    let recent = namespace.handsctl(&["logs", "--since", "10m"]).exits(0);
    assert_eq!(marked(&recent, mark).len(), 1, "{}", recent.stdout);
    assert!(recent.stdout.contains(&format!("{mark} new")));
    let last = namespace.handsctl(&["logs", "--tail", "1"]).exits(0);
    assert_eq!(last.stdout.lines().count(), 1, "{}", last.stdout);
    assert_eq!(namespace.handsctl(&["logs", "--tail", "0"]).exits(0).stdout, "");
    let stamped = namespace.handsctl(&["logs", "--timestamps"]).exits(0);
    let (stamp, rest) = marked(&stamped, mark)[1].split_once(' ').unwrap();
    assert!(rest.starts_with(&format!("{mark} new")), "{rest}");
    let age = Timestamp::now().duration_since(stamp.parse().unwrap());
    assert!(age < SignedDuration::from_mins(1), "{stamp}");
    // The simulated kubelet serves the same file as the previous log.
    let previous = namespace.handsctl(&["logs", "--previous"]).exits(0);
    assert_eq!(marked(&previous, mark).len(), 2);
    let named = namespace.handsctl(&["logs", "-c", "openhands"]).exits(0);
    assert_eq!(marked(&named, mark).len(), 2);
}

#[test]
fn unknown_container_exits_2_and_names_existing_ones() {
    let namespace = deployed("logs-container");
    for arguments in [&["logs", "-c", "opnhands"][..], &["logs", "-f", "-c", "opnhands"]] {
        let run = namespace.handsctl(arguments).exits(2);
        assert_eq!(run.stdout, "");
        run.says("no pod has a container `opnhands`")
            .says("containers of the pods: openhands")
            .never_says("simulated");
    }
}

#[test]
fn logs_without_pods_or_containers_exits_0() {
    let namespace = Bed::shared().namespace("logs-none");
    let run = namespace.handsctl(&["logs"]).exits(0);
    assert_eq!(run.stdout, "");
    run.says(&format!("no pods of `oh` in namespace {}", namespace.name));

    // No node fits this pod, so it never has a container or a log.
    namespace.create(&[]);
    let pod = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod",
            "metadata": {{"name": "waits", "namespace": "{}", "labels": {{"app.kubernetes.io/instance": "oh"}}}},
            "spec": {{"nodeSelector": {{"no": "where"}}, "containers": [{{"name": "openhands", "image": "x"}}]}}}}"#,
        namespace.name
    );
    namespace.bed.kubectl_with(&["create", "-f", "-"], &pod);
    let run = namespace.handsctl(&["logs"]).exits(0);
    assert_eq!(run.stdout, "");
    run.says("waits: no container has started yet").never_says("simulated");
}

#[test]
fn simulated_pod_without_log_exits_14_everywhere() {
    let own = OwnCluster::new("no-log", "");
    own.handsctl(&["up"])
        .exits(0)
        .says("deployed as a simulation")
        .never_says("logs:")
        .never_says("room for");
    let chosen = own.handsctl(&["up", "--set", "cluster.provider=\"auto\""]).exits(0);
    chosen.says(
        "next: once Docker or Podman runs: handsctl cluster up --set 'cluster.provider=\"auto\"' --recreate",
    );
    for arguments in [&["logs"][..], &["logs", "-f"], &["open"]] {
        own.handsctl(arguments)
            .exits(14)
            .says("error[HC2030]: simulated nodes: no container runs, so there is no");
    }
    // A set without pods yet: the first ones end the wait.
    let set = ["-n", "late", "--name", "late"];
    let follow = own.command(&[&["logs", "-f", "--timeout", "1m"], &set[..]].concat()).spawn();
    own.handsctl(&[&["deploy", "--no-wait"], &set[..]].concat()).exits(0).says("applied").never_says("logs:");
    finish(follow).exits(14).says("so there is no log").within(WAIT_LIMIT);
}

#[test]
fn several_pods_are_distinguished_by_prefix() {
    let namespace = deployed("logs-several");
    let mark = &namespace.name;
    let name = &["-n", &namespace.name][..];
    namespace.bed.kubectl(&[&["scale", "deployment/oh", "--replicas=2"], name].concat());
    namespace.bed.kubectl(&[&["rollout", "status", "deployment/oh", "--timeout=60s"], name].concat());
    append_now(namespace.bed, &format!("{mark} both"));
    let run = namespace.handsctl(&["logs"]).exits(0);
    let mut expected: Vec<String> =
        pods(&namespace).iter().map(|pod| format!("{pod} openhands {mark} both")).collect();
    expected.sort();
    assert_eq!(expected.len(), 2);
    let mut lines = marked(&run, mark);
    lines.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn follow_names_next_pod_and_interrupt_exits_130() {
    let namespace = deployed("logs-follow");
    let mark = &namespace.name;
    let first = pods(&namespace).remove(0);
    append_now(namespace.bed, &format!("{mark} before"));
    let events = namespace.folder.path().join("events");
    let arguments = ["logs", "-f", "--since", "1m", "--events", events.to_str().unwrap()];
    let mut followed = FollowedLogs::start(namespace.command(&arguments));
    assert_eq!(followed.line(mark), format!("{mark} before"), "no prefix with one pod");
    append_now(namespace.bed, &format!("{mark} after"));
    assert_eq!(followed.line(mark), format!("{mark} after"), "no line is repeated");

    namespace.bed.kubectl(&["delete", "pod", &first, "-n", &namespace.name, "--wait=true"]);
    namespace.bed.kubectl(&["rollout", "status", "deployment/oh", "-n", &namespace.name, "--timeout=60s"]);
    let second = pods(&namespace).remove(0);
    assert_ne!(first, second);
    append_now(namespace.bed, &format!("{mark} of the next pod"));
    followed.line(&format!("{second} openhands {mark} of the next pod"));
    followed.message(&format!("--- {second} openhands begins"));

    kill_process(followed.pid(), Signal::INT).unwrap();
    assert_eq!(followed.exit_code(), Some(130));
    let text = std::fs::read_to_string(events).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = |pod: &str| {
        let is_log =
            |event: &&Value| event["name"] == format!("{pod} openhands") && event["action"] == "begun";
        events.iter().filter(is_log).count()
    };
    assert!(begun(&first) >= 1 && begun(&second) >= 1, "{events:#?}");
    assert_eq!((&events[0]["type"], &events[0]["command"]), (&json!("started"), &json!("logs")));
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["exit"]), (&json!("finished"), &json!(130)));
}

#[test]
fn follow_with_closed_stdout_exits_0() {
    let namespace = deployed("logs-closed");
    let mark = &namespace.name;
    append_now(namespace.bed, &format!("{mark} first"));
    let mut child = namespace.command(&["logs", "-f", "--since", "1m"]).spawn();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(mark) {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the command ended before the line");
    }
    drop(stdout);
    assert_eq!(exit_code(&mut child), Some(0));
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn ctrl_c_ends_logs_while_stdout_is_blocked() {
    let namespace = deployed("logs-stuck");
    let mark = &namespace.name;
    // More than the capacity of a pipe.
    let mut lines = String::new();
    for count in 0..4000 {
        lines += &format!("{:.9} stdout F {mark} {count} {}\n", Timestamp::now(), "x".repeat(64));
    }
    std::fs::File::options()
        .append(true)
        .open(&namespace.bed.pod_log)
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let mut child = namespace.command(&["logs"]).spawn();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the command ended before the first line");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(exit_code(&mut child), Some(130));
}

#[test]
fn secret_in_a_log_is_hidden() {
    let namespace = Bed::shared().namespace("logs-quoted");
    let (literal, variable) = (planted::secret("l1"), planted::secret("l2"));
    namespace
        .config(&format!("[llm]\napi_key = {literal:?}\n[deploy.env]\nA_TOKEN = {{ env = \"PLANTED\" }}\n"));
    namespace.command(&["deploy"]).env("PLANTED", &variable).run().exits(0);
    let mark = &namespace.name;
    for secret in [&literal, &variable] {
        for quotation in planted::quotations(secret) {
            append_now(namespace.bed, &format!("{mark} {quotation}"));
        }
    }
    append_now(namespace.bed, &format!("{mark} ::stop-commands::x"));
    let run =
        namespace.command(&["logs"]).env("PLANTED", &variable).env("GITHUB_ACTIONS", "true").run().exits(0);
    assert!(marked(&run, mark).len() > 16 && run.stdout.contains("(redacted)"), "{}", run.stdout);
    run.hides(&literal).hides(&variable);
}

#[test]
fn secret_in_the_log_of_a_finding_is_in_no_output() {
    let namespace = Bed::shared().namespace("logs-finding");
    let (secret, unknown) = (planted::secret("f1"), planted::word("unknown"));
    let image = "registry.example/simulate-crash-loop-backoff:0.59";
    namespace.config(&format!("[llm]\napi_key = {secret:?}\n[deploy]\nimage = \"{image}\"\n"));
    let assert_hidden = |source: &str, text: &str| {
        planted::assert_hidden(&secret, source, text);
        planted::assert_hidden(&unknown, source, text);
    };
    let run = |arguments: &[&str]| {
        for quotation in planted::quotations(&secret) {
            append_now(namespace.bed, &quotation);
        }
        append_now(namespace.bed, &format!("connecting with DB_PASSWORD={unknown}"));
        append_now(namespace.bed, &format!("curl -u me:{unknown} -H 'X-Auth: {unknown}' https://a"));
        let run = namespace.handsctl(arguments);
        assert_hidden(&arguments.join(" "), &format!("{}{}", run.stdout, run.stderr));
        run
    };
    let outputs =
        ["--events", "events", "--evidence", "kept", "--report", "page.html", "--junit", "junit.xml"];
    run(&[&["deploy"], &outputs[..]].concat()).exits(9).says("error[HC42");
    run(&["status", "-o", "json"]).exits(12);
    let shown = run(&["status"]).exits(12);
    assert!(shown.stdout.contains("DB_PASSWORD=(redacted)"), "{}", shown.stdout);
    let kept = std::fs::read_dir(namespace.folder.path().join("kept")).unwrap();
    let kept = kept.flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap());
    let named = ["events", "page.html", "junit.xml"].map(|name| namespace.folder.path().join(name));
    let files: Vec<_> = kept.map(|entry| entry.unwrap().path()).chain(named).collect();
    assert!(files.iter().any(|file| file.ends_with("log.txt")), "{files:?}");
    for file in files {
        assert_hidden(&file.display().to_string(), &std::fs::read_to_string(&file).unwrap());
    }
}

#[test]
fn lines_are_filtered_by_pattern_and_level_and_printed_as_objects() {
    let namespace = deployed("logs-filter");
    let mark = &namespace.name;
    for line in ["INFO: one", "ERROR: two", "Traceback: of two", "INFO: three"] {
        append_now(namespace.bed, &format!("{line} {mark}"));
    }
    let text = |arguments: &[&str]| -> Vec<String> {
        let run = namespace.handsctl(&[&["logs"], arguments].concat()).exits(0);
        marked(&run, mark).iter().map(|line| line.replace(&format!(" {mark}"), "")).collect()
    };
    assert_eq!(text(&["--grep", "t[wh]"]), ["ERROR: two", "Traceback: of two", "INFO: three"]);
    assert_eq!(text(&["--level", "warning"]), ["ERROR: two", "Traceback: of two"]);
    assert_eq!(text(&["--level", "error", "--grep", "^Trace"]), ["Traceback: of two"]);
    let pod = pods(&namespace).remove(0);
    assert_eq!(text(&["--prefix", "--grep", "one"]), [format!("{pod} openhands INFO: one")]);

    let json = namespace.handsctl(&["logs", "-o", "json", "--grep", &format!("one {mark}")]).exits(0);
    let object: Value = serde_json::from_str(json.stdout.trim()).unwrap();
    assert_eq!(
        (&object["v"], &object["type"], &object["pod"], &object["container"], &object["message"]),
        (&json!(1), &json!("line"), &json!(pod), &json!("openhands"), &json!(format!("INFO: one {mark}")))
    );
    assert!(object["time"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{object}");

    let none = namespace.handsctl(&["logs", "--grep", "("]).exits(2);
    none.says("--grep");
    let deploy = namespace.handsctl(&["logs", "--since-deploy"]).exits(0);
    assert_eq!(marked(&deploy, mark).len(), 4, "{}", deploy.stdout);
}

#[test]
fn targets_are_components_pods_and_workloads() {
    let namespace = deployed("logs-targets");
    let mark = &namespace.name;
    append_now(namespace.bed, &format!("{mark} line"));
    let pod = pods(&namespace).remove(0);
    let sources = |arguments: &[&str]| {
        let run = namespace.handsctl(&[&["logs", "--prefix"], arguments].concat()).exits(0);
        marked(&run, mark).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for target in ["app", pod.as_str(), &format!("pod/{pod}"), "deployment/oh", "deploy/oh"] {
        assert_eq!(sources(&[target]), [pod.as_str()], "{target}");
    }
    assert_eq!(sources(&["app", "deploy/oh", &pod]), [pod.as_str()], "each log once");
    assert_eq!(sources(&["sandbox"]), [""; 0]);
    for (target, says) in [
        ("nothing", "there is no pod/nothing in namespace"),
        ("statefulset/x", "there is no statefulset.apps/x in namespace"),
        ("service/oh", "`service` has no pods"),
    ] {
        namespace.handsctl(&["logs", target]).exits(2).says(says);
    }
    let without = namespace.handsctl(&["logs", "ingress", "--set", "cluster.ingress=\"none\""]).exits(2);
    without.says("handsctl applies no ingress controller");
}

#[test]
fn lines_and_events_of_all_pods_are_ordered_by_time() {
    let namespace = deployed("logs-merge");
    let mark = &namespace.name;
    let name = &["-n", &namespace.name][..];
    namespace.bed.kubectl(&[&["scale", "deployment/oh", "--replicas=2"], name].concat());
    namespace.bed.kubectl(&[&["rollout", "status", "deployment/oh", "--timeout=60s"], name].concat());
    for count in 0..3 {
        append_now(namespace.bed, &format!("{mark} {count}"));
    }
    let merged = namespace.handsctl(&["logs", "--merge", "--with-events", "--since-deploy"]).exits(0);
    let lines = marked(&merged, &format!(" openhands {mark} "));
    let counts: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(counts, ["0", "0", "1", "1", "2", "2"], "{}", merged.stdout);
    assert!(merged.stdout.contains(" event Normal Scheduled: "), "{}", merged.stdout);

    // Other tests append to the same log, so the last line may be one of theirs.
    let follow = ["logs", "-f", "--merge", "--since-deploy", "--with-events"];
    let followed = FollowedLogs::start(namespace.command(&follow));
    followed.line(&format!("{mark} 2"));
    append_now(namespace.bed, &format!("{mark} followed"));
    followed.line(&format!("{mark} followed"));
    followed.line(&format!("{mark} followed"));
    namespace.bed.kubectl(&[&["delete", "pod", &pods(&namespace)[0]], name].concat());
    followed.line(" event Normal SuccessfulCreate: ");
}
