//! The ingress controller of a local cluster: applies its objects, and waits for its webhook, because no Ingress is
//! accepted before that.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError, Response};
use crate::cluster::client::in_flight::IN_FLIGHT;
use crate::cluster::client::request::{ApplyOptions, if_same_object};
use crate::cluster::namespace_objects;
use crate::cluster::watch::wait_clock::{WaitClock, WaitState};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Event, Events, Phase};
use crate::object::kind::{Collection, DEPLOYMENT, INGRESS, JOB, NAMESPACE, VALIDATING_WEBHOOK, Wave};
use crate::object::{ObjectId, managed_fields};
use crate::plan::Member;
use crate::plan::inventory::namespace_objects as inventory;
use crate::plan::manifests::ingress_controller::Controller;

/// How often to probe a webhook that does not respond yet.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How often to report what the wait is for.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The result of ensuring the controller's objects.
#[derive(Debug, Clone)]
pub struct Ensured {
    /// The controller's workloads.
    pub workloads: Vec<ObjectId>,
    /// The objects that were created or changed.
    pub changed: Vec<ObjectId>,
}

/// The controller's objects, and the live objects of the same names, all of which handsctl applied.
#[derive(Debug)]
pub struct ControllerObjects {
    objects: Vec<Member>,
    live: Vec<Option<Value>>,
}

/// Checks that the controller can be applied, before another one is deleted for it.
///
/// # Errors
/// Exit 7 if another owner has an object of the same name.
pub async fn list(api: &Api, controller: Controller) -> Result<ControllerObjects> {
    let objects = controller.objects()?;
    let live: Vec<Option<Value>> = get_live(api, &objects).await?;
    if let Some((object, _)) =
        objects.iter().zip(&live).find(|(_, live)| live.as_ref().is_some_and(is_foreign))
    {
        return Err(foreign_object_error(controller, &object.id));
    }
    Ok(ControllerObjects { objects, live })
}

/// Applies the controller's objects, wave by wave. Unchanged objects need no request.
///
/// # Errors
/// Exit 7 if another manager owns a field; exit 8 if the server rejects an object.
pub async fn ensure(
    api: &Api,
    ControllerObjects { objects, live }: ControllerObjects,
    events: &Events,
) -> Result<Ensured> {
    let mut changed = Vec::new();
    for wave in [Wave::Foundation, Wave::Configuration, Wave::Workload] {
        let pairs = objects.iter().zip(&live).filter(|(object, _)| object.kind.wave == wave);
        let results =
            stream::iter(pairs).map(|(object, live)| ensure_object(api, object, live.as_ref(), events));
        let actions: Vec<(ObjectId, Action)> = results.buffered(IN_FLIGHT).try_collect().await?;
        changed
            .extend(actions.into_iter().filter(|(_, action)| *action != Action::Unchanged).map(|(id, _)| id));
    }
    let is_workload = |object: &&Member| [DEPLOYMENT, JOB].contains(&object.kind);
    let workloads = objects.iter().filter(is_workload).map(|object| object.id.clone()).collect();
    Ok(Ensured { workloads, changed })
}

/// Deletes the objects of the controller of an earlier configuration that handsctl applied, and its namespace if nothing of
/// others is in it. Returns whether it deleted an object.
///
/// # Errors
/// Fails if the server rejects a delete, or the objects of the namespace cannot be listed.
pub async fn remove(api: &Api, controller: Controller, events: &Events) -> Result<bool> {
    let mut objects = controller.objects()?;
    // The webhook first: without its server it would reject every Ingress. The namespace last, because others may use it.
    objects.reverse();
    objects.sort_by_key(|object| (object.kind == NAMESPACE, object.kind != VALIDATING_WEBHOOK));
    let live = get_live(api, &objects).await?;
    let mut deleted_any = false;
    for (object, live) in objects.iter().zip(live) {
        let Some(live) = live.filter(|live| !is_foreign(live)) else { continue };
        if object.kind == NAMESPACE {
            let others = others_in_namespace(api, controller).await?;
            if !others.is_empty() {
                let names: Vec<String> = others.iter().map(ToString::to_string).collect();
                let reason = format!("it has objects that handsctl did not create: {}", names.join(", "));
                events.object(Phase::Cluster, object.id.clone(), Action::Kept, Some(reason)).await;
                continue;
            }
        }
        match api.delete(&collection(object), &object.id.name, &in_background(&live)).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(404) => continue,
            Err(error) => return Err(error.into_error(&format!("cannot delete {}", object.id))),
        }
        deleted_any = true;
        report(events, &object.id, Action::Deleted).await;
    }
    Ok(deleted_any)
}

/// Returns the objects of the controller's namespace that neither handsctl nor the controller made.
async fn others_in_namespace(api: &Api, controller: Controller) -> Result<Vec<ObjectId>> {
    let objects = namespace_objects::list(api, controller.name()).await?;
    let listed = inventory::uids(&objects);
    let is_of_others = |id: &ObjectId, object: &Value| {
        inventory::is_of_others(id, object, &listed) && !controller.creates(id)
    };
    Ok(objects.into_iter().filter(|(id, object)| is_of_others(id, object)).map(|(id, _)| id).collect())
}

