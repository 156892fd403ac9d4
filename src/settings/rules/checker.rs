//! Runs every rule about values that are valid alone but contradict each other, and collects the diagnostics.

use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::settings::edition::Configuration;
use crate::settings::handsctl::{Expose, Ingress, Profile, Provider};
use crate::settings::left_out::{self, NewerKey};
use crate::settings::load::schema::{Key, Shape, TableShape, UnknownKeyEffect};
use crate::settings::load::toml_key::dotted;
use crate::settings::load::tree::{Data, Node, Table};
use crate::settings::resolved::Settings;
use crate::settings::sandbox_tolerations;

/// Longest `[deploy].name`: `-config-` and ten digits are appended to it, and a name has at most 63 characters.
const LONGEST_NAME: usize = 45;

/// Returns all contradictions, and warnings about values that work but are rarely intended. `wrong` are the dotted keys
/// with invalid values: rules do not apply to the defaults that replace them.
pub(crate) fn check_all(schema: &TableShape, settings: &Settings, wrong: &[String]) -> Vec<Diagnostic> {
    let mut checker = RuleChecker { settings, wrong, diagnostics: Vec::new() };
    checker.edition();
    checker.version();
    if settings.edition().configuration == Configuration::File {
        checker.keys_by_version(schema, UnknownKeyEffect::Handsctl, settings.tree(), &mut Vec::new());
        checker.models();
        checker.sandboxes();
        checker.state();
    } else {
        checker.keys_of_other_editions();
        checker.volume();
    }
    checker.local_cluster();
    checker.rollout();
    checker.reachability();
    checker.exposure();
    checker.names();
    checker.resources();
    checker.sizes();
    checker.scheduling();
    checker.bounds();
    checker.servers();
    checker.local_addresses(schema);
    checker.environment();
    checker.secrets_of_extra_manifests();
    checker.rights_of_sandboxes();
    checker.diagnostics
}

/// Returns who else would reach the application on a cluster that is not on this computer, whatever provider is
/// configured: `--context` may choose another cluster.
pub(crate) fn exposure_elsewhere(settings: &Settings) -> Vec<Diagnostic> {
    let mut elsewhere = settings.clone();
    elsewhere.cluster.provider = Provider::Existing;
    let mut checker = RuleChecker { settings: &elsewhere, wrong: &[], diagnostics: Vec::new() };
    checker.exposure();
    checker.diagnostics
}

