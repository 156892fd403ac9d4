//! A deploy that is killed at any of its writes: the next one ends where an undisturbed one does. What the writes are
//! is taken from an undisturbed run, so that a new one is walked over too.

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

/// Longer than anything takes that is waited for here.
const LONG: Duration = Duration::from_secs(60);
/// Points of a walk at the same time, each in namespaces of its own.
const AT_ONCE: usize = 4;
/// Everything that a set consists of, what is beside it, and what controllers make of it.
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
/// Somebody else's objects.
const LOOK_ALIKE: &str = "look-alike";
const COPY: &str = "oh-copy";

/// What is there before the deploy that is killed.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    /// A set with an Ingress and with members in a second namespace, which the new configuration has not.
    AnotherSet,
}

/// The namespaces of one run: the application's, which somebody else made, and one for sandboxes.
struct Place<'a> {
    proxy: &'a Proxy,
    namespace: Namespace,
}

/// A write of a deploy, by what it is about: requests of a wave come in any order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    write: String,
    /// The parent is written more than once; the first is 1.
    nth: usize,
}

/// Where the write is when the process is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The server never hears of it.
    Unsent,
    /// The server has acted, and the process does not know.
    Unanswered,
}

/// Everything in a place, without what differs from run to run: path in an object → value.
type State = BTreeMap<String, String>;

impl<'a> Place<'a> {
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

