//! The text of `docs/performance.md`: the goals, every figure, the method and its limits.

use std::fmt::Write as _;

use super::goals::{self, Figure, NONE, ROUND_TRIP, Row, Verdict, delayed};
use super::samples::{Key, Measured, Median};
use super::tool::{Set, Step, Tool};

const INTRODUCTION: &str = "\
# Performance

The command that measures the figures also writes this page:

```sh
cargo bench --bench performance              # prints the table
cargo bench --bench performance -- --write   # and writes this page
```

The bench searches `kubectl`, `helm` and `kapp` in the folder that `BENCH_PEERS` names, else in `PATH`. The figures of a missing
tool are left out; a `kubectl` with another version than the server is refused. All figures are medians of one run on 2 cores over
loopback, against a real kube-apiserver with etcd and simulated nodes. Only the ratios apply to other computers.

## Goals

";

const METHOD: &str = "
## How it is measured

- **Cluster.** The bench creates one with `handsctl cluster up` (provider `kwok`, one simulated node) and deletes it at the
  end. API server, etcd, controllers, the proxy and the measured process share the 2 cores.
- **Proxy.** Every client speaks plain HTTP to a proxy in the bench, which counts its requests and forwards them to the API
  server over persistent TLS connections. `5 ms` means that the proxy delays each request by 5 to 6 ms, also each watch. So
  no figure contains TLS. With TLS, each new connection would cost one or two more round trips, and handsctl opens more
  connections (up to 16 and one per watch) than kubectl, which opens one.
- **Sets.** `own set` is the set that `handsctl deploy` creates from an empty configuration; the peers get the output of
  `handsctl render`. `N=…` is three Deployments and N−3 ConfigMaps of about one kilobyte each; `config.toml` cannot
  describe such a set. The rows of the own set, the start and the size measure the **handsctl binary**. The rows of `N=…`
  measure the **handsctl library in a separate process**: the bench starts itself again and calls the library in the order
  of the commands, with their reporter. That process reads and renders no configuration.
- **Steps of handsctl's `apply`.** All of `deploy --no-wait`: list, open the watches, acquire the lock, list again, record a
  revision, apply, prune and release the lock. The peers' figures contain all steps of their own commands.
- **Steps.** `apply` creates the set in an empty namespace; it waits for the own set, but not for `N=…`. `unchanged redeploy`
  applies the same set again after it is ready, and waits. `diff` compares with a set in which one line of every tenth
  ConfigMap differs. `teardown` ends when all objects are deleted. If a step has two commands below, both count.
- **Sandboxes (P15 to P17).** handsctl deploys its own set with ConfigMaps as extra manifests, 1000 objects in all, into one
  namespace for each tool. The bench creates the objects of the conversations beside them: a pod, a volume claim, two
  Services and an Ingress each, 2500 objects for 500. The pods run on the simulated node. kubectl prints the same kinds;
  it has no verdict, no comparison with a record, and no join by conversation.
- **Limit.** A run that takes more than 60 s is ended; `> 60 s` stands for it, its ratio is an upper bound, and its
  other figures are those until then.
- **Order.** Each round runs every tool once. Rounds are repeated, so a temporary load on the computer slows all tools. One
  round before the first is not counted; it fills the discovery caches of kubectl and helm.
- **Figures.** `time` runs from before the start of the process until its end. `processor` is its user and system time and
  that of its child processes; `memory` is the peak resident set of the largest of them; `requests` is the count of the
  proxy, watches included. K is the number of collections that handsctl watched. MB are 10⁶ bytes.
- **Unsteady.** If the longest run behind a verdict took more than one and a half times as long as the shortest, the row
  names the tool. Another process used the computer then, and the verdict is unreliable.
- **Bare client (P13).** A process that only sends the same PATCHes with the same bodies over 16 HTTP/1.1 connections.
  handsctl's figure contains its preflight and its watches, the bare client's does not.
";

/// The reasons for missed goals, by id. The page contains only the reasons of goals that were missed.
const WHY_MISSED: &[(&str, &str)] = &[
    (
        "P1",
        "A deploy sends more than its PATCHes. It lists the set before it plans and again under its lock. A consistent list \
         waits in the API server until its watch cache is current: 1.5 ms on this computer without a recent write, 70 to \
         85 ms right after a write to another kind, such as the lock itself. Version, rights, lock, key, parent, revision \
         and the release of the lock are round trips that `kubectl apply` does not need. They take most of the time of a \
         small set; for a large set, the bare client shows the share of the server.",
    ),
    (
        "P2",
        "The set's key, which authenticates its revisions, is created before everything else: one request more than the \
         goal has.",
    ),
    (
        "P3",
        "The lists of an unchanged redeploy must be consistent, too: see P1. kapp's lists come from the same watch cache, \
         and its delay varies more from run to run than the two tools differ.",
    ),
    (
        "P7",
        "handsctl keeps the manifests for the revision and for the comparison, parses each response to distinguish created, \
         configured and unchanged, and sends an event for each object to the reporter; kubectl only prints the name of the \
         object.",
    ),
    ("P9", "Most of it is the time that this computer needs to start any process while others run."),
    (
        "P10",
        "It is compiled for size already. Besides the client it contains the manifests, the reader and the checks of the \
         configuration, two local providers and all proxies.",
    ),
    (
        "P13",
        "The bare client does nothing before its first PATCH and nothing after its last one: see P1 for the steps of a \
         deploy.",
    ),
    (
        "P16",
        "Each object is a request of its own, of which handsctl sends 16 at a time: the deletion of a whole collection would \
         also take objects that others created meanwhile. The API server, etcd, the controllers and handsctl share two \
         processors.",
    ),
    (
        "P17",
        "A conversation is joined from its pod, its claim, its Services and its Ingress, so the lists of all of them are in \
         memory at once, each as one response and as parsed objects. The fields that nobody reads are not kept. Pages \
         would need less memory and more requests.",
    ),
];

