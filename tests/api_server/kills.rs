//! A deploy that is killed at any of its writes: the next deploy reaches the state of an uninterrupted one. The list of
//! writes comes from an uninterrupted run, so that new writes are covered too.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use handsctl::plan::inventory::apply_set::ApplySet;
use serde_json::{Value, json};

use crate::bed::{Bed, CommandLine, Namespace};
use crate::fault::{HeldRequests, Proxy, Request};

/// Time limit of each wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// The number of killed deploys at a time. Each has its own namespaces.
const CONCURRENCY: usize = 4;
/// The kinds of the set's members, of its records and of the objects that controllers create from them.
const KINDS: &[(&str, &str)] = &[
    ("/api/v1", "serviceaccounts"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "secrets"),
    ("/api/v1", "persistentvolumeclaims"),
    ("/api/v1", "services"),
    ("/api/v1", "pods"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "replicasets"),
    ("/apis/coordination.k8s.io/v1", "leases"),
    ("/apis/networking.k8s.io/v1", "ingresses"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
];
/// Objects of another owner.
const LOOK_ALIKE: &str = "look-alike";
const COPY: &str = "oh-copy";

/// The set before the killed deploy.
#[derive(Debug, Clone, Copy)]
enum InitialState {
    Nothing,
    /// A set with an Ingress and members in a second namespace; the new configuration has neither.
    AnotherSet,
}

/// The namespaces of one run: the application's, which handsctl did not create, and the one for sandboxes.
struct TestNamespaces<'a> {
    proxy: &'a Proxy,
    namespace: Namespace,
}

/// A write of a deploy, named by method and object, because the requests of a wave have no fixed order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct WritePoint {
    write: String,
    /// The count among writes of the same object (the parent is written more than once); the first is 1.
    nth: usize,
}

/// The state of the write when the process is killed.
#[derive(Debug, Clone, Copy)]
enum KillTime {
    /// The server does not receive the request.
    BeforeRequest,
    /// The server has written, but the process has no response.
    BeforeResponse,
}

/// All objects of the namespaces without the values that differ in each run: path in an object → value.
type ClusterState = BTreeMap<String, String>;

impl<'a> TestNamespaces<'a> {
    fn new(proxy: &'a Proxy) -> Self {
        let namespace = Bed::shared().namespace("kills");
        namespace.create(&[]);
        Self { proxy, namespace }
    }

    fn sandboxes(&self) -> String {
        format!("{}-sandboxes", self.namespace.name)
    }

    fn deploy(&self) -> CommandLine {
        self.proxy.command(&self.namespace, &["deploy"])
    }

    /// An object in the application's namespace: `apps/v1`, `deployments/oh`.
    fn get(&self, api: &str, object: &str) -> Option<Value> {
        self.proxy.get(&format!("{api}/namespaces/{}/{object}", self.namespace.name))
    }

