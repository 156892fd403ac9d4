//! A quota or a limit range that admits no sandbox.

use super::checker::RuleChecker;
use crate::settings::format::{Quantity, ResourceName};
use crate::settings::handsctl::LimitRange;
use crate::settings::resolved::LOCAL_CPU;

impl RuleChecker<'_> {
    pub(crate) fn bounds(&mut self) {
        self.quota();
        self.limit_range();
    }

    /// A quota rejects every pod whose containers do not set a resource that the quota limits.
    fn quota(&mut self) {
        let (deploy, sandbox) = (&self.settings.deploy, &self.settings.openhands.kubernetes);
        let quota = deploy.quota.clone();
        let no_limit = deploy.limit_range.default.cpu.is_none() && deploy.limit_range.max.cpu.is_none();
        let cpu = if self.settings.is_set(&["kubernetes", "resource_cpu_request"]) {
            sandbox.resource_cpu_request.clone()
        } else {
            // Whether the cluster is local is not known yet: the smaller default counts.
            Quantity::from_static(LOCAL_CPU)
        };
        let sandbox_requests = [
            ("requests.cpu", cpu.clone()),
            ("cpu", cpu),
            ("requests.memory", sandbox.resource_memory_request.clone()),
            ("memory", sandbox.resource_memory_request.clone()),
            ("limits.memory", sandbox.resource_memory_limit.clone()),
            ("requests.storage", sandbox.pvc_storage_size.clone()),
        ];
        let amount = |name: &str| quota.iter().find(|(resource, _)| resource.as_str() == name);
        if amount("limits.cpu").is_some() && no_limit {
            let message = "`deploy.quota` restricts limits.cpu, but sandboxes have no cpu limit: no sandbox could be created";
            let label = "add [deploy.limit_range.default] cpu = \"2\"";
            self.contradiction(&["deploy", "quota", "limits.cpu"], message, label);
        }
        for (name, needed) in sandbox_requests {
            if let Some((_, most)) = amount(name)
                && *most < needed
            {
                let message = format!(
                    "`deploy.quota` allows {name} {most}, but one sandbox requests {needed}: no sandbox could be created"
                );
                self.contradiction(&["deploy", "quota", name], message, "allow at least one sandbox");
            }
        }
        for name in ["pods", "count/pods", "persistentvolumeclaims", "services"] {
            if let Some((name, most)) = amount(name)
                && most.is_zero()
            {
                self.zero_amount(name, most);
            }
        }
    }

    fn zero_amount(&mut self, name: &ResourceName, most: &Quantity) {
        let message = format!("`deploy.quota` allows {name} {most}: no sandbox could be created");
        self.contradiction(&["deploy", "quota", name.as_str()], message, "leave it out or allow more");
    }

    /// Checks that a sandbox fits, and the order of the bounds as `ValidateLimitRange` does
    /// (`pkg/apis/core/validation/validation.go`).
    fn limit_range(&mut self) {
        let LimitRange { default, default_request, max, min } = self.settings.deploy.limit_range.clone();
        let sandbox = &self.settings.openhands.kubernetes;
        let pairs =
            [("min", &min), ("default_request", &default_request), ("default", &default), ("max", &max)];
        for (at, (lower_name, lower)) in pairs.iter().enumerate() {
            for (upper_name, upper) in &pairs[at + 1..] {
                for (resource, amount) in lower.amounts() {
                    let above = upper.amounts().find(|(name, most)| *name == resource && amount > *most);
                    if let Some((_, most)) = above {
                        let message = format!(
                            "`deploy.limit_range.{lower_name}` of {resource} ({amount}) is larger than `{upper_name}` ({most})"
                        );
                        self.contradiction(&["deploy", "limit_range", lower_name, resource], message, "");
                    }
                }
            }
        }
        let sandbox_bounds = [
            ("cpu", "resource_cpu_request", sandbox.resource_cpu_request.clone()),
            ("memory", "resource_memory_limit", sandbox.resource_memory_limit.clone()),
        ];
        for (resource, key, needed) in sandbox_bounds {
            let most = max.amounts().find(|(name, most)| *name == resource && **most < needed);
            if let Some((_, most)) = most {
                let message = format!(
                    "`deploy.limit_range.max` of {resource} ({most}) is smaller than `kubernetes.{key}` ({needed}): no sandbox could be created"
                );
                self.contradiction(&["deploy", "limit_range", "max", resource], message, "");
            }
        }
        self.limits_of_the_application();
    }

    /// The limit range also applies to the application if it runs in the sandboxes' namespace.
    fn limits_of_the_application(&mut self) {
        let settings = self.settings;
        if settings.runtime_namespace() != settings.deploy.namespace.as_str()
            || self.is_wrong("deploy.resources")
        {
            return;
        }
        let max = settings.deploy.limit_range.max.clone();
        for (resource, most) in max.amounts() {
            let limits = &settings.deploy.resources.limits;
            let above = limits.amounts().find(|(name, limit)| *name == resource && *limit > most);
            if let Some((_, limit)) = above {
                let message = format!(
                    "`deploy.limit_range.max` of {resource} ({most}) is smaller than the limit ({limit}) of the application, which runs in the same namespace"
                );
                self.contradiction(
                    &["deploy", "limit_range", "max", resource],
                    message,
                    "the limit is set in [deploy.resources.limits]",
                );
            }
        }
    }
}
