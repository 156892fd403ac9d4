//! Server-side apply of the set: in waves, sixteen at a time, and nothing that is as it should be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::answer;
use super::api::{Answer, Api, Fault};
use super::ground;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Event, Events, Phase};
use crate::plan::apply_set::{ApplySet, PART_OF};
use crate::plan::kind::{ROLE, ROLE_BINDING, Wave};
use crate::plan::leftover::Live;
use crate::plan::{Member, ObjectId, Plan, owned};

/// Requests on their way at the same time. Each holds a connection: kube speaks HTTP/1.1.
pub(super) const IN_FLIGHT: usize = 16;

/// What has to be done for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is as it should be: nothing is sent.
    Nothing,
    /// It is not there, or not ours: create-only.
    Create,
    /// It is ours and differs.
    Change,
}

/// What was done with a member.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Which.
    pub id: ObjectId,
    /// What was done.
    pub action: Action,
    /// The object as the server has it; None after a dry run without the server.
    pub object: Option<Value>,
}

/// How members are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For real.
    Apply,
    /// The server checks and answers, and keeps nothing (`dryRun=All`).
    DryRun,
}

/// What has to be done, member by member.
#[must_use]
pub fn needs(plan: &Plan, live: &Live) -> Vec<Need> {
    plan.members
        .iter()
        .map(|member| match live.get(&member.id) {
            None => Need::Create,
            Some(object) if owned::is_unchanged(&labelled(member, &plan.set), object) => Need::Nothing,
            Some(_) => Need::Change,
        })
        .collect()
}

/// Applies the members that need it, wave by wave. After a refusal what is on its way is answered and nothing
/// more is sent; every member is told of as an event.
///
/// # Errors
/// The first refusal, with what was and was not done.
pub async fn apply(
    api: &Api,
    plan: &Plan,
    needs: &[Need],
    live: &Live,
    mode: Mode,
    events: &Events,
) -> Result<Vec<Applied>> {
    let run = Run { api, set: &plan.set, live, mode, events, refused: AtomicBool::new(false) };
    let mut applied = Vec::with_capacity(plan.members.len());
    let mut failures = Vec::new();
    for wave in [Wave::Configuration, Wave::Workload] {
        let chains = chains(plan.members.iter().zip(needs).filter(|(member, _)| member.kind.wave == wave));
        let mut running = stream::iter(chains).map(|chain| run.chain(chain)).buffer_unordered(IN_FLIGHT);
        while let Some((done, failure)) = running.next().await {
            applied.extend(done);
            failures.extend(failure);
        }
    }
    match failures.into_iter().next() {
        None => Ok(applied),
        Some(error) if mode == Mode::DryRun => Err(error),
        Some(error) => Err(with_state(error, &applied)),
    }
}

/// Members of a wave that must be sent one after the other: a binding after its role, because an account
/// without the verb `bind` may only bind roles that the server can already look up.
fn chains<'a>(members: impl Iterator<Item = (&'a Member, &'a Need)>) -> Vec<Vec<(&'a Member, Need)>> {
    let mut chains: Vec<Vec<(&Member, Need)>> = Vec::new();
    let mut roles: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for (member, need) in members {
        let namespace = member.id.namespace.as_deref();
        if member.kind == ROLE {
            roles.insert(namespace, chains.len());
        } else if let Some(chain) = roles.get(&namespace).filter(|_| member.kind == ROLE_BINDING) {
            chains[*chain].push((member, *need));
            continue;
        }
        chains.push(vec![(member, *need)]);
    }
    chains
}

/// An apply on its way.
struct Run<'a> {
    api: &'a Api,
    set: &'a ApplySet,
    live: &'a Live,
    mode: Mode,
    events: &'a Events,
    /// Something was refused: what has not been sent yet is not sent any more.
    refused: AtomicBool,
}

