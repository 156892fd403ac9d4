//! handsctl's engine on a set that config.toml cannot describe: the library's calls in the order of the commands, in a
//! process of its own. What `src/commands/{preflight,deploy,course,diff,teardown}.rs` do is repeated here without settings; where
//! they change, this has to change.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use handsctl::catalogue::Id;
use handsctl::cluster::access::{access_review, rules};
use handsctl::cluster::apply::applied::{Applied, ApplyMode};
use handsctl::cluster::apply::inventory::{self, InventoryScope};
use handsctl::cluster::apply::lock::{self, LockRequest};
use handsctl::cluster::apply::revisions::{self, RevisionRef};
use handsctl::cluster::apply::waves::{self, Change};
use handsctl::cluster::apply::{namespaces, prune};
use handsctl::cluster::client::api::Api;
use handsctl::cluster::client::connect::{self, ContextArgs};
use handsctl::cluster::client::version::{self, ServerVersion};
use handsctl::cluster::diff::{self, DiffInput};
use handsctl::cluster::inspect::{self, ClusterState};
use handsctl::cluster::rollout::follow::{self, RolloutResult, RolloutWatch};
use handsctl::cluster::teardown::{self, TeardownOptions};
use handsctl::cluster::watch::observed_set::{self, ObservedSet};
use handsctl::error::{Error, Kind, Result};
use handsctl::event::{Event, Events, Finished, Phase};
use handsctl::object::ObjectId;
use handsctl::plan::inventory::apply_set::ApplySet;
use handsctl::plan::inventory::lease::{Holder, LeaseDuration};
use handsctl::plan::inventory::prune::{PruneCandidate, prune_candidates};
use handsctl::plan::inventory::revision::{Current, Revision, RevisionResult, Snapshot};
use handsctl::plan::ownership::policy::Ownership;
use handsctl::plan::{Member, Plan};
use handsctl::provider::Process;
use handsctl::report::{ColorChoice, DiffReport, Output, Reporter, Streams};
use handsctl::status::{self, GracePeriods};
use jiff::Timestamp;
use tokio::time::Instant;

use super::bed::CONTEXT;
use super::set::{self, Edition};

/// No step of the bench takes longer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Revisions that are kept: the default of `[deploy].revision_history`.
const HISTORY: usize = 3;

/// What is done with the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// `deploy --no-wait`.
    Apply,
    /// `deploy`.
    Deploy,
    /// `diff`, of the set in which some objects differ.
    Diff,
    /// `teardown`.
    Teardown,
}

/// Does it, with the reporter that the commands have.
pub(crate) async fn run(
    work: Work,
    objects: usize,
    namespace: &str,
    kubeconfig: &Path,
) -> anyhow::Result<()> {
    let selection = ContextArgs {
        kubeconfig: Some(kubeconfig.to_owned()),
        context: Some(CONTEXT.to_owned()),
        ..ContextArgs::default()
    };
    let streams = Streams::from_environment(ColorChoice::Never, false, 0);
    let reporter = Reporter::new(streams.clone(), None, Output::Human, Timestamp::now)?;
    let (events, receiver) = Events::channel();
    let reporting = tokio::spawn(reporter.run(receiver));
    let connection = connect::connect(&selection).await?;
    let api = &connection.api;
    match work {
        Work::Apply => deploy(api, (objects, namespace), false, &events).await?,
        Work::Deploy => deploy(api, (objects, namespace), true, &events).await?,
        Work::Diff => diff(api, (objects, namespace), &streams, &events).await?,
        Work::Teardown => teardown(api, namespace, &events).await?,
    }
    events.send(Event::Finished(Finished::default())).await;
    drop(events);
    reporting.await?;
    Ok(())
}

async fn server_version(api: &Api) -> Result<ServerVersion> {
    version::get_server_version(api).await.map_err(|fault| fault.into_error("cannot reach the cluster"))
}

/// What is known before the first change.
struct Prepared {
    set: ApplySet,
    plan: Plan,
    survey: ClusterState,
    live: ObservedSet,
    needs: Vec<Change>,
}

impl Prepared {
    async fn look(api: &Api, plan: Plan, events: &Events) -> Result<Self> {
        let no_kinds = BTreeSet::new();
        let (version, survey) =
            tokio::join!(server_version(api), inspect::inspect(api, &plan.set, &[], &no_kinds, events));
        let (streaming, survey) = (version?.streams_lists(), survey?);
        let set = plan.set.including_inventory_of(survey.parent.as_ref());
        let live = observed_set::open(api, &set, &plan, streaming, events).await?;
        let needs = waves::member_changes(&plan, &live.members, &Ownership::default());
        Ok(Self { set, plan, survey, live, needs })
    }

    async fn again(&mut self, api: &Api) -> Result<()> {
        let set = self.set.clone();
        let (survey, live) = tokio::join!(self.survey.refresh(api, &set), self.live.relist(api, &set));
        survey?;
        live?;
        self.needs = waves::member_changes(&self.plan, &self.live.members, &Ownership::default());
        Ok(())
    }

