//! The ingress controller of a local cluster: its objects, sent where they differ, and its webhook, awaited before any
//! Ingress is sent.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::apply::waves::IN_FLIGHT;
use crate::cluster::client::api::{Api, ApiError, Response};
use crate::cluster::client::request::{ApplyOptions, if_same_object};
use crate::cluster::watch::wait_clock::{WaitClock, WaitState};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Event, Events, Phase};
use crate::object::kind::{Collection, DEPLOYMENT, INGRESS, JOB, Wave};
use crate::object::{ObjectId, managed_fields};
use crate::plan::Member;
use crate::plan::manifests::ingress_controller::Controller;

/// How often a webhook is asked that does not answer yet.
const ASK: Duration = Duration::from_millis(250);
/// How often it is said what is waited for.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What was done with the controller's objects.
#[derive(Debug, Clone)]
pub struct Ensured {
    /// The objects that something is run by.
    pub workloads: Vec<ObjectId>,
    /// Those of them that were made or changed now.
    pub changed: Vec<ObjectId>,
}

/// The controller's objects, and those of their names that are there: none is somebody else's.
#[derive(Debug)]
pub struct ControllerObjects {
    objects: Vec<Member>,
    live: Vec<Option<Value>>,
}

/// Looks whether the controller can be made, before another one is removed for it.
///
/// # Errors
/// Exit 7 where an object of that name is somebody else's.
pub async fn list(api: &Api, controller: Controller) -> Result<ControllerObjects> {
    let objects = controller.objects()?;
    let live: Vec<Option<Value>> = look(api, &objects).await?;
    if let Some((object, _)) =
        objects.iter().zip(&live).find(|(_, live)| live.as_ref().is_some_and(is_foreign))
    {
        return Err(foreign(controller, &object.id));
    }
    Ok(ControllerObjects { objects, live })
}

/// Makes the controller's objects what they should be, wave by wave; what is as it should be costs no request.
///
/// # Errors
/// Exit 7 where somebody else manages a field; exit 8 where the server refuses.
pub async fn ensure(
    api: &Api,
    ControllerObjects { objects, live }: ControllerObjects,
    events: &Events,
) -> Result<Ensured> {
    let mut changed = Vec::new();
    for wave in [Wave::Foundation, Wave::Configuration, Wave::Workload] {
        let pairs = objects.iter().zip(&live).filter(|(object, _)| object.kind.wave == wave);
        let sent = stream::iter(pairs).map(|(object, live)| send(api, object, live.as_ref(), events));
        let actions: Vec<(ObjectId, Action)> = sent.buffered(IN_FLIGHT).try_collect().await?;
        changed
            .extend(actions.into_iter().filter(|(_, action)| *action != Action::Unchanged).map(|(id, _)| id));
    }
    let runs = |object: &&Member| [DEPLOYMENT, JOB].contains(&object.kind);
    let workloads = objects.iter().filter(runs).map(|object| object.id.clone()).collect();
    Ok(Ensured { workloads, changed })
}

/// Deletes a controller that was made for an earlier configuration, if we made it.
///
/// # Errors
/// Where the server refuses.
pub async fn remove(api: &Api, controller: Controller, events: &Events) -> Result<bool> {
    let mut objects = controller.objects()?;
    // The namespace takes most of it along; what is the cluster's own goes by itself, the webhook before its server.
    objects.retain(|object| object.id.namespace.is_none());
    objects.reverse();
    objects.sort_by_key(|object| object.kind != crate::object::kind::VALIDATING_WEBHOOK);
    let live = look(api, &objects).await?;
    let mut removed = false;
    for (object, live) in objects.iter().zip(live) {
        let Some(live) = live.filter(|live| !is_foreign(live)) else { continue };
        match api.delete(&collection(object), &object.id.name, &in_background(&live)).await {
            Ok(_) => {}
            Err(fault) if fault.code() == Some(404) => continue,
            Err(fault) => return Err(fault.into_error(&format!("cannot delete {}", object.id))),
        }
        removed = true;
        told(events, &object.id, Action::Deleted).await;
    }
    Ok(removed)
}

async fn look(api: &Api, objects: &[Member]) -> Result<Vec<Option<Value>>> {
    let looks = stream::iter(objects).map(|object| async move {
        let found = api.get_opt(&collection(object), &object.id.name).await;
        found.map_err(|fault| fault.into_error(&format!("cannot read {}", object.id)))
    });
    looks.buffered(IN_FLIGHT).try_collect().await
}

/// What we have never applied is somebody else's.
fn is_foreign(live: &Value) -> bool {
    !managed_fields::is_applied(live)
}

