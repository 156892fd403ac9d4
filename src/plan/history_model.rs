//! A model of what the history of a set must say, and what a rollback must restore, without any of handsctl's rules.
//! Tests compare random runs with it: in process with `deploy/history_tests.rs`, on a real API server with
//! `tests/api_server/history.rs`.

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It waits for the rollout.
    Waits,
    /// It waits for the rollout, and the server rejects every deletion.
    CannotDelete,
    /// `--no-wait`.
    NoWait,
    /// A signal while it waits for the rollout.
    Interrupted,
    /// SIGKILL while it waits for the rollout.
    Killed,
    /// The server rejects the dry run of every object.
    Refused,
    /// The server accepts the dry run and rejects every object.
    Rejected,
}

/// What somebody deletes behind the set's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drift {
    Workload,
    Other,
}

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeds,
    RolloutFails,
    IsRejected,
    IsStopped,
    /// There is no revision to go back to.
    HasNoTarget,
}

/// What is known of the applied content.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
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

/// What is true of a set.
#[derive(Debug, Default, Clone)]
pub(crate) struct Model {
    /// The content whose rollout never succeeds.
    broken: char,
    /// Whether no pod works at present, whatever its content.
    pub(crate) outage: bool,
    /// The applied content.
    pub(crate) live: Option<char>,
    pub(crate) knowledge: Knowledge,
    /// The contents that worked, in the order in which they last became good.
    pub(crate) good: Vec<char>,
    /// Whether a rollback has applied the content.
    by_rollback: bool,
    /// What is deleted behind the set's back and not yet created anew.
    missing: Vec<Drift>,
}

impl Model {
    /// The model of an empty namespace.
    pub(crate) fn new(broken: char) -> Self {
        Self { broken, ..Self::default() }
    }

    /// Somebody deletes an object.
    pub(crate) fn drift(&mut self, drift: Drift) {
        if self.live.is_some() {
            self.missing.push(drift);
        }
    }

    pub(crate) fn workload_is_missing(&self) -> bool {
        self.missing.contains(&Drift::Workload)
    }

    /// A deploy of this content, with an automatic rollback if that is enabled.
    pub(crate) fn deploy(&mut self, content: char, end: End, rolls_back: bool) -> Outcome {
        let (outcome, is_judged) = self.run(content, end, false);
        let target = self.good.iter().rev().find(|good| **good != content).copied();
        if rolls_back
            && is_judged
            && let Some(target) = target
        {
            self.run(target, End::Waits, true);
        }
        outcome
    }

    /// A rollback without a number.
    pub(crate) fn rollback(&mut self, end: End) -> Outcome {
        match self.rollback_target() {
            Some(target) => self.run(target, end, true).0,
            None => Outcome::HasNoTarget,
        }
    }

    /// Returns the content that `rollback` restores: that of a stopped rollback, otherwise the last good one that differs
    /// from the applied one.
    pub(crate) fn rollback_target(&self) -> Option<char> {
        if self.by_rollback && self.knowledge == Knowledge::Unfinished {
            return self.live;
        }
        self.good.iter().rev().find(|good| Some(**good) != self.live).copied()
    }

    /// Returns whether the pods of a content work now.
    pub(crate) fn works(&self, content: char) -> bool {
        content != self.broken && !self.outage
    }

    /// Applies a content. The second value is whether its rollout failed because of it.
    fn run(&mut self, content: char, end: End, is_rollback: bool) -> (Outcome, bool) {
        let is_same = self.live == Some(content);
        let sends = !is_same || !self.missing.is_empty();
        if end == End::Refused && sends {
            return (Outcome::IsRejected, false);
        }
        self.look();
        if end == End::Rejected && sends {
            return (Outcome::IsRejected, false);
        }
        let judges = sends && !(is_same && self.knowledge == Knowledge::Good);
        if !is_same {
            self.by_rollback = is_rollback;
            self.live = Some(content);
        }
        self.missing.clear();
        match end {
            End::NoWait => {
                if judges {
                    self.knowledge = Knowledge::NotWatched;
                }
                (Outcome::Succeeds, false)
            }
            End::Interrupted | End::Killed if sends => {
                // A killed run cannot change the result of a revision that an earlier run recorded.
                if judges && !(end == End::Killed && is_same) {
                    self.knowledge = Knowledge::Unfinished;
                }
                (Outcome::IsStopped, false)
            }
            _ if self.works(content) => {
                self.became_good(content);
                (Outcome::Succeeds, false)
            }
            _ => {
                if judges {
                    self.knowledge = Knowledge::Failed;
                }
                (Outcome::RolloutFails, judges)
            }
        }
    }

    /// A run sees whether the content works whose run did not see it.
    fn look(&mut self) {
        let is_undecided = matches!(self.knowledge, Knowledge::NotWatched | Knowledge::Unfinished);
        if let Some(live) = self.live
            && is_undecided
            && !self.workload_is_missing()
            && self.works(live)
        {
            self.became_good(live);
        }
    }

    fn became_good(&mut self, content: char) {
        self.good.retain(|good| *good != content);
        self.good.push(content);
        self.knowledge = Knowledge::Good;
    }
}
