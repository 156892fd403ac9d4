//! Adds up what the new objects of a run take of the quotas: a dry run of each one finds room that all of them together
//! do not have. Pure.

use serde_json::Value;

use super::quota::use_of;
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, KindInfo, POD, SERVICE};
use crate::phrase;
use crate::plan::config_keys;
use crate::settings::Settings;
use crate::settings::format::Quantity;

/// The kinds whose number a quota limits under their plural, beside `count/PLURAL`
/// (`k8s.io/api/core/v1`, `ResourceName`).
const COUNTED_BY_PLURAL: &[&str] = &[
    "pods",
    "services",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
];

/// An object that the run creates, or the pods that follow from it.
#[derive(Debug, Clone)]
pub struct NewObject<'a> {
    /// Its id; that of the workload for pods.
    pub id: ObjectId,
    /// Its kind.
    pub kind: KindInfo,
    /// Its manifest, that of the workload for pods; null for an object of handsctl's own records, of which only the number
    /// counts.
    pub manifest: &'a Value,
}

/// A limit of a quota that the new objects exceed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Name of the quota.
    pub quota: String,
    /// Its namespace.
    pub namespace: String,
    /// The limited resource: `count/secrets`.
    pub resource: String,
    /// The new objects that need it.
    pub objects: Vec<ObjectId>,
    requested: String,
    used: String,
    limited: String,
}

impl Shortage {
    /// Formats the cause as the API server does, so that the same keys are found in it.
    #[must_use]
    pub fn cause(&self) -> String {
        let Self { quota, resource, requested, used, limited, .. } = self;
        format!(
            "exceeded quota: {quota}, requested: {resource}={requested}, used: {resource}={used}, limited: \
             {resource}={limited}"
        )
    }

    /// Returns the error, with the keys of config.toml that cause it.
    #[must_use]
    pub fn error(&self, settings: &Settings) -> Error {
        let Self { quota, namespace, objects, .. } = self;
        let number = phrase::count(objects.len(), "object");
        let message =
            format!("quota \"{quota}\" in namespace {namespace} has no room for {number} of the deploy");
        let names: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let keys = objects.first().map_or_else(Vec::new, |object| {
            config_keys::of_rejected_object(&object.kind, &self.cause(), settings)
        });
        Error::new(Id::QuotaRejected, Kind::Rejected, message)
            .fact("objects", names.join(", "))
            .caused_by(self.cause())
            .hint(format!("kubectl describe resourcequota {quota} -n {namespace} shows what is used"))
            .with_keys(keys)
    }
}

