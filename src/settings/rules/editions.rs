//! Contradictions between the edition and the image or other keys, and keys that have no place in the edition.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::api_settings;
use crate::settings::edition::Edition;
use crate::settings::handsctl::{EditionChoice, ExposureConsent, Profile, Strategy};
use crate::settings::load::toml_key::dotted;
use crate::settings::load::tree::Data;

/// Keys of `[deploy]` that need what an application in one pod, with its state on one volume, does not have.
const OF_CLASSIC: &[(&[&str], &str)] = &[
    (&["deploy", "autoscaling"], "its files cannot be shared by several pods"),
    (&["deploy", "storage"], "its state is on its volume"),
    (&["deploy", "database"], "its state is on its volume"),
    (&["deploy", "service_account"], "its pod gets no token of the API server"),
    (&["deploy", "on_stop"], "it deletes nothing when it stops"),
    (&["deploy", "quota"], "it creates no sandboxes; [deploy].resources limits its pod"),
    (&["deploy", "limit_range"], "it creates no sandboxes; [deploy].resources limits its pod"),
    (
        &["deploy", "existing_claim"],
        "handsctl does not know the key that encrypts the secrets on that volume",
    ),
];
/// Variables of `[deploy].env` that handsctl sets, because the login and the access to the volume depend on them.
const OWN_VARIABLES: &[&str] = &[
    "OH_SECRET_KEY",
    "OH_SESSION_API_KEYS",
    "OH_CONVERSATIONS_PATH",
    "OH_BASH_EVENTS_DIR",
    "OH_LEASE_TTL_SECONDS",
    "OH_PERSISTENCE_DIR",
    "SESSION_API_KEY",
    "LOCAL_BACKEND_API_KEY",
    "AUTOMATION_LOCAL_API_KEY",
    "AGENT_CANVAS_ALLOW_LAN_SESSION_KEY",
    "PORT",
    "PUBLIC_MODE_PORT",
    "AGENT_SERVER_PORT",
    "AUTOMATION_PORT",
];
/// The beginning of the variables with further keys of the API.
const FURTHER_KEYS: &str = "OH_SESSION_API_KEYS_";

impl RuleChecker<'_> {
    /// Checks that the edition and the image agree, and that no other key contradicts the edition.
    pub(super) fn edition(&mut self) {
        let deploy = &self.settings.deploy;
        if self.is_wrong("deploy.image") || self.is_wrong("deploy.edition") {
            return;
        }
        let image = deploy.image.clone();
        let edition = self.settings.edition();
        if let Some(other) = Edition::of_image(&image).filter(|other| *other != edition)
            && deploy.edition != EditionChoice::Auto
        {
            let message =
                format!("`deploy.edition` is {}, but the image is one of {}", edition.name, other.product);
            let label = format!("leave one of both out, or set edition = \"{}\"", other.name);
            self.contradiction(&["deploy", "edition"], message, &label);
        }
        if !edition.has_sandbox_pods() {
            self.keys_of_classic(edition);
        }
    }

    fn keys_of_classic(&mut self, edition: &Edition) {
        let product = edition.product;
        for (path, reason) in OF_CLASSIC {
            if self.settings.is_set(path) {
                let message = format!("`{}` does not apply to {product}", path.join("."));
                self.contradiction(path, message, reason);
            }
        }
        let deploy = &self.settings.deploy;
        if deploy.replicas > 1 {
            let message = format!("`deploy.replicas` is {}, but {product} has one pod", deploy.replicas);
            self.contradiction(
                &["deploy", "replicas"],
                message,
                "its files cannot be shared by several pods",
            );
        }
        if self.settings.deploy.strategy == Strategy::RollingUpdate {
            let message = format!("`RollingUpdate` does not apply to {product}");
            let label = "use \"Recreate\": the volume can be mounted only once";
            self.contradiction(&["deploy", "strategy"], message, label);
        }
        if let Some(port) = edition.port_past_login
            && !self.settings.deploy.network_policy
            && self.settings.deploy.exposure != ExposureConsent::Acknowledged
        {
            let message =
                format!("without a network policy every pod reaches ports of {product} without a login");
            let label = format!(
                "the page on port {port} gives the key away in some releases; exposure = \"acknowledged\" accepts it"
            );
            self.contradiction(&["deploy", "network_policy"], message, &label);
        }
        if self.settings.deploy.profile == Profile::Dev {
            let message = format!("profile `dev` is for developing OpenHands, not {product}");
            self.contradiction(&["deploy", "profile"], message, "leave it out");
        }
        let names: Vec<String> =
            self.settings.env.keys().chain(self.settings.secrets.keys()).cloned().collect();
        for name in names {
            let is_own = OWN_VARIABLES.contains(&name.as_str()) || name.starts_with(FURTHER_KEYS);
            if is_own && self.settings.is_set(&["deploy", "env", &name]) {
                let message = format!("`deploy.env.{name}` is set by handsctl for {product}");
                let label = "the login and the access to the volume depend on it";
                self.contradiction(&["deploy", "env", &name], message, label);
            }
        }
    }

    /// Warns of each key of OpenHands' tables that has no place in an application without config.toml.
    pub(super) fn keys_of_other_editions(&mut self) {
        let product = self.settings.edition().product;
        if self.settings.openhands.kubernetes.privileged {
            let message = format!("`kubernetes.privileged` does not apply to {product}");
            let label = "its agent works in the application's own pod, which never runs privileged";
            self.contradiction(&["kubernetes", "privileged"], message, label);
        }
        for (name, entry) in self.settings.tree() {
            let Data::Table(table) = &entry.node.data else { continue };
            if matches!(name.as_str(), "cluster" | "deploy") {
                continue;
            }
            for key in table.keys() {
                if name == "llm" && self.settings.openhands.llm.named.contains_key(key) {
                    self.profile_of_named_model(key);
                    continue;
                }
                let Some(reason) = api_settings::why_not_carried(self.settings, name, key) else { continue };
                self.has_no_place(&[name, key], reason);
            }
        }
    }

    /// Warns that a key has no place in the edition.
    pub(super) fn has_no_place(&mut self, path: &[&str], reason: &str) {
        let message = format!("{} has no place for `{}`", self.settings.edition().product, dotted(path));
        self.report(Id::NotCarried, Severity::Warning, path, message, reason);
    }
}
