//! Waits until a local cluster of containers is ready for a deploy: ready nodes and a default storage class.

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
use crate::object::condition;
use crate::object::kind::{KindInfo, LEASE, NODE, POD, STORAGE_CLASS};
use crate::object::labels;

/// Namespace of the nodes' heartbeats (<https://kubernetes.io/docs/concepts/architecture/leases/>).
pub(crate) const NODE_LEASES: &str = "kube-node-lease";
/// How often to report what the wait is for.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(10);

/// Waits for the nodes and the default storage class of a cluster.
pub struct ClusterReadiness {
    store: Store,
    limits: WaitLimits,
}

/// The namespace of the Leases of the cluster's controllers, and the names of these Leases.
const SYSTEM: &str = "kube-system";
const CONTROLLERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// The limits of the wait.
#[derive(Debug, Clone)]
pub struct WaitLimits {
    /// The nodes that were started a short time ago, each with a time before its kubelet ran again. Older statuses of
    /// these nodes are stale; the other nodes went on running.
    pub started: BTreeMap<String, Timestamp>,
    /// The command's deadline.
    pub deadline: Instant,
}

/// The label of a node on which controllers run.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

impl ClusterReadiness {
    /// Opens the watches.
    ///
    /// # Errors
    /// Fails if the server is unreachable.
    pub async fn open(api: &Api, streaming: bool, limits: WaitLimits) -> Result<Self> {
        let mut scopes = vec![all_of(NODE, None), all_of(STORAGE_CLASS, None)];
        if !limits.started.is_empty() {
            scopes.extend([all_of(LEASE, None), all_of(POD, None)]);
        }
        Ok(Self { store: Store::open(api, scopes, streaming).await?, limits })
    }

    /// Waits until every node is ready, and returns the number of nodes. After a restart, statuses are stale until each
    /// kubelet and controller has written again; only newer lease times and start times count.
    ///
    /// # Errors
    /// Exit 10 if a node is not ready before the deadline; the error has the node's message.
    pub async fn await_nodes(&mut self, events: &Events) -> Result<usize> {
        let started = self.limits.started.clone();
        let pending =
            |store: &Store| pending_node(store.objects()).or_else(|| stale_object(store.objects(), &started));
        self.wait(pending, events).await?;
        Ok(self.store.of_kind(NODE).count())
    }

    /// Waits until a default storage class exists, and returns its name.
    ///
    /// # Errors
    /// Exit 10 if there is none before the deadline.
    pub async fn await_storage_class(&mut self, events: &Events) -> Result<String> {
        let pending = |store: &Store| match default_class(store) {
            Some(_) => None,
            None => Some((None, "there is no default storage class yet".to_owned())),
        };
        self.wait(pending, events).await?;
        Ok(default_class(&self.store).unwrap_or_default().to_owned())
    }

    async fn wait(&mut self, pending: impl Fn(&Store) -> Option<Pending>, events: &Events) -> Result<()> {
        let mut clock = WaitClock::new(self.limits.deadline, HEARTBEAT);
        loop {
            let Some((object, message)) = pending(&self.store) else { return Ok(()) };
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
                    let prefix = object.map_or_else(String::new, |object| format!("{object}  "));
                    let error = Error::new(
                        Id::DeadlinePassed,
                        Kind::Deadline,
                        "timed out before the cluster was ready",
                    );
                    return Err(error
                        .fact("waiting", format!("{prefix}{message}"))
                        .hint("--timeout DURATION sets a longer limit"));
                }
            }
        }
    }
}

fn default_class(store: &Store) -> Option<&str> {
    let is_default =
        |class: &&Value| class["metadata"]["annotations"][labels::DEFAULT_STORAGE_CLASS] == "true";
    let mut classes = store.of_kind(STORAGE_CLASS).map(|(_, class)| class);
    classes.find(is_default)?["metadata"]["name"].as_str()
}

/// The reason to keep waiting: the object, if it is about one, and a message.
type Pending = (Option<ObjectId>, String);

fn of_kind(objects: &BTreeMap<ObjectId, Value>, kind: KindInfo) -> impl Iterator<Item = (&ObjectId, &Value)> {
    objects.iter().filter(move |(id, _)| id.kind == kind.kind)
}

/// Returns the first node that is not ready.
fn pending_node(objects: &BTreeMap<ObjectId, Value>) -> Option<Pending> {
    let mut nodes = of_kind(objects, NODE).peekable();
    if nodes.peek().is_none() {
        return Some((None, "there is no node yet".to_owned()));
    }
    let (id, node) = nodes.find(|(_, node)| !condition::is_ready(node))?;
    Some((Some(id.clone()), not_ready_message(node)))
}

