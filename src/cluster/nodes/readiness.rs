//! What a local cluster of containers must have before anything is deployed: nodes that are ready, a default storage class.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::watch::store::{Store, all_of};
use crate::cluster::watch::wait_clock::{WaitClock, WaitState};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::object::ObjectId;
use crate::object::kind::{KindInfo, LEASE, NODE, POD, STORAGE_CLASS};

/// Namespace of the nodes' heartbeats (<https://kubernetes.io/docs/concepts/architecture/leases/>).
pub(crate) const NODE_LEASES: &str = "kube-node-lease";
/// How often it is said what is waited for.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(10);
/// What marks the class that claims without one get
/// (<https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass>).
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The view of nodes and storage classes.
pub struct ClusterReadiness {
    store: Store,
    limits: WaitLimits,
}

/// Where the cluster's own controllers hold their leases, and which they are.
const SYSTEM: &str = "kube-system";
const CONTROLLERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// How long is waited, and for what.
#[derive(Debug, Clone, Copy)]
pub struct WaitLimits {
    /// When the nodes were started: what they said before that is old. None: they have been running.
    pub since: Option<Timestamp>,
    /// When the command's time is over.
    pub deadline: Instant,
}

impl ClusterReadiness {
    /// Opens the watches.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn open(api: &Api, streaming: bool, limits: WaitLimits) -> Result<Self> {
        let mut scopes = vec![all_of(NODE, None), all_of(STORAGE_CLASS, None)];
        if limits.since.is_some() {
            scopes.extend([all_of(LEASE, None), all_of(POD, None)]);
        }
        Ok(Self { store: Store::open(api, scopes, streaming).await?, limits })
    }

    /// Waits until every node is ready; how many there are. After a start nothing is believed that was said before it:
    /// pods look as they did when the nodes were stopped until their kubelet has looked at them, and workloads until
    /// the controllers have.
    ///
    /// # Errors
    /// Exit 10 where one is not before the deadline, with what it says.
    pub async fn await_nodes(&mut self, events: &Events) -> Result<usize> {
        let since = self.limits.since;
        let gap = |store: &Store| {
            let old = || since.and_then(|since| old(store.objects(), since));
            nodes_gap(store.objects()).or_else(old)
        };
        self.wait(gap, events).await?;
        Ok(self.store.of_kind(NODE).count())
    }

    /// Waits until there is a default storage class; its name.
    ///
    /// # Errors
    /// Exit 10 where there is none before the deadline.
    pub async fn await_storage_class(&mut self, events: &Events) -> Result<String> {
        let gap = |store: &Store| match default_class(store) {
            Some(_) => None,
            None => Some((None, "no storage class is the default one".to_owned())),
        };
        self.wait(gap, events).await?;
        Ok(default_class(&self.store).unwrap_or_default().to_owned())
    }

    async fn wait(&mut self, gap: impl Fn(&Store) -> Option<Gap>, events: &Events) -> Result<()> {
        let mut clock = WaitClock::new(self.limits.deadline, HEARTBEAT);
        loop {
            let Some((object, message)) = gap(&self.store) else { return Ok(()) };
            tokio::select! {
                changed = self.store.wait_for_change() => changed?,
                () = clock.sleep_until(None) => {}
            }
            match clock.state() {
                WaitState::Waiting => {}
                WaitState::HeartbeatDue(left) => {
                    events.send(Event::Waiting { object, message, left: Some(left) }).await;
                }
                WaitState::Expired => {
                    let about = object.map_or_else(String::new, |object| format!("{object}  "));
                    let error =
                        Error::new(Id::DeadlinePassed, Kind::Deadline, "the cluster is not ready in time");
                    return Err(error
                        .fact("waiting", format!("{about}{message}"))
                        .hint("--timeout gives more time"));
                }
            }
        }
    }
}

fn default_class(store: &Store) -> Option<&str> {
    let is_default = |class: &&Value| class["metadata"]["annotations"][DEFAULT_CLASS] == "true";
    let mut classes = store.of_kind(STORAGE_CLASS).map(|(_, class)| class);
    classes.find(is_default)?["metadata"]["name"].as_str()
}

/// What is waited for: an object, where it is one, and why.
type Gap = (Option<ObjectId>, String);

fn of_kind(objects: &BTreeMap<ObjectId, Value>, kind: KindInfo) -> impl Iterator<Item = (&ObjectId, &Value)> {
    objects.iter().filter(move |(id, _)| id.kind == kind.kind)
}

