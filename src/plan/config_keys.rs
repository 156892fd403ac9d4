//! Failures in the cluster → the keys of config.toml that cause them. Pure.
//!
//! What the API server, the scheduler and the kubelet say names a resource, a field or a Secret. Their texts are those of
//! Kubernetes 1.34.

use crate::catalogue::Id;
use crate::diagnostic::ConfigKey;
use crate::object::container_names;
use crate::settings::secrets::value::SecretSource;
use crate::settings::{FieldKeys, Settings};

/// The scheduler's reasons (`pkg/scheduler/framework/plugins`), each with the keys that may cause it.
const SCHEDULER_REASONS: &[(&str, &[&str])] = &[
    ("Insufficient cpu", &["deploy.resources.requests.cpu"]),
    ("Insufficient memory", &["deploy.resources.requests.memory"]),
    ("node affinity/selector", &["deploy.node_selector", "deploy.affinity"]),
    ("pod affinity rules", &["deploy.affinity"]),
    ("pod anti-affinity rules", &["deploy.affinity"]),
    ("topology spread constraints", &["deploy.topology_spread"]),
    (UNTOLERATED, &["deploy.tolerations"]),
    ("PersistentVolume's node affinity", VOLUME_KEYS),
    ("volume node affinity", VOLUME_KEYS),
    ("persistentvolumeclaim", &["deploy.existing_claim"]),
    ("ReadWriteOncePod access mode", &["deploy.existing_claim"]),
];

const UNTOLERATED: &str = "untolerated taint";

