//! Waits until objects that are being deleted are gone: by reading them, or with a watch where the account may.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::in_flight::IN_FLIGHT;
use crate::cluster::watch::store::Store;
use crate::cluster::watch::wait_clock::{WaitClock, WaitState};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::object::kind::Collection;
use crate::object::{ObjectId, deletion};

/// Pause between two reads. A watch would need rights that reading one object does not need.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often to report what holds an object that is still not gone.
const EXPLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// An object that is being deleted.
#[derive(Debug, Clone)]
pub struct DeletedObject {
    /// Its identity.
    pub id: ObjectId,
    /// Its place in the API.
    pub collection: Collection,
    /// The object as last read.
    pub object: Value,
}

/// Waits until these very objects are gone; another object of the same name counts as gone. Returns those that still
/// exist at the deadline, as last read. Each wait is reported, first at once and then every ten seconds.
///
/// # Errors
/// Fails if an object cannot be read.
pub async fn until_gone(
    api: &Api,
    mut objects: Vec<DeletedObject>,
    deadline: Instant,
    events: &Events,
) -> Result<Vec<DeletedObject>> {
    let mut clock = WaitClock::new(deadline, EXPLAIN_INTERVAL);
    report(&objects, deadline.saturating_duration_since(Instant::now()), events).await;
    loop {
        let reads = stream::iter(objects).map(|object| read(api, object)).buffered(IN_FLIGHT);
        objects = reads.try_filter_map(async |object| Ok(object)).try_collect().await?;
        if objects.is_empty() {
            return Ok(objects);
        }
        clock.sleep_until(Some(Instant::now() + INTERVAL)).await;
        match clock.state() {
            WaitState::Waiting => {}
            WaitState::HeartbeatDue(left) => report(&objects, left, events).await,
            WaitState::Expired => return Ok(objects),
        }
    }
}

/// Waits until the objects with these UIDs are gone from a store. Calls `report` every ten seconds with the remaining
/// ones and the time that is left. Returns those that still exist at the deadline.
///
/// # Errors
/// Fails if a watch fails for good.
pub(crate) async fn until_gone_from(
    store: &mut Store,
    mut objects: Vec<(ObjectId, Value)>,
    deadline: Instant,
    report: impl AsyncFn(&Store, &[(ObjectId, Value)], Duration),
) -> Result<Vec<(ObjectId, Value)>> {
    let mut clock = WaitClock::new(deadline, EXPLAIN_INTERVAL);
    loop {
        // Only the last one is looked up after each change: the store of a large deletion changes thousands of times.
        while objects.last().is_some_and(|(id, uid)| !store.has(id, uid)) {
            objects.pop();
        }
        if objects.is_empty() {
            return Ok(objects);
        }
        tokio::select! {
            changed = store.wait_for_change() => changed?,
            () = clock.sleep_until(None) => {}
        }
        let state = clock.state();
        if state != WaitState::Waiting {
            objects.retain(|(id, uid)| store.has(id, uid));
        }
        match state {
            WaitState::HeartbeatDue(left) if !objects.is_empty() => report(store, &objects, left).await,
            WaitState::Waiting | WaitState::HeartbeatDue(_) => {}
            WaitState::Expired => return Ok(objects),
        }
    }
}

/// Reads an object again; None if it is gone.
async fn read(api: &Api, object: DeletedObject) -> Result<Option<DeletedObject>> {
    let live = api.get_opt(&object.collection, &object.id.name).await;
    let live = live.map_err(|error| error.into_error(&format!("cannot read {}", object.id)))?;
    let is_same = |live: &Value| live["metadata"]["uid"] == object.object["metadata"]["uid"];
    Ok(live.filter(is_same).map(|live| DeletedObject { object: live, ..object }))
}

async fn report(objects: &[DeletedObject], left: Duration, events: &Events) {
    for DeletedObject { id, object, .. } in objects {
        let message = deletion::blocker(object);
        events.send(Event::Waiting { object: Some(id.clone()), message, left: Some(left) }).await;
    }
}

