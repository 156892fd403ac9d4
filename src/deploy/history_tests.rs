//! Random runs of two users on one set, compared with a model of what its history must say and what a rollback must
//! restore. Each run is that of `deploy` or `rollback`, against an API server in process.
//!
//! The sequences form a tree: the cluster is forked after each step, so that a step is run once for all sequences that
//! begin with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::recipe::deploy;
use super::request::DeployRequest;
use crate::catalogue::Id;
use crate::cluster::client::connect::Connection;
use crate::cluster::client::context::{ChosenContext, ContextOrigin};
use crate::cluster::in_memory::server::{Disturbance, InMemoryServer};
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished};
use crate::flags::Probe;
use crate::object::SharedMask;
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT, SECRET, SERVICE};
use crate::plan::build::apply_set_for;
use crate::plan::changes::ChangePolicy;
use crate::plan::goal::Goal;
use crate::plan::history_model::{Drift, End, Knowledge, Model, Outcome};
use crate::plan::inventory::history::History;
use crate::plan::inventory::lease::{Holder, LeaseDuration};
use crate::plan::inventory::revision::{Revision, RevisionResult};
use crate::plan::inventory::snapshot::Snapshot;
use crate::plan::ownership::policy::Ownership;
use crate::provider::Environment;
use crate::report::SharedTimeline;
use crate::session::cluster_session::Session;
use crate::session::runner::{Context, Run};
use crate::session::step::Deadline;
use crate::settings::{self, Request, Settings};

const SEQUENCES: usize = 2_000;
/// The trees of sequences, one thread each.
const TREES: usize = 4;
/// How many different steps follow each beginning of a sequence.
const BRANCHES: [usize; 7] = [1, 1, 2, 2, 5, 5, 5];
/// The kept good revisions beside the deployed one.
const KEPT: usize = 2;
/// Contents whose rollout succeeds, and one whose rollout never does.
const CONTENTS: [char; 5] = ['1', '2', '3', '4', '9'];
const BROKEN: char = '9';
const NAMESPACE: &str = "n";
const USERS: [&str; 2] = ["ana", "ben"];
/// The stack of a process's main thread.
const STACK: usize = 8 << 20;
/// How long a stopped run has waited.
const WAITED: Duration = Duration::from_secs(2);

/// One step of a sequence.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deploy(char, End),
    DeployWithoutRollback(char),
    Rollback(End),
    Drift(Drift),
    /// All pods begin or stop to crash, whatever their content.
    Outage(bool),
}

struct Random(u64);

impl Random {
    /// Returns a generator with numbers of its own.
    fn fork(&mut self) -> Self {
        self.below(1);
        Self(self.0.rotate_left(32) ^ self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn content(&mut self) -> char {
        CONTENTS[self.below(CONTENTS.len())]
    }

    fn end(&mut self) -> End {
        match self.below(10) {
            0 | 1 => End::NoWait,
            2 => End::Interrupted,
            3 => End::Killed,
            4 => End::Refused,
            5 => End::Rejected,
            6 => End::CannotDelete,
            _ => End::Waits,
        }
    }

    fn step(&mut self) -> Step {
        match self.below(10) {
            0..=4 => Step::Deploy(self.content(), self.end()),
            5 => Step::DeployWithoutRollback(self.content()),
            6 | 7 => Step::Rollback(self.end()),
            8 => Step::Drift([Drift::Workload, Drift::Other][self.below(2)]),
            _ => Step::Outage(self.below(3) == 0),
        }
    }
}

/// The computers of the users: the settings of each content.
struct Users {
    environment: Environment,
    settings: BTreeMap<char, Settings>,
    _folder: TempDir,
}

impl Users {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = CONTENTS.map(|content| (content, settings_of(content, &folder)));
        let environment = Environment::for_tests(folder.path());
        Self { environment, settings: settings.into(), _folder: folder }
    }
}

fn settings_of(content: char, folder: &TempDir) -> Settings {
    let set = [
        "deploy.name=\"oh\"".to_owned(),
        format!("deploy.namespace=\"{NAMESPACE}\""),
        format!("deploy.revision_history={KEPT}"),
        format!("kubernetes.resource_memory_limit=\"{content}Gi\""),
    ];
    let request = Request { set: set.into(), ..Request::default() };
    settings::read(&request, &[], folder.path()).unwrap().settings
}

/// Returns the content of a ConfigMap of the application: the memory limit of its sandboxes.
fn content_of(config_map: &Value) -> Option<char> {
    let mut lines = config_map["data"]["config.toml"].as_str()?.lines();
    let limit = lines.find_map(|line| line.strip_prefix("resource_memory_limit = \""))?;
    limit.chars().next()
}

fn content_of_snapshot(snapshot: &Snapshot) -> char {
    snapshot.members.iter().find_map(content_of).unwrap()
}

/// A cluster, in which handsctl runs.
struct Cluster<'a> {
    users: &'a Users,
    server: InMemoryServer,
}

