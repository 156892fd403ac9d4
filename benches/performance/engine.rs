//! Runs handsctl's engine with a set that config.toml cannot describe: calls the library in the order of the commands,
//! in a separate process. It repeats the steps of `src/deploy/{recipe,prepare,execute}.rs` and
//! `src/commands/{diff,teardown}.rs` without settings. Change it together with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use handsctl::catalogue::Id;
use handsctl::cluster::access::{access_review, rules};
use handsctl::cluster::apply::applied::Applied;
use handsctl::cluster::apply::lock::{self, LockRequest};
use handsctl::cluster::apply::revisions::{self, RevisionRef};
use handsctl::cluster::apply::{inventory, namespaces, prune, refusals, waves};
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
use handsctl::plan::Plan;
use handsctl::plan::changes::{Change, ChangePolicy, Changes, Live, RevisionChange};
use handsctl::plan::goal::Desired;
use handsctl::plan::inventory::apply_set::{ApplySet, InventoryScope};
use handsctl::plan::inventory::lease::{Holder, LeaseDuration};
use handsctl::plan::inventory::revision::RevisionResult;
use handsctl::plan::inventory::set_key;
use handsctl::plan::inventory::snapshot::Snapshot;
use handsctl::plan::ownership::policy::Ownership;
use handsctl::provider::Process;
use handsctl::report::{ColorChoice, DiffBasis, DiffReport, Output, Reporter, Streams};
use handsctl::status::{self, GracePeriods};
use jiff::Timestamp;
use tokio::time::Instant;

use super::paths::CONTEXT;
use super::set::{self, Edition};

/// Time limit of a step.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The number of kept revisions: the default of `[deploy].revision_history`.
const HISTORY: usize = 3;

/// An action on the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// `deploy --no-wait`.
    Apply,
    /// `deploy`.
    Deploy,
    /// `diff`, with a set in which some objects differ.
    Diff,
    /// `teardown`.
    Teardown,
}

/// Runs the action with the reporter of the commands.
pub(crate) async fn run(
    work: Work,
    objects: usize,
    namespace: &str,
    kubeconfig: &Path,
) -> anyhow::Result<()> {
    let context_args = ContextArgs {
        kubeconfig: Some(kubeconfig.to_owned()),
        context: Some(CONTEXT.to_owned()),
        ..ContextArgs::default()
    };
    let streams = Streams::from_environment(ColorChoice::Never, false, 0);
    let reporter = Reporter::new(streams.clone(), None, Output::Human, Timestamp::now)?;
    let (events, receiver) = Events::channel();
    let reporting = tokio::spawn(reporter.run(receiver));
    let connection = connect::connect(&context_args).await?;
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
    version::get_server_version(api).await.map_err(|error| error.into_error("cannot reach the cluster"))
}

/// The facts and the planned changes before the first write, as in `deploy::prepare`.
struct Preparation {
    state: ClusterState,
    observed: ObservedSet,
    changes: Changes,
    policy: ChangePolicy,
}

impl Preparation {
    async fn new(api: &Api, plan: Plan, waits: bool, events: &Events) -> Result<Self> {
        let no_kinds = BTreeSet::new();
        let (version, state) =
            tokio::join!(server_version(api), inspect::inspect(api, &plan.set, &[], &no_kinds, events));
        let (streaming, state) = (version?.streams_lists(), state?);
        let desired = Desired::Configuration(plan.clone());
        let observed = observed_set::open(api, &state.set, &desired.objects(), streaming, events).await?;
        let policy = policy(waits);
        let changes = compare(plan, &state, &observed, &policy);
        Ok(Self { state, observed, changes, policy })
    }

    async fn refresh_under_lock(&mut self, api: &Api, events: &Events) -> Result<()> {
        if !self.state.refresh(api, events).await? {
            return Ok(());
        }
        self.observed.relist(api, &self.state.set).await?;
        let plan = self.changes.plan.clone();
        self.changes = compare(plan, &self.state, &self.observed, &self.policy);
        Ok(())
    }
}

fn policy(waits: bool) -> ChangePolicy {
    let ownership = Ownership::default();
    ChangePolicy { ownership, revision_history: HISTORY, delete_data: false, changes_edition: false, waits }
}

