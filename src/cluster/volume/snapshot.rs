//! Creates, follows, lists and deletes `VolumeSnapshot`s, where the cluster has this API.

use std::time::Duration;

use kube::api::ListParams;
use serde_json::Value;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::discovery;
use crate::cluster::client::request::if_same_object;
use crate::cluster::watch::wait_clock::{WaitClock, WaitState};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::object::ObjectId;
use crate::object::kind::VOLUME_SNAPSHOT;
use crate::object::labels;
use crate::object::volume_snapshot::{self, SnapshotState};
use crate::phrase;
use crate::plan::manifests::volume_snapshot::is_of_run;

/// Pause between two reads. A watch would need rights that reading one object does not need.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often to report a wait.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How long an error may stay. The controllers report a conflict with each other as an error, too, and try again
/// (<https://github.com/kubernetes-csi/external-snapshotter>, `updateSnapshotErrorStatusWithEvent`).
const ERROR_GRACE: Duration = Duration::from_secs(10);
/// How long the snapshot controller may take to write a first status.
const NO_ANSWER: Duration = Duration::from_secs(60);

/// What a wait for a `VolumeSnapshot` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotGoal {
    /// The content of the volume is captured.
    Taken,
    /// A claim can be made from it.
    Ready,
}

/// The end of a wait for a `VolumeSnapshot`.
#[derive(Debug)]
pub enum SnapshotWait {
    /// The snapshot is as far as it has to be.
    Reached(Value),
    /// The deadline has passed. Holds what was still missing.
    Expired(String),
}

/// Returns whether the cluster has the API of `VolumeSnapshot`s. Every account may ask this.
///
/// # Errors
/// The API server does not answer.
pub async fn has_api(api: &Api) -> Result<bool> {
    let served = discovery::serves(api, &VOLUME_SNAPSHOT.api_version()).await;
    served.map_err(|error| error.into_error("cannot read the cluster's APIs"))
}

/// Lists the set's `VolumeSnapshot`s of a namespace, the oldest first.
///
/// # Errors
/// The account may not list them.
pub async fn list(api: &Api, namespace: &str, set: &str) -> Result<Vec<Value>> {
    let params = ListParams::default().labels(&labels::managed_selector(set));
    let listed = api.list(&VOLUME_SNAPSHOT.in_namespace(namespace), &params).await;
    let mut snapshots = listed
        .map_err(|error| error.into_error(&format!("cannot list volume snapshots in namespace {namespace}")))?
        .items;
    snapshots.sort_by_cached_key(|snapshot| volume_snapshot::taken_at(snapshot).map(str::to_owned));
    Ok(snapshots)
}

/// Creates a `VolumeSnapshot`.
///
/// # Errors
/// The server rejects it.
pub async fn create(api: &Api, manifest: &Value) -> Result<Value> {
    let id = id_of(manifest);
    let collection = VOLUME_SNAPSHOT.collection(id.namespace.as_deref());
    let created = api.create(&collection, manifest).await;
    Ok(created.map_err(|error| error.into_error(&format!("cannot create {id}")))?.body)
}

/// Deletes the `VolumeSnapshot` of this manifest, if the run that built the manifest has created it.
///
/// # Errors
/// The server rejects the delete.
pub async fn delete_of_run(api: &Api, manifest: &Value) -> Result<()> {
    let id = id_of(manifest);
    let collection = VOLUME_SNAPSHOT.collection(id.namespace.as_deref());
    let live = api.get_opt(&collection, &id.name).await;
    let live = live.map_err(|error| error.into_error(&format!("cannot read {id}")))?;
    let Some(live) = live.filter(|live| is_of_run(live, manifest)) else { return Ok(()) };
    let deleted = api.delete_same(&collection, &id.name, &if_same_object(&live)).await;
    deleted.map(drop).map_err(|error| error.into_error(&format!("cannot delete {id}")))
}

