//! `docs/performance.md`: the goals, every figure, how they are made and what they do not say.

use std::fmt::Write as _;

use super::goals::{Figure, NONE, ROUND_TRIP, Row, Verdict, delayed};
use super::samples::{Key, Measured, Median};
use super::tool::{Set, Step, Tool};

const INTRODUCTION: &str = "\
# Performance

This page is written by the command that measures it:

```sh
cargo bench --bench performance              # prints the table
cargo bench --bench performance -- --write   # and writes this page
```

`kubectl`, `helm` and `kapp` are looked for in the folder that `BENCH_PEERS` names, else in `PATH`. Where one is not there
its figures are missing; a `kubectl` of another version than the server's is refused. Figures are medians of one run on 2 cores, everything on loopback; the server is a real
kube-apiserver with etcd, nodes are simulated. Only ratios say anything about another computer.

## Goals

";

const METHOD: &str = "
## How it is measured

- **Cluster.** The bench makes one with `handsctl cluster up` (provider `kwok`, one simulated node) and removes it at the
  end. API server, etcd, controllers, the proxy and the measured process share the 2 cores.
- **Proxy.** Every client speaks plain HTTP to a proxy in the bench, which counts its requests and passes them to the API
  server over TLS connections that are kept open. `5 ms` means that each request waits there for 5 to 6 ms first, also
  each watch. So no figure contains TLS; with it, each new connection would cost one more round trip or two, and handsctl
  opens more of them (up to 16 and one per watch) than kubectl, which has one.
- **Sets.** `own set` is what `handsctl deploy` makes of an empty configuration; the peers get the output of
  `handsctl render`. `N=…` is three Deployments and N−3 ConfigMaps of about one kilobyte each; `config.toml` cannot
  describe such a set. So for the own set, the start and the size the row is of the **handsctl binary**, and for `N=…` of
  the **handsctl library in a process of its own**: the bench starts itself once more and makes the library's calls in the
  order of the commands, with their reporter. It has no configuration to read and none to render.
- **What handsctl's `apply` does.** All of `deploy --no-wait`: it looks, opens its watches, takes the lock, looks again,
  records a revision, sends, prunes and gives the lock back. The peers' figures contain what theirs do.
- **Steps.** `apply` makes the set in an empty namespace. `N=…` is not waited for, the own set is. `unchanged redeploy`
  is the same once more when all is ready, and waited for. `diff` compares with a set in which every tenth ConfigMap has
  one other line. `teardown` ends when everything is gone. Where two commands stand below, both count.
- **Order.** Each round is one run of every tool; rounds are repeated, so what slows the computer down for a while slows
  all. One round before the first is not counted: kubectl's and helm's caches of what the server knows are warm.
- **Figures.** `time` is from before the process is started until it is gone. `processor` is its user and system time
  and that of the processes it waited for; `memory` the peak resident set of the largest of them; `requests` what the
  proxy counted, watches included. K is the number of collections that handsctl watched. MB are 10⁶ bytes.
- **Unsteady.** Where the longest of the runs that a verdict depends on took more than one and a half times as long as the
  shortest, the row says whose. Something else used the computer then: the verdict is not to be relied on, met or missed.
- **Bare client (P13).** A process that does nothing but send the same PATCHes with the same bodies over 16 HTTP/1.1
  connections. handsctl's figure contains its preflight and its watches, the bare client's does not.
";

/// Why a goal is missed, by its id; told only of goals that were.
const WHY_MISSED: &[(&str, &str)] = &[
    (
        "P1",
        "A deploy is more than its PATCHes. It lists the set before it plans and once more under its lock, and a list that \
         must be up to date waits in the API server until its watch cache has caught up: measured here, 1.5 ms where nothing \
         was written since and 70 to 85 ms right after a write to another kind, which the lock itself is. Version, rights, \
         lock, key, parent, revision and the release of the lock are round trips that `kubectl apply` does not make. Where \
         the set is small they are most of the time; where it is large the bare client says what the server takes.",
    ),
    (
        "P3",
        "The lists of an unchanged redeploy have to be up to date too: see P1. kapp's are served from the same watch cache, \
         and how long it is behind differs from run to run by more than the two tools do.",
    ),
    (
        "P7",
        "Manifests are kept for the revision and for the comparison, answers are parsed whole to tell created from \
         configured from unchanged, and every object is an event for the reporter; kubectl prints the name that it sent.",
    ),
    ("P9", "Most of it is the time in which this computer starts any process while others run beside it."),
    (
        "P13",
        "The bare client does nothing before its first PATCH and nothing after its last one: see P1 for what a deploy does.",
    ),
];