async fn get_live(api: &Api, objects: &[Member]) -> Result<Vec<Option<Value>>> {
    let requests = stream::iter(objects).map(|object| async move {
        let live = api.get_opt(&collection(object), &object.id.name).await;
        live.map_err(|error| error.into_error(&format!("cannot read {}", object.id)))
    });
    requests.buffered(IN_FLIGHT).try_collect().await
}

/// Whether handsctl has never applied this object.
fn is_foreign(live: &Value) -> bool {
    !managed_fields::is_applied(live)
}

async fn ensure_object(
    api: &Api,
    object: &Member,
    live: Option<&Value>,
    events: &Events,
) -> Result<(ObjectId, Action)> {
    let action = match live {
        Some(live) if managed_fields::is_unchanged(&object.manifest, live) => Action::Unchanged,
        Some(live) if object.kind == JOB => {
            // A Job's template is immutable.
            replace(api, object, live).await?;
            Action::Configured
        }
        Some(live) => {
            let uid = &live["metadata"]["uid"];
            apply(api, object, "uid", uid).await?;
            Action::Configured
        }
        // With a resourceVersion that no object can have, apply only creates.
        None => {
            apply(api, object, "resourceVersion", &json!("1")).await?;
            Action::Created
        }
    };
    if action != Action::Unchanged {
        report(events, &object.id, action).await;
    }
    Ok((object.id.clone(), action))
}

async fn apply(api: &Api, object: &Member, condition: &str, value: &Value) -> Result<Response> {
    let mut manifest = object.manifest.clone();
    manifest["metadata"][condition] = value.clone();
    api.apply(&collection(object), &manifest, ApplyOptions::default()).await.map_err(|error| match error {
        ApiError::Status(status) if status.code == 409 => {
            let message = format!("{} of the ingress controller has fields of other managers", object.id);
            Error::new(Id::FieldConflict, Kind::Ownership, message)
                .caused_by(status.message.clone())
                .hint("[cluster] ingress = \"none\" makes handsctl ignore the controller")
        }
        error => error.into_error(&format!("cannot apply {}", object.id)),
    })
}

async fn replace(api: &Api, object: &Member, live: &Value) -> Result<()> {
    match api.delete(&collection(object), &object.id.name, &in_background(live)).await {
        Ok(_) => {}
        Err(error) if error.code() == Some(404) => {}
        Err(error) => return Err(error.into_error(&format!("cannot replace {}", object.id))),
    }
    apply(api, object, "resourceVersion", &json!("1")).await.map(drop)
}

fn foreign_object_error(controller: Controller, id: &ObjectId) -> Error {
    let message =
        format!("{id} exists and was not created by handsctl; the ingress controller was not changed");
    Error::new(Id::ForeignObject, Kind::Ownership, message)
        .fact("controller", controller.name())
        .hint("[cluster] ingress = \"none\" keeps the existing controller")
}

fn collection(object: &Member) -> Collection {
    object.kind.collection(object.id.namespace.as_deref())
}

/// Deletes this object first, and its dependents in the background.
fn in_background(live: &Value) -> DeleteParams {
    DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..if_same_object(live) }
}

async fn report(events: &Events, object: &ObjectId, action: Action) {
    events.object(Phase::Cluster, object.clone(), action, None).await;
}

/// Waits until the controller's webhook responds to the API server, which rejects every Ingress before that. Probes it
/// with dry runs of an Ingress.
///
/// # Errors
/// Exit 10 if it does not respond before the deadline; the error has the server's last message.
pub async fn await_webhook(
    api: &Api,
    controller: Controller,
    deadline: Instant,
    events: &Events,
) -> Result<()> {
    let mut clock = WaitClock::new(deadline, HEARTBEAT);
    loop {
        let Err(reason) = probe_webhook(api, controller).await? else { return Ok(()) };
        match clock.state() {
            WaitState::Waiting => {}
            WaitState::HeartbeatDue(left) => {
                let message = format!("the webhook of {} does not respond yet", controller.name());
                events.send(Event::Waiting { object: None, message, left: Some(left) }).await;
            }
            WaitState::Expired => {
                let message = format!(
                    "timed out before the webhook of {} responded to the API server",
                    controller.name()
                );
                return Err(Error::new(Id::DeadlinePassed, Kind::Deadline, message)
                    .fact("evidence", reason)
                    .hint("--timeout DURATION sets a longer limit"));
            }
        }
        clock.sleep_until(Some(Instant::now() + POLL_INTERVAL)).await;
    }
}

/// Sends one dry run; the inner error means that the webhook does not respond yet.
async fn probe_webhook(api: &Api, controller: Controller) -> Result<Result<(), String>> {
    let namespace = controller.name();
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": "handsctl-asks", "namespace": namespace },
        "spec": { "defaultBackend": { "service": { "name": "none", "port": { "number": 80 } } } },
    });
    match api.create_dry_run(&INGRESS.in_namespace(namespace), &ingress).await {
        Ok(_) => Ok(Ok(())),
        // `failed calling webhook "validate.nginx.ingress.kubernetes.io": …`
        Err(ApiError::Status(status)) if status.message.contains("failed calling webhook") => {
            Ok(Err(status.message.clone()))
        }
        // The webhook rejected the Ingress, so it responds.
        Err(ApiError::Status(status)) if status.message.contains("admission webhook") => Ok(Ok(())),
        Err(error) => Err(error.into_error("cannot check whether an Ingress would be accepted")),
    }
}
