//! What was measured, and its medians.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::process::Usage;
use super::proxy::Counts;
use super::tool::{Set, Step, Tool};

/// The longest of steady runs takes at most this many times as long as the shortest.
const STEADY: f64 = 1.5;

/// One run of a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) usage: Usage,
    pub(crate) counts: Counts,
}

/// Which step of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) set: Set,
    pub(crate) step: Step,
    /// What each request waits.
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
    /// Bytes.
    pub(crate) rss: u64,
    pub(crate) requests: u64,
    /// The most patches of any run.
    pub(crate) patches: u64,
    /// Collections watched in any run.
    pub(crate) watched: BTreeSet<String>,
}

impl Median {
    /// Whether the runs differ so much that their median says little: something else used the computer.
    pub(crate) fn is_unsteady(&self) -> bool {
        self.range.1 > self.range.0.mul_f64(STEADY)
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) steps: BTreeMap<Key, Vec<Sample>>,
    /// Runs of peers that failed: none of their figures is in the medians.
    pub(crate) failures: Vec<Key>,
    /// Printing the version.
    pub(crate) starts: BTreeMap<Tool, Vec<Sample>>,
    /// Bytes of the programs.
    pub(crate) sizes: BTreeMap<Tool, u64>,
    /// Objects of handsctl's own set.
    pub(crate) own_objects: usize,
}

impl Measured {
    /// The medians of a step; None where it was not measured.
    pub(crate) fn step(&self, set: Set, step: Step, delay: Duration, tool: Tool) -> Option<Median> {
        self.steps.get(&Key { set, step, delay, tool }).and_then(|samples| median(samples))
    }

    /// The medians of a start.
    pub(crate) fn start(&self, tool: Tool) -> Option<Median> {
        self.starts.get(&tool).and_then(|samples| median(samples))
    }
}

/// The medians, each figure by itself; None of no samples.
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
        watched: samples.iter().flat_map(|sample| sample.counts.watched.iter().cloned()).collect(),
    })
}

/// The middle one; of an even number the higher of the two in the middle.
fn middle<T: Ord>(samples: &[Sample], figure: impl Fn(&Sample) -> T) -> Option<T> {
    let mut figures: Vec<T> = samples.iter().map(figure).collect();
    figures.sort_unstable();
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle)
}
