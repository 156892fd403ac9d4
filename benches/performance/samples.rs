//! The samples of all runs, and their medians.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::process::Usage;
use super::proxy::Counts;
use super::tool::{Set, Step, Tool};

/// The maximum ratio of the longest to the shortest run at which the runs count as steady.
const STEADY: f64 = 1.5;

/// One run of a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) usage: Usage,
    pub(crate) counts: Counts,
}

/// The key of a measured step: set, step, delay and tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) set: Set,
    pub(crate) step: Step,
    /// The delay of each request.
    pub(crate) delay: Duration,
    pub(crate) tool: Tool,
}

/// The medians of a step's runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Median {
    pub(crate) runs: usize,
    pub(crate) wall: Duration,
    /// The shortest and the longest time.
    pub(crate) range: (Duration, Duration),
    pub(crate) cpu: Duration,
    /// In bytes.
    pub(crate) rss: u64,
    pub(crate) requests: u64,
    /// The maximum of all runs.
    pub(crate) patches: u64,
    /// The collections that any run watched.
    pub(crate) watched: BTreeSet<String>,
    /// Whether the middle run was ended by the time limit, so that its time is a lower bound.
    pub(crate) is_over: bool,
}

impl Median {
    /// Returns true if the runs differ so much that their median is unreliable: another process used the computer.
    pub(crate) fn is_unsteady(&self) -> bool {
        self.range.1 > self.range.0.mul_f64(STEADY)
    }
}

/// All measurements.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) steps: BTreeMap<Key, Vec<Sample>>,
    /// Failed runs of peers, which the medians do not contain.
    pub(crate) failures: Vec<Key>,
    /// Runs that print the version.
    pub(crate) starts: BTreeMap<Tool, Vec<Sample>>,
    /// The sizes of the programs in bytes.
    pub(crate) sizes: BTreeMap<Tool, u64>,
    /// The number of objects in handsctl's own set.
    pub(crate) own_objects: usize,
}

impl Measured {
    /// Returns the medians of a step; None if it was not measured.
    pub(crate) fn step(&self, set: Set, step: Step, delay: Duration, tool: Tool) -> Option<Median> {
        self.steps.get(&Key { set, step, delay, tool }).and_then(|samples| median(samples))
    }

    /// Returns the medians of a tool's starts.
    pub(crate) fn start(&self, tool: Tool) -> Option<Median> {
        self.starts.get(&tool).and_then(|samples| median(samples))
    }
}

/// Returns the median of each figure; None without samples.
pub(crate) fn median(samples: &[Sample]) -> Option<Median> {
    Some(Median {
        runs: samples.len(),
        wall: middle(samples, |sample| sample.usage.wall)?,
        range: (
            samples.iter().map(|sample| sample.usage.wall).min()?,
            samples.iter().map(|sample| sample.usage.wall).max()?,
        ),
        cpu: middle(samples, |sample| sample.usage.cpu)?,
        rss: middle(samples, |sample| sample.usage.rss)?,
        requests: middle(samples, |sample| sample.counts.requests)?,
        patches: samples.iter().map(|sample| sample.counts.patches).max()?,
        // The runs over the limit are the longest ones.
        is_over: middle(samples, |sample| (sample.usage.wall, sample.usage.is_over))?.1,
        watched: samples.iter().flat_map(|sample| sample.counts.watched.iter().cloned()).collect(),
    })
}

/// Returns the median; of an even number of samples, the higher one of the two in the middle.
fn middle<T: Ord>(samples: &[Sample], figure: impl Fn(&Sample) -> T) -> Option<T> {
    let mut figures: Vec<T> = samples.iter().map(figure).collect();
    figures.sort_unstable();
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle)
}