/// The first node that is not ready.
fn nodes_gap(objects: &BTreeMap<ObjectId, Value>) -> Option<Gap> {
    let mut nodes = of_kind(objects, NODE).peekable();
    if nodes.peek().is_none() {
        return Some((None, "there is no node yet".to_owned()));
    }
    let (id, node) = nodes.find(|(_, node)| !is_ready(node))?;
    Some((Some(id.clone()), not_ready(node)))
}

/// The first thing that still is as it was before the nodes were started.
fn old(objects: &BTreeMap<ObjectId, Value>, since: Timestamp) -> Option<Gap> {
    let silent = of_kind(objects, NODE).find(|(id, _)| !is_renewed(objects, NODE_LEASES, &id.name, since));
    if let Some((node, _)) = silent {
        return Some((Some(node.clone()), "its kubelet has not reported yet".to_owned()));
    }
    // Where there is no lease there is no election to wait for.
    let electing = |name: &&&str| {
        objects.contains_key(&LEASE.id(SYSTEM, name)) && !is_renewed(objects, SYSTEM, name, since)
    };
    if let Some(name) = CONTROLLERS.iter().find(electing) {
        return Some((None, format!("{name} has not taken over yet")));
    }
    let (pod, _) = of_kind(objects, POD).find(|(_, pod)| is_from_before(pod, since))?;
    Some((Some(pod.clone()), "it has not been started again yet".to_owned()))
}

fn is_renewed(objects: &BTreeMap<ObjectId, Value>, namespace: &str, name: &str, since: Timestamp) -> bool {
    let lease = objects.get(&LEASE.id(namespace, name));
    let renewed = lease.and_then(|lease| lease["spec"]["renewTime"].as_str()?.parse::<Timestamp>().ok());
    renewed.is_some_and(|renewed| renewed >= since)
}

/// Whether a container claims to run since before then.
fn is_from_before(pod: &Value, since: Timestamp) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let began = |status: &Value| status["state"]["running"]["startedAt"].as_str()?.parse::<Timestamp>().ok();
    pod["metadata"]["deletionTimestamp"].is_null() && statuses.filter_map(began).any(|began| began < since)
}

/// Whether a node says that it is ready.
pub(crate) fn is_ready(node: &Value) -> bool {
    condition(node).is_some_and(|condition| condition["status"] == "True")
}

fn condition(node: &Value) -> Option<&Value> {
    node["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")
}

fn not_ready(node: &Value) -> String {
    let message = condition(node).and_then(|condition| condition["message"].as_str()).unwrap_or_default();
    if message.is_empty() { "not ready".to_owned() } else { format!("not ready: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn node(ready: &str) -> BTreeMap<ObjectId, Value> {
        let node = json!({ "status": { "conditions": [
            { "type": "Ready", "status": ready, "message": "cni plugin not initialized" },
        ] } });
        BTreeMap::from([(NODE.id("", "n"), node)])
    }

    #[test]
    fn every_node_must_be_ready() {
        let gap = |objects: &BTreeMap<ObjectId, Value>| nodes_gap(objects).map(|(_, why)| why);
        assert_eq!(gap(&node("True")), None);
        assert_eq!(gap(&node("False")).unwrap(), "not ready: cni plugin not initialized");
        assert_eq!(gap(&BTreeMap::new()).unwrap(), "there is no node yet");
    }

    #[test]
    fn nothing_is_believed_that_was_said_before_the_nodes_were_started() {
        let lease = |at: Timestamp| json!({ "spec": { "renewTime": at.to_string() } });
        let pod = |began: Timestamp| {
            let state = json!({ "running": { "startedAt": began.to_string() } });
            json!({ "metadata": {}, "status": { "containerStatuses": [{ "state": state }] } })
        };
        let mut objects = node("True");
        let why = |objects: &BTreeMap<ObjectId, Value>| old(objects, at(5)).map(|(_, why)| why);
        objects.insert(LEASE.id(NODE_LEASES, "n"), lease(at(0)));
        assert_eq!(why(&objects).unwrap(), "its kubelet has not reported yet");
        objects.insert(LEASE.id(NODE_LEASES, "n"), lease(at(9)));
        assert_eq!(why(&objects), None, "there are no elections");
        objects.extend(CONTROLLERS.map(|name| (LEASE.id(SYSTEM, name), lease(at(0)))));
        assert_eq!(why(&objects).unwrap(), "kube-controller-manager has not taken over yet");
        objects.extend(CONTROLLERS.map(|name| (LEASE.id(SYSTEM, name), lease(at(9)))));
        objects.insert(POD.id("a", "p"), pod(at(0)));
        assert_eq!(why(&objects).unwrap(), "it has not been started again yet");
        objects.insert(POD.id("a", "p"), pod(at(9)));
        assert_eq!(why(&objects), None);
    }
}
