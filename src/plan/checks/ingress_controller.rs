//! Recognizes the controller of an ingress class by its pods, and what keeps an Ingress from being served. Pure.

use serde_json::Value;

use crate::catalogue::Id;
use crate::object::condition;

/// Controllers by the name in their `IngressClass`, with the ends of their images' names. Of each project's own manifests.
const CONTROLLERS: &[(&str, &[&str])] = &[
    ("traefik.io/ingress-controller", &["traefik", "mirrored-library-traefik"]),
    ("k8s.io/ingress-nginx", &["ingress-nginx/controller", "nginx-ingress-controller"]),
    ("nginx.org/ingress-controller", &["nginx-ingress", "nginx-plus-ingress"]),
    ("haproxy.org/ingress-controller", &["haproxytech/kubernetes-ingress"]),
    ("haproxy-ingress.github.io/controller", &["haproxy-ingress"]),
    ("projectcontour.io/ingress-controller", &["contour"]),
    ("ingress-controllers.konghq.com/kong", &["kubernetes-ingress-controller"]),
    ("ingress.k8s.aws/alb", &["aws-load-balancer-controller"]),
    ("caddy.community/ingress-controller", &["caddy/ingress"]),
];

/// The annotation that names a controller in place of a class
/// (<https://kubernetes.io/docs/concepts/services-networking/ingress/#deprecated-annotation>).
const ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Why an Ingress is not served, or not as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFault {
    /// The id in the catalogue, which has the config key.
    pub id: Id,
    /// The fault as a sentence.
    pub text: String,
}

impl RouteFault {
    fn new(id: Id, text: impl Into<String>) -> Self {
        Self { id, text: text.into() }
    }

    /// The fault of a TLS Secret.
    #[must_use]
    pub fn of_secret(text: impl Into<String>) -> Self {
        Self::new(Id::MissingReference, text)
    }
}

/// Returns the fault of the class of a live Ingress; `class` is the class that it names, if that exists. An Ingress with an
/// address has a controller, whatever its class.
#[must_use]
pub fn class_fault(ingress: &Value, class: Option<&Value>) -> Option<RouteFault> {
    if has_address(ingress) || ingress["metadata"]["annotations"][ANNOTATION].is_string() {
        return None;
    }
    match (class_of(ingress), class) {
        (Some(_), Some(_)) => None,
        (Some(name), None) => {
            let text = format!("ingress class {name} does not exist: nobody serves the Ingress");
            Some(RouteFault::new(Id::IngressClassMissing, text))
        }
        // The API server writes the default class into an Ingress when it is created.
        (None, _) => Some(RouteFault::new(
            Id::IngressClassMissing,
            "the Ingress names no ingress class, and none was the default one when it was created",
        )),
    }
}

fn has_address(ingress: &Value) -> bool {
    ingress["status"]["loadBalancer"]["ingress"].as_array().is_some_and(|list| !list.is_empty())
}

/// Returns the fault of a live Ingress whose class has no running controller. `pods` are those of the whole cluster. An
/// Ingress with an address has a controller, whose image may have another name or whose pods run elsewhere.
#[must_use]
pub fn controller_fault(ingress: &Value, class: &Value, pods: &[Value]) -> Option<RouteFault> {
    if has_address(ingress) {
        return None;
    }
    let controller = class["spec"]["controller"].as_str().unwrap_or_default();
    let name = class["metadata"]["name"].as_str().unwrap_or_default();
    (!runs(pods, images_of(controller)?)).then(|| {
        let text = format!("ingress class {name} is of {controller}, of which no pod is ready");
        RouteFault::new(Id::IngressWithoutController, text)
    })
}

/// Returns the name of the class of an Ingress.
#[must_use]
pub fn class_of(ingress: &Value) -> Option<&str> {
    ingress["spec"]["ingressClassName"].as_str()
}

/// Returns the ends of the names of a controller's images; None if the controller is unknown.
#[must_use]
pub fn images_of(controller: &str) -> Option<&'static [&'static str]> {
    // A controller may add an instance's name: `traefik.io/ingress-controller/internal`.
    let has_name = |(name, _): &&(&str, &[&str])| {
        controller.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    CONTROLLERS.iter().find(has_name).map(|(_, images)| *images)
}

/// Returns whether a ready pod has a container of one of these images.
#[must_use]
pub fn runs(pods: &[Value], images: &[&str]) -> bool {
    pods.iter().any(|pod| {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let mut names = containers.filter_map(|container| container["image"].as_str());
        names.any(|name| images.iter().any(|image| is_named(name, image))) && condition::is_ready(pod)
    })
}

/// Whether an image's name without tag and digest ends with these path segments.
fn is_named(image: &str, end: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let tag = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
    let name = tag.map_or(name, |colon| &name[..colon]);
    name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn image_is_named_by_its_last_segments() {
        assert!(
            is_named("traefik:v3", "traefik") && is_named("docker.io/library/traefik@sha256:0", "traefik")
        );
        assert!(is_named("localhost:5000/ingress-nginx/controller:v1", "ingress-nginx/controller"));
        assert!(!is_named("traefik/whoami:v1", "traefik") && !is_named("acme/my-traefik", "traefik"));
    }

    fn ingress(class: Option<&str>, address: bool) -> Value {
        let addresses = if address { json!([{ "ip": "192.0.2.1" }]) } else { json!([]) };
        json!({ "spec": { "ingressClassName": class }, "status": { "loadBalancer": { "ingress": addresses } } })
    }

    #[test]
    fn class_that_does_not_exist_is_a_fault_without_an_address() {
        let class = json!({ "metadata": { "name": "nobody" } });
        let fault = class_fault(&ingress(Some("nobody"), false), None).unwrap();
        assert_eq!(fault.id, Id::IngressClassMissing);
        assert!(fault.text.starts_with("ingress class nobody does not exist"), "{}", fault.text);
        assert_eq!(class_fault(&ingress(Some("nobody"), false), Some(&class)), None);
        assert_eq!(
            class_fault(&ingress(Some("nobody"), true), None),
            None,
            "a controller gave it an address"
        );
        assert!(class_fault(&ingress(None, false), None).is_some());
        let mut annotated = ingress(None, false);
        annotated["metadata"] = json!({ "annotations": { ANNOTATION: "nginx" } });
        assert_eq!(class_fault(&annotated, None), None);
    }

    #[test]
    fn controller_without_a_ready_pod_is_a_fault() {
        let class =
            |controller: &str| json!({ "metadata": { "name": "c" }, "spec": { "controller": controller } });
        let pod = |ready: &str| {
            json!({
                "spec": { "containers": [{ "image": "traefik:v3" }] },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        let traefik = class("traefik.io/ingress-controller");
        let fault_of =
            |class: &Value, pods: &[Value]| controller_fault(&ingress(Some("c"), false), class, pods);
        assert_eq!(fault_of(&traefik, &[pod("True")]), None);
        let fault = fault_of(&traefik, &[pod("False")]).unwrap();
        assert_eq!(fault.id, Id::IngressWithoutController);
        assert_eq!(fault_of(&class("example.org/own"), &[]), None, "its pods are unknown");
        assert_eq!(controller_fault(&ingress(Some("c"), true), &traefik, &[]), None, "it has an address");
    }
}