/// Returns each limit of a quota that the new objects in its namespace exceed together; for pods, each that is too small
/// even when nothing is used. Quotas with scopes count other objects.
#[must_use]
pub fn shortages(objects: &[NewObject<'_>], quotas: &[Value]) -> Vec<Shortage> {
    quotas.iter().filter(|quota| !has_scopes(quota)).flat_map(|quota| shortages_of(objects, quota)).collect()
}

/// Returns whether a quota counts some objects only.
#[must_use]
pub fn has_scopes(quota: &Value) -> bool {
    !(quota["spec"]["scopes"].is_null() && quota["spec"]["scopeSelector"].is_null())
}

fn shortages_of(objects: &[NewObject<'_>], quota: &Value) -> Vec<Shortage> {
    let namespace = quota["metadata"]["namespace"].as_str();
    let in_namespace: Vec<&NewObject<'_>> =
        objects.iter().filter(|object| object.id.namespace.as_deref() == namespace).collect();
    // The server compares with the status: the controller copies the limits to it when it has counted what is used.
    let limits = quota["status"]["hard"].as_object().into_iter().flatten();
    let shortage = |(resource, limited): (&String, &Value)| {
        let needs: Vec<(&NewObject<'_>, i128)> = in_namespace
            .iter()
            .map(|object| (*object, need_of(object, resource)))
            .filter(|(_, need)| *need > 0)
            .collect();
        let requested: i128 = needs.iter().map(|(_, need)| need).sum();
        let (limited, used) = (limited.as_str()?, quota["status"]["used"][resource].as_str().unwrap_or("0"));
        let amount = |text: &str| Quantity::parse(text).ok().map(|quantity| quantity.nanos());
        // What pods use is free again when they end, and a pod's controller tries again.
        let is_of_pods = needs.iter().all(|(object, _)| object.kind == POD);
        let in_use = if is_of_pods { 0 } else { amount(used)? };
        let exceeds = requested > 0 && in_use + requested > amount(limited)?;
        exceeds.then(|| Shortage {
            quota: quota["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            resource: resource.clone(),
            objects: needs.iter().map(|(object, _)| object.id.clone()).collect(),
            requested: amount_text(resource, requested),
            used: used.to_owned(),
            limited: limited.to_owned(),
        })
    };
    limits.filter_map(shortage).collect()
}

/// Formats units of 10⁻⁹ of a resource as the API server does: `500m`, `4Gi`.
fn amount_text(resource: &str, nanos: i128) -> String {
    let kibibyte = 1024 * Quantity::ONE;
    let is_bytes = resource.ends_with("memory") || resource.ends_with("storage");
    let text = if is_bytes && nanos % kibibyte == 0 {
        format!("{}Ki", nanos / kibibyte)
    } else {
        format!("{nanos}n")
    };
    Quantity::parse(&text).map_or(text, |quantity| quantity.canonical())
}

/// Returns how much of a resource of a quota an object takes.
fn need_of(object: &NewObject<'_>, resource: &str) -> i128 {
    let KindInfo { group, plural, .. } = object.kind;
    if object.kind == POD {
        let spec = &object.manifest["spec"];
        return i128::from(spec["replicas"].as_u64().unwrap_or(1)) * use_of(&spec["template"], resource);
    }
    let counted =
        if group.is_empty() { format!("count/{plural}") } else { format!("count/{plural}.{group}") };
    if resource == counted || group.is_empty() && resource == plural && COUNTED_BY_PLURAL.contains(&plural) {
        return Quantity::ONE;
    }
    match object.kind {
        kind if kind == CLAIM => need_of_claim(&object.manifest["spec"], resource),
        kind if kind == SERVICE => need_of_service(&object.manifest["spec"], resource),
        _ => 0,
    }
}

fn need_of_claim(spec: &Value, resource: &str) -> i128 {
    let of_class = resource.split_once(".storageclass.storage.k8s.io/");
    let resource = match of_class {
        Some((class, _)) if spec["storageClassName"] != class => return 0,
        Some((_, resource)) => resource,
        None => resource,
    };
    match resource {
        "requests.storage" => {
            let size = spec["resources"]["requests"]["storage"].as_str();
            size.and_then(|size| Quantity::parse(size).ok()).map_or(0, |size| size.nanos())
        }
        "persistentvolumeclaims" if of_class.is_some() => Quantity::ONE,
        _ => 0,
    }
}

fn need_of_service(spec: &Value, resource: &str) -> i128 {
    let ports = || Quantity::ONE * spec["ports"].as_array().map_or(0, |ports| ports.len() as i128);
    match (spec["type"].as_str(), resource) {
        (Some("LoadBalancer"), "services.loadbalancers") => Quantity::ONE,
        (Some("NodePort"), "services.nodeports") => ports(),
        (Some("LoadBalancer"), "services.nodeports") if spec["allocateLoadBalancerNodePorts"] != false => {
            ports()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{DEPLOYMENT, SECRET};

    fn quota(hard: &Value, used: &Value) -> Value {
        json!({
            "metadata": { "name": "q", "namespace": "n" }, "spec": { "hard": hard },
            "status": { "hard": hard, "used": used },
        })
    }

    fn object<'a>(kind: KindInfo, name: &str, manifest: &'a Value) -> NewObject<'a> {
        NewObject { id: kind.id("n", name), kind, manifest }
    }

    #[test]
    fn objects_that_fit_one_by_one_exceed_a_quota_together() {
        let none = Value::Null;
        let objects =
            [object(SECRET, "a", &none), object(SECRET, "b", &none), object(DEPLOYMENT, "c", &none)];
        for resource in ["secrets", "count/secrets"] {
            let found = shortages(&objects, &[quota(&json!({ resource: "2" }), &json!({ resource: "1" }))]);
            let [shortage] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(shortage.objects.len(), 2);
            assert_eq!(
                shortage.cause(),
                format!(
                    "exceeded quota: q, requested: {resource}=2, used: {resource}=1, limited: {resource}=2"
                )
            );
            assert!(
                shortages(&objects, &[quota(&json!({ resource: "3" }), &json!({ resource: "1" }))])
                    .is_empty()
            );
        }
        let deployments = quota(&json!({ "count/deployments.apps": "0" }), &json!({}));
        assert_eq!(shortages(&objects, &[deployments])[0].objects, [DEPLOYMENT.id("n", "c")]);
    }

    #[test]
    fn claims_and_services_take_more_than_their_number() {
        let claim = json!({ "spec": { "storageClassName": "gold", "resources": { "requests": { "storage": "5Gi" } } } });
        let service = json!({ "spec": { "type": "NodePort", "ports": [{ "port": 1 }, { "port": 2 }] } });
        let objects = [object(CLAIM, "a", &claim), object(SERVICE, "b", &service)];
        let rows = [
            ("requests.storage", "4Gi", true),
            ("requests.storage", "5Gi", false),
            ("gold.storageclass.storage.k8s.io/requests.storage", "4Gi", true),
            ("gold.storageclass.storage.k8s.io/persistentvolumeclaims", "0", true),
            ("iron.storageclass.storage.k8s.io/requests.storage", "4Gi", false),
            ("services.nodeports", "1", true),
            ("services.loadbalancers", "0", false),
            ("requests.cpu", "0", false),
        ];
        for (resource, limit, exceeds) in rows {
            let found = shortages(&objects, &[quota(&json!({ resource: limit }), &json!({}))]);
            assert_eq!(!found.is_empty(), exceeds, "{resource}={limit}: {found:?}");
        }
    }

    #[test]
    fn pods_of_a_new_workload_take_what_its_replicas_ask_for() {
        let container = json!({ "resources": { "requests": { "cpu": "250m", "memory": "1Gi" }, "limits": { "memory": "4Gi" } } });
        let template = json!({ "spec": { "containers": [container] } });
        let two = json!({ "spec": { "replicas": 2, "template": template } });
        let one = json!({ "spec": { "template": template } });
        let cause_of = |manifest: &Value, resource: &str, limit: &str| {
            let found =
                shortages(&[object(POD, "a", manifest)], &[quota(&json!({ resource: limit }), &json!({}))]);
            found.first().map(Shortage::cause)
        };
        assert_eq!(
            cause_of(&one, "pods", "0").as_deref(),
            Some("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0")
        );
        let rows = [
            ("pods", "1", "2"),
            ("count/pods", "1", "2"),
            ("requests.cpu", "499m", "500m"),
            ("cpu", "499m", "500m"),
            ("requests.memory", "2047Mi", "2Gi"),
            ("limits.memory", "7Gi", "8Gi"),
        ];
        for (resource, too_little, requested) in rows {
            let cause = cause_of(&two, resource, too_little).unwrap_or_default();
            assert!(cause.contains(&format!("requested: {resource}={requested}")), "{cause}");
            assert_eq!(cause_of(&two, resource, requested), None, "{resource}");
        }
        assert_eq!(cause_of(&two, "limits.cpu", "0"), None, "no limit is set");
        let in_use = quota(&json!({ "pods": "1" }), &json!({ "pods": "1" }));
        assert!(shortages(&[object(POD, "a", &one)], &[in_use]).is_empty(), "the used one may end");
        let stopped = json!({ "spec": { "replicas": 0, "template": template } });
        assert_eq!(cause_of(&stopped, "pods", "0"), None);
    }

    #[test]
    fn quota_of_another_namespace_or_scope_does_not_count() {
        let none = Value::Null;
        let objects = [object(SECRET, "a", &none)];
        let (hard, used) = (json!({ "secrets": "0" }), json!({}));
        let mut elsewhere = quota(&hard, &used);
        elsewhere["metadata"]["namespace"] = json!("m");
        let mut scoped = quota(&hard, &used);
        scoped["spec"]["scopes"] = json!(["BestEffort"]);
        let mut uncounted = quota(&hard, &used);
        uncounted["status"] = json!({});
        assert_eq!(shortages(&objects, &[elsewhere, scoped, uncounted]), []);
    }
}
