//! The performance table: handsctl beside `kubectl`, `helm` and `kapp` on one control plane, in one run.
//!
//! `cargo bench --bench performance` prints it; `-- --write` writes it to `docs/performance.md`, with a description of
//! the method. `-- --quick` runs one round without the large set, to check that the bench works; `-- --sandboxes` only the rows P15 to
//! P17.

mod bed;
mod engine;
mod goals;
mod logs;
mod page;
mod paths;
mod process;
mod proxy;
mod samples;
mod sandboxes;
mod set;
mod tool;
mod wire;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use bed::Bed;
use engine::Work;
use process::{Call, Usage};
use samples::{Key, Measured, Sample};
use set::Files;
use tool::{Programs, Set, Step, StepTarget, Tool};

/// The rounds with sandboxes: each creates more than 3000 objects for each tool.
const SANDBOX_ROUNDS: usize = 3;
/// The number of measured starts: each prints the version.
const STARTS: usize = 31;

#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
struct Arguments {
    /// Write the table to docs/performance.md
    #[arg(long, conflicts_with = "quick")]
    write: bool,
    /// Run one round, without the set of 1000 objects
    #[arg(long)]
    quick: bool,
    /// Measure only the installation with sandboxes
    #[arg(long, conflicts_with = "write")]
    sandboxes: bool,
    /// Passed by cargo to every bench; ignored
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// A part of the bench that runs in a separate process.
#[derive(Debug, Subcommand)]
enum Part {
    /// Call the library with a synthetic set
    Engine { work: Work, objects: usize, namespace: String },
    /// Run the bare client
    Wire { server: SocketAddr, objects: usize, namespace: String },
    /// Compare the throughput of followed logs
    Logs {
        /// Write the figures to docs/performance.md
        #[arg(long)]
        write: bool,
    },
    /// Start a command and print its resource usage
    Start {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.part {
        Some(Part::Start { command }) => process::start(command),
        Some(Part::Engine { work, objects, namespace }) => {
            let kubeconfig = std::env::var_os("KUBECONFIG").context("KUBECONFIG is not set")?;
            Runtime::new()?.block_on(engine::run(*work, *objects, namespace, Path::new(&kubeconfig)))
        }
        Some(Part::Wire { server, objects, namespace }) => {
            Runtime::new()?.block_on(wire::run(*server, *objects, namespace))
        }
        Some(Part::Logs { write }) => compare_logs(*write),
        None => compare(arguments),
    }
}

/// Returns the path of the page.
fn page_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join("performance.md")
}

/// Splits the page into the part of the table and the section of the logs, which are measured separately.
fn page_parts() -> (String, String) {
    let page = std::fs::read_to_string(page_path()).unwrap_or_default();
    let at = page.find(logs::HEADING).unwrap_or(page.len());
    (page[..at].to_owned(), page[at..].to_owned())
}

/// Measures the logs, prints the section, and writes it into the page.
fn compare_logs(write: bool) -> anyhow::Result<()> {
    let section = logs::compare()?;
    write!(std::io::stdout(), "{section}")?;
    if write {
        let (table, _) = page_parts();
        std::fs::write(page_path(), table + &section).context("cannot write docs/performance.md")?;
    }
    Ok(())
}

/// Prints a line of progress to stderr.
fn report(text: &str) {
    let _written = writeln!(std::io::stderr(), "{text}");
}

/// Measures everything and prints the table.
fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::find()?;
    for tool in Tool::PEERS.into_iter().filter(|tool| programs.path(*tool).is_none()) {
        report(&format!(
            "{} was not found: its figures will be missing (set {} to its folder)",
            tool.word(),
            paths::FOLDER
        ));
    }
    let runtime = Runtime::new()?;
    report("creating a control plane");
    let bed = runtime.block_on(Bed::create())?;
    let versions = versions(&programs)?;
    for version in &versions {
        report(version);
    }
    runtime.block_on(bed.refuse_other_kubectl(&versions))?;
    let bench = Bench::new(&bed, &programs, &runtime)?;
    let measured = bench.measure(arguments)?;
    let rows = goals::rows(&measured);
    write!(std::io::stdout(), "Beside {}.\n\n{}", versions.join(", "), page::goals(&rows))?;
    write!(std::io::stdout(), "{}", page::failures(&measured))?;
    if arguments.write {
        let page = page::page(&measured, &rows, &versions, &bench.commands()?);
        let path = page_path();
        let (_, logs) = page_parts();
        std::fs::write(&path, page + &logs).with_context(|| format!("cannot write {}", path.display()))?;
        report(&format!("written: {}", path.display()));
    }
    bed.end()
}