impl<'a> Cluster<'a> {
    fn new(users: &'a Users) -> Self {
        let works = |config: &Value| content_of(config) != Some(BROKEN);
        Self { users, server: InMemoryServer::new(NAMESPACE, works) }
    }

    fn fork(&self) -> Self {
        Self { users: self.users, server: self.server.fork() }
    }

    fn revisions(&self) -> Vec<Revision> {
        History::from_secrets(&apply_set_for(&self.users.settings[&BROKEN]), &self.server.list(SECRET), None)
            .all()
            .to_vec()
    }

    /// Returns the content that the Deployment mounts; None if there is no Deployment, or its ConfigMap is missing.
    fn live(&self) -> Option<char> {
        let deployment = self.server.list(DEPLOYMENT).pop()?;
        let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array()?;
        let name = volumes.iter().find_map(|volume| volume["configMap"]["name"].as_str())?;
        let maps = self.server.list(CONFIG_MAP);
        content_of(maps.iter().find(|map| map["metadata"]["name"] == name)?)
    }

    async fn step(&self, step: Step, user: &str) -> Outcome {
        let no_run = Ok(Some(Outcome::Succeeds));
        let outcome = match step {
            Step::Deploy(content, end) => self.run(Goal::Configuration, content, end, user, true).await,
            Step::DeployWithoutRollback(content) => {
                self.run(Goal::Configuration, content, End::Waits, user, false).await
            }
            // The configuration only names the set.
            Step::Rollback(end) => self.run(Goal::Revision(None), CONTENTS[0], end, user, false).await,
            Step::Drift(Drift::Workload) => {
                self.server.delete(DEPLOYMENT, "oh");
                no_run
            }
            Step::Drift(Drift::Other) => {
                self.server.delete(SERVICE, "oh");
                no_run
            }
            Step::Outage(outage) => {
                self.server.set_outage(outage);
                no_run
            }
        };
        match outcome {
            Ok(outcome) => outcome.unwrap_or(Outcome::IsStopped),
            Err(error) => match error.kind() {
                Kind::Rollout => Outcome::RolloutFails,
                Kind::Rejected => Outcome::IsRejected,
                Kind::Interrupted => Outcome::IsStopped,
                Kind::Usage | Kind::Down | Kind::Prerequisite if error.id() == Id::NoSuchRevision => {
                    Outcome::HasNoTarget
                }
                _ => panic!("{error:?}"),
            },
        }
    }

    /// Runs a command as a new process does. None if it was killed.
    async fn run(
        &self,
        goal: Goal,
        content: char,
        end: End,
        user: &str,
        auto_rollback: bool,
    ) -> Result<Option<Outcome>> {
        self.server.disturb(match end {
            End::Waits | End::NoWait => Disturbance::None,
            End::Interrupted | End::Killed => Disturbance::Stalls,
            End::Refused => Disturbance::DeniesDryRuns,
            End::Rejected => Disturbance::DeniesApplies,
            End::CannotDelete => Disturbance::DeniesDeletions,
        });
        let finished = tokio::select! {
            finished = Box::pin(self.process(goal, content, end, user, auto_rollback)) => finished.map(Some),
            () = self.stopped(), if end == End::Killed => Ok(None),
        };
        self.server.disturb(Disturbance::None);
        if let Ok(None) = finished {
            // The Lease of the killed process expires.
            tokio::time::sleep(LeaseDuration::default().0 + WAITED).await;
        }
        Ok(finished?.map(|_| Outcome::Succeeds))
    }

