//! Asks the API server about the application: its namespaces, its pod as a dry run, and the room for its new objects.

use futures::future::join_all;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::check::{Category, Check};
use super::{admission, namespace, reading};
use crate::cluster::apply::pod_admission;
use crate::cluster::client::api::Api;
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, RESOURCE_QUOTA, SECRET, SERVICE_ACCOUNT};
use crate::object::labels;
use crate::plan::checks::quota_sum::{self, NewObject};
use crate::plan::inventory::revision;
use crate::plan::{Member, Plan};
use crate::settings::Settings;

/// Checks the namespaces of the installation, and what the API server would say to its pod and its new objects.
pub(super) async fn checks(api: &Api, settings: &Settings, plan: &Plan) -> Vec<Check> {
    let namespaces = plan.set.namespaces();
    let reads = namespaces.iter().map(|name| reading::get(api, NAMESPACE, None, name));
    let live = join_all(reads).await;
    let mut checks: Vec<Check> =
        namespaces.iter().zip(&live).map(|(name, live)| namespace::check(name, live)).collect();
    // Nothing is created in a namespace that is being deleted, and one that does not exist has no quota.
    let may_create = |live: &Result<Option<Value>, String>| match live {
        Ok(Some(live)) => !namespace::is_terminating(live),
        Ok(None) => false,
        Err(_) => true,
    };
    let existing: Vec<&str> =
        namespaces.iter().zip(&live).filter(|(_, live)| may_create(live)).map(|(name, _)| *name).collect();
    let (pod, room) = tokio::join!(
        async { if live.first().is_some_and(may_create) { pod(api, settings, plan).await } else { None } },
        room(api, settings, plan, &existing),
    );
    checks.extend(pod);
    checks.extend(room);
    checks
}

/// Sends the application's pod as a dry run.
async fn pod(api: &Api, settings: &Settings, plan: &Plan) -> Option<Check> {
    let is_application =
        |member: &&Member| member.kind == DEPLOYMENT && labels::is_instance(&member.manifest, &plan.set.name);
    let member = plan.members.iter().find(is_application)?;
    let namespace = member.id.namespace.as_deref();
    let of_instance = ListParams::default().labels(&labels::instance_selector(&plan.set.name));
    let (deployment, old_pods) = tokio::join!(
        with_existing_account(api, plan, member),
        reading::list(api, POD, namespace, &of_instance)
    );
    let deployment = match deployment {
        Ok(deployment) => deployment,
        Err(reason) => return Some(Check::unknown(Category::App, "pod", reason)),
    };
    let admission = pod_admission::check(api, &member.id, &deployment, None).await;
    Some(admission::pod(admission, &admission::unfinished(old_pods), settings))
}

/// Returns the Deployment's manifest. Its pods run under the account `default` while its own does not exist: a deploy
/// creates it first, and the server rejects a pod without it.
async fn with_existing_account(api: &Api, plan: &Plan, member: &Member) -> Result<Value, String> {
    let mut manifest = member.manifest.clone();
    let account = &mut manifest["spec"]["template"]["spec"]["serviceAccountName"];
    let namespace = member.id.namespace.as_deref();
    let Some(name) = account.as_str().map(str::to_owned) else { return Ok(manifest) };
    let is_created = plan.members.iter().any(|other| {
        other.kind == SERVICE_ACCOUNT && other.id.namespace.as_deref() == namespace && other.id.name == name
    });
    if is_created && reading::get(api, SERVICE_ACCOUNT, namespace, &name).await?.is_none() {
        *account = json!("default");
    }
    Ok(manifest)
}

/// Checks that the quotas have room for the objects that a deploy creates in these namespaces.
async fn room(api: &Api, settings: &Settings, plan: &Plan, namespaces: &[&str]) -> Vec<Check> {
    let (category, name) = (Category::App, "quota");
    let all = ListParams::default();
    let lists = namespaces.iter().map(|namespace| reading::list(api, RESOURCE_QUOTA, Some(namespace), &all));
    let mut quotas = Vec::new();
    let mut checks = Vec::new();
    for list in join_all(lists).await {
        match list {
            Ok(list) => quotas.extend(list),
            Err(reason) => checks.push(Check::unknown(category, name, reason)),
        }
    }
    if quotas.is_empty() {
        return checks;
    }
    let (objects, unread) = new_objects(api, plan).await;
    let shortages = quota_sum::shortages(&objects, &quotas);
    checks.extend(shortages.iter().map(|shortage| Check::failed(category, name, shortage.error(settings))));
    if let Some(reason) = unread.filter(|_| shortages.is_empty()) {
        checks.push(Check::unknown(category, name, reason));
    }
    if checks.is_empty() {
        checks.push(Check::passed(category, name, "room for every object of a deploy"));
    }
    checks
}

/// Returns the members that do not exist, and before the first deploy the records of the installation. The second value
/// is why one of them was not read.
async fn new_objects<'a>(api: &Api, plan: &'a Plan) -> (Vec<NewObject<'a>>, Option<String>) {
    let reads = plan.members.iter().map(async |member| {
        let live = reading::get(api, member.kind, member.id.namespace.as_deref(), &member.id.name).await;
        (live, NewObject { id: member.id.clone(), kind: member.kind, manifest: &member.manifest })
    });
    let set = &plan.set;
    let record = set.parent_name();
    let (members, parent) =
        tokio::join!(join_all(reads), reading::get(api, CONFIG_MAP, Some(&set.namespace), &record));
    let mut objects = Vec::new();
    let mut unread = None;
    for (live, object) in members {
        match live {
            Ok(Some(_)) => {}
            Ok(None) => objects.push(object),
            Err(reason) => unread = unread.or(Some(reason)),
        }
    }
    if let Err(reason) = &parent {
        unread.get_or_insert_with(|| reason.clone());
    }
    if matches!(parent, Ok(None)) {
        let records =
            [(CONFIG_MAP, set.parent_name()), (SECRET, set.parent_name()), (SECRET, revision::name(set, 1))];
        objects.extend(records.map(|(kind, name)| NewObject {
            id: kind.id(&set.namespace, &name),
            kind,
            manifest: &Value::Null,
        }));
    }
    (objects, unread)
}
