//! Completion of names in the cluster: namespaces, installations, revisions, containers.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::bed::{Bed, Namespace, in_home};

/// The values that the binary offers: `words` follow the options that choose the cluster.
fn values(namespace: &Namespace, words: &[&str]) -> Vec<String> {
    let context = ["--context", namespace.bed.context.as_str()];
    let words: Vec<&str> =
        ["__complete", "fish"].into_iter().chain(context).chain(words.iter().copied()).collect();
    let folder: &Path = namespace.folder.path();
    // The limit is that of a person who types; hundreds of tests share the processors.
    let command = in_home(folder, &words).env("HANDSCTL_COMPLETION_LIMIT", "30s");
    let run = command.env("KUBECONFIG", &namespace.bed.kubeconfig).run().exits(0);
    assert_eq!(run.stderr, "", "{words:?}");
    run.stdout.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn names_of_the_cluster_are_completed() {
    let namespace = Bed::shared().namespace("completed");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["deploy", "--set", "kubernetes.resource_memory_limit=\"5Gi\""]).exits(0);
    let own = ["-n", namespace.name.as_str()];
    let words = |rest: &[&str]| values(&namespace, &[&own, rest].concat());

    assert_eq!(values(&namespace, &["status", "-n", &namespace.name]), [namespace.name.as_str()]);
    assert_eq!(words(&["status", "--name", ""]), ["oh"]);
    for line in [
        &["history", "--name", "oh", ""][..],
        &["--name", "oh", "rollback", ""],
        &["rollback", "--name=oh", "--to", ""],
    ] {
        let revisions = words(line);
        let numbers: Vec<&str> = revisions.iter().filter_map(|line| line.split('\t').next()).collect();
        // `history` also has the command `diff`.
        let (revisions, numbers): (Vec<&String>, Vec<&str>) =
            revisions.iter().zip(numbers).filter(|(_, number)| *number != "diff").unzip();
        assert_eq!(numbers, ["2", "1"], "{line:?}");
        assert!(revisions[0].starts_with("2\tgood, "), "{revisions:?}");
    }
    let containers = words(&["logs", "--name", "oh", "-c", ""]);
    assert!(containers.contains(&"openhands".to_owned()), "{containers:?}");
    assert_eq!(words(&["rollback", "--name", "another", ""]), [""; 0]);
}

#[test]
fn names_of_the_cluster_come_within_a_tenth_of_a_second() {
    let namespace = Bed::shared().namespace("completed-soon");
    namespace.create(&[]);
    let words =
        ["__complete", "fish", "--context", &namespace.bed.context, "status", "--namespace", &namespace.name];
    let began = Instant::now();
    // Hundreds of tests share the processors: one undisturbed answer shows how long it takes.
    loop {
        let tab = Instant::now();
        let run = in_home(namespace.folder.path(), &words)
            .env("KUBECONFIG", &namespace.bed.kubeconfig)
            .run()
            .exits(0);
        let took = tab.elapsed();
        if run.stdout == format!("values\n{}\n", namespace.name) && took <= Duration::from_millis(100) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{took:?}: {}", run.stdout);
    }
}