    /// Waits until a member is applied, and a while longer.
    async fn stopped(&self) {
        self.server.stalled().await;
        tokio::time::sleep(WAITED).await;
    }

    async fn process(
        &self,
        goal: Goal,
        content: char,
        end: End,
        user: &str,
        auto_rollback: bool,
    ) -> Result<Finished> {
        let settings = self.users.settings[&content].clone();
        let policy = ChangePolicy {
            ownership: Ownership::new(&settings.deploy.ownership, false, false),
            revision_history: KEPT,
            delete_data: false,
            changes_edition: false,
            waits: end != End::NoWait,
        };
        let request = DeployRequest {
            restarts_replaced: false,
            command: "deploy",
            goal,
            policy,
            dry_run: None,
            note: None,
            probe: Probe::Auto,
            accepts_additions: false,
            auto_rollback,
        };
        let holder = Holder {
            user: user.to_owned(),
            host: "laptop".to_owned(),
            computer: "computer".to_owned(),
            pid: 1,
            start: "1".to_owned(),
            nonce: format!("{:?}", tokio::time::Instant::now()),
        };
        let (events, _) = Events::channel();
        let deadline = Deadline::after(Duration::from_secs(900));
        let environment = self.users.environment.clone();
        let context = Context::new(
            environment.clone(),
            events,
            deadline,
            Vec::new(),
            holder,
            SharedTimeline::default(),
        );
        let mut connection = Connection {
            api: self.server.connect(),
            choice: ChosenContext { context: "c".to_owned(), origin: ContextOrigin::Flag },
            server: "https://192.0.2.1".to_owned(),
            proxy: None,
            token_expiry: None,
            secrets: SharedMask::default(),
        };
        context.limit(&mut connection);
        let session = Session::new(environment, settings, connection)?;
        let run = Run::new(&session, &context);
        let interruption = async {
            if end != End::Interrupted {
                return std::future::pending().await;
            }
            self.stopped().await;
            self.server.disturb(Disturbance::None);
            Error::new(Id::Interrupted, Kind::Interrupted, "interrupted")
        };
        context.finish(Box::pin(deploy(&run, &request)), interruption).await
    }
}

fn numbers_and_results(revisions: &[Revision]) -> Vec<(u64, RevisionResult)> {
    revisions.iter().map(|revision| (revision.number, revision.result)).collect()
}

/// Checks what holds after each step, whatever came before.
fn check(before: &[Revision], after: &[Revision], step: Step, user: &str) {
    for revision in before.iter().filter(|revision| revision.result == RevisionResult::Good) {
        let now = after.iter().find(|other| other.number == revision.number);
        let is_still_good = now.is_none_or(|now| now.result == RevisionResult::Good);
        assert!(is_still_good, "revision {} is no longer good", revision.number);
    }
    if matches!(step, Step::Drift(_) | Step::Outage(_)) {
        assert_eq!(before, after, "no run, no change");
    }
    let newest_before = before.last().map_or(0, |revision| revision.number);
    for new in after.iter().filter(|revision| revision.number > newest_before) {
        assert_eq!(new.by, format!("{user}@laptop"), "revision {} was recorded by this user", new.number);
        if let Step::Deploy(_, End::Interrupted) | Step::Rollback(End::Interrupted) = step {
            assert_ne!(new.result, RevisionResult::Applying, "no run is applying revision {}", new.number);
        }
    }
}