/// Returns the first object of a started node whose status is older than the start.
fn stale_object(
    objects: &BTreeMap<ObjectId, Value>,
    started: &BTreeMap<String, Timestamp>,
) -> Option<Pending> {
    let started_nodes =
        || of_kind(objects, NODE).filter_map(|(id, node)| Some((id, node, *started.get(&id.name)?)));
    let not_renewed =
        started_nodes().find(|(id, _, since)| !is_renewed(objects, NODE_LEASES, &id.name, *since));
    if let Some((node, ..)) = not_renewed {
        return Some((Some(node.clone()), "its kubelet has not reported yet".to_owned()));
    }
    let is_control_plane = |node: &Value| node["metadata"]["labels"].get(CONTROL_PLANE).is_some();
    if let Some((.., since)) = started_nodes().find(|(_, node, _)| is_control_plane(node)) {
        // A controller without a Lease does not use leader election.
        let is_election_pending = |name: &&&str| {
            objects.contains_key(&LEASE.id(SYSTEM, name)) && !is_renewed(objects, SYSTEM, name, since)
        };
        if let Some(name) = CONTROLLERS.iter().find(is_election_pending) {
            return Some((None, format!("{name} has not become leader yet")));
        }
    }
    let is_stale = |pod: &Value| {
        let since = pod["spec"]["nodeName"].as_str().and_then(|node| started.get(node));
        since.is_some_and(|since| runs_since_before(pod, *since))
    };
    let (pod, _) = of_kind(objects, POD).find(|(_, pod)| is_stale(pod))?;
    Some((Some(pod.clone()), "it has not been restarted yet".to_owned()))
}

fn is_renewed(objects: &BTreeMap<ObjectId, Value>, namespace: &str, name: &str, since: Timestamp) -> bool {
    let lease = objects.get(&LEASE.id(namespace, name));
    let renewed = lease.and_then(|lease| lease["spec"]["renewTime"].as_str()?.parse::<Timestamp>().ok());
    renewed.is_some_and(|renewed| renewed >= since)
}

/// Whether a container has a start time before `since`.
fn runs_since_before(pod: &Value, since: Timestamp) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let started_at =
        |status: &Value| status["state"]["running"]["startedAt"].as_str()?.parse::<Timestamp>().ok();
    pod["metadata"]["deletionTimestamp"].is_null()
        && statuses.filter_map(started_at).any(|started_at| started_at < since)
}

fn not_ready_message(node: &Value) -> String {
    let message =
        condition::ready(node).and_then(|condition| condition["message"].as_str()).unwrap_or_default();
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
    fn unready_node_and_missing_nodes_are_pending() {
        let pending = |objects: &BTreeMap<ObjectId, Value>| pending_node(objects).map(|(_, reason)| reason);
        assert_eq!(pending(&node("True")), None);
        assert_eq!(pending(&node("False")).unwrap(), "not ready: cni plugin not initialized");
        assert_eq!(pending(&BTreeMap::new()).unwrap(), "there is no node yet");
    }

    fn lease(at: Timestamp) -> Value {
        json!({ "spec": { "renewTime": at.to_string() } })
    }

    fn pod(node: &str, started_at: Timestamp) -> Value {
        let state = json!({ "running": { "startedAt": started_at.to_string() } });
        json!({
            "metadata": {}, "spec": { "nodeName": node },
            "status": { "containerStatuses": [{ "state": state }] },
        })
    }

    fn stale_reason(objects: &BTreeMap<ObjectId, Value>, started: &[&str]) -> Option<String> {
        let started = started.iter().map(|name| ((*name).to_owned(), at(5))).collect();
        stale_object(objects, &started).map(|(_, reason)| reason)
    }

    #[test]
    fn statuses_older_than_the_node_start_are_stale() {
        let mut objects = node("True");
        let reason = |objects: &BTreeMap<ObjectId, Value>| stale_reason(objects, &["n"]);
        objects.get_mut(&NODE.id("", "n")).unwrap()["metadata"] = json!({ "labels": { CONTROL_PLANE: "" } });
        objects.insert(LEASE.id(NODE_LEASES, "n"), lease(at(0)));
        assert_eq!(reason(&objects).unwrap(), "its kubelet has not reported yet");
        objects.insert(LEASE.id(NODE_LEASES, "n"), lease(at(9)));
        assert_eq!(reason(&objects), None, "there are no Leases of controllers");
        objects.extend(CONTROLLERS.map(|name| (LEASE.id(SYSTEM, name), lease(at(0)))));
        assert_eq!(reason(&objects).unwrap(), "kube-controller-manager has not become leader yet");
        objects.extend(CONTROLLERS.map(|name| (LEASE.id(SYSTEM, name), lease(at(9)))));
        objects.insert(POD.id("a", "p"), pod("n", at(0)));
        assert_eq!(reason(&objects).unwrap(), "it has not been restarted yet");
        objects.insert(POD.id("a", "p"), pod("n", at(9)));
        assert_eq!(reason(&objects), None);
    }

    #[test]
    fn node_that_went_on_running_is_not_stale() {
        let mut objects = node("True");
        objects.extend(node("True").into_values().map(|node| (NODE.id("", "other"), node)));
        objects.get_mut(&NODE.id("", "other")).unwrap()["metadata"] =
            json!({ "labels": { CONTROL_PLANE: "" } });
        objects.extend(CONTROLLERS.map(|name| (LEASE.id(SYSTEM, name), lease(at(0)))));
        objects.insert(LEASE.id(NODE_LEASES, "n"), lease(at(9)));
        objects.insert(LEASE.id(NODE_LEASES, "other"), lease(at(0)));
        objects.insert(POD.id("a", "p"), pod("n", at(9)));
        objects.insert(POD.id("a", "q"), pod("other", at(0)));
        assert_eq!(stale_reason(&objects, &["n"]), None);
        assert_eq!(stale_reason(&objects, &["other"]).unwrap(), "its kubelet has not reported yet");
    }
}