/// Returns the version of every installed peer: `kubectl v1.34.4`.
fn versions(programs: &Programs) -> anyhow::Result<Vec<String>> {
    let version = |tool: Tool| {
        programs.version(tool).map(|call| {
            let output = Command::new(&call.program).args(&call.arguments).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let number = text
                .split(|c: char| c.is_whitespace() || c == '"')
                .find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
            anyhow::Ok(format!("{} {}", tool.word(), number.unwrap_or("of unknown version")))
        })
    };
    Tool::PEERS.into_iter().filter_map(version).collect()
}

/// The bench with its cluster and the programs to measure.
struct Bench<'a> {
    bed: &'a Bed,
    programs: &'a Programs,
    runtime: &'a Runtime,
}

impl<'a> Bench<'a> {
    fn new(bed: &'a Bed, programs: &'a Programs, runtime: &'a Runtime) -> anyhow::Result<Self> {
        for tool in Tool::ALL {
            runtime.block_on(bed.create_namespace(tool.namespace()))?;
        }
        Ok(Self { bed, programs, runtime })
    }

    fn measure(&self, arguments: &Arguments) -> anyhow::Result<Measured> {
        let mut measured = Measured { own_objects: self.own_objects()?, ..Measured::default() };
        for tool in Tool::ALL {
            if let Some(program) = self.programs.path(tool) {
                measured.sizes.insert(tool, std::fs::metadata(program)?.len());
            }
        }
        if arguments.sandboxes {
            self.sandboxes(arguments.quick, &mut measured)?;
            return Ok(measured);
        }
        report("warm-up round, not counted");
        self.round(Set::Of(12), Duration::ZERO, &mut Measured::default())?;
        self.starts(&mut measured)?;
        let rounds: &[(Set, usize)] = if arguments.quick {
            &[(Set::Own, 1), (Set::Of(12), 1), (Set::Of(100), 1)]
        } else {
            &[(Set::Own, 5), (Set::Of(12), 5), (Set::Of(100), 5), (Set::Of(1000), 3)]
        };
        for (set, rounds) in rounds {
            for delay in [goals::NONE, goals::ROUND_TRIP] {
                for round in 1..=*rounds {
                    let started = Instant::now();
                    self.round(*set, delay, &mut measured)?;
                    report(&format!(
                        "{set}, delay {delay:?}, round {round} of {rounds}: {:.0?}",
                        started.elapsed()
                    ));
                }
            }
        }
        self.sandboxes(arguments.quick, &mut measured)?;
        Ok(measured)
    }

    /// Measures the steps of an installation with many conversations.
    fn sandboxes(&self, quick: bool, measured: &mut Measured) -> anyhow::Result<()> {
        let rounds = if quick { 1 } else { SANDBOX_ROUNDS };
        for count in goals::SANDBOXES {
            for round in 1..=rounds {
                let started = Instant::now();
                let set = Set::WithSandboxes(count);
                for tool in [Tool::Handsctl, Tool::Kubectl] {
                    self.round_of_sandboxes(tool, set, count, measured)?;
                }
                report(&format!("{set}, round {round} of {rounds}: {:.0?}", started.elapsed()));
            }
        }
        Ok(())
    }

    /// Deploys the installation into the tool's namespace, creates the sandboxes, and runs each step of the tool.
    fn round_of_sandboxes(
        &self,
        tool: Tool,
        set: Set,
        count: usize,
        measured: &mut Measured,
    ) -> anyhow::Result<()> {
        let (namespace, server) = (tool.namespace(), self.bed.proxy.address.to_string());
        let files = self.files(tool, set)?;
        let target = StepTarget { namespace, server: &server, files: &files };
        let deploy = self.programs.step(Tool::Handsctl, set, Step::First, &target).unwrap_or_default();
        self.run(&deploy, Duration::ZERO)?;
        let node = self.runtime.block_on(self.bed.node())?;
        let objects = sandboxes::objects(count, &node);
        std::fs::write(
            sandboxes::manifests_path(&files),
            set::documents(objects.iter().map(|(_, it)| it.clone()))?,
        )?;
        self.runtime.block_on(self.bed.create_all(namespace, &objects))?;
        for step in [Step::Status, Step::Sandboxes, Step::Remove] {
            if step == Step::Remove && Some(&count) != goals::SANDBOXES.last() {
                continue;
            }
            let Some(calls) = self.programs.step(tool, set, step, &target) else { continue };
            let sample = self.run(&calls, Duration::ZERO)?;
            let key = Key { set, step, delay: Duration::ZERO, tool };
            measured.steps.entry(key).or_default().push(sample);
        }
        self.runtime.block_on(self.bed.delete_all(namespace))
    }

    fn starts(&self, measured: &mut Measured) -> anyhow::Result<()> {
        for _ in 0..STARTS {
            for tool in Tool::ALL {
                let Some(call) = self.programs.version(tool) else { continue };
                let sample = self.run(&[call], Duration::ZERO)?;
                measured.starts.entry(tool).or_default().push(sample);
            }
        }
        Ok(())
    }