fn why_missed(rows: &[Row]) -> String {
    let is_missed =
        |id: &str| rows.iter().any(|row| row.id == id && matches!(row.verdict(), Verdict::Missed(_)));
    let told: Vec<String> = WHY_MISSED
        .iter()
        .filter(|(id, _)| is_missed(id))
        .map(|(id, why)| format!("- **{id}.** {why}\n"))
        .collect();
    if told.is_empty() { told.concat() } else { format!("\n## Why goals are missed\n\n{}", told.concat()) }
}

/// The goals as a table.
pub(crate) fn goals(rows: &[Row]) -> String {
    let mut text = String::new();
    let tools = Tool::ALL.map(Tool::word).join(" | ");
    line(&mut text, &format!("| | what | {tools} | ratio | goal | |"));
    line(&mut text, &format!("|---|---|{}---|---|---|", "---:|".repeat(Tool::ALL.len())));
    for row in rows {
        let figures = Tool::ALL.map(|tool| row.figures.get(&tool).map_or_else(none, Figure::to_string));
        let ratio = row.ratio().map_or_else(none, |ratio| format!("{ratio:.2}"));
        let goal = row.goal();
        let verdict = match row.unsteady() {
            steady if steady.is_empty() => row.verdict().to_string(),
            unsteady => format!("{}; unsteady: {}", row.verdict(), unsteady.join(", ")),
        };
        let figures = figures.join(" | ");
        line(&mut text, &format!("| {} | {} | {figures} | {ratio} | {goal} | {verdict} |", row.id, row.what));
    }
    text
}

/// The whole page. `commands` are those of each tool and step, as they can be typed.
pub(crate) fn page(
    measured: &Measured,
    rows: &[Row],
    versions: &[String],
    commands: &[(String, String)],
) -> String {
    let mut text = format!("{INTRODUCTION}Beside {}.\n\n{}", versions.join(", "), goals(rows));
    text.push_str(
        "\nThe ratio is handsctl's figure as a part of the peer's that the goal names, else of kubectl's.\n",
    );
    text.push_str(&why_missed(rows));
    text.push_str(&failures(measured));
    text.push_str("\n## Every figure\n");
    for set in sets(measured) {
        line(&mut text, &format!("\n### {set}\n"));
        text.push_str(&figures(measured, set));
    }
    text.push_str(METHOD);
    text.push_str("\n## What is run\n\n| step | command |\n|---|---|\n");
    for (step, command) in commands {
        line(&mut text, &format!("| {step} | `{command}` |"));
    }
    text
}

/// The runs that are in no figure.
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
    for step in [Step::First, Step::Unchanged, Step::Diff, Step::Remove] {
        for tool in Tool::ALL {
            let Some(near) = measured.step(set, step, NONE, tool) else { continue };
            let far = measured.step(set, step, ROUND_TRIP, tool);
            line(&mut text, &format!("| {} | {} | {}", step.word(), tool.word(), cells(&near, far.as_ref())));
        }
    }
    text
}

fn cells(near: &Median, far: Option<&Median>) -> String {
    let far = far.map_or_else(|| format!("{} | {}", none(), none()), time);
    format!(
        "{} | {} | {} | {} | {} | {far} |",
        near.runs,
        time(near),
        Figure::Time(near.cpu),
        Figure::Bytes(near.rss),
        near.requests
    )
}

/// The median, and how far the runs lie apart.
fn time(median: &Median) -> String {
    let (shortest, longest) = median.range;
    let [median, shortest, longest] = [median.wall, shortest, longest].map(Figure::Time);
    format!("{median} | {shortest} – {longest}")
}

fn none() -> String {
    "–".to_owned()
}

fn line(text: &mut String, line: &str) {
    let _infallible = writeln!(text, "{line}");
}
