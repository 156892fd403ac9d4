//! The compared tools, and the commands of each tool at each step.

use std::fmt;
use std::path::{Path, PathBuf};

use super::process::Call;
use super::set::{Files, NAME};
use super::{paths, sandboxes};

/// A measured tool.
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

    /// Returns the name of the tool and of its program.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Handsctl => "handsctl",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::Kapp => "kapp",
            Self::Bare => "bare client",
        }
    }

    /// Returns the tool's own namespace, which keeps its objects apart from those of the other tools.
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

/// The set of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Set {
    /// The set that `handsctl deploy` creates from an empty configuration.
    Own,
    /// A synthetic set of this many objects.
    Of(usize),
    /// handsctl's own set and ConfigMaps, [`sandboxes::OBJECTS`] in all, beside the sandboxes of this many conversations.
    WithSandboxes(usize),
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own set"),
            Self::Of(objects) => write!(f, "N={objects}"),
            Self::WithSandboxes(count) => write!(f, "N={} and {count} sandboxes", sandboxes::OBJECTS),
        }
    }
}

/// A measured step. The steps run in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Creates the set in an empty namespace. It waits for the own set, not for a synthetic one.
    First,
    /// Applies the same set again and waits.
    Unchanged,
    /// Shows the differences to a changed set.
    Diff,
    /// Shows the state of the set.
    Status,
    /// Lists the sandboxes.
    Sandboxes,
    /// Deletes the set and waits until it is gone.
    Remove,
}

impl Step {
    /// The steps in their order.
    pub(crate) const ALL: [Self; 6] =
        [Self::First, Self::Unchanged, Self::Diff, Self::Status, Self::Sandboxes, Self::Remove];

    /// Returns the name of the step in tables.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::First => "apply",
            Self::Unchanged => "unchanged redeploy",
            Self::Diff => "diff",
            Self::Status => "status",
            Self::Sandboxes => "list of sandboxes",
            Self::Remove => "teardown",
        }
    }
}

/// The installed programs.
pub(crate) struct Programs {
    paths: Vec<(Tool, PathBuf)>,
    bench: PathBuf,
}

impl Programs {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let folders: Vec<PathBuf> = match std::env::var_os(paths::FOLDER) {
            Some(folder) => vec![folder.into()],
            None => std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect(),
        };
        let program =
            |tool: Tool| folders.iter().map(|folder| folder.join(tool.word())).find(|path| path.is_file());
        let mut paths = vec![(Tool::Handsctl, PathBuf::from(paths::HANDSCTL))];
        paths.extend(Tool::PEERS.into_iter().filter_map(|tool| Some((tool, program(tool)?))));
        Ok(Self { paths, bench: std::env::current_exe()? })
    }

    /// Returns the program of a tool; None if it was not found.
    pub(crate) fn path(&self, tool: Tool) -> Option<&Path> {
        self.paths.iter().find(|(owner, _)| *owner == tool).map(|(_, path)| path.as_path())
    }

    /// Returns the command that prints the tool's version without contacting a server.
    pub(crate) fn version(&self, tool: Tool) -> Option<Call> {
        let program = self.path(tool)?;
        Some(match tool {
            Tool::Handsctl | Tool::Kubectl => Call::new(program, ["version", "--client"]),
            Tool::Helm | Tool::Kapp => Call::new(program, ["version"]),
            Tool::Bare => return None,
        })
    }

    /// Returns the commands of a step in order; None if the tool is not installed or does not have the step.
    pub(crate) fn step(
        &self,
        tool: Tool,
        set: Set,
        step: Step,
        target: &StepTarget<'_>,
    ) -> Option<Vec<Call>> {
        match tool {
            Tool::Handsctl => self.handsctl(set, step, target),
            Tool::Kubectl => Some(kubectl(self.path(tool)?, set, step, target)),
            Tool::Helm => helm(self.path(tool)?, set, step, target),
            Tool::Kapp => Some(vec![kapp(self.path(tool)?, set, step, target)?]),
            Tool::Bare => self.bare(set, step, target),
        }
    }

    /// Uses the binary for the own set and the library for synthetic sets.
    fn handsctl(&self, set: Set, step: Step, target: &StepTarget<'_>) -> Option<Vec<Call>> {
        let Set::Of(objects) = set else {
            let command: &[&str] = match step {
                Step::First | Step::Unchanged => &["deploy"],
                Step::Diff => return None,
                Step::Status => &["status"],
                Step::Sandboxes => &["sandbox", "list"],
                Step::Remove if set == Set::Own => &["teardown"],
                Step::Remove => &["teardown", "--sandboxes", "--delete-data", "--yes"],
            };
            let flags = ["--name", NAME, "--context", paths::CONTEXT, "-n", target.namespace];
            let config = sandboxes::config_path(target.files.folder());
            let config = config.display().to_string();
            let config = if set == Set::Own { &[][..] } else { &["--config", &config] };
            return Some(vec![Call::new(self.path(Tool::Handsctl)?, [command, &flags[..], config].concat())]);
        };
        let work = match step {
            Step::First => "apply",
            Step::Unchanged => "deploy",
            Step::Diff => "diff",
            Step::Status | Step::Sandboxes => return None,
            Step::Remove => "teardown",
        };
        Some(vec![self.part("engine", work, objects, target)])
    }

    /// Returns the commands that run unmeasured after the first step. An apply without waiting leaves a revision
    /// without a final result; a deploy marks it as good, so that the next deploy has nothing to write.
    pub(crate) fn after_first(&self, tool: Tool, set: Set, target: &StepTarget<'_>) -> Option<Vec<Call>> {
        match (tool, set) {
            (Tool::Handsctl, Set::Of(objects)) => Some(vec![self.part("engine", "deploy", objects, target)]),
            _ => None,
        }
    }

    fn bare(&self, set: Set, step: Step, target: &StepTarget<'_>) -> Option<Vec<Call>> {
        match (set, step) {
            (Set::Of(objects), Step::First) => Some(vec![self.part("wire", target.server, objects, target)]),
            _ => None,
        }
    }

    /// Returns the command for a part of this program: `engine WORK OBJECTS NAMESPACE`, `wire SERVER OBJECTS
    /// NAMESPACE`.
    fn part(&self, part: &str, first: &str, objects: usize, target: &StepTarget<'_>) -> Call {
        Call::new(&self.bench, [part, first, &objects.to_string(), target.namespace])
    }
}

