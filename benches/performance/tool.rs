//! What is compared, and what each of them runs at each step.

use std::fmt;
use std::path::{Path, PathBuf};

use super::bed;
use super::process::Call;
use super::set::{Files, NAME};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Handsctl,
    Kubectl,
    Helm,
    Kapp,
    /// [`super::wire`].
    Bare,
}

impl Tool {
    pub(crate) const ALL: [Self; 5] = [Self::Handsctl, Self::Kubectl, Self::Helm, Self::Kapp, Self::Bare];
    pub(crate) const PEERS: [Self; 3] = [Self::Kubectl, Self::Helm, Self::Kapp];

    /// Its name, and its program's.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Handsctl => "handsctl",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::Kapp => "kapp",
            Self::Bare => "bare client",
        }
    }

    /// Its own namespace: no tool meets another's objects.
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Self::Handsctl => "bench-handsctl",
            Self::Kubectl => "bench-kubectl",
            Self::Helm => "bench-helm",
            Self::Kapp => "bench-kapp",
            Self::Bare => "bench-bare",
        }
    }
}

/// What a set consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Set {
    /// What `handsctl deploy` makes of an empty configuration.
    Own,
    /// A synthetic set of this many objects.
    Of(usize),
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own set"),
            Self::Of(objects) => write!(f, "N={objects}"),
        }
    }
}

/// What is done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Makes the set where nothing is. A synthetic set is not waited for.
    First,
    /// Once more, with nothing to change, and waited for.
    Unchanged,
    /// Shows what a changed set would change.
    Diff,
    /// Deletes it and waits until it is gone.
    Remove,
}

impl Step {
    /// For tables.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::First => "apply",
            Self::Unchanged => "unchanged redeploy",
            Self::Diff => "diff",
            Self::Remove => "teardown",
        }
    }
}

/// The programs that are there.
pub(crate) struct Programs {
    found: Vec<(Tool, PathBuf)>,
    this: PathBuf,
}

/// Names the folder of `kubectl`, `helm` and `kapp`; else they are looked for in `PATH`.
pub(crate) const FOLDER: &str = "BENCH_PEERS";

impl Programs {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let folders: Vec<PathBuf> = match std::env::var_os(FOLDER) {
            Some(folder) => vec![folder.into()],
            None => std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
        };
        let program =
            |tool: Tool| folders.iter().map(|folder| folder.join(tool.word())).find(|path| path.is_file());
        let mut found = vec![(Tool::Handsctl, PathBuf::from(bed::HANDSCTL))];
        found.extend(Tool::PEERS.into_iter().filter_map(|tool| Some((tool, program(tool)?))));
        Ok(Self { found, this: std::env::current_exe()? })
    }

    /// The program of a tool; None where it is not there.
    pub(crate) fn of(&self, tool: Tool) -> Option<&Path> {
        self.found.iter().find(|(found, _)| *found == tool).map(|(_, path)| path.as_path())
    }

    /// What prints the tool's version and asks no server.
    pub(crate) fn version(&self, tool: Tool) -> Option<Call> {
        let program = self.of(tool)?;
        Some(match tool {
            Tool::Handsctl | Tool::Kubectl => Call::new(program, ["version", "--client"]),
            Tool::Helm | Tool::Kapp => Call::new(program, ["version"]),
            Tool::Bare => return None,
        })
    }

    /// The commands of a step, one after the other; None where the tool is not there or does no such thing.
    pub(crate) fn step(&self, tool: Tool, set: Set, step: Step, place: &Place<'_>) -> Option<Vec<Call>> {
        match tool {
            Tool::Handsctl => self.handsctl(set, step, place),
            Tool::Kubectl => Some(kubectl(self.of(tool)?, set, step, place)),
            Tool::Helm => helm(self.of(tool)?, set, step, place),
            Tool::Kapp => Some(vec![kapp(self.of(tool)?, set, step, place)]),
            Tool::Bare => self.bare(set, step, place),
        }
    }

    /// The binary for its own set, the library for others.
    fn handsctl(&self, set: Set, step: Step, place: &Place<'_>) -> Option<Vec<Call>> {
        let Set::Of(objects) = set else {
            let command = match step {
                Step::First | Step::Unchanged => "deploy",
                Step::Diff => return None,
                Step::Remove => "teardown",
            };
            let named = ["--name", NAME, "--context", bed::CONTEXT, "-n", place.namespace];
            return Some(vec![Call::new(self.of(Tool::Handsctl)?, [&[command], &named[..]].concat())]);
        };
        let work = match step {
            Step::First => "apply",
            Step::Unchanged => "deploy",
            Step::Diff => "diff",
            Step::Remove => "teardown",
        };
        Some(vec![self.again("engine", work, objects, place)])
    }

    /// What is run after the first step and not measured: an apply that is not waited for leaves a revision of which
    /// nobody has seen whether it is good, so the next deploy has something to write.
    pub(crate) fn settle(&self, tool: Tool, set: Set, place: &Place<'_>) -> Option<Vec<Call>> {
        match (tool, set) {
            (Tool::Handsctl, Set::Of(objects)) => Some(vec![self.again("engine", "deploy", objects, place)]),
            _ => None,
        }
    }

    fn bare(&self, set: Set, step: Step, place: &Place<'_>) -> Option<Vec<Call>> {
        match (set, step) {
            (Set::Of(objects), Step::First) => Some(vec![self.again("wire", place.server, objects, place)]),
            _ => None,
        }
    }

    /// This program in another part: `engine WORK OBJECTS NAMESPACE`, `wire SERVER OBJECTS NAMESPACE`.
    fn again(&self, part: &str, first: &str, objects: usize, place: &Place<'_>) -> Call {
        Call::new(&self.this, [part, first, &objects.to_string(), place.namespace])
    }
}