fn why_missed(rows: &[Row]) -> String {
    let is_missed =
        |id: &str| rows.iter().any(|row| row.id == id && matches!(row.verdict(), Verdict::Missed(_)));
    let reasons: Vec<String> = WHY_MISSED
        .iter()
        .filter(|(id, _)| is_missed(id))
        .map(|(id, why)| format!("- **{id}.** {why}\n"))
        .collect();
    if reasons.is_empty() {
        String::new()
    } else {
        format!("\n## Why goals are missed\n\n{}", reasons.concat())
    }
}

/// Returns the goals as a table.
pub(crate) fn goals(rows: &[Row]) -> String {
    let mut text = String::new();
    let tools = Tool::ALL.map(Tool::word).join(" | ");
    line(&mut text, &format!("| | measurement | {tools} | ratio | goal | |"));
    line(&mut text, &format!("|---|---|{}---|---|---|", "---:|".repeat(Tool::ALL.len())));
    for row in rows {
        let figures = Tool::ALL.map(|tool| row.figures.get(&tool).map_or_else(none, Figure::to_string));
        let bound = if row.is_ratio_a_bound() { "< " } else { "" };
        let ratio = row.ratio().map_or_else(none, |ratio| format!("{bound}{ratio:.2}"));
        let goal = row.goal();
        let verdict = match row.unsteady() {
            tools if tools.is_empty() => row.verdict().to_string(),
            tools => format!("{}; unsteady: {}", row.verdict(), tools.join(", ")),
        };
        let figures = figures.join(" | ");
        line(
            &mut text,
            &format!("| {} | {} | {figures} | {ratio} | {goal} | {verdict} |", row.id, row.subject),
        );
    }
    text
}

/// Returns the whole page. `commands` are pairs of a step and its command line.
pub(crate) fn page(
    measured: &Measured,
    rows: &[Row],
    versions: &[String],
    commands: &[(String, String)],
) -> String {
    let mut text = format!("{INTRODUCTION}Beside {}.\n\n{}", versions.join(", "), goals(rows));
    text.push_str(
        "\nThe ratio is handsctl's figure divided by the figure of the peer in the goal, or of kubectl if the goal names no peer.\n",
    );
    text.push_str(&why_missed(rows));
    text.push_str(&failures(measured));
    text.push_str("\n## Every figure\n");
    for set in sets(measured) {
        line(&mut text, &format!("\n### {set}\n"));
        text.push_str(&figures(measured, set));
    }
    text.push_str(METHOD);
    text.push_str("\n## Commands\n\n| step | command |\n|---|---|\n");
    for (step, command) in commands {
        line(&mut text, &format!("| {step} | `{command}` |"));
    }
    text
}

/// Returns a sentence for each failed run, which no figure contains.
pub(crate) fn failures(measured: &Measured) -> String {
    let mut text = String::new();
    for Key { set, step, delay, tool } in &measured.failures {
        let step = format!("{}, {set}, {}", step.word(), delayed(*delay));
        line(&mut text, &format!("\nA run of {} failed and is in no figure: {step}.", tool.word()));
    }
    text
}

fn sets(measured: &Measured) -> Vec<Set> {
    let mut sets: Vec<Set> = measured.steps.keys().map(|key| key.set).collect();
    sets.dedup();
    sets
}

fn figures(measured: &Measured, set: Set) -> String {
    let mut text = String::new();
    line(
        &mut text,
        "| step | tool | runs | time | from – to | processor | memory | requests | time, 5 ms | from – to |",
    );
    line(&mut text, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for step in Step::ALL {
        for tool in Tool::ALL {
            let Some(loopback) = measured.step(set, step, NONE, tool) else { continue };
            let delayed = measured.step(set, step, ROUND_TRIP, tool);
            let cells = cells(&loopback, delayed.as_ref());
            line(&mut text, &format!("| {} | {} | {cells}", step.word(), tool.word()));
        }
    }
    text
}

fn cells(loopback: &Median, delayed: Option<&Median>) -> String {
    let delayed = delayed.map_or_else(|| format!("{} | {}", none(), none()), time);
    format!(
        "{} | {} | {} | {} | {} | {delayed} |",
        loopback.runs,
        time(loopback),
        Figure::Time(loopback.cpu),
        Figure::Bytes(loopback.rss),
        loopback.requests
    )
}

/// Returns the median, the shortest and the longest time.
fn time(median: &Median) -> String {
    let (shortest, longest) = median.range;
    let [shortest, longest] = [shortest, longest].map(Figure::Time);
    format!("{} | {shortest} – {longest}", goals::time(median))
}

fn none() -> String {
    "–".to_owned()
}

fn line(text: &mut String, line: &str) {
    let _infallible = writeln!(text, "{line}");
}
