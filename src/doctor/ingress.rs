//! Whether an ingress controller serves the class of the installation's Ingress. Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::plan::checks::ingress_controller::{images_of, runs};
use crate::settings::Settings;

/// The annotation of the default class (<https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class>).
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Checks the class of the planned Ingress, and that a pod of its controller is ready.
pub(super) fn class(wanted: Option<&str>, classes: &Listed, pods: &Listed, settings: &Settings) -> Check {
    let (category, name) = (Category::Network, "ingress class");
    let classes = match classes {
        Ok(classes) => classes,
        Err(reason) => return Check::unknown(category, name, reason.as_str()),
    };
    let found = match wanted {
        Some(wanted) => classes.iter().find(|class| class["metadata"]["name"] == wanted),
        None => classes.iter().find(|class| class["metadata"]["annotations"][DEFAULT] == "true"),
    };
    let Some(class) = found else {
        let missing = missing(wanted, classes, pods, settings);
        // A controller may serve an Ingress without a class as well: ingress-nginx does with --watch-ingress-without-class.
        return match wanted {
            Some(_) => Check::failed(category, name, missing),
            None => Check::warning(category, name, missing),
        };
    };
    let class_name = class["metadata"]["name"].as_str().unwrap_or_default();
    let controller = class["spec"]["controller"].as_str().unwrap_or_default();
    let Some(images) = images_of(controller) else {
        let text = format!("{class_name} is of {controller}, whose pods handsctl does not know");
        return Check::unknown(category, name, text);
    };
    match pods {
        Err(reason) => Check::unknown(category, name, reason.as_str()),
        Ok(pods) if runs(pods, images) => {
            Check::passed(category, name, format!("{class_name} of {controller}, which runs"))
        }
        Ok(pods) => {
            Check::failed(category, name, without_controller(class_name, controller, classes, pods, settings))
        }
    }
}

fn missing(wanted: Option<&str>, classes: &[Value], pods: &Listed, settings: &Settings) -> Error {
    let message = match wanted {
        Some(class) => format!(
            "ingress class {class} does not exist: nobody serves the Ingress of {}",
            settings.deploy.host
        ),
        None => format!(
            "the cluster has no default ingress class: only a controller that takes every Ingress serves that of {}",
            settings.deploy.host
        ),
    };
    let pods = pods.as_ref().map_or(&[][..], Vec::as_slice);
    let error = Error::new(Id::IngressClassMissing, Kind::Prerequisite, message);
    with_choice(error, classes, pods, settings)
}

fn without_controller(
    class: &str,
    controller: &str,
    classes: &[Value],
    pods: &[Value],
    settings: &Settings,
) -> Error {
    let message = format!("ingress class {class} is of {controller}, of which no pod is ready");
    let error = Error::new(Id::IngressWithoutController, Kind::Prerequisite, message);
    with_choice(error, classes, pods, settings)
}

/// Adds the classes, and the key that chooses one whose controller runs.
fn with_choice(error: Error, classes: &[Value], pods: &[Value], settings: &Settings) -> Error {
    let name = |class: &Value| class["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let serves = |class: &&Value| {
        images_of(class["spec"]["controller"].as_str().unwrap_or_default())
            .is_some_and(|images| runs(pods, images))
    };
    let names: Vec<String> = classes.iter().map(name).collect();
    let names = if names.is_empty() { "the cluster has none".to_owned() } else { names.join(", ") };
    let error =
        error.fact("classes", names).with_keys(settings.config_keys(&["deploy.ingress_class".to_owned()]));
    match classes.iter().find(serves) {
        Some(class) => error.hint(format!("handsctl config set deploy.ingress_class={}", name(class))),
        None => error
            .hint("an administrator installs an ingress controller")
            .hint("[deploy] expose = \"none\" needs none: handsctl open forwards a port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    fn class_of(name: &str, controller: &str) -> Value {
        json!({ "metadata": { "name": name }, "spec": { "controller": controller } })
    }

    fn pod(image: &str, ready: &str) -> Value {
        json!({
            "spec": { "containers": [{ "image": image }] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    #[test]
    fn class_needs_a_ready_controller() {
        let settings = settings_of("");
        let classes = Ok(vec![
            class_of("nginx", "k8s.io/ingress-nginx"),
            class_of("traefik", "traefik.io/ingress-controller"),
            class_of("own", "example.org/own"),
        ]);
        let pods =
            Ok(vec![pod("traefik:v3", "True"), pod("registry.k8s.io/ingress-nginx/controller:v1", "False")]);
        let outcome = |wanted: Option<&str>| class(wanted, &classes, &pods, &settings).outcome;
        assert!(matches!(outcome(Some("traefik")), Outcome::Passed(_)));
        assert!(matches!(outcome(Some("own")), Outcome::Unknown(_)));
        let Outcome::Failed(error) = outcome(Some("nginx")) else { panic!("its pod is not ready") };
        assert_eq!(error.id(), Id::IngressWithoutController);
        assert_eq!(error.hints(), ["handsctl config set deploy.ingress_class=traefik"]);
        let Outcome::Failed(error) = outcome(Some("absent")) else { panic!("no class has this name") };
        assert_eq!(error.id(), Id::IngressClassMissing);
        let Outcome::Warning(error) = outcome(None) else { panic!("no class is the default") };
        assert_eq!(error.id(), Id::IngressClassMissing);
    }
}
