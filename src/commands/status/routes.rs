//! Notes about Ingresses that nobody serves, or serves with another certificate.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

use crate::catalogue::Id;
use crate::cluster::rollout::route::{self, Controllers};
use crate::object::ObjectId;
use crate::object::kind::INGRESS;
use crate::plan::checks::ingress_controller::{RouteFault, class_of};
use crate::plan::config_keys;
use crate::plan::inventory::members::Members;
use crate::session::cluster_session::Session;
use crate::settings::Settings;
use crate::status::Finding;

/// How long the reads may take: the verdict does not depend on them.
const LIMIT: Duration = Duration::from_secs(2);

/// Returns a note for each fault. What the account may not read has none, and neither has an Ingress without a class: its
/// controller may serve those as well.
pub(super) async fn notes(session: &Session, members: &Members) -> Vec<Finding> {
    let mut ingresses: Vec<(&ObjectId, &Value)> =
        members.iter().filter(|(id, _)| id.kind == INGRESS.kind && id.group == INGRESS.group).collect();
    ingresses.sort_by_key(|(id, _)| *id);
    let reads = ingresses.into_iter().map(async |(id, live)| {
        let report = timeout(LIMIT, route::read(&session.connection.api, live, Controllers::Unlisted)).await;
        let is_classless = class_of(live).is_none();
        let faults = report.unwrap_or_default().faults.into_iter();
        let faults = faults.filter(|fault| !(is_classless && fault.id == Id::IngressClassMissing));
        faults.map(|fault| note(id, fault, &session.settings)).collect::<Vec<_>>()
    });
    join_all(reads).await.concat()
}

fn note(ingress: &ObjectId, fault: RouteFault, settings: &Settings) -> Finding {
    let keys = if settings.has_extra_object(ingress) {
        config_keys::of_extra_manifest(settings)
    } else {
        config_keys::of_route_fault(&fault.text, settings)
    };
    let hint = "handsctl doctor checks its class, its controller and its certificate";
    Finding { keys, ..Finding::new(fault.id, ingress.clone(), fault.text) }.hint(hint)
}