    fn to_send(&self) -> impl Iterator<Item = (&Member, bool)> + Clone {
        let pairs = self.plan.members.iter().zip(&self.needs);
        pairs
            .filter(|(_, need)| **need != Change::Unchanged)
            .map(|(member, need)| (member, matches!(need, Change::Create(_))))
    }

    fn sends(&self) -> bool {
        self.to_send().next().is_some()
    }

    fn present(&self) -> Option<&Revision> {
        self.survey.history.deployed_revision(&self.plan, !self.sends())
    }

    fn current(&self) -> Current {
        let next = || self.survey.history.next_number();
        let number = self.present().map_or_else(next, |revision| revision.number);
        Current { number, outcome: RevisionResult::Good }
    }

    fn in_use(&self) -> BTreeSet<String> {
        let mut names = self.survey.history.referenced_names(self.current(), HISTORY);
        names.extend(status::referenced_names(&self.live.state, HISTORY));
        names
    }

    fn candidates(&self) -> Vec<PruneCandidate> {
        prune_candidates(&self.plan, &self.live.members, &self.in_use(), false)
    }

    fn surplus(&self) -> Vec<&Revision> {
        self.survey.history.to_prune(self.current(), HISTORY)
    }

    fn member_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.plan.members.iter().map(|member| &member.id)
    }

    fn has_work(&self, waits: bool) -> bool {
        let unsettled = |revision: &Revision| revision.result != RevisionResult::Good;
        let candidates = self.candidates();
        self.sends()
            || self.present().is_none_or(|revision| waits && unsettled(revision))
            || candidates.iter().any(|leftover| leftover.decision.deletes())
            || !self.surplus().is_empty()
            || !self.parent_is_exact(&candidates)
    }

    fn parent_is_exact(&self, candidates: &[PruneCandidate]) -> bool {
        let Some(parent) = &self.survey.parent else { return false };
        let members: Vec<&ObjectId> =
            self.member_ids().chain(candidates.iter().map(|leftover| &leftover.id)).collect();
        let wanted =
            inventory::parent_manifest(&self.plan.set, InventoryScope::Exact(&members), Some(parent));
        inventory::matches(parent, &wanted)
    }
}

/// `deploy`, with or without `--no-wait`.
async fn deploy(api: &Api, (objects, namespace): (usize, &str), waits: bool, events: &Events) -> Result<()> {
    let plan = set::plan(objects, namespace, Edition::First);
    let mut prepared = Prepared::look(api, plan, events).await?;
    if prepared.has_work(true) {
        access_review::check(api, &rules::for_apply(&prepared.plan, prepared.to_send())).await?;
    }
    let begun = api.traffic().last_date();
    let objects = prepared.member_ids().cloned().collect();
    events.send(Event::Planned { phase: Phase::Apply, objects }).await;
    let mut course = Course { api, events, begun, waits, writes: prepared.has_work(waits) };
    if !course.writes {
        return course.run(&mut prepared).await;
    }
    namespaces::create_missing(api, &prepared.plan, &prepared.survey.missing_namespaces(), events).await?;
    let set = prepared.set.clone();
    let work = async {
        prepared.again(api).await?;
        course.run(&mut prepared).await
    };
    under_lock(api, &set, events, work).await
}

async fn under_lock<T>(
    api: &Api,
    set: &ApplySet,
    events: &Events,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Process { user, host, boot, pid, start } = Process::current();
    let holder = Holder { user, host, boot, pid, start };
    let asking = LockRequest { holder, is_gone: &|_| false, terms: LeaseDuration::default() };
    let lock = lock::acquire(api, set, &asking, events).await?;
    let outcome = tokio::select! {
        biased;
        error = lock.lost() => Err(error),
        outcome = work => outcome,
    };
    lock.release().await?;
    outcome
}

/// A run through the set: apply, follow, prune.
struct Course<'a> {
    api: &'a Api,
    events: &'a Events,
    begun: Timestamp,
    waits: bool,
    writes: bool,
}

