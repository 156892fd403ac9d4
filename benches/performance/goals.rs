//! The goals, and the verdicts on the figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::samples::{Measured, Median};
use super::tool::{Set, Step, Tool};

/// No delay: loopback.
pub(crate) const NONE: Duration = Duration::ZERO;
/// The numbers of conversations; the memory of both is compared.
pub(crate) const SANDBOXES: [usize; 2] = [100, 500];
/// The round trip time of the goals with a delay.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(5);

/// A measured number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Figure {
    Time(Duration),
    /// More than this time: the bench ended the run.
    Over(Duration),
    Bytes(u64),
    Count(u64),
}

/// The upper limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    /// This part of a peer's figure, as a factor and in words.
    Part(Tool, f64, &'static str),
    /// This figure.
    AtMost(Figure),
}

/// The result of a goal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    Met,
    /// The figure divided by the goal.
    Missed(f64),
    /// The reason why the figure is missing.
    NotMeasured(String),
}

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) subject: String,
    pub(crate) figures: BTreeMap<Tool, Figure>,
    goal: Goal,
    /// The formula of a computed limit.
    formula: Option<String>,
    /// Tools with times that differ too much from run to run.
    unsteady: BTreeSet<Tool>,
}

impl Row {
    fn new(id: &'static str, subject: impl Into<String>, goal: Goal) -> Self {
        Self {
            id,
            subject: subject.into(),
            figures: BTreeMap::new(),
            goal,
            formula: None,
            unsteady: BTreeSet::new(),
        }
    }

    /// Sets every tool's figure of a step.
    fn with_figures(
        mut self,
        measured: &Measured,
        set: Set,
        step: Step,
        delay: Duration,
        figure: fn(&Median) -> Figure,
    ) -> Self {
        self.figures = Tool::ALL
            .into_iter()
            .filter_map(|tool| Some((tool, figure(&measured.step(set, step, delay, tool)?))))
            .collect();
        self
    }

    /// Sets every tool's time of a step.
    fn with_step_times(self, measured: &Measured, set: Set, step: Step, delay: Duration) -> Self {
        self.with_times(|tool| measured.step(set, step, delay, tool))
    }

    fn with_times(mut self, median: impl Fn(Tool) -> Option<Median>) -> Self {
        let medians: Vec<(Tool, Median)> =
            Tool::ALL.into_iter().filter_map(|tool| Some((tool, median(tool)?))).collect();
        let unsteady = medians.iter().filter(|(_, median)| median.is_unsteady());
        self.unsteady = unsteady.map(|(tool, _)| *tool).collect();
        self.figures = medians.iter().map(|(tool, median)| (*tool, time(median))).collect();
        self
    }

    /// Returns the tools that the verdict depends on and whose times differ too much.
    pub(crate) fn unsteady(&self) -> Vec<&'static str> {
        let peer = match self.goal {
            Goal::Part(peer, ..) => Some(peer),
            Goal::AtMost(_) => None,
        };
        let matters = |tool: &&Tool| **tool == Tool::Handsctl || Some(**tool) == peer;
        self.unsteady.iter().filter(matters).map(|tool| tool.word()).collect()
    }

    fn with_formula(self, formula: String) -> Self {
        Self { formula: Some(formula), ..self }
    }

    fn handsctl_figure(&self) -> Option<Figure> {
        self.figures.get(&Tool::Handsctl).copied()
    }

    /// Returns the peer that the goal names, else kubectl.
    fn peer(&self) -> Tool {
        match self.goal {
            Goal::Part(peer, ..) => peer,
            Goal::AtMost(_) => Tool::Kubectl,
        }
    }

    /// Returns handsctl's figure divided by the peer's.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let peer = self.figures.get(&self.peer())?.number();
        (peer > 0.0).then_some(self.handsctl_figure()?.number() / peer)
    }

    /// Whether the ratio would be smaller if the bench had not ended the peer.
    pub(crate) fn is_ratio_a_bound(&self) -> bool {
        matches!(self.figures.get(&self.peer()), Some(Figure::Over(_)))
    }

    /// Returns the goal as text.
    pub(crate) fn goal(&self) -> String {
        match (self.goal, &self.formula) {
            (Goal::Part(peer, _, words), _) => format!("≤ {words} of {}", peer.word()),
            (Goal::AtMost(limit), Some(formula)) => format!("≤ {formula} = {limit}"),
            (Goal::AtMost(limit), None) => format!("≤ {limit}"),
        }
    }

    /// Compares handsctl's figure with the goal.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(figure) = self.handsctl_figure() else {
            let reason = if self.figures.is_empty() {
                "not in this run"
            } else {
                "the bench does not measure this step of handsctl yet"
            };
            return Verdict::NotMeasured(reason.to_owned());
        };
        let limit = match self.goal {
            Goal::AtMost(limit) => limit.number(),
            Goal::Part(peer, part, _) => match self.figures.get(&peer) {
                Some(peer_figure) => peer_figure.number() * part,
                None => return Verdict::NotMeasured(format!("{} was not found", peer.word())),
            },
        };
        if figure.number() <= limit { Verdict::Met } else { Verdict::Missed(figure.number() / limit) }
    }
}