    /// Somebody else's objects: a member of the set in this place that was copied with kubectl under another name, with
    /// everything that stands in it, and an object of another kind with the same labels.
    fn plant(&self, source: &Place<'_>) {
        let (bed, name, from) = (self.namespace.bed, &self.namespace.name, &source.namespace.name);
        let member = bed.kubectl(&["get", "ingress", "oh", "-n", from, "-o", "json"]);
        let mut copy: Value =
            serde_json::from_str(&member.replace(&set_id(from), &set_id(name)).replace(from, name)).unwrap();
        copy["metadata"]["name"] = json!(COPY);
        for server_made in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
            copy["metadata"].as_object_mut().unwrap().remove(server_made);
        }
        let look_alike = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "b" },
            "metadata": { "name": LOOK_ALIKE, "namespace": name, "labels": copy["metadata"]["labels"] },
        });
        bed.kubectl_with(&["apply", "-f", "-"], &copy.to_string());
        bed.kubectl_with(&["create", "-f", "-"], &look_alike.to_string());
    }

    /// Somebody else's objects as they are, to the byte.
    fn foreign(&self) -> [Value; 2] {
        [
            self.get("/api/v1", &format!("configmaps/{LOOK_ALIKE}")).unwrap(),
            self.get("/apis/networking.k8s.io/v1", &format!("ingresses/{COPY}")).unwrap(),
        ]
    }

    /// The UID of the claim with the data, where it is there.
    fn claim(&self) -> Option<Value> {
        Some(self.get("/api/v1", "persistentvolumeclaims/oh-state")?["metadata"]["uid"].clone())
    }

    fn is_locked(&self) -> bool {
        self.get("/apis/coordination.k8s.io/v1", "leases/handsctl-oh").is_some()
    }

    fn state(&self) -> State {
        let (name, sandboxes) = (self.namespace.name.as_str(), self.sandboxes());
        let mut objects = Vec::new();
        for namespace in [name, &sandboxes] {
            let mut found = self.proxy.get(&format!("/api/v1/namespaces/{namespace}")).unwrap();
            found["kind"] = json!("namespaces");
            objects.push(found);
            for (api, plural) in KINDS {
                let mut list = self.proxy.get(&format!("{api}/namespaces/{namespace}/{plural}")).unwrap();
                for object in list["items"].as_array_mut().unwrap() {
                    object["kind"] = json!(plural);
                    objects.push(object.take());
                }
            }
        }
        let objects = normalised(objects, name, &sandboxes);
        let mut state = State::new();
        for object in &objects {
            let metadata = &object["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let id = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(text).join(" ");
            flatten(&id, object, &mut state);
        }
        state
    }

    /// Waits until this place and another one are alike; controllers tidy up for a while. What both are like then.
    fn comes_to(&self, wanted: impl Fn() -> State, what: &str) -> State {
        let until = Instant::now() + LONG;
        loop {
            let (state, wanted) = (self.state(), wanted());
            if state == wanted {
                return state;
            }
            if Instant::now() > until {
                let pairs = |of: State| of.into_iter().collect::<BTreeSet<_>>();
                let (here, there) = (pairs(state), pairs(wanted));
                panic!(
                    "{what}: it is not as after an undisturbed run; only here: {:#?}\nonly there: {:#?}",
                    here.difference(&there).take(40).collect::<Vec<_>>(),
                    there.difference(&here).take(40).collect::<Vec<_>>()
                );
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let sandboxes = self.sandboxes();
        let arguments = ["delete", "namespace", &sandboxes, "--ignore-not-found", "--wait=false"];
        let _gone = self.namespace.bed.try_kubectl(&arguments, "");
    }
}

impl Before {
    /// Makes what is there before, and leaves the configuration for the deploy that is killed.
    fn prepare(self, place: &Place<'_>) {
        let sandboxes = format!("[kubernetes]\nnamespace = \"{}\"\n", place.sandboxes());
        match self {
            Before::Nothing => {
                place.namespace.config(&format!("[llm]\napi_key = \"sk-walk\"\n{sandboxes}"));
            }
            Before::AnotherSet => {
                let deploy = "[deploy]\nrevision_history = 0\n";
                place.namespace.config(&format!("{sandboxes}{deploy}"));
                place.deploy().run().exits(0);
                let llm = "[llm]\nmodel = \"openai/gpt-2\"\napi_key = \"sk-walk\"\n";
                place.namespace.config(&format!("{llm}{deploy}expose = \"none\"\n"));
            }
        }
    }
}

impl Moment {
    fn hold(self, point: &Point, place: &Place<'_>) -> HeldRequests {
        let (name, write) = (place.namespace.name.clone(), point.write.clone());
        let when =
            place.proxy.on(move |request| write_in(request, &name).as_ref() == Some(&write)).nth(point.nth);
        match self {
            Moment::Unsent => when.hold(),
            Moment::Unanswered => when.hold_response(),
        }
    }
}

/// `PATCH configmaps/oh-config-*`; None for what changes nothing, or nothing in this place.
fn write_in(request: &Request, place: &str) -> Option<String> {
    let path = request.path.split('?').next()?;
    if request.method == "GET" || path.contains("selfsubject") {
        return None;
    }
    let named = || request.json()["metadata"]["name"].as_str().map(str::to_owned);
    let parts: Vec<&str> = path.split('/').collect();
    let (namespace, plural, name) = match parts.as_slice() {
        [.., "namespaces"] => (named()?, "namespaces", String::new()),
        [.., "namespaces", namespace, plural] => ((*namespace).to_owned(), *plural, named()?),
        [.., "namespaces", namespace, plural, name] => ((*namespace).to_owned(), *plural, (*name).to_owned()),
        _ => return None,
    };
    let whose = match namespace.strip_prefix(place)? {
        "" => "",
        "-sandboxes" => " for sandboxes",
        _ => return None,
    };
    Some(format!("{} {plural}/{}{whose}", request.method, without_hash(&name)))
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

/// Objects without what differs between two undisturbed runs in two places. What a controller says of an object in
/// its status is left out: handsctl writes none.
fn normalised(mut objects: Vec<Value>, name: &str, sandboxes: &str) -> Vec<Value> {
    objects.retain(|object| {
        let metadata = &object["metadata"];
        metadata["name"] != LOOK_ALIKE && metadata["name"] != COPY && metadata["deletionTimestamp"].is_null()
    });
    let mut names: Vec<(String, String)> =
        vec![(sandboxes.to_owned(), "SANDBOXES".into()), (name.to_owned(), "APP".into())];
    names.push((set_id(name), "SET".into()));
    for object in &mut objects {
        open(object);
        names.extend(names_of(object, name));
        strip(object);
    }
    // One may be a part of another.
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

/// What a Secret of handsctl's own holds: a revision is unpacked, the random key is not looked at.
fn open(object: &mut Value) {
    if object["type"] == "handsctl.dev/key" {
        object["data"]["key"] = json!("random");
    }
    if object["type"] == "handsctl.dev/revision" {
        let packed = STANDARD.decode(object["data"]["plan"].as_str().unwrap()).unwrap();
        let mut plain = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut plain).unwrap();
        object["data"]["plan"] = serde_json::from_str(&plain).unwrap();
    }
}

/// Texts that stand for this object and are made by chance or from the names of the place, and what stands for them.
fn names_of(object: &Value, place: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
    let (name, uid) = (text(&metadata["name"]), text(&metadata["uid"]));
    let mut names = Vec::new();
    match kind.as_str() {
        "configmaps" | "secrets" if without_hash(&name) != name => {
            let mut hasher = DefaultHasher::new();
            object["data"].to_string().replace(place, "").hash(&mut hasher);
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

/// What the server, the scheduler and the clock fill in.
fn strip(object: &mut Value) {
    let remove = |value: Option<&mut Value>, keys: &[&str]| {
        if let Some(map) = value.and_then(Value::as_object_mut) {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
    };
    remove(object.pointer_mut(""), &["status"]);
    remove(object.pointer_mut("/metadata"), &["uid", "resourceVersion", "creationTimestamp"]);
    remove(object.pointer_mut("/metadata/annotations"), &["volume.kubernetes.io/selected-node"]);
    remove(object.pointer_mut("/spec"), &["clusterIP", "clusterIPs", "nodeName"]);
    if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        entries.retain(|entry| entry["subresource"].is_null());
        for entry in entries {
            remove(Some(entry), &["time"]);
        }
    }
}

fn sort_managers(object: &mut Value) {
    if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        entries.sort_by_key(|entry| [&entry["manager"], &entry["operation"]].map(Value::to_string));
    }
}

fn flatten(path: &str, value: &Value, state: &mut State) {
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

/// The writes of this place so far, in their order.
fn writes(place: &Place<'_>) -> Vec<String> {
    place.proxy.requests().iter().filter_map(|request| write_in(request, &place.namespace.name)).collect()
}

/// What the points of a walk are compared with.
struct Undisturbed<'a> {
    before: Before,
    place: Place<'a>,
    points: BTreeSet<Point>,
}

impl<'a> Undisturbed<'a> {
    fn run(proxy: &'a Proxy, before: Before) -> Self {
        let place = Place::new(proxy);
        before.prepare(&place);
        let earlier = writes(&place).len();
        place.deploy().run().exits(0);
        let mut points = BTreeSet::new();
        for write in writes(&place).split_off(earlier) {
            let nth = 1 + points.iter().filter(|point: &&Point| point.write == write).count();
            points.insert(Point { write, nth });
        }
        let count = writes(&place).len();
        place.deploy().run().exits(0);
        assert_eq!(writes(&place).split_off(count), Vec::<String>::new(), "it has done everything");
        Self { before, place, points }
    }

    /// At which points it is killed, and when. Requests for members are alike, so each of them is held at one of its
    /// two moments, in turn; all others at both.
    fn cases(&self) -> Vec<(&Point, Moment)> {
        let (members, others): (Vec<&Point>, Vec<&Point>) =
            self.points.iter().partition(|point| point.is_about_a_member());
        let in_turn = members.into_iter().zip([Moment::Unsent, Moment::Unanswered].into_iter().cycle());
        let both = others.into_iter().flat_map(|it| [(it, Moment::Unsent), (it, Moment::Unanswered)]);
        in_turn.chain(both).collect()
    }

    /// Kills a deploy here and looks at whether the next one comes to this state.
    fn kill(&self, state: &State, point: &Point, moment: Moment) {
        let place = Place::new(self.place.proxy);
        self.before.prepare(&place);
        place.plant(match self.before {
            Before::Nothing => &self.place,
            Before::AnotherSet => &place,
        });
        let (foreign, claim) = (place.foreign(), place.claim());
        let held = moment.hold(point, &place);
        let mut child = place.deploy().spawn();
        held.wait_for_request(LONG);
        child.kill().unwrap();
        child.wait().unwrap();
        // What is held stays held: nobody hears its answer any more, and the next run's requests are other ones.
        let what = format!("killed at {point:?}, {moment:?}");
        let earlier = writes(&place).len();
        place.deploy().run().exits(0);
        if place.is_locked() {
            // Nothing but the lock was left, and a run that writes nothing asks for none. One that writes takes it over.
            assert_eq!(writes(&place).split_off(earlier), Vec::<String>::new(), "{what}");
            place.namespace.bed.kubectl(&["delete", "service", "oh", "-n", &place.namespace.name]);
            place.deploy().run().exits(0).says("taken over from");
        }
        place.comes_to(|| state.clone(), &what);
        assert_eq!(place.foreign(), foreign, "{what}: somebody else's objects were touched");
        assert!(claim.is_none() || place.claim() == claim, "{what}: the claim is another one");
        held.release();
    }
}

impl Point {
    fn is_about_a_member(&self) -> bool {
        !self.write.contains("/handsctl-oh") && !self.write.contains(" namespaces/")
    }
}

/// Walks over every write of a deploy that begins with this; the points.
fn walk(before: Before) -> BTreeSet<Point> {
    let proxy = Proxy::for_cluster(Bed::shared());
    let undisturbed = Undisturbed::run(&proxy, before);
    let twin = Undisturbed::run(&proxy, before);
    assert_eq!(undisturbed.points, twin.points, "two undisturbed runs write the same");
    let state = undisturbed.place.comes_to(|| twin.place.state(), "two undisturbed runs in two places");
    let begun = Instant::now();
    let cases = undisturbed.cases();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((point, moment)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    undisturbed.kill(&state, point, *moment);
                }
            });
        }
    });
    eprintln!("{before:?}: killed {} times in {:?}", cases.len(), begun.elapsed());
    undisturbed.points.clone()
}

/// Panics where the walk did not come by one of these.
fn came_by(points: &BTreeSet<Point>, wanted: &[(&str, usize)]) {
    for (write, nth) in wanted {
        let point = Point { write: (*write).to_owned(), nth: *nth };
        assert!(points.contains(&point), "{point:?} is none of {points:#?}");
    }
}

#[test]
fn first_deploy_killed_at_any_write_is_completed() {
    let points = walk(Before::Nothing);
    let wanted = [
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
    came_by(&points, &wanted.map(|write| (write, 1)));
}

#[test]
fn changing_deploy_killed_at_any_write_is_completed() {
    let points = walk(Before::AnotherSet);
    let wanted = [
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
    came_by(&points, &wanted);
}
