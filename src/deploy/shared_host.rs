//! Warns about Ingresses of others with the same host, before the first write of a changed Ingress.

use kube::api::ListParams;
use serde_json::Value;

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::object::kind::INGRESS;
use crate::plan::checks::shared_host;
use crate::session::runner::Run;

/// Warns about each Ingress with the host and path of one that this run creates or changes. An unchanged set sends no
/// request.
pub(super) async fn report(run: &Run<'_>, prepared: &Preparation) {
    let changed =
        prepared.changes.to_send().map(|(member, _)| member).filter(|member| member.kind == INGRESS);
    let changed: Vec<&Value> = changed.map(|member| &member.manifest).collect();
    if changed.is_empty() {
        return;
    }
    let others = ingresses(run.api(), &prepared.state.set.namespace).await;
    for message in shared_host::warnings(&changed, &others) {
        run.events().warn(Id::HostShared, message).await;
    }
}

/// Lists the Ingresses of the cluster, or of the namespace if the account may not list more. Without an answer there is
/// no warning: the deploy does not depend on it.
async fn ingresses(api: &Api, namespace: &str) -> Vec<Value> {
    let params = ListParams::default();
    let list = match api.list(&INGRESS.collection(None), &params).await {
        Err(error) if error.code() == Some(403) => api.list(&INGRESS.in_namespace(namespace), &params).await,
        list => list,
    };
    list.map(|list| list.items).unwrap_or_default()
}
