//! Server-side apply of the set: in waves, sixteen at a time, and nothing that is as it should be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, StreamExt as _};

use super::applied::{Applied, ApplyMode};
use super::apply_object::{ApplyOutcome, ObjectApplier};
use crate::cluster::client::api::Api;
use crate::cluster::watch::observe;
use crate::error::{Error, Result};
use crate::event::{Action, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::{ROLE, ROLE_BINDING, Wave};
use crate::plan::changes::{Change, Changes};
use crate::plan::inventory::members::Members;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{Member, Plan};

/// Requests on their way at the same time. Each holds a connection: kube speaks HTTP/1.1.
pub(crate) const IN_FLIGHT: usize = 16;

/// Applies the members that need it, wave by wave. After a refusal what is on its way is answered and nothing
/// more is sent; every member is told of as an event.
///
/// # Errors
/// The first refusal, with what was and was not done.
pub async fn apply(
    api: &Api,
    changes: &Changes,
    live: &Members,
    ownership: &Ownership,
    mode: ApplyMode,
    events: &Events,
) -> Result<Vec<Applied>> {
    let plan = &changes.plan;
    let sender = ObjectApplier { api, set: &plan.set, ownership, mode, events };
    let run = ApplyRun { sender, live, events, refused: AtomicBool::new(false) };
    let mut applied = Vec::with_capacity(plan.members.len());
    let mut failures = Vec::new();
    for wave in [Wave::Configuration, Wave::Workload] {
        let members = plan.members.iter().zip(&changes.members);
        let chains = chains(members.filter(|(member, _)| member.kind.wave == wave));
        let mut running = stream::iter(chains).map(|chain| run.chain(chain)).buffer_unordered(IN_FLIGHT);
        while let Some((done, failure)) = running.next().await {
            applied.extend(done);
            failures.extend(failure);
        }
    }
    match combined(failures, plan) {
        None => Ok(applied),
        Some(error) if mode == ApplyMode::DryRun => Err(error),
        Some(error) => Err(with_state(error, &applied)),
    }
}

/// Members of a wave that must be sent one after the other: a binding after its role, because an account
/// without the verb `bind` may only bind roles that the server can already look up.
fn chains<'a>(members: impl Iterator<Item = (&'a Member, &'a Change)>) -> Vec<Vec<(&'a Member, &'a Change)>> {
    let mut chains: Vec<Vec<(&Member, &Change)>> = Vec::new();
    let mut roles: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for (member, need) in members {
        let namespace = member.id.namespace.as_deref();
        if member.kind == ROLE {
            roles.insert(namespace, chains.len());
        } else if let Some(chain) = roles.get(&namespace).filter(|_| member.kind == ROLE_BINDING) {
            chains[*chain].push((member, need));
            continue;
        }
        chains.push(vec![(member, need)]);
    }
    chains
}

/// An apply on its way.
struct ApplyRun<'a> {
    sender: ObjectApplier<'a>,
    live: &'a Members,
    events: &'a Events,
    /// Something was refused: what has not been sent yet is not sent any more.
    refused: AtomicBool,
}

impl ApplyRun<'_> {
    async fn chain(&self, chain: Vec<(&Member, &Change)>) -> (Vec<Applied>, Option<(ObjectId, Error)>) {
        let mut done = Vec::new();
        let mut failure = None;
        for (member, need) in chain {
            match self.one(member, need).await {
                Ok(applied) => done.push(applied),
                Err(error) => failure = Some((member.id.clone(), error)),
            }
        }
        (done, failure)
    }

    async fn one(&self, member: &Member, need: &Change) -> Result<Applied> {
        let known = self.live.get(&member.id);
        let untouched = |action| {
            let tracked = known.filter(|_| observe::tracked_kind(member.kind).is_some());
            let applied = Applied::new(member, action, tracked.cloned());
            Ok(ApplyOutcome { applied, message: None })
        };
        let outcome = match need {
            Change::Unchanged => untouched(Action::Unchanged),
            Change::Create(_) | Change::Update(_) if self.refused.load(Ordering::Relaxed) => {
                untouched(Action::Skipped)
            }
            Change::Create(manifest) => self.sender.create(member, manifest).await,
            Change::Update(manifest) => match known {
                Some(known) => self.sender.update(member, manifest, known).await,
                None => self.sender.create(member, manifest).await,
            },
        };
        if outcome.is_err() {
            self.refused.store(true, Ordering::Relaxed);
        }
        let action = outcome.as_ref().map_or(Action::Failed, |sent| sent.applied.action);
        let message = outcome.as_ref().ok().and_then(|sent| sent.message.clone());
        let object = member.id.clone();
        self.events.object(Phase::Apply, object, action, message).await;
        outcome.map(|sent| sent.applied)
    }
}

