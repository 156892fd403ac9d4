//! Server-side apply of the set: in waves, sixteen requests at a time, without the unchanged members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, StreamExt as _};

use super::applied::{Applied, ApplyMode};
use super::apply_object::{ApplyOutcome, ObjectApplier};
use crate::cluster::client::api::Api;
use crate::cluster::client::in_flight::IN_FLIGHT;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Phase};
use crate::object::kind::{ROLE, ROLE_BINDING, Wave};
use crate::object::{ObjectId, deletion};
use crate::plan::changes::{Change, Changes, new_manifest};
use crate::plan::inventory::members::Members;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{Member, Plan};

/// Applies the members that need a change, wave by wave. After a failure the requests in flight complete, and no other
/// is sent. Every member is reported as an event. `before_workloads` is the last request before the first workload; if it
/// fails, no workload is sent.
///
/// # Errors
/// Returns the first failure, with the others of the same run, and with the members that were and were not applied.
pub async fn apply(
    api: &Api,
    changes: &Changes,
    live: &Members,
    ownership: &Ownership,
    events: &Events,
    before_workloads: impl AsyncFnOnce() -> Result<()>,
) -> Result<Vec<Applied>, ApplyFailure> {
    let run = ApplyRun::new(api, changes, live, ownership, ApplyMode::Apply, events);
    let mut sent = Sent::default();
    run.send(changes, |member| member.kind.wave == Wave::Configuration, &mut sent).await;
    let refusal = if run.stops() { None } else { before_workloads().await.err() };
    if refusal.is_some() {
        run.has_failed.store(true, Ordering::Relaxed);
    }
    run.send(changes, |member| member.kind.wave == Wave::Workload, &mut sent).await;
    let changed_nothing = sent.changed_nothing();
    match refusal.or_else(|| combined_failure(sent.failures, &changes.plan)) {
        None => Ok(sent.applied),
        Some(error) => Err(ApplyFailure { error: with_state(error, &sent.applied), changed_nothing }),
    }
}

/// Sends the changes of all members but these as a dry run, all at once, also after a failure. Every member is reported
/// as an event.
///
/// Returns the results and the failures, these in the order of the plan.
pub async fn dry_run(
    api: &Api,
    changes: &Changes,
    live: &Members,
    ownership: &Ownership,
    events: &Events,
    unasked: &BTreeSet<&ObjectId>,
) -> (Vec<Applied>, Vec<Error>) {
    let run = ApplyRun::new(api, changes, live, ownership, ApplyMode::DryRun, events);
    let mut sent = Sent::default();
    run.send(changes, |member| !unasked.contains(&member.id), &mut sent).await;
    (sent.applied, in_plan_order(sent.failures, &changes.plan))
}

/// The results of the members that were sent.
#[derive(Default)]
struct Sent {
    applied: Vec<Applied>,
    failures: Vec<(ObjectId, Error)>,
}

impl Sent {
    /// Returns whether the server has rejected every request.
    fn changed_nothing(&self) -> bool {
        !self.applied.iter().any(Applied::is_changed)
            && self.failures.iter().all(|(_, error)| error.kind().is_rejection())
    }
}

/// The failure of an apply.
#[derive(Debug)]
pub struct ApplyFailure {
    /// The first failure in the order of the plan.
    pub error: Error,
    /// Whether the server has rejected every request, so that no member was changed.
    pub changed_nothing: bool,
}

/// Groups the members of a wave that must be applied in order: a binding after its role, because an account without
/// the verb `bind` may only bind roles that the server can already look up.
fn chains<'a>(members: impl Iterator<Item = (&'a Member, &'a Change)>) -> Vec<Vec<(&'a Member, &'a Change)>> {
    let mut chains: Vec<Vec<(&Member, &Change)>> = Vec::new();
    let mut roles: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
    for (member, change) in members {
        let namespace = member.id.namespace.as_deref();
        if member.kind == ROLE {
            roles.insert((namespace, &member.id.name), chains.len());
        } else if member.kind == ROLE_BINDING
            && let Some(role) = member.manifest["roleRef"]["name"].as_str()
            && let Some(chain) = roles.get(&(namespace, role))
        {
            chains[*chain].push((member, change));
            continue;
        }
        chains.push(vec![(member, change)]);
    }
    chains
}