/// Where a step is done, and with which files.
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a str,
    /// `127.0.0.1:40001`.
    pub(crate) server: &'a str,
    pub(crate) files: &'a Files,
}

fn kubectl(program: &Path, set: Set, step: Step, place: &Place<'_>) -> Vec<Call> {
    let call = |words: &[&str], file: &Path| {
        let words = words.iter().map(|word| (*word).to_owned());
        Call::new(program, words.chain(["-n".into(), place.namespace.into(), "-f".into(), text(file)]))
    };
    let manifests = &place.files.manifests;
    let apply = || call(&["apply", "--server-side"], manifests);
    let wait = || {
        let instance = format!("app.kubernetes.io/instance={NAME}");
        Call::new(program, ["rollout", "status", "deployment", "-n", place.namespace, "-l", &instance])
    };
    match (step, set) {
        (Step::First, Set::Of(_)) => vec![apply()],
        (Step::First, Set::Own) | (Step::Unchanged, _) => vec![apply(), wait()],
        (Step::Diff, _) => {
            vec![Call { codes: &[0, 1], ..call(&["diff", "--server-side"], &place.files.changed) }]
        }
        (Step::Remove, _) => vec![call(&["delete"], manifests)],
    }
}

fn helm(program: &Path, set: Set, step: Step, place: &Place<'_>) -> Option<Vec<Call>> {
    let chart = text(&place.files.chart);
    let words: &[&str] = match (step, set) {
        (Step::First, Set::Of(_)) => &["install", NAME, &chart],
        (Step::First, Set::Own) => &["install", NAME, &chart, "--wait"],
        (Step::Unchanged, _) => &["upgrade", NAME, &chart, "--wait"],
        // Helm has no diff of its own.
        (Step::Diff, _) => return None,
        (Step::Remove, _) => &["uninstall", NAME, "--wait"],
    };
    Some(vec![Call::new(program, [words, &["-n", place.namespace]].concat())])
}

fn kapp(program: &Path, set: Set, step: Step, place: &Place<'_>) -> Call {
    let (manifests, changed) = (text(&place.files.manifests), text(&place.files.changed));
    let words: &[&str] = match (step, set) {
        (Step::First, Set::Of(_)) => &["deploy", "-f", &manifests, "--wait=false"],
        (Step::First, Set::Own) | (Step::Unchanged, _) => &["deploy", "-f", &manifests],
        (Step::Diff, _) => &["deploy", "-f", &changed, "--diff-run", "--diff-changes"],
        (Step::Remove, _) => &["delete"],
    };
    Call::new(program, [words, &["--yes", "-a", NAME, "-n", place.namespace]].concat())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