impl Run<'_> {
    async fn chain(&self, chain: Vec<(&Member, Need)>) -> (Vec<Applied>, Option<Error>) {
        let mut done = Vec::new();
        let mut failure = None;
        for (member, need) in chain {
            match self.one(member, need).await {
                Ok(applied) => done.push(applied),
                Err(error) => failure = Some(error),
            }
        }
        (done, failure)
    }

    async fn one(&self, member: &Member, need: Need) -> Result<Applied> {
        let known = self.live.get(&member.id);
        let outcome = match need {
            Need::Nothing => {
                Ok(Applied { id: member.id.clone(), action: Action::Unchanged, object: known.cloned() })
            }
            Need::Create | Need::Change if self.refused.load(Ordering::Relaxed) => {
                Ok(Applied { id: member.id.clone(), action: Action::Skipped, object: known.cloned() })
            }
            Need::Create | Need::Change => self.send(member, known).await,
        };
        if outcome.is_err() {
            self.refused.store(true, Ordering::Relaxed);
        }
        let action = outcome.as_ref().map_or(Action::Failed, |applied| applied.action);
        let object = member.id.clone();
        self.events.send(Event::Object { phase: Phase::Apply, object, action, message: None }).await;
        outcome
    }

    async fn send(&self, member: &Member, known: Option<&Value>) -> Result<Applied> {
        let mut outcome = self.patch(member, known).await;
        let conflict = matches!(&outcome, Err(fault) if fault.code() == Some(409));
        if known.is_none() && conflict {
            match find(self.api, &member.id, member).await? {
                Some(found) if owned::is_member(&found, self.set) => {
                    outcome = self.patch(member, Some(&found)).await;
                }
                Some(found) => return Err(foreign(&member.id, &found)),
                None => outcome = self.patch(member, None).await,
            }
        }
        let answer = outcome.map_err(|fault| explain(fault, &member.id))?;
        for warning in &answer.warnings {
            self.events.warn(Id::ServerWarning, format!("{}: {warning}", member.id)).await;
        }
        Ok(Applied { id: member.id.clone(), action: action_of(&answer, known), object: Some(answer.body) })
    }

    async fn patch(&self, member: &Member, known: Option<&Value>) -> Result<Answer, Fault> {
        let mut manifest = labelled(member, self.set);
        match known {
            // Server-side apply creates or changes, whichever fits; with a resourceVersion that no object can have
            // it only creates, with a UID it only changes that very object.
            None => manifest["metadata"]["resourceVersion"] = json!("1"),
            Some(object) => manifest["metadata"]["uid"] = object["metadata"]["uid"].clone(),
        }
        let collection = member.kind.path(member.id.namespace.as_deref());
        let path = format!("{collection}/{}", member.id.name);
        match self.mode {
            Mode::Apply => self.api.apply(&path, &manifest).await,
            Mode::DryRun => self.api.apply_dry(&path, &manifest).await,
        }
    }
}

fn action_of(answer: &Answer, known: Option<&Value>) -> Action {
    match known {
        _ if answer.status == 201 => Action::Created,
        Some(before) if owned::is_same_object(before, &answer.body) => Action::Unchanged,
        Some(_) => Action::Configured,
        None => Action::Created,
    }
}

/// The manifest with the set's label, as it is sent.
#[must_use]
pub fn labelled(member: &Member, set: &ApplySet) -> Value {
    let mut manifest = member.manifest.clone();
    manifest["metadata"]["labels"][PART_OF] = json!(set.id());
    manifest
}

async fn find(api: &Api, id: &ObjectId, member: &Member) -> Result<Option<Value>> {
    let path = format!("{}/{}", member.kind.path(id.namespace.as_deref()), id.name);
    api.find(&path).await.map_err(|fault| fault.explain(&format!("cannot read {}", named(id))))
}

fn explain(fault: Fault, id: &ObjectId) -> Error {
    let action = format!("cannot apply {}", named(id));
    match fault {
        Fault::Refused(status) if status.code == 404 && answer::is_missing_namespace(&status.message) => {
            ground::missing_namespace(id.namespace.as_deref().unwrap_or_default())
        }
        Fault::Refused(status) => {
            let mut error = answer::refusal(&action, &status);
            let causes = status.details.iter().flat_map(|details| &details.causes);
            for cause in causes.filter(|cause| answer::is_field_conflict(cause)) {
                error = error.fact("field", format!("{}  {}", cause.field, cause.message));
            }
            error
        }
        fault => fault.explain(&action),
    }
}

fn named(id: &ObjectId) -> String {
    match &id.namespace {
        Some(namespace) => format!("{id} in namespace {namespace}"),
        None => id.to_string(),
    }
}

fn foreign(id: &ObjectId, found: &Value) -> Error {
    let created = found["metadata"]["creationTimestamp"].as_str().unwrap_or("an unknown time");
    let mut managers: Vec<&str> = found["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    managers.sort_unstable();
    managers.dedup();
    Error::new(
        Id::ForeignObject,
        Kind::Ownership,
        format!("{} exists and belongs to somebody else; not one byte of it was changed", named(id)),
    )
    .fact("created", created)
    .fact("managers", if managers.is_empty() { "none".to_owned() } else { managers.join(", ") })
    .hint("choose another name with --name or [deploy].name, or another namespace with -n")
}

/// Says what was and was not done, so that nothing is half done in silence.
fn with_state(error: Error, applied: &[Applied]) -> Error {
    let with = |action: Action| applied.iter().filter(move |applied| applied.action == action);
    let done: Vec<String> = with(Action::Created)
        .chain(with(Action::Configured))
        .map(|applied| format!("{} {}", applied.id, applied.action.word()))
        .collect();
    if done.is_empty() {
        return error.fact("state", "nothing of the set was changed");
    }
    let left =
        format!("{} not sent; running the command again goes on from here", with(Action::Skipped).count());
    error
        .fact("state", format!("{} done before it stopped: {}", done.len(), done.join(", ")))
        .fact("state", left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::kind::{CONFIG_MAP, KindInfo};

    fn member(kind: KindInfo, name: &str) -> Member {
        Member { id: kind.id("n", name), kind, manifest: json!({}) }
    }

    #[test]
    fn a_binding_follows_its_role() {
        let members = [member(ROLE, "a"), member(CONFIG_MAP, "c"), member(ROLE_BINDING, "a")];
        let chains = chains(members.iter().zip(&[Need::Create; 3]));
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