/// The state that concurrent applies share.
struct ApplyRun<'a> {
    applier: ObjectApplier<'a>,
    changes: &'a Changes,
    live: &'a Members,
    events: &'a Events,
    /// Whether a member failed; members that were not sent yet are skipped then.
    has_failed: AtomicBool,
}

impl<'a> ApplyRun<'a> {
    fn new(
        api: &'a Api,
        changes: &'a Changes,
        live: &'a Members,
        ownership: &'a Ownership,
        mode: ApplyMode,
        events: &'a Events,
    ) -> Self {
        let applier = ObjectApplier { api, set: &changes.plan.set, ownership, mode, events };
        Self { applier, changes, live, events, has_failed: AtomicBool::new(false) }
    }

    /// Sends the changes of the members that are included.
    async fn send(&self, changes: &Changes, includes: impl Fn(&Member) -> bool, sent: &mut Sent) {
        let members = changes.plan.members.iter().zip(&changes.members);
        let chains = chains(members.filter(|(member, _)| includes(member)));
        let mut running =
            stream::iter(chains).map(|chain| self.apply_chain(chain)).buffer_unordered(IN_FLIGHT);
        while let Some((members, failure)) = running.next().await {
            sent.applied.extend(members);
            sent.failures.extend(failure);
        }
    }

    async fn apply_chain(&self, chain: Vec<(&Member, &Change)>) -> (Vec<Applied>, Option<(ObjectId, Error)>) {
        let mut results = Vec::new();
        let mut failure = None;
        for (member, change) in chain {
            match self.apply_member(member, change).await {
                Ok(applied) => results.push(applied),
                Err(error) => {
                    let is_refusal =
                        matches!(error.kind(), Kind::Rejected | Kind::Forbidden | Kind::Ownership);
                    let error = match error.rejected() {
                        None if is_refusal => error.of_rejected(member.id.rejected_as(&member.id.kind)),
                        _ => error,
                    };
                    failure = Some((member.id.clone(), error));
                }
            }
        }
        (results, failure)
    }

    async fn apply_member(&self, member: &Member, change: &Change) -> Result<Applied> {
        let live = self.live.get(&member.id);
        let not_sent = |action| {
            // A claim that is being deleted is never ready again, so its readiness is not expected.
            let kept = live
                .filter(|object| Applied::keeps_object(member) && deletion::deleted_since(object).is_none());
            let applied = Applied::new(member, action, kept.cloned());
            Ok(ApplyOutcome { applied, message: None })
        };
        let outcome = match change {
            Change::Unchanged => not_sent(Action::Unchanged),
            Change::Recreate if self.applier.mode == ApplyMode::DryRun => Ok(recreated_later(member)),
            _ if self.stops() => not_sent(Action::Skipped),
            Change::Create | Change::Recreate => {
                self.applier.create(member, &new_manifest(member, self.applier.set)).await
            }
            Change::Update(manifest) => match live {
                Some(live) => {
                    let taken = self.changes.taken.get(&member.id);
                    match taken.and_then(|taken| self.applier.taken_error(member, taken)) {
                        Some(error) => Err(error),
                        None => self.applier.update(member, manifest, live).await,
                    }
                }
                None => self.applier.create(member, manifest).await,
            },
        };
        if outcome.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        let action = outcome.as_ref().map_or(Action::Failed, |outcome| outcome.applied.action);
        let message = outcome.as_ref().ok().and_then(|outcome| outcome.message.clone());
        let object = member.id.clone();
        match self.applier.mode {
            ApplyMode::Apply => self.events.object(Phase::Apply, object, action, message).await,
            ApplyMode::DryRun => self.events.dry_run_object(Phase::Apply, object, action, message).await,
        }
        outcome.map(|outcome| outcome.applied)
    }

    /// Returns whether an apply sends no further member. A dry run reports every failure.
    fn stops(&self) -> bool {
        self.applier.mode == ApplyMode::Apply && self.has_failed.load(Ordering::Relaxed)
    }
}

