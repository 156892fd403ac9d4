//! The ingress controllers of local clusters: objects outside the application's set, with fixed names.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::template::{INGRESS_NGINX, TRAEFIK, Templates};
use crate::error::Result;
use crate::object::ObjectId;
use crate::object::labels::MANAGER;
use crate::plan::build::member;
use crate::plan::desired::Member;
use crate::settings::handsctl::Ingress;

/// The Traefik release that handsctl is tested with.
const TRAEFIK_IMAGE: &str = "docker.io/library/traefik:v3.6.12";

/// The image of ingress-nginx, with upstream's digest.
const NGINX_IMAGE: &str = "registry.k8s.io/ingress-nginx/controller:v1.12.1@sha256:9724476b928967173d501040631b23ba07f47073999e80e34b120e8db5f234d5";
/// The image of its certificate jobs, with upstream's digest.
const CERTGEN_IMAGE: &str = "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.4.4@sha256:a9f03b34a3cbfbb26d103a14046ab2c5130a80c3d69d526ff8063d2b37b9fd3f";

/// An ingress controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Traefik's Ingress provider.
    Traefik,
    /// ingress-nginx 1.12.1.
    IngressNginx,
}

impl Controller {
    /// All controllers.
    pub const ALL: [Self; 2] = [Self::Traefik, Self::IngressNginx];

    /// Returns the controller that the configuration names.
    #[must_use]
    pub const fn for_setting(ingress: Ingress) -> Option<Self> {
        match ingress {
            Ingress::Traefik => Some(Self::Traefik),
            Ingress::Nginx => Some(Self::IngressNginx),
            Ingress::None => None,
        }
    }

    /// Returns its name, which is also the name of its namespace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traefik => "traefik",
            Self::IngressNginx => "ingress-nginx",
        }
    }

    /// Returns whether it has an admission webhook. Until that webhook responds, the API server rejects every Ingress.
    #[must_use]
    pub const fn has_webhook(self) -> bool {
        matches!(self, Self::IngressNginx)
    }

    /// Returns whether its pods or Jobs create this object in its namespace, besides its manifests.
    #[must_use]
    pub fn creates(self, id: &ObjectId) -> bool {
        match self {
            Self::Traefik => false,
            // The Jobs create the webhook's certificate, and the pods elect a leader.
            Self::IngressNginx => [("Secret", "ingress-nginx-admission"), ("Lease", "ingress-nginx-leader")]
                .contains(&(id.kind.as_str(), id.name.as_str())),
        }
    }

    /// Returns its objects, in the order in which they are sent.
    ///
    /// # Errors
    /// Only if a built-in template is broken, which a test rules out.
    pub fn objects(self) -> Result<Vec<Member>> {
        let (embedded, values) = match self {
            Self::Traefik => (TRAEFIK, traefik()),
            Self::IngressNginx => (INGRESS_NGINX, nginx()),
        };
        let templates = Templates::load(embedded)?;
        let mut members =
            embedded.iter().map(|(name, _)| member(&templates, name, &values)).collect::<Result<Vec<_>>>()?;
        members.sort_by_cached_key(|member| (member.kind.wave, member.id.clone()));
        Ok(members)
    }
}

fn traefik() -> Value {
    let selector = json!({ "app.kubernetes.io/name": "traefik" });
    json!({
        "labels": { "app.kubernetes.io/name": "traefik", "app.kubernetes.io/managed-by": MANAGER },
        "selector": selector,
        "image": TRAEFIK_IMAGE,
    })
}

fn nginx() -> Value {
    let base = [("app.kubernetes.io/instance", "ingress-nginx"), ("app.kubernetes.io/name", "ingress-nginx")];
    let labels = |extra: &[(&'static str, &'static str)]| -> BTreeMap<&str, &str> {
        base.iter().chain(extra).copied().collect()
    };
    let part = ("app.kubernetes.io/part-of", "ingress-nginx");
    let version = ("app.kubernetes.io/version", "1.12.1");
    let controller = ("app.kubernetes.io/component", "controller");
    let admission = ("app.kubernetes.io/component", "admission-webhook");
    json!({
        "labels": {
            "namespace": labels(&[]),
            "shared": labels(&[part, version]),
            "controller": labels(&[part, version, controller]),
            "admission": labels(&[part, version, admission]),
        },
        "selector": labels(&[controller]),
        "images": { "controller": NGINX_IMAGE, "certgen": CERTGEN_IMAGE },
        "job": {
            "env": [{
                "name": "POD_NAMESPACE",
                "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } },
            }],
            "security_context": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
                "runAsGroup": 65532,
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::Wave;

    #[test]
    fn nginx_has_the_nineteen_upstream_objects() {
        let objects = Controller::IngressNginx.objects().unwrap();
        let mut kinds = BTreeMap::<&str, usize>::new();
        for object in &objects {
            *kinds.entry(object.kind.kind).or_default() += 1;
        }
        assert_eq!(objects.len(), 19);
        let two =
            ["ClusterRole", "ClusterRoleBinding", "Job", "Role", "RoleBinding", "Service", "ServiceAccount"];
        let one = ["ConfigMap", "Deployment", "IngressClass", "Namespace", "ValidatingWebhookConfiguration"];
        let expected: BTreeMap<&str, usize> =
            two.map(|kind| (kind, 2)).into_iter().chain(one.map(|kind| (kind, 1))).collect();
        assert_eq!(kinds, expected);
        let webhook = objects.iter().find(|object| object.kind.kind.starts_with("Validating")).unwrap();
        assert!(webhook.manifest["webhooks"][0]["clientConfig"]["caBundle"].is_null());
    }

    #[test]
    fn namespace_is_first_and_workloads_are_last() {
        for controller in Controller::ALL {
            let objects = controller.objects().unwrap();
            assert_eq!(objects[0].id.to_string(), format!("namespace/{}", controller.name()));
            assert_eq!(objects.last().unwrap().kind.wave, Wave::Workload);
            let namespaces: Vec<&str> =
                objects.iter().filter_map(|object| object.id.namespace.as_deref()).collect();
            assert!(namespaces.iter().all(|namespace| *namespace == controller.name()));
        }
    }

    #[test]
    fn only_traefik_has_the_default_ingress_class() {
        let class = |controller: Controller| {
            let objects = controller.objects().unwrap();
            objects.into_iter().find(|object| object.kind.kind == "IngressClass").unwrap().manifest
        };
        let default = "ingressclass.kubernetes.io/is-default-class";
        assert_eq!(class(Controller::Traefik)["metadata"]["annotations"][default], "true");
        assert!(class(Controller::IngressNginx)["metadata"]["annotations"].is_null());
    }
}