    /// Runs every step of every tool once.
    fn round(&self, set: Set, delay: Duration, measured: &mut Measured) -> anyhow::Result<()> {
        let server = self.bed.proxy.address.to_string();
        for tool in Tool::ALL {
            let files = self.files(tool, set)?;
            let target = StepTarget { namespace: tool.namespace(), server: &server, files: &files };
            for step in [Step::First, Step::Unchanged, Step::Diff, Step::Remove] {
                let Some(calls) =
                    self.programs.step(tool, set, step, &target).filter(|_| is_measured(set, step))
                else {
                    continue;
                };
                let sample = match self.run(&calls, delay) {
                    Ok(sample) => sample,
                    // The failed step left an unknown state, so the next steps would measure something else.
                    Err(error) if Tool::PEERS.contains(&tool) => {
                        report(&format!("{} failed: {error:#}", tool.word()));
                        measured.failures.push(Key { set, step, delay, tool });
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let is_over = sample.usage.is_over;
                measured.steps.entry(Key { set, step, delay, tool }).or_default().push(sample);
                if is_over {
                    break;
                }
                self.runtime.block_on(self.bed.wait_for_deployments(target.namespace))?;
                if step == Step::First
                    && let Some(calls) = self.programs.after_first(tool, set, &target)
                {
                    self.run(&calls, Duration::ZERO)?;
                }
            }
            self.runtime.block_on(self.bed.delete_all(target.namespace))?;
        }
        Ok(())
    }

    fn run(&self, calls: &[Call], delay: Duration) -> anyhow::Result<Sample> {
        let environment = self.bed.environment();
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_path()));
        self.bed.proxy.reset(delay);
        let mut usage = Usage::default();
        for call in calls {
            usage = usage.then(call.measure(self.bed.folder(), &environment)?);
        }
        Ok(Sample { usage, counts: self.bed.proxy.counts() })
    }

    /// Writes the manifests for a tool's namespace.
    fn files(&self, tool: Tool, set: Set) -> anyhow::Result<Files> {
        let folder = self.bed.folder().join(tool.namespace());
        match set {
            Set::Own => Files::of_text(&folder, &self.render_own_set(tool.namespace(), None)?),
            Set::WithSandboxes(_) => {
                let config = sandboxes::write_config(&folder, self.own_objects()?)?;
                Files::of_text(&folder, &self.render_own_set(tool.namespace(), Some(&config))?)
            }
            Set::Of(objects) => Files::of_plan(&folder, objects, tool.namespace()),
        }
    }

    /// Renders handsctl's own set.
    fn render_own_set(&self, namespace: &str, config: Option<&Path>) -> anyhow::Result<String> {
        let mut render = Command::new(paths::HANDSCTL);
        render.args(["render", "-n", namespace, "--name", set::NAME]).current_dir(self.bed.folder());
        render.args(config.iter().flat_map(|path| [Path::new("--config"), path]));
        let output = render.env_clear().envs(self.bed.environment()).output()?;
        if !output.status.success() {
            bail!("handsctl render: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn own_objects(&self) -> anyhow::Result<usize> {
        let manifests = self.render_own_set(Tool::Handsctl.namespace(), None)?;
        Ok(manifests.lines().filter(|line| line.starts_with("kind: ")).count())
    }

    /// Returns the command lines of all steps.
    fn commands(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut commands = Vec::new();
        for set in [Set::Own, Set::Of(100), Set::WithSandboxes(goals::SANDBOXES[1])] {
            for step in Step::ALL {
                for tool in Tool::ALL {
                    let files = self.files(tool, set)?;
                    let target = StepTarget { namespace: "NAMESPACE", server: "SERVER", files: &files };
                    let calls = self.programs.step(tool, set, step, &target);
                    let Some(calls) = calls.filter(|_| is_measured(set, step)) else { continue };
                    let lines: Vec<String> = calls.iter().map(|call| command_line(call, &files)).collect();
                    commands.push((format!("{set}, {}", step.word()), lines.join(" && ")));
                }
            }
        }
        Ok(commands)
    }
}

/// Returns true if the step is measured for this set. A diff and a teardown are only measured for 100 objects.
fn is_measured(set: Set, step: Step) -> bool {
    match set {
        Set::WithSandboxes(_) => matches!(step, Step::Status | Step::Sandboxes | Step::Remove),
        Set::Own | Set::Of(_) => matches!(step, Step::First | Step::Unchanged) || set == Set::Of(100),
    }
}

/// Returns the command line without the paths of this computer.
fn command_line(call: &Call, files: &Files) -> String {
    let folder = files.manifests.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    let program =
        call.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Cargo appends a hash to the name of the bench.
    let program = program.split('-').next().unwrap_or_default();
    let arguments: Vec<String> =
        call.arguments.iter().map(|argument| argument.replace(&folder, "")).collect();
    format!("{program} {}", arguments.join(" "))
}