impl Course<'_> {
    async fn run(&mut self, prepared: &mut Prepared) -> Result<()> {
        let mut revision = prepared.present().map(|present| RevisionRef::existing(&prepared.set, present));
        if self.writes {
            self.lay_ground(prepared, &mut revision).await?;
        }
        let Prepared { plan, live, needs, .. } = &*prepared;
        let ownership = Ownership::default();
        let applied =
            waves::apply(self.api, plan, needs, &live.members, &ownership, ApplyMode::Apply, self.events)
                .await?;
        if self.waits {
            self.follow(prepared, &applied).await?;
        }
        if self.writes {
            self.prune(prepared).await?;
        }
        if let Some(revision) = revision.as_mut().filter(|_| self.waits) {
            revisions::set_result(self.api, revision, RevisionResult::Good).await?;
        }
        Ok(())
    }

    async fn lay_ground(&self, prepared: &mut Prepared, revision: &mut Option<RevisionRef>) -> Result<()> {
        let (api, events, set) = (self.api, self.events, &prepared.plan.set);
        let members: Vec<&ObjectId> = prepared.member_ids().collect();
        let parent = prepared.survey.parent.clone();
        let parent =
            inventory::apply_parent(api, set, InventoryScope::Superset(&members), parent, events).await?;
        *revision = Some(self.record(prepared, revision.take()).await?);
        prepared.survey.parent = Some(parent);
        Ok(())
    }

    async fn record(&self, prepared: &Prepared, present: Option<RevisionRef>) -> Result<RevisionRef> {
        let (api, set) = (self.api, &prepared.plan.set);
        let Some(mut present) = present else {
            let content = Snapshot::from_plan(&prepared.plan, String::new());
            return revisions::record(api, set, &prepared.survey.history, &content, "bench", self.events)
                .await;
        };
        if prepared.sends() {
            revisions::set_result(api, &mut present, RevisionResult::Applying).await?;
        }
        Ok(present)
    }

    async fn follow(&self, prepared: &mut Prepared, applied: &[Applied]) -> Result<()> {
        let mut rollout = RolloutWatch {
            state: std::mem::take(&mut prepared.live.state),
            expected: observed_set::expected(applied),
            grace: GracePeriods::starting_at(self.begun),
            deadline: Instant::now() + TIMEOUT,
        };
        let ending = follow::follow(self.api, &mut prepared.live.watches, &mut rollout, self.events).await?;
        prepared.live.state = rollout.state;
        match ending {
            RolloutResult::Ready(_) => Ok(()),
            RolloutResult::Failed(findings) => {
                let message = format!("the bench's rollout failed: {findings:?}");
                Err(Error::new(Id::Internal, Kind::Internal, message))
            }
        }
    }

    async fn prune(&self, prepared: &Prepared) -> Result<()> {
        let (api, events, set) = (self.api, self.events, &prepared.plan.set);
        let (candidates, in_use) = (prepared.candidates(), prepared.in_use());
        let left = prune::prune(api, &prepared.set, &candidates, &in_use, events).await?;
        let members: Vec<&ObjectId> = prepared.member_ids().chain(&left).collect();
        if let Some(parent) = &prepared.survey.parent {
            inventory::apply_parent(api, set, InventoryScope::Exact(&members), Some(parent.clone()), events)
                .await?;
        }
        revisions::delete(api, set, &prepared.surplus()).await
    }
}

/// `diff`.
async fn diff(
    api: &Api,
    (objects, namespace): (usize, &str),
    streams: &Streams,
    events: &Events,
) -> Result<()> {
    let plan = set::plan(objects, namespace, Edition::Changed);
    server_version(api).await?;
    let survey = inspect::inspect(api, &plan.set, &[], &BTreeSet::new(), events).await?;
    let look = diff::list_set(api, &plan.set.including_inventory_of(survey.parent.as_ref())).await?;
    let history = &survey.history;
    let ownership = Ownership::default();
    let nothing_to_send =
        waves::member_changes(&plan, &look.live, &ownership).iter().all(|need| *need == Change::Unchanged);
    let present = history.deployed_revision(&plan, nothing_to_send).map(|revision| revision.number);
    let number = present.unwrap_or_else(|| history.next_number());
    let mut in_use = history.referenced_names(Current { number, outcome: RevisionResult::Good }, HISTORY);
    in_use.extend(look.in_use(HISTORY));
    let known = DiffInput {
        plan: &plan,
        look: &look,
        missing_namespaces: &survey.missing_namespaces(),
        key_is_stored: survey.key.1,
        in_use: &in_use,
        delete_data: false,
        ownership: &ownership,
    };
    let compared = diff::compare(api, known, events).await?;
    let name = &plan.set.name;
    let now = api.traffic().server_time();
    let _nobody_reads = streams
        .diff(&DiffReport { context: CONTEXT, namespace, name, compared: &compared, now }, Output::Human)?;
    let differing = compared.iter().filter(|compared| compared.difference.outcome.is_difference()).count();
    let expected = set::changed(objects);
    if differing == expected {
        return Ok(());
    }
    let message = format!("{differing} differences were found instead of {expected}");
    Err(Error::new(Id::Internal, Kind::Internal, message))
}

/// `teardown`.
async fn teardown(api: &Api, namespace: &str, events: &Events) -> Result<()> {
    let version = server_version(api).await?;
    let set = set::apply_set(namespace);
    let parent = inventory::get_parent(api, &set).await?;
    let set = set.including_inventory_of(parent.as_ref());
    namespaces::get_even_terminating(api, namespace).await?;
    let found = teardown::list(api, &set, parent, version.streams_lists()).await?;
    access_review::check(api, &rules::for_teardown(&set)).await?;
    let options = TeardownOptions { delete_data: false, deadline: Instant::now() + TIMEOUT };
    under_lock(api, &set, events, teardown::teardown(api, &set, found, options, events)).await?;
    teardown::sandboxes(api, namespace).await?;
    Ok(())
}