fn compare(plan: Plan, state: &ClusterState, observed: &ObservedSet, policy: &ChangePolicy) -> Changes {
    let referenced = status::referenced_names(&observed.state, policy.revision_history);
    Changes::between(plan, live(state, observed, &referenced), policy)
}

fn live<'a>(
    state: &'a ClusterState,
    observed: &'a ObservedSet,
    referenced: &'a BTreeSet<String>,
) -> Live<'a> {
    Live {
        members: &observed.members,
        parent: state.parent.as_ref(),
        history: &state.history,
        key_is_stored: state.key.stored,
        referenced,
    }
}

/// `deploy`, with or without `--no-wait`.
async fn deploy(api: &Api, (objects, namespace): (usize, &str), waits: bool, events: &Events) -> Result<()> {
    let plan = set::plan(objects, namespace, Edition::First);
    let mut prepared = Preparation::new(api, plan, waits, events).await?;
    if !prepared.changes.is_empty() {
        let creates = |change: &Change| matches!(change, Change::Create);
        let to_send = prepared.changes.to_send().map(|(member, change)| (member, creates(change)));
        access_review::check(api, &rules::for_apply(&prepared.changes.plan, to_send)).await?;
    }
    let objects = prepared.changes.member_ids().cloned().collect();
    events.send(Event::Planned { phase: Phase::Apply, objects }).await;
    if prepared.changes.is_empty() {
        let started = api.clock().floor();
        let applied = apply(api, &prepared, events).await?;
        return if waits { follow(api, &mut prepared, &applied, started, events).await } else { Ok(()) };
    }
    let missing = prepared.state.missing_namespaces();
    namespaces::create_missing(api, &prepared.changes.plan, &missing, events).await?;
    let set = prepared.state.set.clone();
    let work = async {
        prepared.refresh_under_lock(api, events).await?;
        let Preparation { changes, policy, observed, .. } = &prepared;
        let scope = refusals::CheckScope::Sample;
        let checked = refusals::check(api, changes, &policy.ownership, observed, scope).await?;
        if let Some(rejection) = checked.rejections.into_iter().next() {
            return Err(rejection);
        }
        execute(api, &mut prepared, events).await
    };
    under_lock(api, &set, events, work).await
}

async fn under_lock<T>(
    api: &Api,
    set: &ApplySet,
    events: &Events,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Process { user, host, computer, pid, start, nonce } = Process::current();
    let holder = Holder { user, host, computer, pid, start, nonce };
    let request = LockRequest { holder, has_exited: &|_| false, lease_duration: LeaseDuration::default() };
    let lock = lock::acquire(api, set, &request, events).await?;
    let outcome = tokio::select! {
        biased;
        error = lock.observer().lost() => Err(error),
        outcome = work => outcome,
    };
    lock.release().await?;
    outcome
}

/// Records the revision, applies, follows the rollout and prunes, as in `deploy::execute`.
async fn execute(api: &Api, prepared: &mut Preparation, events: &Events) -> Result<()> {
    let started = api.clock().floor();
    let mut revision = record(api, prepared, events).await?;
    let applied = apply(api, prepared, events).await?;
    if !prepared.policy.waits {
        revisions::set_result(api, &mut revision, RevisionResult::NotWatched, None).await?;
        return clean_up(api, prepared, prepared.changes.revision.result(), events).await;
    }
    follow(api, prepared, &applied, started, events).await?;
    revisions::set_result(api, &mut revision, RevisionResult::Good, None).await?;
    let referenced = status::referenced_names(&prepared.observed.state, HISTORY);
    let live = live(&prepared.state, &prepared.observed, &referenced);
    prepared.changes.update_cleanup(live, &prepared.policy);
    clean_up(api, prepared, RevisionResult::Good, events).await
}

async fn record(api: &Api, prepared: &mut Preparation, events: &Events) -> Result<RevisionRef> {
    let Preparation { state, changes, .. } = prepared;
    changes.plan.set.key_fingerprint = Some(set_key::fingerprint(&state.key.key));
    let set = &changes.plan.set;
    let members: Vec<&ObjectId> = changes.member_ids().collect();
    let superset = InventoryScope::Superset(&members);
    let parent = inventory::apply_parent(api, set, superset, state.parent.take(), false, events).await?;
    state.parent = Some(parent);
    if changes.stores_key {
        inventory::create_key(api, set, &state.key.key, events).await?;
        state.key.stored = true;
    }
    match changes.revision {
        RevisionChange::Existing { number, result } => Ok(RevisionRef::existing(set, number, result)),
        RevisionChange::New(number) => {
            let snapshot = Snapshot::from_plan(&changes.plan);
            revisions::record(api, set, number, &snapshot, "bench", &state.key.key, events).await
        }
    }
}

