//! Random runs of two users on one set, compared with a model of what its history must say and what a rollback must
//! restore. A run is executed as `deploy/execute.rs` does, on a set of one ConfigMap.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::changes::{ChangePolicy, Changes, Live, RevisionChange, manifest_for, new_manifest};
use super::desired::{Member, Plan};
use super::inventory::apply_set::ApplySet;
use super::inventory::history::History;
use super::inventory::members::Members;
use super::inventory::revision::{self, RESULT, Revision, RevisionResult, read_all};
use super::inventory::snapshot::Snapshot;
use super::ownership::policy::Ownership;
use crate::object::kind::CONFIG_MAP;
use crate::object::labels::MANAGER;

const SEQUENCES: u64 = 2_000;
const RUNS: usize = 12;
/// The kept good revisions beside the deployed one.
const KEPT: usize = 2;
/// Contents whose rollout succeeds, and one whose rollout never does.
const CONTENTS: [char; 5] = ['a', 'b', 'c', 'd', 'x'];
const BROKEN: char = 'x';

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It waits for the rollout.
    Waits,
    /// `--no-wait`.
    NoWait,
    /// A signal after the objects were applied.
    Interrupted,
    /// SIGKILL after the objects were applied.
    Killed,
    /// The server rejects every object.
    Rejected,
}

/// One step of a sequence.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deploy(char, End),
    DeployWithoutRollback(char),
    Rollback(End),
    /// Someone changes the member behind the set's back.
    Drift,
    /// The cluster starts or stops rejecting pods, whatever the content.
    Outage(bool),
}

/// The cluster, with the revisions that handsctl recorded.
struct Cluster {
    members: Members,
    revisions: Vec<Revision>,
    outage: bool,
    drifted: bool,
}

/// What is known of the applied content.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// Its rollout failed, or nothing is applied.
    #[default]
    Failed,
    /// It worked.
    Good,
    /// Its run did not wait.
    NotWatched,
    /// Its run was stopped.
    Unfinished,
}

/// What is true, without any of handsctl's rules.
#[derive(Debug, Default)]
struct Model {
    /// The applied content.
    live: Option<char>,
    knowledge: Knowledge,
    /// Whether a rollback has applied it.
    by_rollback: bool,
    /// The contents that worked, in the order in which they last became good.
    good: Vec<char>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn content(&mut self) -> char {
        CONTENTS[self.below(CONTENTS.len())]
    }

    fn end(&mut self) -> End {
        match self.below(8) {
            0 => End::NoWait,
            1 => End::Interrupted,
            2 => End::Killed,
            3 => End::Rejected,
            _ => End::Waits,
        }
    }

    fn step(&mut self) -> Step {
        match self.below(10) {
            0..=4 => Step::Deploy(self.content(), self.end()),
            5 => Step::DeployWithoutRollback(self.content()),
            6 | 7 => Step::Rollback(self.end()),
            8 => Step::Drift,
            _ => Step::Outage(self.below(3) == 0),
        }
    }
}

fn set() -> ApplySet {
    ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
}

fn plan(content: char) -> Plan {
    let id = CONFIG_MAP.id("n", "a");
    let manifest = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "n" },
        "data": { "content": content.to_string() },
    });
    Plan { set: set(), members: vec![Member { id, kind: CONFIG_MAP, manifest }], ..Plan::default() }
}

fn content_of(snapshot: &Snapshot) -> char {
    snapshot.members[0]["data"]["content"].as_str().unwrap().chars().next().unwrap()
}

fn owned(mut manifest: Value) -> Value {
    manifest["metadata"]["managedFields"] = json!([{
        "manager": MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsV1": {
            "f:metadata": { "f:labels": { "f:applyset.kubernetes.io/part-of": {} } }, "f:data": { "f:content": {} },
        },
    }]);
    manifest
}

impl Cluster {
    fn live(&self) -> Option<char> {
        let object = self.members.values().next()?;
        object["data"]["content"].as_str()?.chars().next()
    }

    fn works(&self, content: char) -> bool {
        content != BROKEN && !self.outage
    }

    fn record(&mut self, number: u64, snapshot: &Snapshot, by: &str) {
        let (mut secret, _) = revision::manifest(&set(), number, by, snapshot).unwrap();
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        self.revisions.extend(read_all(&[secret]));
    }

    fn set_result(&mut self, number: u64, result: RevisionResult) {
        assert!(RESULT.starts_with("handsctl.dev/"));
        let revision = self.revisions.iter_mut().find(|revision| revision.number == number).unwrap();
        revision.result = result;
    }

