//! Whether the claims of the installation and of sandboxes get volumes. Pure.

use serde_json::Value;

use super::check::{Category, Check, Listed};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::labels;
use crate::settings::Settings;

/// A claim that a deploy or a conversation creates.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedClaim<'a> {
    pub(super) category: Category,
    /// `persistentvolumeclaim/openhands-state`, or `a sandbox's volume claim`.
    pub(super) name: &'a str,
    /// The class that it names; None: the default one.
    pub(super) class: Option<&'a str>,
    /// The key of config.toml that names the class.
    pub(super) key: &'static str,
}

/// Checks that the claim's class exists.
pub(super) fn class(claim: PlannedClaim<'_>, classes: &Listed, settings: &Settings) -> Check {
    let name = "storage class";
    let classes = match classes {
        Ok(classes) => classes,
        Err(reason) => return Check::unknown(claim.category, name, reason.as_str()),
    };
    let found = match claim.class {
        // A claim of an empty class binds to a volume that an administrator made.
        Some("") => {
            return Check::noted(
                claim.category,
                name,
                format!("{} waits for a volume without a class", claim.name),
            );
        }
        Some(wanted) => classes.iter().find(|class| class["metadata"]["name"] == wanted),
        None => classes
            .iter()
            .find(|class| class["metadata"]["annotations"][labels::DEFAULT_STORAGE_CLASS] == "true"),
    };
    match found {
        Some(class) => Check::passed(claim.category, name, description(class, claim.class.is_none())),
        None => Check::failed(claim.category, name, missing(claim, classes, settings)),
    }
}

fn description(class: &Value, is_default: bool) -> String {
    let name = class["metadata"]["name"].as_str().unwrap_or_default();
    let default = if is_default { ", the default" } else { "" };
    let binding = match class["volumeBindingMode"].as_str() {
        Some("WaitForFirstConsumer") => "; a volume is made when its pod is placed",
        _ => "",
    };
    format!("{name}{default}{binding}")
}

fn missing(claim: PlannedClaim<'_>, classes: &[Value], settings: &Settings) -> Error {
    let names: Vec<&str> = classes.iter().filter_map(|class| class["metadata"]["name"].as_str()).collect();
    let (id, message) = match claim.class {
        Some(class) => (
            Id::StorageClassMissing,
            format!("{} names storage class {class}, which does not exist", claim.name),
        ),
        None => (
            Id::NoStorageClass,
            format!("{} names no storage class, and the cluster has no default one", claim.name),
        ),
    };
    let error =
        Error::new(id, Kind::Prerequisite, message).with_keys(settings.config_keys(&[claim.key.to_owned()]));
    match names.first() {
        None => error
            .fact("classes", "the cluster has none")
            .hint("an administrator installs a storage provisioner"),
        Some(first) => {
            error.fact("classes", names.join(", ")).hint(format!("handsctl config set {}={first}", claim.key))
        }
    }
}

/// Says how an existing claim is; None if it does not exist.
pub(super) fn existing(claim: &str, live: Option<&Value>) -> Option<Check> {
    let live = live?;
    let phase = live["status"]["phase"].as_str().unwrap_or("unknown");
    let size = live["status"]["capacity"]["storage"].as_str().unwrap_or("size unknown");
    let text = match phase {
        "Bound" => format!("{claim} is bound, {size}"),
        "Lost" => {
            let error = Error::new(Id::ClaimLost, Kind::Prerequisite, format!("{claim} lost its volume"));
            return Some(Check::failed(Category::Storage, "volume", error));
        }
        _ => format!("{claim} exists and waits for a volume"),
    };
    Some(Check::passed(Category::Storage, "volume", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;
    use crate::settings::tests::settings_of;
    use serde_json::json;

    fn outcome(class: Option<&str>, classes: &Listed) -> Outcome {
        let claim = PlannedClaim {
            category: Category::Storage,
            name: "the volume claim",
            class,
            key: "deploy.storage_class",
        };
        super::class(claim, classes, &settings_of("")).outcome
    }

    #[test]
    fn claim_needs_its_class_or_a_default_one() {
        let standard = json!({ "metadata": { "name": "standard", "annotations": { labels::DEFAULT_STORAGE_CLASS: "true" } } });
        let gold = json!({ "metadata": { "name": "gold" } });
        let both = Ok(vec![gold.clone(), standard]);
        assert!(matches!(outcome(None, &both), Outcome::Passed(text) if text == "standard, the default"));
        assert!(matches!(outcome(Some("gold"), &both), Outcome::Passed(text) if text == "gold"));
        let Outcome::Failed(error) = outcome(None, &Ok(vec![gold])) else { panic!("a default class") };
        assert_eq!(error.id(), Id::NoStorageClass);
        assert_eq!(error.hints(), ["handsctl config set deploy.storage_class=gold"]);
        let Outcome::Failed(error) = outcome(Some("silver"), &both) else { panic!("silver exists") };
        assert_eq!(error.id(), Id::StorageClassMissing);
        assert!(matches!(outcome(Some(""), &Ok(Vec::new())), Outcome::Noted(_)));
        assert!(
            matches!(outcome(None, &Err("no right".to_owned())), Outcome::Unknown(text) if text == "no right")
        );
    }

    #[test]
    fn lost_claim_fails() {
        let claim = |phase: &str| json!({ "status": { "phase": phase, "capacity": { "storage": "5Gi" } } });
        assert!(existing("c", None).is_none());
        let bound = existing("c", Some(&claim("Bound"))).map(|check| check.outcome);
        assert!(matches!(bound, Some(Outcome::Passed(text)) if text == "c is bound, 5Gi"));
        assert!(matches!(
            existing("c", Some(&claim("Lost"))).map(|check| check.outcome),
            Some(Outcome::Failed(_))
        ));
    }
}
