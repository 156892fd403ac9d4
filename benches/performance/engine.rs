//! handsctl's engine on a set that config.toml cannot describe: the library's calls in the order of the commands, in a
//! process of its own. What `src/commands/{preflight,deploy,course,diff,teardown}.rs` do is repeated here without settings; where
//! they change, this has to change.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use handsctl::catalogue::Id;
use handsctl::cluster::access::{access_review, rules};
use handsctl::cluster::apply::applied::{Applied, Mode};
use handsctl::cluster::apply::inventory::{self, Extent};
use handsctl::cluster::apply::lock::{self, Asking};
use handsctl::cluster::apply::revisions::{self, Recorded};
use handsctl::cluster::apply::waves::{self, Need};
use handsctl::cluster::apply::{namespaces, prune};
use handsctl::cluster::client::api::Api;
use handsctl::cluster::client::connect::{self, Selection};
use handsctl::cluster::client::version::{self, Version};
use handsctl::cluster::diff::{self, Known};
use handsctl::cluster::inspect::{self, Survey};
use handsctl::cluster::rollout::follow::{self, Ending, Rollout};
use handsctl::cluster::teardown::{self, Options};
use handsctl::cluster::watch::observed_set::{self, LiveSet};
use handsctl::error::{Error, Kind, Result};
use handsctl::event::{Event, Events, Finished, Phase};
use handsctl::object::ObjectId;
use handsctl::plan::inventory::apply_set::ApplySet;
use handsctl::plan::inventory::lease::{Holder, Terms};
use handsctl::plan::inventory::prune::{Leftover, leftovers};
use handsctl::plan::inventory::revision::{Content, Current, Outcome, Revision};
use handsctl::plan::ownership::policy::Ownership;
use handsctl::plan::{Member, Plan};
use handsctl::provider::Process;
use handsctl::report::{ColorChoice, DiffReport, Output, Reporter, Streams};
use handsctl::status::{self, Tolerance};
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
    let selection = Selection {
        kubeconfig: Some(kubeconfig.to_owned()),
        context: Some(CONTEXT.to_owned()),
        ..Selection::default()
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

async fn server_version(api: &Api) -> Result<Version> {
    version::of_server(api).await.map_err(|fault| fault.explain("cannot reach the cluster"))
}

/// What is known before the first change.
struct Prepared {
    set: ApplySet,
    plan: Plan,
    survey: Survey,
    live: LiveSet,
    needs: Vec<Need>,
}

impl Prepared {
    async fn look(api: &Api, plan: Plan, events: &Events) -> Result<Self> {
        let no_kinds = BTreeSet::new();
        let (version, survey) =
            tokio::join!(server_version(api), inspect::survey(api, &plan.set, &[], &no_kinds, events));
        let (streaming, survey) = (version?.streams_lists(), survey?);
        let set = plan.set.with_extent_of(survey.parent.as_ref());
        let live = observed_set::open(api, &set, &plan, streaming, events).await?;
        let needs = waves::needs(&plan, &live.members, &Ownership::default());
        Ok(Self { set, plan, survey, live, needs })
    }

    async fn again(&mut self, api: &Api) -> Result<()> {
        let set = self.set.clone();
        let (survey, live) = tokio::join!(self.survey.again(api, &set), self.live.list_again(api, &set));
        survey?;
        live?;
        self.needs = waves::needs(&self.plan, &self.live.members, &Ownership::default());
        Ok(())
    }

    fn to_send(&self) -> impl Iterator<Item = (&Member, bool)> + Clone {
        let pairs = self.plan.members.iter().zip(&self.needs);
        pairs
            .filter(|(_, need)| **need != Need::Nothing)
            .map(|(member, need)| (member, matches!(need, Need::Create(_))))
    }

    fn sends(&self) -> bool {
        self.to_send().next().is_some()
    }

    fn present(&self) -> Option<&Revision> {
        self.survey.history.current(&self.plan, !self.sends())
    }

    fn current(&self) -> Current {
        let next = || self.survey.history.next_number();
        let number = self.present().map_or_else(next, |revision| revision.number);
        Current { number, outcome: Outcome::Good }
    }

    fn in_use(&self) -> BTreeSet<String> {
        let mut names = self.survey.history.references(self.current(), HISTORY);
        names.extend(status::in_use(&self.live.world, HISTORY));
        names
    }

    fn leftovers(&self) -> Vec<Leftover> {
        leftovers(&self.plan, &self.live.members, &self.in_use(), false)
    }

    fn surplus(&self) -> Vec<&Revision> {
        self.survey.history.surplus(self.current(), HISTORY)
    }

    fn member_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.plan.members.iter().map(|member| &member.id)
    }

    fn has_work(&self, waits: bool) -> bool {
        let unsettled = |revision: &Revision| revision.outcome != Outcome::Good;
        let leftovers = self.leftovers();
        self.sends()
            || self.present().is_none_or(|revision| waits && unsettled(revision))
            || leftovers.iter().any(|leftover| leftover.fate.is_pruned())
            || !self.surplus().is_empty()
            || !self.parent_is_exact(&leftovers)
    }

    fn parent_is_exact(&self, leftovers: &[Leftover]) -> bool {
        let Some(parent) = &self.survey.parent else { return false };
        let members: Vec<&ObjectId> =
            self.member_ids().chain(leftovers.iter().map(|leftover| &leftover.id)).collect();
        let wanted = inventory::parent_manifest(&self.plan.set, Extent::Exactly(&members), Some(parent));
        inventory::says(parent, &wanted)
    }
}