/// Returns the error for members that are still being deleted: each with its deletion timestamp, its finalizer, and the
/// manager that set the finalizer.
#[must_use]
pub fn still_deleted_error(objects: &[(ObjectId, Value)]) -> Error {
    let message = match objects {
        [(id, _)] => {
            format!("{} is being deleted, and cannot be created anew before it is gone", id.with_namespace())
        }
        _ => format!(
            "{} objects of the installation are being deleted, and cannot be created anew before they are gone",
            objects.len()
        ),
    };
    let mut error = Error::new(Id::MemberDeleted, Kind::Rejected, message);
    for (id, object) in objects {
        let since = deletion::deleted_since(object).unwrap_or("an unknown time");
        error = error.fact("waiting", format!("{id}  since {since}  {}", deletion::blocker(object)));
    }
    let error = error.hint("the finalizer's controller removes it once its own work is done");
    objects.iter().fold(error.hint("run the command again once it is gone"), |error, (id, _)| {
        let namespace = id.namespace.as_deref().unwrap_or_default();
        let kind = id.kind.to_lowercase();
        error.hint(format!("kubectl describe {kind} {} -n {namespace} shows its Events", id.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::object::kind::SERVICE;
    use serde_json::json;

    const PATH: &str = "GET /api/v1/namespaces/n/services/oh";

    fn service(uid: &str) -> Value {
        json!({ "metadata": { "name": "oh", "uid": uid, "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["acme.example/lb"], "managedFields": [{ "manager": "cloud-controller", "fieldsV1": {
                "f:metadata": { "f:finalizers": { "v:\"acme.example/lb\"": {} } } } }] } })
    }

    /// Waits 30 s for the Service while `script` answers. Returns the remaining objects and the reported waits.
    async fn wait(script: impl AsyncFnOnce(&mut ScriptedServer)) -> (Vec<(ObjectId, Value)>, Vec<String>) {
        let (api, mut server) = scripted();
        let (events, mut receiver) = Events::channel();
        let object = DeletedObject {
            id: SERVICE.id("n", "oh"),
            collection: SERVICE.in_namespace("n"),
            object: service("u-1"),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        let (remaining, ()) =
            tokio::join!(until_gone(&api, vec![object], deadline, &events), script(&mut server));
        let remaining = remaining.unwrap().into_iter().map(|object| (object.id, object.object)).collect();
        let mut waits = Vec::new();
        while let Some(event) = receiver.try_recv() {
            if let Event::Waiting { message, .. } = event {
                waits.push(message);
            }
        }
        (remaining, waits)
    }

    #[tokio::test(start_paused = true)]
    async fn object_is_gone_when_deleted_or_replaced() {
        for replaced in [false, true] {
            let (remaining, waits) = wait(async |server| {
                for _ in 0..3 {
                    server.expect(PATH).await.ok(&service("u-1"));
                }
                let last = server.expect(PATH).await;
                if replaced { last.ok(&service("u-2")) } else { last.not_found() }
            })
            .await;
            assert!(remaining.is_empty());
            assert_eq!(
                waits,
                ["waits for finalizer \"acme.example/lb\", set by manager \"cloud-controller\""]
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn object_that_stays_is_named_with_finalizer_and_manager() {
        let (remaining, waits) = wait(async |server| {
            for _ in 0..30 {
                server.expect(PATH).await.ok(&service("u-1"));
            }
        })
        .await;
        assert_eq!(waits.len(), 3, "at once, after 10 s and after 20 s: {waits:?}");
        let error = still_deleted_error(&remaining);
        assert_eq!((error.id(), error.kind().exit_code()), (Id::MemberDeleted, 8));
        let text = format!("{error:?}");
        let two = still_deleted_error(&[remaining[0].clone(), remaining[0].clone()]);
        assert!(two.message().ends_with("before they are gone"), "{}", two.message());
        for part in ["service/oh in namespace n is being deleted", "acme.example/lb", "cloud-controller"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
