//! The table of failed rollouts: what handsctl, `kubectl rollout status` and `helm --wait` say about the same failure, and
//! after how long.
//!
//! `cargo bench --bench diagnosis` prints it; `-- --write` writes it to `docs/diagnosis.md`. `-- NAME …` runs only the
//! failures with these keys. The failures are those of the suite (`tests/failures.rs`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "it shares the suite's control plane, and a failed step ends the bench"
)]

#[path = "../../tests/bed.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod bed;
#[path = "../../tests/failures.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod failures;
#[path = "../../tests/kubelet.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod kubelet;
mod page;
mod peers;
#[path = "../../tests/planted.rs"]
#[expect(dead_code, reason = "the suite uses it")]
mod planted;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;

use bed::Bed;
use failures::{FAILURES, Failure, READY, Site};
use peers::{PeerRun, Peers};

/// Failures that are produced at the same time for handsctl. More would wait for the processors.
const PARALLEL: usize = 3;
/// Failures that are produced at the same time for the peers, which only wait.
const PARALLEL_PEERS: usize = 8;
/// Rollouts that succeed: the time after the last pod is ready is their median.
const ROUNDS: usize = 5;

#[derive(Debug, Parser)]
struct Arguments {
    /// Write the table to docs/diagnosis.md, which has all failures
    #[arg(long, conflicts_with = "keys")]
    write: bool,
    /// Run only the failures with these keys
    keys: Vec<String>,
    /// Passed by cargo to every bench; ignored
    #[arg(long, hide = true)]
    bench: bool,
}

/// What handsctl said about a failure, and when.
pub(crate) struct Diagnosis {
    pub(crate) exit: i32,
    pub(crate) id: String,
    /// The setting that causes it, with its place: `deploy.image`, `config.toml:2`.
    pub(crate) setting: Option<String>,
    pub(crate) grace: Duration,
    /// From the report to the exit, beyond the grace.
    pub(crate) after: Duration,
}

/// A failure with what all tools said.
pub(crate) struct Row {
    pub(crate) failure: &'static Failure,
    pub(crate) diagnosis: Diagnosis,
    pub(crate) kubectl: Option<PeerRun>,
    pub(crate) helm: Option<PeerRun>,
}

/// The times from the last ready pod to the exit, as medians.
pub(crate) struct Ready {
    pub(crate) handsctl: Duration,
    pub(crate) kubectl: Option<Duration>,
    pub(crate) helm: Option<Duration>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let peers = Peers::find();
    for missing in peers.missing() {
        report(&format!(
            "{missing} was not found: its figures will be missing (set {} to its folder)",
            peers::FOLDER
        ));
    }
    let selected: Vec<&'static Failure> = FAILURES
        .iter()
        .filter(|failure| arguments.keys.is_empty() || arguments.keys.iter().any(|key| key == failure.key))
        .collect();
    report("creating a control plane");
    let bed = Bed::shared();
    let ready = ready(bed, &peers);
    let diagnoses = in_parallel(PARALLEL, &selected, |failure| diagnose(bed, failure));
    let compared = in_parallel(PARALLEL_PEERS, &selected, |failure| peers.run(bed, failure));
    let rows: Vec<Row> = selected
        .iter()
        .zip(diagnoses.into_iter().zip(compared))
        .filter_map(|(failure, (diagnosis, compared))| {
            let (kubectl, helm) = compared?;
            Some(Row { failure, diagnosis: diagnosis?, kubectl, helm })
        })
        .collect();
    let is_complete = rows.len() == selected.len();
    let page = page::page(&rows, &ready, &peers.versions(bed));
    let _written = write!(std::io::stdout(), "{page}");
    if arguments.write && is_complete {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md");
        std::fs::write(&path, page).expect("docs/diagnosis.md is written");
        report(&format!("written: {}", path.display()));
    }
    if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line of progress to stderr.
fn report(text: &str) {
    let _written = writeln!(std::io::stderr(), "{text}");
}

/// Runs all failures, this number at the same time. None for a failure that panicked.
fn in_parallel<T: Send>(
    number: usize,
    failures: &[&'static Failure],
    run: impl Fn(&'static Failure) -> T + Sync,
) -> Vec<Option<T>> {
    let next = Mutex::new(failures.iter().enumerate());
    let results = Mutex::new((0..failures.len()).map(|_| None).collect::<Vec<Option<T>>>());
    std::thread::scope(|scope| {
        for _ in 0..number {
            scope.spawn(|| {
                while let Some((index, failure)) = { next.lock().unwrap().next() } {
                    let started = Instant::now();
                    let result = catch_unwind(AssertUnwindSafe(|| run(failure))).ok();
                    report(&format!("{}: {:.1?}", failure.key, started.elapsed()));
                    results.lock().unwrap()[index] = result;
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// Runs `handsctl deploy` with its default grace.
fn diagnose(bed: &'static Bed, failure: &'static Failure) -> Diagnosis {
    let site = Site::new(bed, failure);
    let namespace = &site.namespace;
    if failure.is_update {
        namespace.handsctl(&["deploy"]).exits(0);
        namespace.config(&failure.config(&namespace.name));
    }
    (failure.prepare)(&site);
    let (grace, _) = failure.grace_of(None);
    let sighting = site.sighting(failure);
    let arguments = [&["deploy", "-o", "json"], failure.flags].concat();
    let deploy = namespace.command(&arguments).spawn_in_background();
    (failure.play)(&site);
    let run = deploy.finish().exits(failure.exit);
    let exited = Instant::now();
    let after = exited.saturating_duration_since(sighting.time() + grace);
    if failure.exit == 0 {
        return Diagnosis { exit: 0, id: String::new(), setting: None, grace, after };
    }
    let error = &run.json()["error"];
    let key = &error["keys"][0];
    let setting = key["key"].as_str().map(|name| match key["location"]["line"].as_u64() {
        Some(line) => format!("`{name}`, config.toml:{line}"),
        None => format!("`{name}` (its default)"),
    });
    let id = error["id"].as_str().unwrap_or_else(|| panic!("no id: {run:?}")).to_owned();
    Diagnosis { exit: failure.exit, id, setting, grace, after }
}

/// Measures rollouts that succeed.
fn ready(bed: &'static Bed, peers: &Peers) -> Ready {
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(diagnose(bed, &READY).after);
        let (kubectl, helm) = peers.run(bed, &READY);
        times[1].extend(kubectl.and_then(|run| run.after));
        times[2].extend(helm.and_then(|run| run.after));
    }
    let [handsctl, kubectl, helm] = times.map(median);
    Ready { handsctl: handsctl.unwrap(), kubectl, helm }
}

/// Returns the median; None without a time.
pub(crate) fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}