    /// Creates objects of another owner: a copy of a member under another name, with all its labels and annotations,
    /// and an object of another kind with the same labels.
    fn create_foreign_objects(&self, source: &TestNamespaces<'_>) {
        let (bed, name, from) = (self.namespace.bed, &self.namespace.name, &source.namespace.name);
        let member = bed.kubectl(&["get", "ingress", "oh", "-n", from, "-o", "json"]);
        let mut copy: Value =
            serde_json::from_str(&member.replace(&set_id(from), &set_id(name)).replace(from, name)).unwrap();
        copy["metadata"]["name"] = json!(COPY);
        for server_field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
            copy["metadata"].as_object_mut().unwrap().remove(server_field);
        }
        let look_alike = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "b" },
            "metadata": { "name": LOOK_ALIKE, "namespace": name, "labels": copy["metadata"]["labels"] },
        });
        bed.kubectl_with(&["apply", "-f", "-"], &copy.to_string());
        bed.kubectl_with(&["create", "-f", "-"], &look_alike.to_string());
    }

    /// The objects of the other owner, with all fields.
    fn foreign_objects(&self) -> [Value; 2] {
        [
            self.get("/api/v1", &format!("configmaps/{LOOK_ALIKE}")).unwrap(),
            self.get("/apis/networking.k8s.io/v1", &format!("ingresses/{COPY}")).unwrap(),
        ]
    }

    /// The UID of the set's claim, if it exists.
    fn claim(&self) -> Option<Value> {
        Some(self.get("/api/v1", "persistentvolumeclaims/oh-state")?["metadata"]["uid"].clone())
    }

    fn is_locked(&self) -> bool {
        self.get("/apis/coordination.k8s.io/v1", "leases/handsctl-oh").is_some()
    }

    fn state(&self) -> ClusterState {
        let (name, sandboxes) = (self.namespace.name.as_str(), self.sandboxes());
        let mut objects = Vec::new();
        for namespace in [name, &sandboxes] {
            let mut object = self.proxy.get(&format!("/api/v1/namespaces/{namespace}")).unwrap();
            object["kind"] = json!("namespaces");
            objects.push(object);
            for (api, plural) in KINDS {
                let mut list = self.proxy.get(&format!("{api}/namespaces/{namespace}/{plural}")).unwrap();
                for object in list["items"].as_array_mut().unwrap() {
                    object["kind"] = json!(plural);
                    objects.push(object.take());
                }
            }
        }
        let objects = normalised(objects, name, &sandboxes);
        let mut state = ClusterState::new();
        for object in &objects {
            let metadata = &object["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let id = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(text).join(" ");
            flatten(&id, object, &mut state);
        }
        state
    }

    /// Waits until the state equals the expected one, and returns it. Controllers need a while to clean up.
    fn wait_for_state(&self, expected: impl Fn() -> ClusterState, what: &str) -> ClusterState {
        let until = Instant::now() + WAIT_LIMIT;
        loop {
            let (state, expected) = (self.state(), expected());
            if state == expected {
                return state;
            }
            if Instant::now() > until {
                let pairs = |state: ClusterState| state.into_iter().collect::<BTreeSet<_>>();
                let (actual, expected) = (pairs(state), pairs(expected));
                panic!(
                    "{what}: the state differs; unexpected: {:#?}\nmissing: {:#?}",
                    actual.difference(&expected).take(40).collect::<Vec<_>>(),
                    expected.difference(&actual).take(40).collect::<Vec<_>>()
                );
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for TestNamespaces<'_> {
    fn drop(&mut self) {
        let sandboxes = self.sandboxes();
        let arguments = ["delete", "namespace", &sandboxes, "--ignore-not-found", "--wait=false"];
        let _already_deleted = self.namespace.bed.try_kubectl(&arguments, "");
    }
}

impl InitialState {
    /// Creates the initial state and writes the configuration of the killed deploy.
    fn prepare(self, namespaces: &TestNamespaces<'_>) {
        let sandboxes = format!("[kubernetes]\nnamespace = \"{}\"\n", namespaces.sandboxes());
        match self {
            InitialState::Nothing => {
                namespaces.namespace.config(&format!("[llm]\napi_key = \"sk-walk\"\n{sandboxes}"));
            }
            InitialState::AnotherSet => {
                let deploy = "[deploy]\nrevision_history = 0\n";
                namespaces.namespace.config(&format!("{sandboxes}{deploy}"));
                namespaces.deploy().run().exits(0);
                let llm = "[llm]\nmodel = \"openai/gpt-2\"\napi_key = \"sk-walk\"\n";
                namespaces.namespace.config(&format!("{llm}{deploy}expose = \"none\"\n"));
            }
        }
    }
}

impl KillTime {
    fn hold(self, point: &WritePoint, namespaces: &TestNamespaces<'_>) -> HeldRequests {
        let (name, write) = (namespaces.namespace.name.clone(), point.write.clone());
        let rule = namespaces
            .proxy
            .on(move |request| write_in(request, &name).as_ref() == Some(&write))
            .nth(point.nth);
        match self {
            KillTime::BeforeRequest => rule.hold(),
            KillTime::BeforeResponse => rule.hold_response(),
        }
    }
}

/// The name of a write, as `PATCH configmaps/oh-config-*`; None for reads, dry runs and other namespaces.
fn write_in(request: &Request, app_namespace: &str) -> Option<String> {
    let path = request.path.split('?').next()?;
    if request.method == "GET" || path.contains("selfsubject") || request.is_dry_run() {
        return None;
    }
    let name_in_body = || request.json()["metadata"]["name"].as_str().map(str::to_owned);
    let parts: Vec<&str> = path.split('/').collect();
    let (namespace, plural, name) = match parts.as_slice() {
        [.., "namespaces"] => (name_in_body()?, "namespaces", String::new()),
        [.., "namespaces", namespace, plural] => ((*namespace).to_owned(), *plural, name_in_body()?),
        [.., "namespaces", namespace, plural, name] => ((*namespace).to_owned(), *plural, (*name).to_owned()),
        _ => return None,
    };
    let suffix = match namespace.strip_prefix(app_namespace)? {
        "" => "",
        "-sandboxes" => " for sandboxes",
        _ => return None,
    };
    Some(format!("{} {plural}/{}{suffix}", request.method, without_hash(&name)))
}

fn without_hash(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((rest, hash)) if hash.len() == 10 && hash.chars().all(|it| it.is_ascii_hexdigit()) => {
            format!("{rest}-*")
        }
        _ => name.to_owned(),
    }
}

fn set_id(namespace: &str) -> String {
    ApplySet { name: "oh".to_owned(), namespace: namespace.to_owned(), ..ApplySet::default() }.id()
}

/// The objects without the values that differ between two uninterrupted runs in different namespaces, and without
/// their status, which handsctl never writes.
fn normalised(mut objects: Vec<Value>, name: &str, sandboxes: &str) -> Vec<Value> {
    objects.retain(|object| {
        let metadata = &object["metadata"];
        metadata["name"] != LOOK_ALIKE && metadata["name"] != COPY && metadata["deletionTimestamp"].is_null()
    });
    let mut names: Vec<(String, String)> =
        vec![(sandboxes.to_owned(), "SANDBOXES".into()), (name.to_owned(), "APP".into())];
    names.push((set_id(name), "SET".into()));
    for object in &mut objects {
        unpack(object);
        names.extend(names_of(object, name));
        strip(object);
    }
    // A name may be part of another one: replace the longest first.
    names.sort_by_key(|(name, _)| Reverse(name.len()));
    let mut text = Value::from(objects).to_string();
    for (from, to) in names {
        text = text.replace(&from, &to);
    }
    let mut objects: Vec<Value> = serde_json::from_str(&text).unwrap();
    for object in &mut objects {
        sort_managers(object);
    }
    objects
}

/// Unpacks a revision's Secret, and replaces the random key and what depends on it.
fn unpack(object: &mut Value) {
    let annotation = object.pointer_mut("/metadata/annotations/handsctl.dev~1key");
    if let Some(fingerprint) = annotation.filter(|value| value.is_string()) {
        *fingerprint = json!("random");
    }
    if object["type"] == "handsctl.dev/key" {
        object["data"]["key"] = json!("random");
    }
    if object["type"] == "handsctl.dev/revision" {
        let packed = STANDARD.decode(object["data"]["plan"].as_str().unwrap()).unwrap();
        let mut plain = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut plain).unwrap();
        object["data"]["plan"] = serde_json::from_str(&plain).unwrap();
        assert!(object["data"]["mac"].is_string(), "{object}");
        object["data"]["mac"] = json!("random");
    }
}

/// The object's random names and the names that depend on its namespace, each with its replacement.
fn names_of(object: &Value, app_namespace: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
    let (name, uid) = (text(&metadata["name"]), text(&metadata["uid"]));
    let mut names = Vec::new();
    match kind.as_str() {
        "configmaps" | "secrets" if without_hash(&name) != name => {
            let mut hasher = DefaultHasher::new();
            object["data"].to_string().replace(app_namespace, "").hash(&mut hasher);
            names.push((name.clone(), format!("{} {:x}", without_hash(&name), hasher.finish())));
        }
        "replicasets" => {
            let revision = text(&metadata["annotations"]["deployment.kubernetes.io/revision"]);
            names.push((text(&metadata["labels"]["pod-template-hash"]), format!("TEMPLATE-{revision}")));
        }
        "pods" => {
            names.push((name.clone(), "POD".to_owned()));
            for volume in object["spec"]["volumes"].as_array().into_iter().flatten() {
                let volume = text(&volume["name"]);
                if volume.starts_with("kube-api-access-") {
                    names.push((volume, "kube-api-access".to_owned()));
                }
            }
        }
        _ => {}
    }
    names.push((uid, format!("UID of {kind} {name}")));
    names
}

/// Removes the fields that the server, the scheduler and the clock set.
fn strip(object: &mut Value) {
    let remove = |value: Option<&mut Value>, keys: &[&str]| {
        if let Some(map) = value.and_then(Value::as_object_mut) {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
    };
    remove(object.pointer_mut(""), &["status"]);
    remove(object.pointer_mut("/metadata"), &["uid", "resourceVersion", "creationTimestamp"]);
    // The times of a run differ.
    let annotations = ["volume.kubernetes.io/selected-node", "handsctl.dev/run"];
    remove(object.pointer_mut("/metadata/annotations"), &annotations);
    remove(object.pointer_mut("/spec"), &["clusterIP", "clusterIPs", "nodeName"]);
    if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        entries.retain(|entry| entry["subresource"].is_null());
        for entry in entries {
            remove(Some(entry), &["time"]);
            remove(entry.pointer_mut("/fieldsV1/f:metadata/f:annotations"), &["f:handsctl.dev/run"]);
        }
    }
}

fn sort_managers(object: &mut Value) {
    if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        entries.sort_by_key(|entry| [&entry["manager"], &entry["operation"]].map(Value::to_string));
    }
}