    /// Runs one deploy of this plan. Returns whether an automatic rollback may follow.
    fn run(&mut self, plan: Plan, end: End, by: &str) -> Option<Changes> {
        let mut history = History::new(self.revisions.clone());
        let is_unchanged = history.undecided().is_some_and(|latest| {
            let snapshot = latest.snapshot.as_ref().unwrap();
            !self.drifted && self.live() == Some(content_of(snapshot)) && self.works(content_of(snapshot))
        });
        history.decide(is_unchanged);
        let policy = ChangePolicy {
            ownership: Ownership::default(),
            revision_history: KEPT,
            delete_data: false,
            waits: end != End::NoWait,
        };
        let referenced = BTreeSet::new();
        let live = Live {
            members: &self.members,
            parent: None,
            history: &history,
            key_is_stored: true,
            referenced: &referenced,
        };
        let changes = Changes::between(plan, live, &policy);
        if let Some(decision) = changes.decision {
            self.set_result(decision.number, decision.result);
        }
        let number = changes.revision.number();
        let is_new = matches!(changes.revision, RevisionChange::New(_));
        if is_new {
            self.record(number, &Snapshot::from_plan(&changes.plan), by);
        }
        if end == End::Rejected && changes.sends() {
            if is_new {
                self.revisions.pop();
            }
            return None;
        }
        self.apply(&changes);
        let content = self.live().unwrap();
        let result = match end {
            End::Killed => None,
            End::Interrupted => changes.judges_revision().then_some(RevisionResult::Interrupted),
            End::NoWait => changes.judges_revision().then_some(RevisionResult::NotWatched),
            End::Waits | End::Rejected if self.works(content) => Some(RevisionResult::Good),
            End::Waits | End::Rejected => changes.judges_revision().then_some(RevisionResult::Failed),
        };
        if let Some(result) = result {
            self.set_result(number, result);
        }
        let cleans_up = result == Some(RevisionResult::Good) || end == End::NoWait;
        if cleans_up {
            let result = if result == Some(RevisionResult::Good) {
                RevisionResult::Good
            } else {
                changes.revision.result()
            };
            let surplus = &changes.cleanup(result).revisions;
            self.revisions.retain(|revision| !surplus.iter().any(|old| old.number == revision.number));
        }
        (result == Some(RevisionResult::Failed)).then_some(changes)
    }

    fn apply(&mut self, changes: &Changes) {
        let member = &changes.plan.members[0];
        let manifest = match self.members.get(&member.id) {
            Some(live) => manifest_for(member, live, &set(), &Ownership::default()),
            None => new_manifest(member, &set()),
        };
        self.members.insert(member.id.clone(), owned(manifest));
        self.drifted = false;
    }

    /// Returns the plan that restores a revision.
    fn restored(&self, revision: &Revision) -> Plan {
        revision.snapshot.as_ref().unwrap().plan(revision.number, &set(), &self.members).unwrap()
    }

    fn step(&mut self, step: Step, by: &str) {
        match step {
            Step::Deploy(content, end) => {
                let Some(changes) = self.run(plan(content), end, by) else { return };
                let history = History::new(self.revisions.clone());
                if let Some(target) = history.last_good_other_than(&changes.plan) {
                    self.run(self.restored(target), End::Waits, by);
                }
            }
            Step::DeployWithoutRollback(content) => {
                self.run(plan(content), End::Waits, by);
            }
            Step::Rollback(end) => {
                let history = History::new(self.revisions.clone());
                if let Some(target) = history.rollback_target() {
                    self.run(self.restored(target), end, by);
                }
            }
            Step::Drift => {
                if let Some(object) = self.members.values_mut().next() {
                    object["data"]["content"] = json!("theirs");
                    self.drifted = true;
                }
            }
            Step::Outage(outage) => self.outage = outage,
        }
    }
}

impl Model {
    fn became_good(&mut self, content: char) {
        self.good.retain(|good| *good != content);
        self.good.push(content);
    }

    /// Returns the content that `rollback` restores: that of a stopped rollback, otherwise the last good one that differs
    /// from the applied one.
    fn rollback_target(&self) -> Option<char> {
        if self.by_rollback && self.knowledge == Knowledge::Unfinished {
            return self.live;
        }
        self.good.iter().rev().find(|good| Some(**good) != self.live).copied()
    }

