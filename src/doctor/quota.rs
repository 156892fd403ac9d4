//! The room that the quotas of the sandboxes' namespace leave for one more sandbox. Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::plan::checks::quota_sum::has_scopes;
use crate::settings::Settings;
use crate::settings::format::Quantity;

/// Checks that each quota has room for a sandbox.
pub(super) fn sandbox_room(quotas: &Listed, settings: &Settings) -> Check {
    let (category, name) = (Category::Sandboxes, "quota");
    let quotas = match quotas {
        Ok(quotas) => quotas,
        Err(reason) => return Check::unknown(category, name, reason.as_str()),
    };
    let needs = needs(settings);
    let unscoped = quotas.iter().filter(|quota| !has_scopes(quota));
    let lacks: Vec<String> = unscoped.flat_map(|quota| lacking(quota, &needs)).collect();
    let namespace = settings.runtime_namespace();
    if !lacks.is_empty() {
        let message = format!("the quota of namespace {namespace} has no room for a sandbox");
        let error = lacks
            .into_iter()
            .fold(Error::new(Id::SandboxQuota, Kind::Prerequisite, message), |error, line| {
                error.fact("quota", line)
            })
            .hint(format!("kubectl describe resourcequota -n {namespace}"));
        return Check::warning(category, name, error);
    }
    match quotas.len() {
        0 => Check::passed(category, name, format!("namespace {namespace} has none")),
        count => {
            Check::passed(category, name, format!("{count} of namespace {namespace} with room for a sandbox"))
        }
    }
}

/// A sandbox has a Service of its own and one of its editor.
const SERVICES: i128 = 2 * Quantity::ONE;

/// What a sandbox uses of each resource of a quota
/// (<https://kubernetes.io/docs/concepts/policy/resource-quotas/>).
fn needs(settings: &Settings) -> Vec<(&'static str, i128)> {
    let sandbox = &settings.openhands.kubernetes;
    vec![
        ("pods", Quantity::ONE),
        ("count/pods", Quantity::ONE),
        ("cpu", sandbox.resource_cpu_request.nanos()),
        ("requests.cpu", sandbox.resource_cpu_request.nanos()),
        ("memory", sandbox.resource_memory_request.nanos()),
        ("requests.memory", sandbox.resource_memory_request.nanos()),
        ("limits.memory", sandbox.resource_memory_limit.nanos()),
        ("persistentvolumeclaims", Quantity::ONE),
        ("count/persistentvolumeclaims", Quantity::ONE),
        ("services", SERVICES),
        ("count/services", SERVICES),
        ("count/ingresses.networking.k8s.io", Quantity::ONE),
        ("requests.storage", sandbox.pvc_storage_size.nanos()),
    ]
}

/// Describes each resource of a quota that has less room than needed: `requests.cpu: 900m of 1 used, a sandbox needs …`.
fn lacking(quota: &Value, needs: &[(&str, i128)]) -> Vec<String> {
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    let amount = |field: &str, resource: &str| quota["status"][field][resource].as_str();
    let lacks = |(resource, needed): &(&str, i128)| {
        let hard = amount("hard", resource)?;
        let used = amount("used", resource).unwrap_or("0");
        let nanos = |text: &str| Quantity::parse(text).ok().map(|quantity| quantity.nanos());
        (nanos(used)? + needed > nanos(hard)?)
            .then(|| format!("{name}: {used} of {hard} {resource} are used"))
    };
    needs.iter().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    #[test]
    fn quota_without_room_names_its_resource() {
        let settings = settings_of("[kubernetes]\nresource_cpu_request = \"500m\"\n");
        let quota = |used: &str| json!({ "metadata": { "name": "q" }, "status": { "hard": { "requests.cpu": "1" }, "used": { "requests.cpu": used } } });
        assert!(matches!(sandbox_room(&Ok(vec![quota("500m")]), &settings).outcome, Outcome::Passed(_)));
        let Outcome::Warning(error) = sandbox_room(&Ok(vec![quota("501m")]), &settings).outcome else {
            panic!("499m are left")
        };
        assert_eq!(error.facts()[0].text, "q: 501m of 1 requests.cpu are used");
        let services = json!({ "metadata": { "name": "q" }, "status": { "hard": { "services": "3" }, "used": { "services": "2" } } });
        assert!(matches!(sandbox_room(&Ok(vec![services]), &settings).outcome, Outcome::Warning(_)));
    }
}