/// Waits until a created `VolumeSnapshot` is as far as the goal. Reports the wait at once and every ten seconds.
///
/// # Errors
/// Exit 8 if a controller keeps reporting an error, if no controller answers, or if the snapshot is deleted.
pub async fn wait(
    api: &Api,
    created: &Value,
    goal: SnapshotGoal,
    deadline: Instant,
    events: &Events,
) -> Result<SnapshotWait> {
    let id = id_of(created);
    let collection = VOLUME_SNAPSHOT.collection(id.namespace.as_deref());
    let mut clock = WaitClock::new(deadline, REPORT_INTERVAL);
    let begin = Instant::now();
    let mut failing_since: Option<Instant> = None;
    let mut reported = false;
    loop {
        let live = api.get_opt(&collection, &id.name).await;
        let live = live.map_err(|error| error.into_error(&format!("cannot read {id}")))?;
        let is_same = |live: &Value| live["metadata"]["uid"] == created["metadata"]["uid"];
        let Some(live) = live.filter(is_same) else {
            return Err(failed(&id, "somebody has deleted it"));
        };
        let state = volume_snapshot::state(&live);
        match &state {
            SnapshotState::Ready => return Ok(SnapshotWait::Reached(live)),
            SnapshotState::Taken if goal == SnapshotGoal::Taken => return Ok(SnapshotWait::Reached(live)),
            SnapshotState::Failed(message) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= ERROR_GRACE {
                    return Err(failed(&id, message));
                }
            }
            SnapshotState::Unanswered if begin.elapsed() >= NO_ANSWER => return Err(unanswered(&id)),
            SnapshotState::Unanswered | SnapshotState::Pending | SnapshotState::Taken => failing_since = None,
        }
        if !reported {
            report(&id, &state, deadline.saturating_duration_since(Instant::now()), events).await;
            reported = true;
        }
        clock.sleep_until(Some(Instant::now() + INTERVAL)).await;
        match clock.state() {
            WaitState::Waiting => {}
            WaitState::HeartbeatDue(left) => report(&id, &state, left, events).await,
            WaitState::Expired => return Ok(SnapshotWait::Expired(describe(&state))),
        }
    }
}

async fn report(id: &ObjectId, state: &SnapshotState, left: Duration, events: &Events) {
    let waiting = Event::Waiting { object: Some(id.clone()), message: describe(state), left: Some(left) };
    events.send(waiting).await;
}

fn describe(state: &SnapshotState) -> String {
    match state {
        SnapshotState::Unanswered => "waits for the snapshot controller".to_owned(),
        SnapshotState::Pending => "the storage takes the snapshot".to_owned(),
        SnapshotState::Taken => "taken; the storage is still copying it".to_owned(),
        SnapshotState::Ready => "ready".to_owned(),
        SnapshotState::Failed(message) => format!("an error, which may be temporary: {message}"),
    }
}

fn id_of(snapshot: &Value) -> ObjectId {
    let text = |field: &str| snapshot["metadata"][field].as_str().unwrap_or_default();
    VOLUME_SNAPSHOT.id(text("namespace"), text("name"))
}

fn failed(id: &ObjectId, reason: &str) -> Error {
    Error::new(Id::SnapshotFailed, Kind::Rejected, format!("{id} was not taken: {reason}"))
        .hint("handsctl backup FILE copies the volume without a snapshot")
}