/// Returns the result of the dry run of a member that is being deleted: no dry run can create it yet.
fn recreated_later(member: &Member) -> ApplyOutcome {
    let applied = Applied::new(member, Action::Created, None);
    ApplyOutcome { applied, message: Some("once the object that is being deleted is gone".to_owned()) }
}

/// Returns the first failure in the order of the plan, with the concurrent failures.
fn combined_failure(failures: Vec<(ObjectId, Error)>, plan: &Plan) -> Option<Error> {
    let mut failures = in_plan_order(failures, plan).into_iter();
    failures.next().map(|first| first.with_others(failures))
}

fn in_plan_order(mut failures: Vec<(ObjectId, Error)>, plan: &Plan) -> Vec<Error> {
    failures.sort_by_key(|(id, _)| plan.members.iter().position(|member| member.id == *id));
    failures.into_iter().map(|(_, error)| error).collect()
}

/// Adds the applied and the skipped members to the error, so that a partial apply is always reported.
fn with_state(error: Error, applied: &[Applied]) -> Error {
    let with_action = |action: Action| applied.iter().filter(move |applied| applied.action == action);
    let changed: Vec<String> = with_action(Action::Created)
        .chain(with_action(Action::Configured))
        .map(|applied| format!("{} {}", applied.id, applied.action.as_str()))
        .collect();
    if changed.is_empty() {
        return error.state("the installation was not changed");
    }
    let rest = format!(
        "{} not sent; running the command again continues from here",
        with_action(Action::Skipped).count()
    );
    error.state(format!("{} applied before it stopped: {}", changed.len(), changed.join(", "))).state(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::object::kind::{CONFIG_MAP, KindInfo};
    use crate::plan::inventory::apply_set::ApplySet;
    use serde_json::json;

    fn member(kind: KindInfo, name: &str) -> Member {
        Member { id: kind.id("n", name), kind, manifest: json!({}) }
    }

    #[test]
    fn combined_failures_report_first_of_plan_and_the_others() {
        let members = vec![member(CONFIG_MAP, "a"), member(ROLE, "b"), member(ROLE, "c")];
        let set = ApplySet { name: "s".into(), namespace: "n".into(), ..ApplySet::default() };
        let plan = Plan { set, members, ..Plan::default() };
        let failure = |index: usize, hint: &str| {
            let id = plan.members[index].id.clone();
            let error = Error::new(Id::Rejected, Kind::Rejected, format!("cannot apply {id}"));
            (id, error.caused_by("why").fact("fields", "x\ny").hint(hint))
        };
        let error =
            combined_failure(vec![failure(2, "same"), failure(0, "same"), failure(1, "other")], &plan)
                .unwrap();
        assert_eq!(
            (error.message(), error.hints()),
            ("cannot apply configmap/a", &["same".into(), "other".into()][..])
        );
        let also: Vec<&str> = error.others().iter().map(Error::message).collect();
        assert_eq!(
            also,
            [
                "cannot apply role.rbac.authorization.k8s.io/b",
                "cannot apply role.rbac.authorization.k8s.io/c"
            ]
        );
        assert!(combined_failure(Vec::new(), &plan).is_none());
    }

    #[test]
    fn role_binding_is_chained_after_its_role() {
        let mut binding = member(ROLE_BINDING, "a");
        binding.manifest = json!({ "roleRef": { "kind": "Role", "name": "a" } });
        let members = [member(ROLE, "a"), member(ROLE, "b"), member(CONFIG_MAP, "c"), binding];
        let changes = [Change::Unchanged, Change::Unchanged, Change::Unchanged, Change::Unchanged];
        let chains = chains(members.iter().zip(&changes));
        let names: Vec<Vec<String>> = chains
            .iter()
            .map(|chain| chain.iter().map(|(member, _)| member.id.to_string()).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec![
                    "role.rbac.authorization.k8s.io/a".to_owned(),
                    "rolebinding.rbac.authorization.k8s.io/a".to_owned()
                ],
                vec!["role.rbac.authorization.k8s.io/b".to_owned()],
                vec!["configmap/c".to_owned()],
            ]
        );
    }
}