fn flatten(path: &str, value: &Value, state: &mut ClusterState) {
    let is_time = |text: &str| text.parse::<jiff::Timestamp>().is_ok();
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(&format!("{path} / {key}"), value, state);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{path} / {index}"), value, state);
            }
        }
        Value::String(text) if is_time(text) => {
            state.insert(path.to_owned(), "a time".to_owned());
        }
        value => {
            state.insert(path.to_owned(), value.to_string());
        }
    }
}

/// The writes in these namespaces so far, in their order.
fn writes(namespaces: &TestNamespaces<'_>) -> Vec<String> {
    namespaces
        .proxy
        .requests()
        .iter()
        .filter_map(|request| write_in(request, &namespaces.namespace.name))
        .collect()
}

/// An uninterrupted run, with whose result the killed ones are compared.
struct ReferenceRun<'a> {
    initial: InitialState,
    namespaces: TestNamespaces<'a>,
    points: BTreeSet<WritePoint>,
}

impl<'a> ReferenceRun<'a> {
    fn run(proxy: &'a Proxy, initial: InitialState) -> Self {
        let namespaces = TestNamespaces::new(proxy);
        initial.prepare(&namespaces);
        let earlier = writes(&namespaces).len();
        namespaces.deploy().run().exits(0);
        let mut points = BTreeSet::new();
        for write in writes(&namespaces).split_off(earlier) {
            let nth = 1 + points.iter().filter(|point: &&WritePoint| point.write == write).count();
            points.insert(WritePoint { write, nth });
        }
        let count = writes(&namespaces).len();
        namespaces.deploy().run().exits(0);
        assert_eq!(
            writes(&namespaces).split_off(count),
            Vec::<String>::new(),
            "the second deploy writes nothing"
        );
        Self { initial, namespaces, points }
    }