fn unanswered(id: &ObjectId) -> Error {
    let message =
        format!("{id} was not taken: no snapshot controller has answered within {}", phrase::span(NO_ANSWER));
    Error::new(Id::SnapshotFailed, Kind::Rejected, message)
        .hint("kubectl get pods -A lists the controllers; an administrator installs the snapshot controller")
        .hint("handsctl backup FILE copies the volume without a snapshot")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};

    const PATH: &str = "/apis/snapshot.storage.k8s.io/v1/namespaces/n/volumesnapshots/s";

    fn snapshot(status: &Value) -> Value {
        json!({ "metadata": { "name": "s", "namespace": "n", "uid": "u", "annotations": { "handsctl.dev/run": "r" } },
            "status": status })
    }

    /// Waits 300 s for the snapshot while `script` answers. Returns the outcome, and the reported waits.
    async fn waited(
        goal: SnapshotGoal,
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> (Result<SnapshotWait>, Vec<String>) {
        let (api, mut server) = scripted();
        let (events, mut receiver) = Events::channel();
        let deadline = Instant::now() + Duration::from_secs(300);
        let created = snapshot(&Value::Null);
        let (outcome, ()) = tokio::join!(wait(&api, &created, goal, deadline, &events), script(&mut server));
        let mut waits = Vec::new();
        while let Some(event) = receiver.try_recv() {
            if let Event::Waiting { message, .. } = event {
                waits.push(message);
            }
        }
        (outcome, waits)
    }

    async fn answer(server: &mut ScriptedServer, times: usize, status: &Value) {
        for _ in 0..times {
            server.expect(&format!("GET {PATH}")).await.ok(&snapshot(status));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn taken_snapshot_is_enough_for_the_application_but_not_for_the_backup() {
        let taken = json!({ "readyToUse": false, "creationTime": "2026-01-01T00:00:00Z" });
        let (outcome, waits) = waited(SnapshotGoal::Taken, async |server| {
            answer(server, 1, &Value::Null).await;
            answer(server, 1, &taken).await;
        })
        .await;
        assert!(matches!(outcome, Ok(SnapshotWait::Reached(live)) if live["status"] == taken));
        assert_eq!(waits, ["waits for the snapshot controller"]);
        let (outcome, waits) = waited(SnapshotGoal::Ready, async |server| {
            answer(server, 12, &taken).await;
            answer(server, 1, &json!({ "readyToUse": true })).await;
        })
        .await;
        assert!(matches!(outcome, Ok(SnapshotWait::Reached(_))));
        assert_eq!(waits.len(), 2, "at once and after 10 s: {waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn error_that_goes_away_is_none_and_one_that_stays_is_final() {
        let error = json!({ "error": { "message": "the object has been modified" } });
        let (outcome, _) = waited(SnapshotGoal::Ready, async |server| {
            answer(server, 9, &error).await;
            answer(server, 1, &json!({ "readyToUse": false })).await;
            answer(server, 9, &error).await;
            answer(server, 1, &json!({ "readyToUse": true })).await;
        })
        .await;
        assert!(matches!(outcome, Ok(SnapshotWait::Reached(_))));
        let error = json!({ "error": { "message": "no quota" } });
        let (outcome, _) = waited(SnapshotGoal::Ready, async |server| answer(server, 11, &error).await).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::SnapshotFailed, Kind::Rejected));
        assert!(error.message().ends_with("/s was not taken: no quota"), "{}", error.message());
    }

    #[tokio::test(start_paused = true)]
    async fn missing_controller_and_deleted_snapshot_end_the_wait() {
        let (outcome, _) =
            waited(SnapshotGoal::Ready, async |server| answer(server, 61, &Value::Null).await).await;
        let message = outcome.unwrap_err().message().to_owned();
        assert!(message.contains("no snapshot controller has answered"), "{message}");
        let (outcome, _) = waited(SnapshotGoal::Ready, async |server| {
            let mut other = snapshot(&json!({ "readyToUse": true }));
            other["metadata"]["uid"] = json!("another one");
            server.expect(&format!("GET {PATH}")).await.ok(&other);
        })
        .await;
        assert!(outcome.unwrap_err().message().ends_with("somebody has deleted it"));
        let pending = json!({ "readyToUse": false });
        let (outcome, _) =
            waited(SnapshotGoal::Ready, async |server| answer(server, 300, &pending).await).await;
        assert!(
            matches!(outcome, Ok(SnapshotWait::Expired(missing)) if missing == "the storage takes the snapshot")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn snapshot_of_another_run_is_not_deleted() {
        for (run, is_deleted) in [("r", true), ("another", false)] {
            let (api, mut server) = scripted();
            let mut manifest = snapshot(&Value::Null);
            manifest["metadata"]["annotations"]["handsctl.dev/run"] = json!(run);
            let (outcome, ()) = tokio::join!(delete_of_run(&api, &manifest), async {
                server.expect(&format!("GET {PATH}")).await.ok(&snapshot(&Value::Null));
                if is_deleted {
                    let exchange = server.expect(&format!("DELETE {PATH}")).await;
                    assert_eq!(exchange.body["preconditions"]["uid"], "u");
                    exchange.ok(&snapshot(&Value::Null));
                }
            });
            outcome.unwrap();
        }
    }
}
