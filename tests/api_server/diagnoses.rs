//! Every failure of the shared table through the binary: id, evidence, the setting that causes it, exit code. And how long
//! a verdict takes.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use handsctl::catalogue::Id;

use crate::bed::{Bed, Run};
use crate::failures::{FAILURES, Failure, Grace, READY, Site};

/// Failures that are produced at the same time. Their runs wait most of the time.
const PARALLEL: usize = 6;
/// The grace that is set where one can be set, in seconds.
const GRACE: u64 = 2;
/// P5: the longest time from a report, or the end of `--timeout`, to the exit, beyond the grace.
const AFTER_REPORT: Duration = Duration::from_secs(2);
/// P4 is 100 ms (docs/diagnosis.md measures it); the suite shares its processors, so it allows more.
const AFTER_READY: Duration = Duration::from_secs(1);

/// Runs `deploy` while the test plays the failure. Returns the run, and the time from the report to the exit, beyond the
/// grace.
fn deploy(failure: &Failure, site: &Site) -> (Run, Duration) {
    let namespace = &site.namespace;
    if failure.is_update {
        namespace.handsctl(&["deploy"]).exits(0);
        namespace.config(&failure.config(&namespace.name));
    }
    (failure.prepare)(site);
    let (grace, flags) = failure.grace_of(Some(GRACE));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let sighting = site.sighting(failure);
    let started = Instant::now();
    let deploy = namespace.command(&[&["deploy"], failure.flags, &flags].concat()).spawn_in_background();
    (failure.play)(site);
    let run = deploy.finish().exits(failure.exit);
    let exited = Instant::now();
    if let Grace::Timeout(seconds) = failure.grace {
        let overrun = exited.saturating_duration_since(started + Duration::from_secs(seconds));
        assert!(overrun <= AFTER_REPORT, "--timeout is exceeded by {overrun:?}: {run:?}");
    }
    (run, exited.saturating_duration_since(sighting.time() + grace))
}

/// Produces the failure and panics if handsctl says something else about it. Returns the time from the report to the exit.
fn diagnose(failure: &Failure) -> Duration {
    let site = Site::new(Bed::shared(), failure);
    let (run, after) = deploy(failure, &site);
    for text in failure.expected(&site.namespace.name) {
        assert!(run.stderr.contains(&text), "stderr lacks {text:?}:\n{}", run.stderr);
    }
    after
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// P5, as the median: a single run may wait for a processor.
#[test]
fn p5_every_failure_is_named_within_2s_of_its_report() {
    let next = Mutex::new(FAILURES.iter());
    let (wrong, times) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(failure) = { next.lock().unwrap().next() } {
                    match catch_unwind(AssertUnwindSafe(|| diagnose(failure))) {
                        Ok(time) => times.lock().unwrap().push((failure, time)),
                        // The panic's message is printed above.
                        Err(_) => wrong.lock().unwrap().push(failure.key),
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().unwrap(), Vec::<&str>::new());
    let times = times.into_inner().unwrap();
    let reported = times.iter().filter(|(failure, _)| !matches!(failure.grace, Grace::Timeout(_)));
    let after = median(reported.map(|(_, time)| *time).collect());
    let times: Vec<String> =
        times.iter().map(|(failure, time)| format!("{}: {time:.1?}", failure.name)).collect();
    assert!(after <= AFTER_REPORT, "the median is {after:?}: {times:#?}");
}

#[test]
fn p4_deploy_exits_within_1s_of_the_last_ready_pod() {
    let times: Vec<Duration> = (0..3).map(|_| deploy(&READY, &Site::new(Bed::shared(), &READY)).1).collect();
    let after = median(times.clone());
    assert!(after <= AFTER_READY, "the median is {after:?}: {times:?}");
}

/// Ids of a rollout or of `status` that another test of `tests/api_server` produces: the id and the file.
const ELSEWHERE: &[(&str, &str)] = &[
    ("HC4007", "deletions.rs"),
    ("HC4008", "refusals.rs"),
    ("HC4020", "status.rs"),
    ("HC4021", "status.rs"),
    ("HC4022", "status.rs"),
    ("HC4023", "status.rs"),
    ("HC4024", "extra.rs"),
    ("HC4026", "status.rs"),
    ("HC4027", "foreign_changes.rs"),
    ("HC4028", "foreign_changes.rs"),
    ("HC4030", "conversations.rs"),
    ("HC4031", "extra.rs"),
    ("HC4106", "images.rs"),
    ("HC4420", "status.rs"),
    ("HC4502", "refusals.rs"),
    ("HC4602", "refusals.rs"),
    ("HC4604", "foreign_changes.rs"),
    ("HC4605", "foreign_changes.rs"),
];

/// Ids that simulated nodes cannot produce, with the reason.
const NOT_HERE: &[(&str, &str)] = &[
    (
        "HC4025",
        "a pod must outlive its deleted workload by a minute; cluster/apply/prune.rs decides about it",
    ),
    ("HC4032", "an autoscaler must fail for two minutes; status/without_rollout.rs evaluates it"),
    ("HC4033", "a CronJob runs once a minute at most; status/without_rollout.rs evaluates it"),
    (
        "HC4034",
        "a budget must select pods of two controllers without scale; status/without_rollout.rs evaluates it",
    ),
    ("HC4090", "a server that fails to list or watch Events only; cluster/rollout/follow.rs scripts it"),
    ("HC4107", "no engine rebuilds an image here; tests/containers/kind.rs does"),
    ("HC4603", "no Ingress controller answers on this computer; only a URL that answers is looked up"),
];

#[test]
fn every_id_of_a_rollout_is_produced_or_excused() {
    let of_rollouts: BTreeSet<&str> =
        Id::ALL.iter().map(|id| id.code()).filter(|code| code.starts_with("HC4")).collect();
    let mut produced: BTreeSet<&str> = FAILURES.iter().map(|failure| failure.id).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api_server");
    for (code, file) in ELSEWHERE {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(code), "{file} does not produce {code}");
        assert!(produced.insert(code), "{code} is produced twice");
    }
    for (code, reason) in NOT_HERE {
        assert!(produced.insert(code), "{code} is produced, although: {reason}");
    }
    assert_eq!(produced, of_rollouts);
}