impl Figure {
    #[expect(clippy::cast_precision_loss, reason = "ratios of figures far below 2^52")]
    fn number(self) -> f64 {
        match self {
            Self::Time(time) | Self::Over(time) => time.as_secs_f64(),
            Self::Bytes(count) | Self::Count(count) => count as f64,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) if *time < Duration::from_millis(10) => {
                write!(f, "{:.1} ms", time.as_secs_f64() * 1e3)
            }
            Self::Time(time) if *time < Duration::from_secs(10) => {
                write!(f, "{:.0} ms", time.as_secs_f64() * 1e3)
            }
            Self::Time(time) => write!(f, "{:.1} s", time.as_secs_f64()),
            Self::Over(time) => write!(f, "> {:.0} s", time.as_secs_f64()),
            Self::Bytes(_) => write!(f, "{:.1} MB", self.number() / 1e6),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met => f.write_str("met"),
            Self::Missed(times) => write!(f, "**missed**: {times:.2} × the goal"),
            Self::NotMeasured(why) => write!(f, "not measured: {why}"),
        }
    }
}

/// Returns the time of a step.
pub(crate) fn time(median: &Median) -> Figure {
    if median.is_over { Figure::Over(median.wall) } else { Figure::Time(median.wall) }
}

fn requests(median: &Median) -> Figure {
    Figure::Count(median.requests)
}

fn patches(median: &Median) -> Figure {
    Figure::Count(median.patches)
}

/// Returns the rows of all measured goals.
pub(crate) fn rows(measured: &Measured) -> Vec<Row> {
    [apply, own_requests, unchanged, large_set, program, diff, bare, teardown, sandboxes]
        .into_iter()
        .flat_map(|goals| goals(measured))
        .collect()
}

pub(crate) fn delayed(delay: Duration) -> &'static str {
    if delay.is_zero() { "loopback" } else { "5 ms" }
}

fn apply(measured: &Measured) -> Vec<Row> {
    [(12, 1.0 / 3.0, "1/3"), (100, 1.0 / 6.0, "1/6"), (1000, 0.1, "1/10")]
        .map(|(objects, part, words)| {
            Row::new("P1", format!("apply, N={objects}, 5 ms"), Goal::Part(Tool::Kubectl, part, words))
                .with_step_times(measured, Set::Of(objects), Step::First, ROUND_TRIP)
        })
        .into()
}

/// Returns K, the number of collections that handsctl watched.
fn kinds(measured: &Measured, set: Set, step: Step) -> u64 {
    let watched = measured.step(set, step, NONE, Tool::Handsctl).map(|median| median.watched.len());
    watched.unwrap_or_default() as u64
}

fn own_requests(measured: &Measured) -> Vec<Row> {
    let (n, k) = (measured.own_objects as u64, kinds(measured, Set::Own, Step::First));
    let limit = Figure::Count(n + 2 * k + 12);
    let row = Row::new("P2", "requests of apply and wait, own set", Goal::AtMost(limit))
        .with_figures(measured, Set::Own, Step::First, NONE, requests)
        .with_formula(format!("N + 2K + 12 with N={n}, K={k}"));
    vec![row]
}