    /// Applies a content. Returns whether its rollout failed, so that an earlier content is restored.
    fn run(&mut self, content: char, end: End, cluster: &Cluster, drifted: bool, is_rollback: bool) -> bool {
        let is_same = self.live == Some(content);
        let changes = !is_same || drifted;
        self.look(drifted, cluster);
        if end == End::Rejected && changes {
            return false;
        }
        let judges = changes && !(is_same && self.knowledge == Knowledge::Good);
        if !is_same {
            self.by_rollback = is_rollback;
        }
        self.live = Some(content);
        match end {
            End::Waits | End::Rejected if cluster.works(content) => {
                self.became_good(content);
                self.knowledge = Knowledge::Good;
            }
            End::Waits | End::Rejected => {
                if judges {
                    self.knowledge = Knowledge::Failed;
                }
                return judges;
            }
            End::Killed if is_same => {}
            End::NoWait if judges => self.knowledge = Knowledge::NotWatched,
            End::Interrupted | End::Killed if judges => self.knowledge = Knowledge::Unfinished,
            End::Interrupted | End::Killed | End::NoWait => {}
        }
        false
    }

    /// The next run sees whether an undecided content works.
    fn look(&mut self, drifted: bool, cluster: &Cluster) {
        let Some(live) = self.live else { return };
        let is_undecided = matches!(self.knowledge, Knowledge::NotWatched | Knowledge::Unfinished);
        if is_undecided && !drifted && cluster.works(live) {
            self.became_good(live);
            self.knowledge = Knowledge::Good;
        }
    }
}

fn numbers_and_results(revisions: &[Revision]) -> Vec<(u64, RevisionResult)> {
    revisions.iter().map(|revision| (revision.number, revision.result)).collect()
}

/// Checks what holds after each step, whatever came before.
fn check(cluster: &Cluster, before: &[(u64, RevisionResult)], step: Step, log: &str) {
    let after = numbers_and_results(&cluster.revisions);
    for (number, result) in before {
        let now = after.iter().find(|(other, _)| other == number).map(|(_, result)| *result);
        let is_still_good = now.is_none_or(|now| now == RevisionResult::Good);
        assert!(
            *result != RevisionResult::Good || is_still_good,
            "revision {number} is no longer good\n{log}"
        );
    }
    if matches!(step, Step::Drift | Step::Outage(_)) {
        assert_eq!(before, after, "no run, no change\n{log}");
    }
    if let Some(latest) = cluster.revisions.last()
        && !cluster.drifted
    {
        let content = content_of(latest.snapshot.as_ref().unwrap());
        assert_eq!(Some(content), cluster.live(), "the latest revision is not what runs\n{log}");
    }
    let good = cluster.revisions.iter().filter(|revision| revision.result == RevisionResult::Good);
    let contents: Vec<char> = good.map(|revision| content_of(revision.snapshot.as_ref().unwrap())).collect();
    assert!(!contents.contains(&BROKEN), "a broken content is good\n{log}");
    assert!(cluster.revisions.len() <= KEPT + 2 + 2 + RUNS, "{log}");
}

#[test]
fn history_agrees_with_model_in_2000_random_sequences() {
    for seed in 0..SEQUENCES {
        let mut random = Random(seed);
        let mut cluster =
            Cluster { members: Members::new(), revisions: Vec::new(), outage: false, drifted: false };
        let mut model = Model::default();
        let mut log = format!("seed {seed}");
        for _ in 0..RUNS {
            let step = random.step();
            let by = ["ana@laptop", "ben@ci"][random.below(2)];
            log += &format!("\n{by} {step:?}");
            let before = numbers_and_results(&cluster.revisions);
            let drifted = cluster.drifted;
            match step {
                Step::Deploy(content, end) => {
                    let failed = model.run(content, end, &cluster, drifted, false);
                    let target = model.good.iter().rev().find(|good| **good != content).copied();
                    if failed && let Some(target) = target {
                        model.run(target, End::Waits, &cluster, false, true);
                    }
                }
                Step::DeployWithoutRollback(content) => {
                    model.run(content, End::Waits, &cluster, drifted, false);
                }
                Step::Rollback(end) => {
                    if let Some(target) = model.rollback_target() {
                        model.run(target, end, &cluster, drifted, true);
                    }
                }
                Step::Drift | Step::Outage(_) => {}
            }
            cluster.step(step, by);
            log += &format!("  → {:?}", numbers_and_results(&cluster.revisions));
            check(&cluster, &before, step, &log);
            if !cluster.drifted {
                assert_eq!(cluster.live(), model.live, "{log}\n{model:?}");
            }
            let history = History::new(cluster.revisions.clone());
            let target =
                history.rollback_target().map(|revision| content_of(revision.snapshot.as_ref().unwrap()));
            // Older good contents than the kept ones are gone.
            let expected = model.rollback_target();
            assert_eq!(target, expected, "what a rollback restores\n{log}\n{model:?}");
        }
    }
}