/// `deploy`, with or without `--no-wait`.
async fn deploy(api: &Api, (objects, namespace): (usize, &str), waits: bool, events: &Events) -> Result<()> {
    let plan = set::plan(objects, namespace, Edition::First);
    let mut prepared = Prepared::look(api, plan, events).await?;
    if prepared.has_work(true) {
        access_review::check(api, &rules::needed(&prepared.plan, prepared.to_send())).await?;
    }
    let begun = api.wire().last_date();
    let objects = prepared.member_ids().cloned().collect();
    events.send(Event::Planned { phase: Phase::Apply, objects }).await;
    let mut course = Course { api, events, begun, waits, writes: prepared.has_work(waits) };
    if !course.writes {
        return course.run(&mut prepared).await;
    }
    namespaces::make_namespaces(api, &prepared.plan, &prepared.survey.missing_namespaces(), events).await?;
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
    let asking = Asking { holder, is_gone: &|_| false, terms: Terms::default() };
    let lock = lock::take(api, set, &asking, events).await?;
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
        let mut revision = prepared.present().map(|present| Recorded::existing(&prepared.set, present));
        if self.writes {
            self.lay_ground(prepared, &mut revision).await?;
        }
        let Prepared { plan, live, needs, .. } = &*prepared;
        let ownership = Ownership::default();
        let applied =
            waves::apply(self.api, plan, needs, &live.members, &ownership, Mode::Apply, self.events).await?;
        if self.waits {
            self.follow(prepared, &applied).await?;
        }
        if self.writes {
            self.prune(prepared).await?;
        }
        if let Some(revision) = revision.as_mut().filter(|_| self.waits) {
            revisions::mark(self.api, revision, Outcome::Good).await?;
        }
        Ok(())
    }

    async fn lay_ground(&self, prepared: &mut Prepared, revision: &mut Option<Recorded>) -> Result<()> {
        let (api, events, set) = (self.api, self.events, &prepared.plan.set);
        let members: Vec<&ObjectId> = prepared.member_ids().collect();
        let parent = prepared.survey.parent.clone();
        let parent = inventory::set_parent(api, set, Extent::AtLeast(&members), parent, events).await?;
        *revision = Some(self.record(prepared, revision.take()).await?);
        prepared.survey.parent = Some(parent);
        Ok(())
    }

    async fn record(&self, prepared: &Prepared, present: Option<Recorded>) -> Result<Recorded> {
        let (api, set) = (self.api, &prepared.plan.set);
        let Some(mut present) = present else {
            let content = Content::of(&prepared.plan, String::new());
            return revisions::record(api, set, &prepared.survey.history, &content, "bench", self.events)
                .await;
        };
        if prepared.sends() {
            revisions::mark(api, &mut present, Outcome::Applying).await?;
        }
        Ok(present)
    }

    async fn follow(&self, prepared: &mut Prepared, applied: &[Applied]) -> Result<()> {
        let mut rollout = Rollout {
            world: std::mem::take(&mut prepared.live.world),
            expected: observed_set::expected(applied),
            tolerance: Tolerance::since(self.begun),
            deadline: Instant::now() + TIMEOUT,
        };
        let ending = follow::track(self.api, &mut prepared.live.watches, &mut rollout, self.events).await?;
        prepared.live.world = rollout.world;
        match ending {
            Ending::Ready(_) => Ok(()),
            Ending::Failed(findings) => {
                let message = format!("the bench's rollout failed: {findings:?}");
                Err(Error::new(Id::Internal, Kind::Internal, message))
            }
        }
    }

    async fn prune(&self, prepared: &Prepared) -> Result<()> {
        let (api, events, set) = (self.api, self.events, &prepared.plan.set);
        let (leftovers, in_use) = (prepared.leftovers(), prepared.in_use());
        let left = prune::prune(api, &prepared.set, &leftovers, &in_use, events).await?;
        let members: Vec<&ObjectId> = prepared.member_ids().chain(&left).collect();
        if let Some(parent) = &prepared.survey.parent {
            inventory::set_parent(api, set, Extent::Exactly(&members), Some(parent.clone()), events).await?;
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
    let survey = inspect::survey(api, &plan.set, &[], &BTreeSet::new(), events).await?;
    let look = diff::look(api, &plan.set.with_extent_of(survey.parent.as_ref())).await?;
    let history = &survey.history;
    let ownership = Ownership::default();
    let nothing_to_send =
        waves::needs(&plan, &look.live, &ownership).iter().all(|need| *need == Need::Nothing);
    let present = history.current(&plan, nothing_to_send).map(|revision| revision.number);
    let number = present.unwrap_or_else(|| history.next_number());
    let mut in_use = history.references(Current { number, outcome: Outcome::Good }, HISTORY);
    in_use.extend(look.in_use(HISTORY));
    let known = Known {
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
    let now = api.wire().server_time();
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
    let parent = inventory::parent(api, &set).await?;
    let set = set.with_extent_of(parent.as_ref());
    namespaces::look_at_terminating(api, namespace).await?;
    let found = teardown::find(api, &set, parent, version.streams_lists()).await?;
    access_review::check(api, &rules::torn_down(&set)).await?;
    let options = Options { delete_data: false, deadline: Instant::now() + TIMEOUT };
    under_lock(api, &set, events, teardown::teardown(api, &set, found, options, events)).await?;
    teardown::sandboxes(api, namespace).await?;
    Ok(())
}