/// The keys of taints on nodes that are not ready or lack something, as they begin: no toleration is missing then.
const STATES_OF_NODES: &[&str] = &["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];

/// The keys of the taints of a control plane.
const CONTROL_PLANE: &[&str] = &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

const VOLUME_KEYS: &[&str] = &["deploy.existing_claim", "deploy.volume", "deploy.storage_class"];

/// The names of a quota (`k8s.io/api/core/v1`, `ResourceName`), each with the key that sets what it counts.
const QUOTA_RESOURCES: &[(&str, &str)] = &[
    ("cpu", "deploy.resources.requests.cpu"),
    ("requests.cpu", "deploy.resources.requests.cpu"),
    ("memory", "deploy.resources.requests.memory"),
    ("requests.memory", "deploy.resources.requests.memory"),
    ("limits.cpu", "deploy.resources.limits.cpu"),
    ("limits.memory", "deploy.resources.limits.memory"),
    ("pods", "deploy.replicas"),
    ("count/pods", "deploy.replicas"),
    ("requests.storage", "deploy.storage_size"),
    ("persistentvolumeclaims", "deploy.existing_claim"),
    ("count/persistentvolumeclaims", "deploy.existing_claim"),
    ("services.loadbalancers", "deploy.expose"),
    ("services.nodeports", "deploy.expose"),
    ("count/ingresses.networking.k8s.io", "deploy.expose"),
    ("count/networkpolicies.networking.k8s.io", "deploy.network_policy"),
    ("count/horizontalpodautoscalers.autoscaling", "deploy.autoscaling"),
    ("resourcequotas", "deploy.quota"),
    ("count/resourcequotas", "deploy.quota"),
    ("count/limitranges", "deploy.limit_range"),
];

/// The resources of a quota that count the claims of one StorageClass: `gold.storageclass.storage.k8s.io/requests.storage`.
const OF_STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";

/// What the `LimitRanger` complains about (`plugin/pkg/admission/limitranger`), each with the key.
const LIMIT_RANGE_REASONS: &[(&str, &str)] = &[
    ("maximum cpu usage per ", "deploy.resources.limits.cpu"),
    ("maximum memory usage per ", "deploy.resources.limits.memory"),
    ("minimum cpu usage per ", "deploy.resources.requests.cpu"),
    ("minimum memory usage per ", "deploy.resources.requests.memory"),
    ("cpu max limit to request ratio", "deploy.resources.limits.cpu"),
    ("memory max limit to request ratio", "deploy.resources.limits.memory"),
    ("storage usage per PersistentVolumeClaim", "deploy.storage_size"),
];

/// The kinds of a field's mistake (`k8s.io/apimachinery/pkg/util/validation/field`, `ErrorType`), as they follow its path.
const FIELD_MISTAKES: &[&str] = &[
    "Invalid value",
    "Forbidden",
    "Required value",
    "Unsupported value",
    "Duplicate value",
    "Too long",
    "Too many",
    "Not found",
    "field is immutable",
];

/// Returns the keys that cause a failure of an object of this kind, the most likely one first. `container` is the faulty
/// one, and `text` is what the cluster reports. No key sets anything of a container that another tool added.
#[must_use]
pub fn of_failure(
    id: Id,
    kind: &str,
    container: Option<&str>,
    text: &str,
    settings: &Settings,
) -> Vec<ConfigKey> {
    let keys = match id {
        _ if container.is_some_and(|container| !container_names::is_of_template(container)) => Vec::new(),
        // Its template has neither an image nor limits of config.toml.
        Id::ImageForbidden if container == Some(container_names::DEV) => {
            owned(&["deploy.image_pull_secrets"])
        }
        _ if container == Some(container_names::DEV) => Vec::new(),
        _ if container == Some(container_names::PULL) && names_sandbox_image(text, settings) => {
            owned(&["sandbox.runtime_container_image"])
        }
        Id::Unschedulable => of_scheduler(text, &[], settings),
        Id::QuotaExceeded | Id::PodsRejected => of_rejection(kind, text),
        Id::ImageForbidden => owned(&["deploy.image_pull_secrets", "deploy.image"]),
        Id::ImageUnavailable => owned(&["deploy.image"]),
        Id::ContainerCannotStart if text.contains("exec format error") => owned(&["deploy.image"]),
        Id::OutOfMemory => owned(&["deploy.resources.limits.memory"]),
        Id::MissingReference => of_reference(text, settings),
        Id::UrlUnreachable => of_route(text),
        Id::ClaimLost | Id::MountFailed => set_keys(&["deploy.existing_claim", "deploy.volume"], settings),
        Id::NoStorageClass | Id::StorageClassMissing | Id::ProvisioningFailed => {
            owned(&["deploy.storage_class"])
        }
        // The tolerance is no cause, and its key is of interest only where somebody set it.
        Id::CrashLoop => set_keys(&["deploy.tolerate.crash_restarts"], settings),
        id => id.entry().key.into_iter().map(str::to_owned).collect(),
    };
    settings.config_keys(&keys)
}

/// Returns the keys that keep a pod from every node, by the scheduler's message, and by the keys of the taints that repel
/// the pod, which newer schedulers do not name.
#[must_use]
pub fn of_unschedulable(message: &str, taints: &[String], settings: &Settings) -> Vec<ConfigKey> {
    settings.config_keys(&of_scheduler(message, taints, settings))
}

/// Returns the keys that cause what an Ingress lacks.
#[must_use]
pub fn of_route_fault(text: &str, settings: &Settings) -> Vec<ConfigKey> {
    settings.config_keys(&of_route(text))
}

/// Returns the keys of a URL that does not respond, by the cause that was read of its Ingress.
fn of_route(text: &str) -> Vec<String> {
    let key = match text {
        text if text.contains("ingress class") => "deploy.ingress_class",
        text if text.starts_with("secret/") => "deploy.tls_secret",
        _ => "deploy.host",
    };
    owned(&[key])
}

/// Returns whether a message about a pull names the sandboxes' image.
fn names_sandbox_image(text: &str, settings: &Settings) -> bool {
    let image = settings.openhands.sandbox.runtime_container_image.as_ref();
    image.is_some_and(|image| text.contains(&image.to_string()))
}

/// Returns the key with the files of extra manifests.
#[must_use]
pub fn of_extra_manifest(settings: &Settings) -> Vec<ConfigKey> {
    settings.config_keys(&owned(&["deploy.extra_manifests"]))
}

/// Returns the keys that cause an API server's rejection of an object of this kind, by its message.
#[must_use]
pub fn of_rejected_object(kind: &str, message: &str, settings: &Settings) -> Vec<ConfigKey> {
    settings.config_keys(&of_rejection(kind, message))
}

/// The scheduler counts nodes: the reason of the most nodes comes first. A key that nobody set and whose default is
/// nothing causes no selector. The taint of a control plane is no cause beside another one: its nodes are not for pods.
fn of_scheduler(message: &str, taints: &[String], settings: &Settings) -> Vec<String> {
    let reasons = message.split_once(": ").map_or(message, |(_, reasons)| reasons);
    let reasons: Vec<&str> = reasons.split(", ").collect();
    let is_taint = |reason: &str| reason.contains(UNTOLERATED);
    let has_other_cause = reasons.iter().any(|reason| !is_taint(reason));
    let of_kubernetes = [STATES_OF_NODES, CONTROL_PLANE].concat();
    let no_cause = if has_other_cause { &of_kubernetes } else { STATES_OF_NODES };
    let is_no_cause = |reason: &str| is_taint(reason) && has_only(no_cause, reason, taints);
    let mut counted: Vec<(u32, &[&str])> = reasons
        .into_iter()
        .filter(|reason| !is_no_cause(reason))
        .filter_map(|reason| {
            let number = reason.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let (_, keys) = SCHEDULER_REASONS.iter().find(|(phrase, _)| reason.contains(phrase))?;
            Some((number, *keys))
        })
        .collect();
    counted.sort_by_key(|(nodes, _)| std::cmp::Reverse(*nodes));
    let mut keys = Vec::new();
    for (_, causes) in counted {
        let set = set_keys(causes, settings);
        let likely = if set.is_empty() { owned(&causes[..1]) } else { set };
        keys.extend(likely.into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>());
    }
    keys
}

/// Whether a reason of the scheduler names a taint with one of these prefixes; where it names none, whether all taints that
/// repel the pod are such.
fn has_only(prefixes: &[&str], reason: &str, taints: &[String]) -> bool {
    match reason.split_once('{') {
        Some((_, named)) => prefixes.iter().any(|prefix| named.starts_with(prefix)),
        None => {
            !taints.is_empty()
                && taints.iter().all(|taint| prefixes.iter().any(|prefix| taint.starts_with(prefix)))
        }
    }
}

/// Quotas and limit ranges name resources, accounts have names, and every other rejection names a field.
fn of_rejection(kind: &str, message: &str) -> Vec<String> {
    if let Some((_, quota)) = message.split_once("exceeded quota: ") {
        let requested = quota.split_once("requested: ").map_or(quota, |(_, rest)| rest);
        return of_quota(requested.split(", used: ").next().unwrap_or_default());
    }
    if let Some((_, missing)) = message.split_once("failed quota: ") {
        return of_quota(missing);
    }
    let limits = LIMIT_RANGE_REASONS.iter().filter(|(phrase, _)| message.contains(phrase));
    let limits: Vec<String> = limits.map(|(_, key)| (*key).to_owned()).collect();
    if !limits.is_empty() {
        return limits;
    }
    if message.contains("serviceaccount \"") && message.contains("not found") {
        return owned(&["deploy.service_account"]);
    }
    of_fields(kind, message)
}

/// Returns the keys of the resources in `requests.cpu=2,pods=1` or `must specify limits.cpu for: app`.
fn of_quota(text: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for word in text.split([',', ' ', ';', '=']) {
        let key = QUOTA_RESOURCES.iter().find(|(resource, _)| *resource == word).map(|(_, key)| *key);
        let key = key.or_else(|| word.contains(OF_STORAGE_CLASS).then_some("deploy.storage_class"));
        keys.extend(key.filter(|key| !keys.iter().any(|known| known == key)).map(str::to_owned));
    }
    keys
}

/// Returns the keys of the fields that a validation names: `spec.ports[0].nodePort: Invalid value: 80: …`.
fn of_fields(kind: &str, message: &str) -> Vec<String> {
    let known = FieldKeys::default();
    let mut keys = Vec::new();
    let mistakes = field_mistakes(message);
    // An immutable field rejects every other change of the object with it.
    let immutable: Vec<&(&str, &str)> = mistakes.iter().filter(|(_, text)| is_immutable(text)).collect();
    let decisive = if immutable.is_empty() { mistakes.iter().collect() } else { immutable };
    for (path, text) in decisive {
        let paths =
            if is_immutable(text) && !path.contains('.') { changed_fields(path, text) } else { Vec::new() };
        let paths = if paths.is_empty() { vec![(*path).to_owned()] } else { paths };
        for path in paths {
            keys.extend(of_field(&known, kind, &path).filter(|key| !keys.contains(key)));
        }
    }
    keys
}

/// Returns the path of each field that a validation names, with the text about it.
fn field_mistakes(message: &str) -> Vec<(&str, &str)> {
    let is_mistake =
        |end: usize| FIELD_MISTAKES.iter().any(|mistake| message[end + 2..].starts_with(mistake));
    let ends: Vec<usize> =
        message.match_indices(": ").map(|(end, _)| end).filter(|end| is_mistake(*end)).collect();
    let start_of = |end: usize| message[..end].rfind([' ', '(']).map_or(0, |space| space + 1);
    let next = |index: usize| ends.get(index + 1).map_or(message.len(), |end| start_of(*end));
    ends.iter()
        .enumerate()
        .map(|(index, end)| (&message[start_of(*end)..*end], &message[*end..next(index)]))
        .collect()
}

/// Whether a text about a field says that it cannot be changed. A claim's size is no such field: it only cannot shrink.
fn is_immutable(text: &str) -> bool {
    text.contains("field is immutable") || text.contains("is immutable after creation")
}

/// Returns the fields that differ in the comparison which the server prints of a specification that cannot be changed
/// (`k8s.io/apimachinery/pkg/util/diff`): its lines begin with `+` or `-`, and its fields have the names of Go.
fn changed_fields(path: &str, text: &str) -> Vec<String> {
    let mut changed: Vec<String> = Vec::new();
    let mut field = None;
    for line in text.lines().filter(|line| line.starts_with([' ', '+', '-'])) {
        if let Some((name, _)) = line[1..].strip_prefix(" \"").and_then(|rest| rest.split_once("\":")) {
            let mut letters = name.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            field = first.map(|first| format!("{path}.{first}{}", letters.as_str()));
        }
        let is_changed = !line.starts_with(' ');
        changed.extend(field.clone().filter(|field| is_changed && !changed.contains(field)));
    }
    changed
}

/// Returns the key of a field, without its list items. A pod's fields are those of its Deployment's template.
fn of_field(known: &FieldKeys, kind: &str, path: &str) -> Option<String> {
    let names: Vec<&str> =
        path.trim_start_matches('[').split('.').map(|name| name.split('[').next().unwrap_or(name)).collect();
    if names.first() != Some(&"spec") {
        return None;
    }
    known.of_field(kind, &names).or_else(|| {
        let in_template = [&["spec", "template"], names.as_slice()].concat();
        known.of_field("Deployment", &in_template).filter(|_| kind != "PersistentVolumeClaim")
    })
}

/// Returns the keys that refer to the Secret that a message names, and to its key if it names one.
fn of_reference(message: &str, settings: &Settings) -> Vec<String> {
    let words: Vec<&str> =
        message.split(|letter: char| letter.is_whitespace() || "\"'/,;:()".contains(letter)).collect();
    let names = |name: &str| words.contains(&name);
    let known = FieldKeys::default();
    let key_of =
        |name: &str| if name.contains('.') { Some(name.to_owned()) } else { known.of_variable(name) };
    let referring: Vec<(&str, &str)> = settings
        .sources()
        .filter_map(|(name, source)| match source {
            SecretSource::Reference { secret, key } if names(secret) => Some((name, key.as_str())),
            _ => None,
        })
        .collect();
    let exact = referring.iter().filter(|(_, key)| names(key));
    let chosen: Vec<&str> = match exact.clone().next() {
        Some(_) => exact.map(|(name, _)| *name).collect(),
        None => referring.iter().map(|(name, _)| *name).collect(),
    };
    chosen.into_iter().filter_map(key_of).collect()
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// Returns those keys that the user set.
fn set_keys(keys: &[&str], settings: &Settings) -> Vec<String> {
    owned(&keys.iter().copied().filter(|key| settings.locate(key).is_some()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings_of;

    /// The keys of a failure of the application's pod, each with the line of config.toml that sets it.
    fn keys(id: Id, message: &str, config: &str) -> Vec<(String, Option<usize>)> {
        let keys = of_failure(id, "Pod", Some("openhands"), message, &settings_of(config)).into_iter();
        keys.map(|key| (key.key, key.location.map(|location| location.line_column().0))).collect()
    }

    fn names(id: Id, message: &str, config: &str) -> Vec<String> {
        keys(id, message, config).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn unreachable_url_names_the_key_of_what_its_ingress_lacks() {
        let config = "[deploy]\nhost = \"x.org\"\nexposure = \"acknowledged\"\ningress_class = \"nobody\"\ntls_secret = \"tls\"\n";
        let key = |message: &str| keys(Id::UrlUnreachable, message, config);
        assert_eq!(
            key("ingress class nobody does not exist: nobody serves the Ingress"),
            [("deploy.ingress_class".to_owned(), Some(4))]
        );
        let certificate = "secret/tls in namespace n: its certificate is not valid for x.org";
        assert_eq!(key(certificate), [("deploy.tls_secret".to_owned(), Some(5))]);
        let other = "the application answers inside the cluster, but not at http://x.org/: 404";
        assert_eq!(key(other), [("deploy.host".to_owned(), Some(2))]);
    }

    #[test]
    fn reason_of_most_nodes_names_the_first_key() {
        let message = "0/5 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, 3 node(s) had untolerated \
                       taint {gpu: true}. preemption: 0/5 nodes are available";
        assert_eq!(
            names(Id::Unschedulable, message, ""),
            ["deploy.tolerations", "deploy.resources.requests.cpu"]
        );
    }

    #[test]
    fn claim_of_one_pod_names_the_existing_claim() {
        let message = "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and \
                       ReadWriteOncePod access mode.";
        assert_eq!(names(Id::Unschedulable, message, ""), ["deploy.existing_claim"]);
    }

    #[test]
    fn taint_of_a_node_that_is_not_ready_names_no_key() {
        let message =
            "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.";
        assert!(names(Id::Unschedulable, message, "").is_empty());
    }

    #[test]
    fn taint_of_the_control_plane_is_no_cause_beside_another_one() {
        let of = |message: &str, taints: &[&str]| {
            let taints: Vec<String> = taints.iter().map(|taint| (*taint).to_owned()).collect();
            let keys = of_unschedulable(message, &taints, &settings_of("")).into_iter();
            keys.map(|key| key.key).collect::<Vec<_>>()
        };
        let control_plane = "node-role.kubernetes.io/control-plane";
        let message = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.";
        let cordoned = "node.kubernetes.io/unschedulable";
        assert_eq!(of(message, &[control_plane]), ["deploy.resources.requests.cpu"]);
        assert_eq!(of(message, &[control_plane, cordoned]), ["deploy.resources.requests.cpu"]);
        let cpu_and_tolerations = ["deploy.resources.requests.cpu", "deploy.tolerations"];
        assert_eq!(of(message, &[control_plane, "gpu"]), cpu_and_tolerations);
        assert_eq!(of(message, &[]), cpu_and_tolerations, "the nodes could not be read");
        let named = message.replace("taint(s)", "taint {node-role.kubernetes.io/control-plane: }");
        assert_eq!(of(&named, &[]), ["deploy.resources.requests.cpu"]);
        let alone = "0/1 nodes are available: 1 node(s) had untolerated taint(s).";
        assert_eq!(of(alone, &[control_plane]), ["deploy.tolerations"]);
        assert!(of(alone, &["node.kubernetes.io/not-ready"]).is_empty());
    }

    #[test]
    fn selector_mismatch_names_the_keys_that_are_set() {
        let message = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.";
        let selector = "[deploy]\nnode_selector = { disk = \"gold\" }\n";
        assert_eq!(
            keys(Id::Unschedulable, message, selector),
            [("deploy.node_selector".to_owned(), Some(2))]
        );
        let affinity = "[deploy]\nname = \"oh\"\naffinity = { nodeAffinity = {} }\n";
        assert_eq!(keys(Id::Unschedulable, message, affinity), [("deploy.affinity".to_owned(), Some(3))]);
    }

    #[test]
    fn quota_names_the_keys_of_what_was_requested() {
        let exceeded = "exceeded quota: team, requested: limits.memory=4Gi,pods=1, used: pods=0,requests.cpu=1, limited: pods=0";
        assert_eq!(
            names(Id::QuotaExceeded, exceeded, ""),
            ["deploy.resources.limits.memory", "deploy.replicas"]
        );
        let missing = "failed quota: team: must specify limits.cpu for: openhands";
        assert_eq!(names(Id::QuotaExceeded, missing, ""), ["deploy.resources.limits.cpu"]);
    }

    #[test]
    fn quota_on_claims_names_the_keys_of_the_volume() {
        let exceeded = "exceeded quota: team, requested: persistentvolumeclaims=1,requests.storage=5Gi, used: \
                        persistentvolumeclaims=2, limited: persistentvolumeclaims=2";
        assert_eq!(
            keys(Id::QuotaExceeded, exceeded, "[deploy]\nstorage_size = \"5Gi\"\n"),
            [("deploy.existing_claim".to_owned(), None), ("deploy.storage_size".to_owned(), Some(2))]
        );
    }

    #[test]
    fn lost_volume_names_only_the_keys_that_chose_it() {
        let mount = "MountVolume.SetUp failed for volume \"state\": volume is attached to another node";
        for id in [Id::MountFailed, Id::ClaimLost] {
            assert_eq!(names(id, mount, ""), [""; 0], "{id}: handsctl's own claim has no key");
            let key = |line: &str| keys(id, mount, &format!("[deploy]\n{line}\n"));
            assert_eq!(key("existing_claim = \"mine\""), [("deploy.existing_claim".to_owned(), Some(2))]);
            assert_eq!(key("volume = \"pv-1\""), [("deploy.volume".to_owned(), Some(2))]);
        }
    }

    #[test]
    fn limit_range_and_account_name_their_keys() {
        let range = "maximum memory usage per Container is 1Gi, but limit is 4Gi, minimum cpu usage per Container is 1, but \
                     request is 500m";
        assert_eq!(
            names(Id::PodsRejected, range, ""),
            ["deploy.resources.limits.memory", "deploy.resources.requests.cpu"]
        );
        let account = "error looking up service account n/sa: serviceaccount \"sa\" not found";
        assert_eq!(names(Id::PodsRejected, account, ""), ["deploy.service_account"]);
        assert!(names(Id::PodsRejected, "admission webhook \"x\" denied the request: no", "").is_empty());
    }

    #[test]
    fn missing_secret_leads_to_the_reference_that_names_it() {
        let config = "[llm]\napi_key = { secret = \"keys\", key = \"llm\" }\n\
                      [deploy.env]\nOTHER = { secret = \"keys\", key = \"other\" }\n";
        let missing = |message: &str| keys(Id::MissingReference, message, config);
        let (llm, other) = (("llm.api_key".to_owned(), Some(2)), ("deploy.env.OTHER".to_owned(), Some(4)));
        assert_eq!(missing("couldn't find key other in Secret n/keys"), std::slice::from_ref(&other));
        let mut both = missing("secret \"keys\" not found");
        both.sort();
        assert_eq!(both, [other, llm]);
        assert!(missing("configmap \"theirs\" not found").is_empty());
    }

    #[test]
    fn rejected_field_leads_to_its_key() {
        let of = |kind: &str, message: &str| {
            let keys = of_rejected_object(kind, message, &settings_of("")).into_iter();
            keys.map(|key| key.key).collect::<Vec<_>>()
        };
        let immutable = "PersistentVolumeClaim \"oh\" is invalid: spec.resources.requests.storage: Forbidden: field can not \
                         be less than status.capacity";
        assert_eq!(of("PersistentVolumeClaim", immutable), ["deploy.storage_size"]);
        let port = "Service \"oh\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already \
                    allocated";
        assert_eq!(of("Service", port), ["deploy.node_port"]);
        let pod = "Pod \"oh-x\" is invalid: [spec.containers[0].resources.requests: Invalid value: \"8Gi\": must be less \
                   than or equal to memory limit of 4Gi, spec.tolerations[0].operator: Unsupported value: \"x\"]";
        assert_eq!(of("Pod", pod), ["deploy.resources.requests", "deploy.tolerations"]);
        let name = "Service \"oh\" is invalid: spec.ports[2].name: Duplicate value: \"http\"";
        assert!(of("Service", name).is_empty(), "no key names a port");
    }

    /// Texts of kube-apiserver 1.34.
    #[test]
    fn immutable_field_leads_to_its_own_key_only() {
        let of = |kind: &str, message: &str| {
            let keys = of_rejected_object(kind, message, &settings_of("")).into_iter();
            keys.map(|key| key.key).collect::<Vec<_>>()
        };
        let claim = "PersistentVolumeClaim \"oh\" is invalid: spec: Forbidden: spec is immutable after creation except \
                     resources.requests and volumeAttributesClassName for bound claims\n@@ -10,7 +10,7 @@\n   }\n  },\n  \
                     \"VolumeName\": \"pvc-1\",\n- \"StorageClassName\": \"standard\",\n+ \"StorageClassName\": \"gold\",\n  \
                     \"VolumeMode\": \"Filesystem\",\n";
        assert_eq!(of("PersistentVolumeClaim", claim), ["deploy.storage_class"]);
        let volume = claim.replace("StorageClassName", "VolumeName");
        assert_eq!(of("PersistentVolumeClaim", &volume), ["deploy.volume"]);
        let adopted = "Deployment.apps \"oh\" is invalid: [spec.strategy.rollingUpdate: Forbidden: may not be specified when \
                       strategy `type` is 'Recreate', spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is \
                       immutable]";
        assert!(of("Deployment", adopted).is_empty(), "no key sets the selector");
        let strategy = "Deployment.apps \"oh\" is invalid: spec.strategy.rollingUpdate: Forbidden: may not be specified when \
                        strategy `type` is 'Recreate'";
        assert_eq!(of("Deployment", strategy), ["deploy.strategy"]);
    }

    #[test]
    fn container_of_another_tool_has_no_key() {
        let settings = settings_of("[deploy]\nimage = \"acme/openhands:1.6\"\n");
        let count =
            |id, container| of_failure(id, "Pod", Some(container), "exec format error", &settings).len();
        for id in [Id::ImageNotFound, Id::ImageForbidden, Id::OutOfMemory, Id::ContainerCannotStart] {
            assert_eq!(count(id, "istio-proxy"), 0, "{id}");
            assert!(count(id, "openhands") > 0, "{id}");
        }
        assert_eq!((count(Id::ImageNotFound, "ubuntu"), count(Id::ImageForbidden, "ubuntu")), (0, 1));
    }

    #[test]
    fn pull_of_the_sandbox_image_names_its_own_key() {
        let settings = settings_of("[sandbox]\nruntime_container_image = \"acme/runtime:1\"\n");
        let first = |text| {
            let keys = of_failure(Id::ImageNotFound, "Pod", Some("pull"), text, &settings);
            keys.into_iter().map(|key| key.key).next().unwrap()
        };
        assert_eq!(first("acme/runtime:1: not found"), "sandbox.runtime_container_image");
        assert_eq!(first("acme/openhands:1: not found"), "deploy.image");
    }

    /// The table that `config explain` prints, read backwards.
    #[test]
    fn every_field_of_a_key_leads_back_to_it() {
        let settings = settings_of("");
        let known = FieldKeys::default();
        let fields: Vec<(&str, String, &str)> = known.fields().collect();
        let mut count = 0;
        for (kind, path, key) in &fields {
            let is_same =
                |(other_kind, other, _): &&(&str, String, &str)| other_kind == kind && other == path;
            if fields.iter().filter(is_same).count() > 1 || !path.starts_with("spec.") {
                continue;
            }
            let message = format!("{kind} \"oh\" is invalid: {path}: Invalid value: \"x\": no");
            let keys = of_rejected_object(kind, &message, &settings);
            let names: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
            assert_eq!(names, [*key], "{message}");
            count += 1;
        }
        assert!(count > 15, "{count}");
    }

    #[test]
    fn default_is_shown_with_its_value() {
        let message = "0/1 nodes are available: 1 Insufficient cpu.";
        let keys = of_failure(Id::Unschedulable, "Pod", None, message, &settings_of(""));
        assert_eq!((keys[0].value.as_deref(), keys[0].location.is_none()), (Some("\"500m\""), true));
    }
}