/// The namespace, the server and the files of a step.
pub(crate) struct StepTarget<'a> {
    pub(crate) namespace: &'a str,
    /// The address of the proxy: `127.0.0.1:40001`.
    pub(crate) server: &'a str,
    pub(crate) files: &'a Files,
}

fn kubectl(program: &Path, set: Set, step: Step, target: &StepTarget<'_>) -> Vec<Call> {
    let call = |words: &[&str], file: &Path| {
        let words = words.iter().map(|word| (*word).to_owned());
        Call::new(program, words.chain(["-n".into(), target.namespace.into(), "-f".into(), text(file)]))
    };
    let manifests = &target.files.manifests;
    let apply = || call(&["apply", "--server-side"], manifests);
    let wait = || {
        let instance = format!("app.kubernetes.io/instance={NAME}");
        Call::new(program, ["rollout", "status", "deployment", "-n", target.namespace, "-l", &instance])
    };
    let get = |kinds: &str| Call::new(program, ["get", kinds, "-o", "wide", "-n", target.namespace]);
    match (step, set) {
        (Step::Remove, Set::WithSandboxes(_)) => {
            let mut delete = call(&["delete"], manifests);
            delete.arguments.extend(["-f".into(), text(&sandboxes::manifests_path(target.files))]);
            vec![delete]
        }
        (Step::First, Set::Of(_)) => vec![apply()],
        (Step::First | Step::Unchanged, _) => vec![apply(), wait()],
        (Step::Status, _) => vec![get("all,ingresses,persistentvolumeclaims,configmaps")],
        (Step::Sandboxes, _) => vec![get("pods,services,ingresses,persistentvolumeclaims")],
        (Step::Diff, _) => {
            vec![Call { codes: &[0, 1], ..call(&["diff", "--server-side"], &target.files.changed) }]
        }
        (Step::Remove, _) => vec![call(&["delete"], manifests)],
    }
}

fn helm(program: &Path, set: Set, step: Step, target: &StepTarget<'_>) -> Option<Vec<Call>> {
    let chart = text(&target.files.chart);
    let words: &[&str] = match (step, set) {
        (Step::First, Set::Of(_)) => &["install", NAME, &chart],
        (Step::First, _) => &["install", NAME, &chart, "--wait"],
        (Step::Unchanged, _) => &["upgrade", NAME, &chart, "--wait"],
        // Helm has no built-in diff.
        (Step::Diff | Step::Status | Step::Sandboxes, _) => return None,
        (Step::Remove, _) => &["uninstall", NAME, "--wait"],
    };
    Some(vec![Call::new(program, [words, &["-n", target.namespace]].concat())])
}

fn kapp(program: &Path, set: Set, step: Step, target: &StepTarget<'_>) -> Option<Call> {
    let (manifests, changed) = (text(&target.files.manifests), text(&target.files.changed));
    let words: &[&str] = match (step, set) {
        (Step::First, Set::Of(_)) => &["deploy", "-f", &manifests, "--wait=false"],
        (Step::First | Step::Unchanged, _) => &["deploy", "-f", &manifests],
        (Step::Diff, _) => &["deploy", "-f", &changed, "--diff-run", "--diff-changes"],
        (Step::Status | Step::Sandboxes, _) => return None,
        (Step::Remove, _) => &["delete"],
    };
    Some(Call::new(program, [words, &["--yes", "-a", NAME, "-n", target.namespace]].concat()))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