    /// The points with their kill times. Writes of members are equivalent, so each has one of the two kill times,
    /// alternately; all other writes have both.
    fn cases(&self) -> Vec<(&WritePoint, KillTime)> {
        let (members, others): (Vec<&WritePoint>, Vec<&WritePoint>) =
            self.points.iter().partition(|point| point.is_member_write());
        let in_turn =
            members.into_iter().zip([KillTime::BeforeRequest, KillTime::BeforeResponse].into_iter().cycle());
        let both =
            others.into_iter().flat_map(|it| [(it, KillTime::BeforeRequest), (it, KillTime::BeforeResponse)]);
        in_turn.chain(both).collect()
    }

    /// Kills a deploy at this point and checks that the next one reaches this state.
    fn kill(&self, state: &ClusterState, point: &WritePoint, time: KillTime) {
        let namespaces = TestNamespaces::new(self.namespaces.proxy);
        self.initial.prepare(&namespaces);
        namespaces.create_foreign_objects(match self.initial {
            InitialState::Nothing => &self.namespaces,
            InitialState::AnotherSet => &namespaces,
        });
        let (foreign, claim) = (namespaces.foreign_objects(), namespaces.claim());
        let held = time.hold(point, &namespaces);
        let mut child = namespaces.deploy().spawn();
        held.wait_for_request(WAIT_LIMIT);
        child.kill().unwrap();
        child.wait().unwrap();
        // The request stays held: its process has exited, and the rule does not apply to the next run's requests.
        let context = format!("killed at {point:?}, {time:?}");
        let earlier = writes(&namespaces).len();
        namespaces.deploy().run().exits(0);
        if namespaces.is_locked() {
            // Only the lock is left. A run without writes does not request it; a run with writes acquires it.
            assert_eq!(writes(&namespaces).split_off(earlier), Vec::<String>::new(), "{context}");
            namespaces.namespace.bed.kubectl(&["delete", "service", "oh", "-n", &namespaces.namespace.name]);
            namespaces.deploy().run().exits(0).says("taken over from");
        }
        namespaces.wait_for_state(|| state.clone(), &context);
        assert_eq!(namespaces.foreign_objects(), foreign, "{context}: objects of another owner changed");
        assert!(claim.is_none() || namespaces.claim() == claim, "{context}: the claim was replaced");
        held.release();
    }
}