pub(super) struct RuleChecker<'a> {
    pub(super) settings: &'a Settings,
    wrong: &'a [String],
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl RuleChecker<'_> {
    pub(super) fn report(&mut self, id: Id, severity: Severity, path: &[&str], message: String, label: &str) {
        let location = self.locate(path);
        let masked = false;
        self.diagnostics.push(Diagnostic {
            id,
            severity,
            message,
            location,
            label: label.to_owned(),
            masked,
        });
    }

    /// Whether a key, or a key under it, has an invalid value.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        let under = |wrong: &String| {
            wrong.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.wrong.iter().any(under)
    }

    /// The position of a value that the user set.
    fn locate(&self, path: &[&str]) -> Option<Location> {
        self.settings.locate_path(path)
    }

    pub(super) fn contradiction(&mut self, path: &[&str], message: impl Into<String>, label: &str) {
        self.report(Id::Contradiction, Severity::Error, path, message.into(), label);
    }

    /// Reports a contradiction in one item of a list.
    pub(super) fn contradiction_in(
        &mut self,
        path: &[&str],
        item: usize,
        message: impl Into<String>,
        label: &str,
    ) {
        let items = self.settings.entry(path).map(|entry| &entry.node.data);
        let location = match items {
            Some(Data::List(items)) => items.get(item).map(|item| item.position.location.clone()),
            _ => None,
        };
        self.diagnostics.push(Diagnostic {
            id: Id::Contradiction,
            severity: Severity::Error,
            message: message.into(),
            location,
            label: label.to_owned(),
            masked: false,
        });
    }

    /// Whether the app version is not known, because the key that determines it has an invalid value.
    pub(super) fn is_version_wrong(&self) -> bool {
        self.is_wrong("deploy.image") || self.is_wrong("deploy.version")
    }

    /// The key of `[deploy]` that determines the app version.
    pub(super) fn version_key(&self) -> &'static str {
        if self.settings.deploy.version.is_some() { "version" } else { "image" }
    }

    fn version(&mut self) {
        if self.is_version_wrong() || self.settings.deploy.profile == Profile::Dev {
            return;
        }
        let (version, edition) = (self.settings.app_version(), self.settings.edition());
        let source = &["deploy", self.version_key()];
        let supported = edition.supported_releases();
        if version.assumed && edition.has_sandbox_pods() {
            let message =
                format!("the tag of the application's image is not a version: {version} is assumed");
            let label = "set [deploy].version, as in \"0.59\", or use a tag such as 0.59-dev";
            self.report(Id::VersionAssumed, Severity::Warning, source, message, label);
            if !self.settings.is_set(&["sandbox", "runtime_container_image"])
                && !self.is_wrong("sandbox.runtime_container_image")
                && !self.settings.env.contains_key("SANDBOX_RUNTIME_CONTAINER_IMAGE")
            {
                let message = "the image of the sandboxes cannot be derived from this tag";
                let label = "set [deploy].version or [sandbox].runtime_container_image";
                self.contradiction(source, message, label);
            }
        } else if !edition.supports(version.release()) && !edition.has_sandbox_pods() {
            let message = format!("handsctl deploys {} {supported}, not {version}", edition.product);
            let label = edition.earlier_releases;
            self.report(Id::UnsupportedVersion, Severity::Error, source, message, label);
        } else if !edition.supports(version.release()) {
            let message = format!("OpenHands {version} has no Kubernetes runtime: {supported} have one");
            let label = if version.release() > *edition.releases.end() {
                "removed in 1.7. Its successor is Agent Canvas: [deploy] edition = \"canvas\" without this image; handsctl \
                 explain HC0131 tells what does not move there"
            } else {
                edition.earlier_releases
            };
            self.report(Id::UnsupportedVersion, Severity::Error, source, message, label);
        } else if edition.has_sandbox_pods() && version.is_at_least(0, 60) {
            let message = format!("OpenHands {version} runs without its V1 interface");
            let label = "V1 conversations would run in the application's own container; 0.59 has no V1";
            self.report(Id::WithoutV1, Severity::Warning, source, message, label);
        }
    }

    /// Reports keys that the chosen version does not support yet.
    fn keys_by_version(
        &mut self,
        shape: &TableShape,
        outer: UnknownKeyEffect,
        table: &Table,
        path: &mut Vec<String>,
    ) {
        let consequence = left_out::consequence_in(shape, outer);
        for (name, entry) in table {
            path.push(name.clone());
            if let Some(Key { since: Some(since), .. }) = shape.keys.get(name) {
                self.key_by_version(since, consequence, path, &entry.key.location);
            }
            if let Some(inner) = shape.inner(name) {
                self.under_by_version(inner, consequence, &entry.node, path);
            }
            path.pop();
        }
    }

    fn under_by_version(
        &mut self,
        shape: &Shape,
        outer: UnknownKeyEffect,
        node: &Node,
        path: &mut Vec<String>,
    ) {
        match &node.data {
            Data::Table(table) => {
                if let Some(inner) = shape.as_table() {
                    self.keys_by_version(inner, outer, table, path);
                }
            }
            Data::List(items) => {
                if let Some(inner) = shape.as_list() {
                    for item in items {
                        self.under_by_version(inner, outer, item, path);
                    }
                }
            }
            _ => {}
        }
    }

    fn key_by_version(&mut self, since: &str, consequence: UnknownKeyEffect, path: &[String], at: &Location) {
        let version = self.settings.app_version();
        if self.is_version_wrong() || !left_out::is_newer(since, version) {
            return;
        }
        let (id, severity, effect) = match left_out::effect(consequence, path.len()) {
            NewerKey::Ignored => (Id::IgnoredByApp, Severity::Warning, " and would ignore it"),
            NewerKey::Crash => (Id::Contradiction, Severity::Error, " and would crash at start"),
            NewerKey::TableLeftOut => (Id::LeftOut, Severity::Warning, "; handsctl leaves it out"),
            NewerKey::LeftOut => (
                Id::LeftOut,
                Severity::Warning,
                "; handsctl leaves it out, because the application would ignore the whole section",
            ),
            NewerKey::Rejected => (Id::Contradiction, Severity::Error, ""),
        };
        self.diagnostics.push(Diagnostic {
            id,
            severity,
            message: format!("OpenHands {version} does not support `{}`{effect}", dotted(path)),
            location: Some(at.clone()),
            label: format!("supported since {since}; the version comes from [deploy].{}", self.version_key()),
            masked: false,
        });
    }

    fn local_cluster(&mut self) {
        let cluster = &self.settings.cluster;
        let (http, https) = (cluster.http_port, cluster.https_port);
        if http > 0 && http == https {
            let message = format!("`cluster.http_port` and `https_port` are both {http}");
            self.contradiction(&["cluster", "https_port"], message, "use two different ports");
        }
        let containers = !matches!(cluster.provider, Provider::Kwok | Provider::Existing);
        if cluster.ingress == Some(Ingress::Nginx) && cluster.workers > 0 && containers {
            let message =
                "upstream's ingress-nginx may run on a worker, but only the first node's ports are mapped";
            self.contradiction(&["cluster", "ingress"], message, "\"traefik\" runs only on the first node");
        }
    }

    fn rollout(&mut self) {
        let deploy = &self.settings.deploy;
        if !self.is_wrong("deploy.progress_deadline")
            && deploy.progress_deadline.as_secs() <= u64::from(deploy.min_ready_seconds)
        {
            let path = &["deploy", "min_ready_seconds"];
            self.contradiction(
                path,
                "`deploy.min_ready_seconds` is not less than `progress_deadline`: no pod could become available in time",
                "must be less than [deploy].progress_deadline",
            );
        }
    }

    fn reachability(&mut self) {
        let deploy = &self.settings.deploy;
        if self.is_wrong("deploy.expose") {
            return;
        }
        if deploy.profile == Profile::OpenShift {
            let own =
                if self.settings.edition().has_sandbox_pods() { deploy.name.as_str() } else { "default" };
            let name = deploy.service_account.as_ref().map_or(own, |name| name.as_str());
            let namespace = deploy.namespace.clone();
            let user = self.settings.edition().user;
            let message = format!("OpenShift's default SCC rejects the application's user {user}");
            let label =
                format!("run once: oc adm policy add-scc-to-user nonroot-v2 -z {name} -n {namespace}");
            self.report(
                Id::SecurityContextConstraint,
                Severity::Warning,
                &["deploy", "profile"],
                message,
                &label,
            );
        }
        if self.settings.deploy.profile == Profile::Dev && self.settings.deploy.service_account.is_some() {
            self.contradiction(
                &["deploy", "service_account"],
                "`deploy.service_account` does not apply to profile `dev`",
                "its pod runs no OpenHands, and has a ServiceAccount of its own",
            );
        }
        let is_default =
            self.settings.deploy.service_account.as_ref().is_some_and(|name| name.as_str() == "default");
        if is_default && self.settings.runtime_namespace() == self.settings.deploy.namespace.as_str() {
            self.contradiction(
                &["deploy", "service_account"],
                "`deploy.service_account` is `default`, the account of every sandbox in this namespace",
                "the sandboxes would have the application's rights; use another account",
            );
        }
        let deploy = &self.settings.deploy;
        if deploy.expose != Expose::NodePort && deploy.node_port != 0 {
            self.contradiction(
                &["deploy", "node_port"],
                "`deploy.node_port` needs `expose = \"nodeport\"`",
                "otherwise the Service has no node port",
            );
        }
        // An unused host or class is harmless; a user who sets a certificate expects https.
        if deploy.expose != Expose::Ingress && deploy.tls_secret.is_some() {
            let message = "`deploy.tls_secret` needs `expose = \"ingress\"`";
            self.contradiction(&["deploy", "tls_secret"], message, "nothing would use the certificate");
        }
        if deploy.host.as_str().parse::<std::net::Ipv4Addr>().is_ok() {
            let message = "`deploy.host` is an IP address, but an Ingress accepts only DNS names".to_owned();
            self.report(Id::BadValue, Severity::Error, &["deploy", "host"], message, "use a DNS name");
        }
    }

    fn names(&mut self) {
        let name = &self.settings.deploy.name;
        if name.as_str().len() > LONGEST_NAME {
            let message = format!("`deploy.name` has {} characters", name.as_str().len());
            let label = format!("at most {LONGEST_NAME}: the names of other objects are derived from it");
            self.contradiction(&["deploy", "name"], message, &label);
        }
        if name.as_str().starts_with(|first: char| first.is_ascii_digit()) {
            let message = format!("`deploy.name` begins with a digit: {name}");
            let label = "the Service has this name, and a Service's name begins with a letter (RFC 1035)";
            self.contradiction(&["deploy", "name"], message, label);
        }
    }

    fn resources(&mut self) {
        let resources = self.settings.deploy.resources.clone();
        let pairs = [
            ("cpu", resources.requests.cpu, resources.limits.cpu),
            ("memory", resources.requests.memory, resources.limits.memory),
        ];
        for (resource, request, limit) in pairs {
            if self.is_wrong("deploy.resources") {
                break;
            }
            if let (Some(request), Some(limit)) = (request, limit)
                && request > limit
            {
                let message = format!(
                    "the {resource} request ({request}) of the application is larger than its limit ({limit})"
                );
                self.contradiction(
                    &["deploy", "resources", "requests", resource],
                    message,
                    "in [deploy].resources",
                );
            }
        }
        let sandbox = &self.settings.openhands.kubernetes;
        let wrong = self.is_wrong("kubernetes.resource_memory_request")
            || self.is_wrong("kubernetes.resource_memory_limit");
        if !wrong && sandbox.resource_memory_request > sandbox.resource_memory_limit {
            let message = format!(
                "`kubernetes.resource_memory_request` ({}) is larger than `resource_memory_limit` ({}): no sandbox could be created",
                sandbox.resource_memory_request, sandbox.resource_memory_limit
            );
            let request = ["kubernetes", "resource_memory_request"];
            let limit = ["kubernetes", "resource_memory_limit"];
            let path = if self.settings.is_set(&request) { request } else { limit };
            self.contradiction(&path, message, "");
        }
    }

    fn sandboxes(&mut self) {
        let key = ["kubernetes", "node_selector_key"];
        let value = ["kubernetes", "node_selector_val"];
        for (set, missing) in [(key, value), (value, key)] {
            if self.settings.is_set(&set)
                && !self.settings.is_set(&missing)
                && !self.is_wrong(&missing.join("."))
            {
                let message =
                    format!("`kubernetes.{}` needs `{}`; alone it selects nothing", set[1], missing[1]);
                self.contradiction(&set, message, &format!("add {} = \"…\"", missing[1]));
            }
        }
        let Some(text) = self.settings.openhands.kubernetes.tolerations_yaml.clone() else { return };
        let Err(mistake) = sandbox_tolerations::check(&text) else { return };
        let mut location = self.locate(&["kubernetes", "tolerations_yaml"]);
        if let (Some(location), Some(word)) = (&mut location, &mistake.word)
            && let Some(raw) = location.source.text.get(location.span.clone())
            && let Some(range) = sandbox_tolerations::range_of(word, raw)
        {
            let start = location.span.start;
            location.span = start + range.start..start + range.end;
        }
        let (id, severity, masked) = (Id::BadValue, Severity::Error, false);
        let sandbox_tolerations::TolerationMistake { message, label, .. } = mistake;
        self.diagnostics.push(Diagnostic { id, severity, message, location, label, masked });
    }

    /// Reports variables that would silently override the values that handsctl sets.
    fn environment(&mut self) {
        let owned = [
            (
                "RUNTIME",
                "the application would use another runtime",
                "leave it out: the runtime is always `kubernetes`",
            ),
            (
                "KUBERNETES_NAMESPACE",
                "sandboxes would be created in a namespace without the application's Role",
                "set [kubernetes].namespace",
            ),
            (
                "FILE_STORE",
                "state would not be stored where [deploy.storage] configures it",
                "set [deploy.storage].kind",
            ),
            (
                "FILE_STORE_PATH",
                "state would not be stored where [deploy.storage] configures it",
                "set [deploy.storage].bucket",
            ),
            (
                "DB_HOST",
                "state would not be stored where [deploy.database] configures it",
                "set [deploy.database].host",
            ),
            (
                "DEBUG_LLM",
                "the application would wait for a confirmation at start and exit without it",
                "leave it out",
            ),
        ];
        for (name, consequence, label) in owned {
            if self.settings.env.get(name).is_some_and(|value| !value.is_empty()) {
                self.contradiction(
                    &["deploy", "env", name],
                    format!("`deploy.env.{name}`: {consequence}"),
                    label,
                );
            }
        }
        let settings = self.settings;
        for name in settings.env.iter().filter(|(_, value)| value.contains('\0')).map(|(name, _)| name) {
            let message = format!("`deploy.env.{name}` has a NUL character");
            let label = "no container starts with it: a process cannot have such a variable";
            self.report(Id::BadValue, Severity::Error, &["deploy", "env", name], message, label);
        }
    }
}