async fn apply(api: &Api, prepared: &Preparation, events: &Events) -> Result<Vec<Applied>> {
    let (live, ownership) = (&prepared.observed.members, &prepared.policy.ownership);
    // The bench's sets mount no claim.
    let no_claim = async || Ok(());
    let applied = waves::apply(api, &prepared.changes, live, ownership, events, no_claim).await;
    applied.map_err(|failure| failure.error)
}

async fn follow(
    api: &Api,
    prepared: &mut Preparation,
    applied: &[Applied],
    started: Timestamp,
    events: &Events,
) -> Result<()> {
    let rollout = RolloutWatch {
        expected: observed_set::expected(applied),
        grace: GracePeriods::starting_at(started),
        deadline: Instant::now() + TIMEOUT,
        usual: None,
    };
    match follow::follow(api, &mut prepared.observed, &rollout, None, events).await? {
        RolloutResult::Ready(_) => Ok(()),
        RolloutResult::Failed(findings) => {
            let message = format!("the bench's rollout failed: {findings:?}");
            Err(Error::new(Id::Internal, Kind::Internal, message))
        }
        RolloutResult::Expired(error, _) => Err(error),
    }
}

async fn clean_up(
    api: &Api,
    prepared: &mut Preparation,
    result: RevisionResult,
    events: &Events,
) -> Result<()> {
    let Preparation { state, changes, .. } = prepared;
    let cleanup = changes.cleanup(result);
    let kept = prune::prune(api, &state.set, &cleanup.candidates, events).await?;
    let members: Vec<&ObjectId> = changes.member_ids().chain(&kept).collect();
    let set = &changes.plan.set;
    if let Some(parent) = state.parent.take() {
        let exact = InventoryScope::Exact(&members);
        inventory::apply_parent(api, set, exact, Some(parent), false, events).await?;
    }
    revisions::delete(api, set, &cleanup.revisions).await
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
    let state = inspect::inspect(api, &plan.set, &[], &BTreeSet::new(), events).await?;
    let listed = diff::list_set(api, &state.set).await?;
    let policy = policy(true);
    let live = Live {
        members: &listed.live,
        parent: state.parent.as_ref(),
        history: &state.history,
        key_is_stored: state.key.stored,
        referenced: &listed.referenced_names(HISTORY),
    };
    let changes = Changes::between(plan, live, &policy);
    let input = DiffInput {
        changes: &changes,
        listed: &listed,
        missing_namespaces: &state.missing_namespaces(),
        ownership: &policy.ownership,
        not_compared: &BTreeMap::new(),
    };
    let compared = diff::compare(api, input, events).await?;
    let name = &changes.plan.set.name;
    let now = api.clock().now();
    let basis = DiffBasis::Cluster;
    let report = DiffReport { context: CONTEXT, namespace, name, basis, compared: &compared, now };
    let _written = streams.diff(&report, Output::Human)?;
    let differing = compared.iter().filter(|compared| compared.difference.outcome.is_difference()).count();
    let expected = set::changed(objects);
    if differing == expected {
        return Ok(());
    }
    let message = format!("diff reports {differing} differences instead of {expected}");
    Err(Error::new(Id::Internal, Kind::Internal, message))
}

/// `teardown`.
async fn teardown(api: &Api, namespace: &str, events: &Events) -> Result<()> {
    let version = server_version(api).await?;
    let set = set::apply_set(namespace);
    let parent = inventory::get_parent(api, &set).await?;
    let set = set.including_inventory_of(parent.as_ref());
    namespaces::get_even_terminating(api, namespace).await?;
    let deployed = teardown::list(api, &set, parent, version.streams_lists()).await?;
    access_review::check(api, &rules::for_teardown(&set)).await?;
    let options = TeardownOptions { delete_data: false, deadline: Instant::now() + TIMEOUT };
    under_lock(
        api,
        &set,
        events,
        teardown::teardown(api, &set, deployed, options, events, |_| Ok(()), async || Ok(())),
    )
    .await?;
    teardown::list_sandboxes(api, namespace).await?;
    Ok(())
}