fn unchanged(measured: &Measured) -> Vec<Row> {
    let step = Step::Unchanged;
    let mut rows = Vec::new();
    for set in [Set::Own, Set::Of(12), Set::Of(100), Set::Of(1000)] {
        let k = kinds(measured, set, step);
        let none = Goal::AtMost(Figure::Count(0));
        rows.push(
            Row::new("P3", format!("PATCHes of an unchanged redeploy, {set}"), none)
                .with_figures(measured, set, step, NONE, patches),
        );
        let limit = Goal::AtMost(Figure::Count(2 * k + 6));
        rows.push(
            Row::new("P3", format!("requests of an unchanged redeploy, {set}"), limit)
                .with_figures(measured, set, step, NONE, requests)
                .with_formula(format!("2K + 6 with K={k}")),
        );
        rows.extend([NONE, ROUND_TRIP].map(|delay| {
            let subject = format!("unchanged redeploy, {set}, {}", delayed(delay));
            Row::new("P3", subject, Goal::Part(Tool::Kapp, 1.0, "the time"))
                .with_step_times(measured, set, step, delay)
        }));
    }
    rows
}

fn large_set(measured: &Measured) -> Vec<Row> {
    let (set, step) = (Set::Of(1000), Step::First);
    vec![
        Row::new("P7", "processor time of apply, N=1000", Goal::Part(Tool::Kubectl, 0.2, "1/5"))
            .with_figures(measured, set, step, NONE, |median| Figure::Time(median.cpu)),
        Row::new("P7", "peak memory of apply, N=1000", Goal::Part(Tool::Kubectl, 1.0 / 3.0, "1/3"))
            .with_figures(measured, set, step, NONE, |median| Figure::Bytes(median.rss)),
    ]
}

fn program(measured: &Measured) -> Vec<Row> {
    let limit = Goal::AtMost(Figure::Time(Duration::from_millis(3)));
    let start = Row::new("P9", "start: print the version", limit).with_times(|tool| measured.start(tool));
    let mut size = Row::new("P10", "size of the program", Goal::Part(Tool::Kubectl, 0.25, "1/4"));
    size.figures = measured.sizes.iter().map(|(tool, bytes)| (*tool, Figure::Bytes(*bytes))).collect();
    vec![start, size]
}

fn diff(measured: &Measured) -> Vec<Row> {
    let goal = Goal::Part(Tool::Kubectl, 1.0 / 6.0, "1/6");
    vec![Row::new("P11", "diff, N=100, 5 ms", goal).with_step_times(
        measured,
        Set::Of(100),
        Step::Diff,
        ROUND_TRIP,
    )]
}

fn bare(measured: &Measured) -> Vec<Row> {
    [(100, NONE), (1000, NONE), (1000, ROUND_TRIP)]
        .map(|(objects, delay)| {
            let subject = format!("apply, N={objects}, {}", delayed(delay));
            Row::new("P13", subject, Goal::Part(Tool::Bare, 1.3, "1.3 × the time")).with_step_times(
                measured,
                Set::Of(objects),
                Step::First,
                delay,
            )
        })
        .into()
}

fn teardown(measured: &Measured) -> Vec<Row> {
    [NONE, ROUND_TRIP]
        .map(|delay| {
            let subject = format!("teardown, N=100, {}", delayed(delay));
            Row::new("P14", subject, Goal::Part(Tool::Kapp, 1.0, "the time")).with_step_times(
                measured,
                Set::Of(100),
                Step::Remove,
                delay,
            )
        })
        .into()
}

fn sandboxes(measured: &Measured) -> Vec<Row> {
    let [few, many] = SANDBOXES.map(Set::WithSandboxes);
    let second = Goal::AtMost(Figure::Time(Duration::from_secs(1)));
    let mut rows: Vec<Row> = [("P15", Step::Status, second), ("P15", Step::Sandboxes, second)]
        .into_iter()
        .chain([("P16", Step::Remove, Goal::AtMost(Figure::Time(Duration::from_secs(10))))])
        .map(|(id, step, goal)| {
            Row::new(id, format!("{}, {many}, loopback", step.word()), goal)
                .with_step_times(measured, many, step, NONE)
        })
        .collect();
    rows.extend([Step::Status, Step::Sandboxes].map(|step| {
        let memory = |set: Set, tool: Tool| Some(measured.step(set, step, NONE, tool)?.rss);
        let small = memory(few, Tool::Handsctl).unwrap_or_default();
        let goal = Goal::AtMost(Figure::Bytes(small + small / 4));
        Row::new("P17", format!("peak memory of {}, {many}", step.word()), goal)
            .with_figures(measured, many, step, NONE, |median| Figure::Bytes(median.rss))
            .with_formula(format!("1.25 × that of {} sandboxes", SANDBOXES[0]))
    }));
    rows
}