async fn send(
    api: &Api,
    object: &Member,
    live: Option<&Value>,
    events: &Events,
) -> Result<(ObjectId, Action)> {
    let action = match live {
        Some(live) if managed_fields::is_unchanged(&object.manifest, live) => Action::Unchanged,
        Some(live) if object.kind == JOB => {
            // A Job's template cannot be changed.
            replace(api, object, live).await?;
            Action::Configured
        }
        Some(live) => {
            let uid = &live["metadata"]["uid"];
            apply(api, object, "uid", uid).await?;
            Action::Configured
        }
        // With a version that no object has it is only created, never changed.
        None => {
            apply(api, object, "resourceVersion", &json!("1")).await?;
            Action::Created
        }
    };
    if action != Action::Unchanged {
        told(events, &object.id, action).await;
    }
    Ok((object.id.clone(), action))
}

async fn apply(api: &Api, object: &Member, condition: &str, value: &Value) -> Result<Response> {
    let mut manifest = object.manifest.clone();
    manifest["metadata"][condition] = value.clone();
    api.apply(&collection(object), &manifest, ApplyOptions::default()).await.map_err(|fault| match fault {
        ApiError::Status(status) if status.code == 409 => {
            let message = format!("{} of the ingress controller has fields that others manage", object.id);
            Error::new(Id::FieldConflict, Kind::Ownership, message)
                .caused_by(status.message.clone())
                .hint("[cluster] ingress = \"none\" leaves the controller to whoever changed it")
        }
        fault => fault.into_error(&format!("cannot apply {}", object.id)),
    })
}

async fn replace(api: &Api, object: &Member, live: &Value) -> Result<()> {
    match api.delete(&collection(object), &object.id.name, &in_background(live)).await {
        Ok(_) => {}
        Err(fault) if fault.code() == Some(404) => {}
        Err(fault) => return Err(fault.into_error(&format!("cannot replace {}", object.id))),
    }
    apply(api, object, "resourceVersion", &json!("1")).await.map(drop)
}

fn foreign(controller: Controller, id: &ObjectId) -> Error {
    let message = format!("{id} exists and was not made by handsctl; the ingress controller was not touched");
    Error::new(Id::ForeignObject, Kind::Ownership, message)
        .fact("controller", controller.name())
        .hint("[cluster] ingress = \"none\" leaves the controller that is there alone")
}

fn collection(object: &Member) -> Collection {
    object.kind.collection(object.id.namespace.as_deref())
}

/// What the object owns is deleted after it.
fn in_background(live: &Value) -> DeleteParams {
    DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..if_same_object(live) }
}

async fn told(events: &Events, object: &ObjectId, action: Action) {
    events.object(Phase::Cluster, object.clone(), action, None).await;
}

/// Waits until the controller's webhook answers the API server. Before that the server refuses every Ingress, so it
/// is asked with one that it checks and does not keep.
///
/// # Errors
/// Exit 10 where it does not answer before the deadline, with the server's last words.
pub async fn await_webhook(
    api: &Api,
    controller: Controller,
    deadline: Instant,
    events: &Events,
) -> Result<()> {
    let mut clock = WaitClock::new(deadline, HEARTBEAT);
    loop {
        let Err(why) = ask_webhook(api, controller).await? else { return Ok(()) };
        match clock.state() {
            WaitState::Waiting => {}
            WaitState::HeartbeatDue(left) => {
                let message = format!("the webhook of {} does not answer yet", controller.name());
                events.send(Event::Waiting { object: None, message, left: Some(left) }).await;
            }
            WaitState::Expired => {
                let message =
                    format!("the webhook of {} does not answer the API server in time", controller.name());
                return Err(Error::new(Id::DeadlinePassed, Kind::Deadline, message)
                    .fact("evidence", why)
                    .hint("--timeout gives more time"));
            }
        }
        clock.sleep_until(Some(Instant::now() + ASK)).await;
    }
}

/// The inner error: it does not answer yet.
async fn ask_webhook(api: &Api, controller: Controller) -> Result<Result<(), String>> {
    let namespace = controller.name();
    let question = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": "handsctl-asks", "namespace": namespace },
        "spec": { "defaultBackend": { "service": { "name": "none", "port": { "number": 80 } } } },
    });
    match api.create_dry_run(&INGRESS.in_namespace(namespace), &question).await {
        Ok(_) => Ok(Ok(())),
        // `failed calling webhook "validate.nginx.ingress.kubernetes.io": …`
        Err(ApiError::Status(status)) if status.message.contains("failed calling webhook") => {
            Ok(Err(status.message.clone()))
        }
        // It says something, so it answers.
        Err(ApiError::Status(status)) if status.message.contains("admission webhook") => Ok(Ok(())),
        Err(fault) => Err(fault.into_error("cannot ask whether an Ingress would be accepted")),
    }
}