impl WritePoint {
    fn is_member_write(&self) -> bool {
        !self.write.contains("/handsctl-oh") && !self.write.contains(" namespaces/")
    }
}

/// Kills a deploy at each of its writes, and returns these.
fn kill_at_every_write(initial: InitialState) -> BTreeSet<WritePoint> {
    let proxy = Proxy::for_cluster(Bed::shared());
    let reference = ReferenceRun::run(&proxy, initial);
    let second_reference = ReferenceRun::run(&proxy, initial);
    assert_eq!(reference.points, second_reference.points, "two uninterrupted runs write the same objects");
    let state =
        reference.namespaces.wait_for_state(|| second_reference.namespaces.state(), "two uninterrupted runs");
    let begin = Instant::now();
    let cases = reference.cases();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENCY {
            scope.spawn(|| {
                while let Some((point, time)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    reference.kill(&state, point, *time);
                }
            });
        }
    });
    eprintln!("{initial:?}: killed {} times in {:?}", cases.len(), begin.elapsed());
    reference.points.clone()
}

/// Panics if one of these writes is missing.
fn assert_points(points: &BTreeSet<WritePoint>, expected: &[(&str, usize)]) {
    for (write, nth) in expected {
        let point = WritePoint { write: (*write).to_owned(), nth: *nth };
        assert!(points.contains(&point), "{point:?} is not among {points:#?}");
    }
}

#[test]
fn first_deploy_killed_at_any_write_is_completed() {
    let points = kill_at_every_write(InitialState::Nothing);
    let expected = [
        "POST namespaces/ for sandboxes",
        "POST leases/handsctl-oh",
        "POST secrets/handsctl-oh",
        "PATCH configmaps/handsctl-oh",
        "POST secrets/handsctl-oh-r1",
        "PATCH configmaps/oh-config-*",
        "PATCH roles/oh for sandboxes",
        "PATCH deployments/oh",
        "PATCH secrets/handsctl-oh-r1",
        "DELETE leases/handsctl-oh",
    ];
    assert_points(&points, &expected.map(|write| (write, 1)));
}

#[test]
fn changing_deploy_killed_at_any_write_is_completed() {
    let points = kill_at_every_write(InitialState::AnotherSet);
    let expected = [
        ("POST leases/handsctl-oh", 1),
        ("PATCH configmaps/handsctl-oh", 1),
        ("POST secrets/handsctl-oh-r2", 1),
        ("PATCH deployments/oh", 1),
        ("DELETE ingresses/oh", 1),
        ("DELETE roles/oh for sandboxes", 1),
        ("DELETE configmaps/oh-config-*", 1),
        ("PATCH configmaps/handsctl-oh", 2),
        ("DELETE secrets/handsctl-oh-r1", 1),
        ("PATCH secrets/handsctl-oh-r2", 1),
        ("DELETE leases/handsctl-oh", 1),
    ];
    assert_points(&points, &expected);
}