/// Checks that the history says what the model says.
fn check_history(revisions: &[Revision], model: &Model) {
    let contents: Vec<char> = revisions
        .iter()
        .filter(|revision| revision.result == RevisionResult::Good)
        .map(|revision| content_of_snapshot(revision.snapshot.as_ref().unwrap()))
        .collect();
    assert!(!contents.contains(&BROKEN), "a broken content is good");
    for kept in model.good.iter().rev().filter(|good| Some(**good) != model.live).take(KEPT) {
        assert!(contents.contains(kept), "the good content {kept} is not kept: {contents:?}");
    }
    let Some(latest) = revisions.last() else {
        assert_eq!(model.live, None, "nothing is recorded");
        return;
    };
    let content = content_of_snapshot(latest.snapshot.as_ref().unwrap());
    assert_eq!(Some(content), model.live, "the latest revision is not what runs");
    let knowledge = match latest.result {
        RevisionResult::Good => Knowledge::Good,
        RevisionResult::Failed => Knowledge::Failed,
        RevisionResult::NotWatched => Knowledge::NotWatched,
        RevisionResult::Applying | RevisionResult::Interrupted => Knowledge::Unfinished,
    };
    assert_eq!(knowledge, model.knowledge, "the result of revision {}", latest.number);
    let history = History::new(revisions.to_vec());
    let target =
        history.rollback_target().map(|revision| content_of_snapshot(revision.snapshot.as_ref().unwrap()));
    assert_eq!(target, model.rollback_target(), "what a rollback restores");
}

/// The beginning of a sequence.
struct Beginning<'a> {
    cluster: Cluster<'a>,
    model: Model,
    revisions: Vec<Revision>,
    random: Random,
    log: String,
    length: usize,
}

impl<'a> Beginning<'a> {
    fn new(users: &'a Users, seed: u64) -> Self {
        Self {
            cluster: Cluster::new(users),
            model: Model::new(BROKEN),
            revisions: Vec::new(),
            random: Random(seed),
            log: format!("seed {seed}"),
            length: 0,
        }
    }

    /// Returns the sequence with one more step, whose effect is the model's.
    async fn with_step(&mut self) -> Self {
        let mut random = self.random.fork();
        let mut model = self.model.clone();
        let mut log = PrintedOnPanic(self.log.clone());
        let (step, user) = (random.step(), USERS[random.below(2)]);
        write!(log.0, "\n{user} {step:?}").unwrap();
        let expected = expected_outcome(&mut model, step);
        let cluster = self.cluster.fork();
        let outcome = cluster.step(step, user).await;
        let revisions = cluster.revisions();
        write!(log.0, "  → {outcome:?} {:?}", numbers_and_results(&revisions)).unwrap();
        assert_eq!(outcome, expected, "{model:?}");
        check(&self.revisions, &revisions, step, user);
        if !model.workload_is_missing() {
            assert_eq!(cluster.live(), model.live, "what runs, by {model:?}");
        }
        check_history(&revisions, &model);
        Self { cluster, model, revisions, random, log: log.0.clone(), length: self.length + 1 }
    }
}

fn expected_outcome(model: &mut Model, step: Step) -> Outcome {
    match step {
        Step::Deploy(content, end) => model.deploy(content, end, true),
        Step::DeployWithoutRollback(content) => model.deploy(content, End::Waits, false),
        Step::Rollback(end) => model.rollback(end),
        Step::Drift(drift) => {
            model.drift(drift);
            Outcome::Succeeds
        }
        Step::Outage(outage) => {
            model.outage = outage;
            Outcome::Succeeds
        }
    }
}

/// The steps of a sequence, printed if an assertion fails.
struct PrintedOnPanic(String);

impl Drop for PrintedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Runs all sequences that begin with an empty namespace. Returns their number.
async fn run_sequences(users: &Users, seed: u64) -> usize {
    let mut beginnings = vec![Beginning::new(users, seed)];
    let mut sequences = 0;
    while let Some(mut beginning) = beginnings.pop() {
        let Some(branches) = BRANCHES.get(beginning.length) else {
            sequences += 1;
            continue;
        };
        for _ in 0..*branches {
            beginnings.push(beginning.with_step().await);
        }
    }
    sequences
}

/// Runs them on a thread with the stack of a process: the futures of a command are large.
fn spawn_sequences(seed: u64) -> JoinHandle<usize> {
    let sequences = move || {
        let users = Users::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(run_sequences(&users, seed))
    };
    std::thread::Builder::new().stack_size(STACK).spawn(sequences).unwrap()
}

#[test]
fn history_agrees_with_model_in_2000_random_sequences() {
    let threads: Vec<_> = (0..TREES as u64).map(spawn_sequences).collect();
    let sequences = threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    assert_eq!(sequences.sum::<usize>(), SEQUENCES);
}
