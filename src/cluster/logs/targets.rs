//! Finds the pods that the command line names.

use kube::api::ListParams;
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::logs::query::PodSelection;
use crate::logs::target::{LogTarget, WorkloadKind, pod_selector};
use crate::object::kind::{DAEMON_SET, DEPLOYMENT, JOB, KindInfo, POD, REPLICA_SET, STATEFUL_SET};
use crate::object::labels;
use crate::plan::manifests::ingress_controller::Controller;

/// Where the components of an installation are.
#[derive(Debug, Clone)]
pub struct LogPlaces<'a> {
    /// The name of the installation.
    pub set: &'a str,
    /// The application's namespace.
    pub namespace: &'a str,
    /// The sandboxes' namespace.
    pub sandboxes: &'a str,
    /// The ingress controller that handsctl applies.
    pub controller: Option<Controller>,
}

/// Returns the pods that a word names.
///
/// # Errors
/// Exit 2 if there is no such pod or workload.
pub async fn selection(api: &Api, places: &LogPlaces<'_>, target: &LogTarget) -> Result<PodSelection> {
    let labelled = |namespace: &str, labels: String| PodSelection {
        namespace: namespace.to_owned(),
        labels,
        name: None,
    };
    match target {
        LogTarget::App => Ok(labelled(places.namespace, labels::instance_selector(places.set))),
        LogTarget::Sandboxes => Ok(labelled(places.sandboxes, labels::SANDBOX_SELECTOR.to_owned())),
        LogTarget::Ingress => {
            let Some(controller) = places.controller else {
                return Err(usage("handsctl applies no ingress controller with this configuration")
                    .hint("handsctl config explain cluster.ingress"));
            };
            let objects = controller.objects()?;
            let deployment = objects.iter().find(|object| object.kind == DEPLOYMENT);
            let selector = deployment.and_then(|deployment| pod_selector(&deployment.manifest));
            selector
                .map(|selector| labelled(controller.name(), selector))
                .ok_or_else(|| Error::internal("the ingress controller has no Deployment"))
        }
        LogTarget::Pod(name) => {
            let (namespace, _) = find(api, places, POD, name).await?;
            Ok(PodSelection { namespace, labels: String::new(), name: Some(name.clone()) })
        }
        LogTarget::Workload(kind, name) => {
            let kind = kind_info(*kind);
            let (namespace, workload) = find(api, places, kind, name).await?;
            let selector = pod_selector(&workload)
                .ok_or_else(|| usage(&format!("{} selects no pods", kind.id(&namespace, name))))?;
            Ok(labelled(&namespace, selector))
        }
    }
}

/// Finds an object in the application's namespace, else in that of the sandboxes.
async fn find(api: &Api, places: &LogPlaces<'_>, kind: KindInfo, name: &str) -> Result<(String, Value)> {
    let mut namespaces = vec![places.namespace];
    if places.sandboxes != places.namespace {
        namespaces.push(places.sandboxes);
    }
    for namespace in &namespaces {
        let found = api.get_opt(&kind.in_namespace(namespace), name).await;
        let action = format!("cannot get {}", kind.id(namespace, name).with_namespace());
        if let Some(object) = found.map_err(|error| error.into_error(&action))? {
            return Ok(((*namespace).to_owned(), object));
        }
    }
    let list =
        api.list_metadata(&kind.in_namespace(places.namespace), &ListParams::default().limit(MOST)).await;
    let mut names: Vec<String> = list
        .map(|list| list.items)
        .unwrap_or_default()
        .iter()
        .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    names.sort_unstable();
    let object = kind.id(places.namespace, name);
    let error = usage(&format!("there is no {object} in namespace {}", namespaces.join(" or ")));
    Err(if names.is_empty() { error } else { error.fact("in the namespace", names.join(", ")) })
}

/// Names that an error lists at most.
const MOST: u32 = 20;

fn usage(message: &str) -> Error {
    Error::new(Id::Usage, Kind::Usage, message)
}

fn kind_info(kind: WorkloadKind) -> KindInfo {
    match kind {
        WorkloadKind::Deployment => DEPLOYMENT,
        WorkloadKind::StatefulSet => STATEFUL_SET,
        WorkloadKind::DaemonSet => DAEMON_SET,
        WorkloadKind::ReplicaSet => REPLICA_SET,
        WorkloadKind::Job => JOB,
    }
}