/// The first refusal in the order of the plan, which names the others: they were on their way at the same time.
fn combined(mut failures: Vec<(ObjectId, Error)>, plan: &Plan) -> Option<Error> {
    failures.sort_by_key(|(id, _)| plan.members.iter().position(|member| member.id == *id));
    let mut failures = failures.into_iter().map(|(_, error)| error);
    let first = failures.next()?;
    Some(failures.fold(first, |first, other| {
        let facts = other.facts().iter().map(|fact| {
            if fact.text.contains('\n') { fact.text.clone() } else { format!("{} {}", fact.label, fact.text) }
        });
        let causes = other.causes();
        let lines: Vec<String> =
            std::iter::once(other.message().to_owned()).chain(causes).chain(facts).collect();
        let first = first.fact("also", lines.join("\n"));
        other.hints().iter().fold(first, Error::hint)
    }))
}

/// Says what was and was not done, so that nothing is half done in silence.
fn with_state(error: Error, applied: &[Applied]) -> Error {
    let with = |action: Action| applied.iter().filter(move |applied| applied.action == action);
    let done: Vec<String> = with(Action::Created)
        .chain(with(Action::Configured))
        .map(|applied| format!("{} {}", applied.id, applied.action.word()))
        .collect();
    if done.is_empty() {
        return error.state("nothing of the set was changed");
    }
    let left =
        format!("{} not sent; running the command again goes on from here", with(Action::Skipped).count());
    error.state(format!("{} done before it stopped: {}", done.len(), done.join(", "))).state(left)
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
    fn of_several_refusals_the_first_of_the_plan_is_told_and_the_others_with_it() {
        let members = vec![member(CONFIG_MAP, "a"), member(ROLE, "b"), member(ROLE, "c")];
        let set = ApplySet { name: "s".into(), namespace: "n".into(), ..ApplySet::default() };
        let plan = Plan { set, members, ..Plan::default() };
        let refusal = |index: usize, hint: &str| {
            let id = plan.members[index].id.clone();
            let error = Error::new(Id::Rejected, Kind::Rejected, format!("cannot apply {id}"));
            (id, error.caused_by("why").fact("fields", "x\ny").hint(hint))
        };
        let error =
            combined(vec![refusal(2, "same"), refusal(0, "same"), refusal(1, "other")], &plan).unwrap();
        assert_eq!(
            (error.message(), error.hints()),
            ("cannot apply configmap/a", &["same".into(), "other".into()][..])
        );
        let also: Vec<&str> =
            error.facts().iter().filter(|fact| fact.label == "also").map(|fact| fact.text.as_str()).collect();
        assert_eq!(
            also,
            [
                "cannot apply role.rbac.authorization.k8s.io/b\nwhy\nx\ny",
                "cannot apply role.rbac.authorization.k8s.io/c\nwhy\nx\ny"
            ]
        );
        assert!(combined(Vec::new(), &plan).is_none());
    }

    #[test]
    fn a_binding_follows_its_role() {
        let members = [member(ROLE, "a"), member(CONFIG_MAP, "c"), member(ROLE_BINDING, "a")];
        let needs = [Change::Unchanged, Change::Unchanged, Change::Unchanged];
        let chains = chains(members.iter().zip(&needs));
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
                vec!["configmap/c".to_owned()],
            ]
        );
    }
}
