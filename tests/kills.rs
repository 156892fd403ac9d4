//! A run that is killed, at every point between two requests that change something: the next one ends where an
//! undisturbed one would have, and nothing of anybody else's is touched.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};
use crate::fault::{Proxy, Request};

const PATIENCE: Duration = Duration::from_secs(60);
const KINDS: &str = "serviceaccounts,roles,rolebindings,configmaps,secrets,persistentvolumeclaims,deployments,services,ingresses,networkpolicies,leases";
const FIRST: &str = "[llm]\napi_key = \"k\"\n";
const CHANGED: &str = "[llm]\napi_key = \"l\"\nmodel = \"a/b\"\n[deploy]\nexpose = \"none\"\n";

/// Where a run is killed.
#[derive(Clone, Copy)]
struct Point {
    /// The request that is held: method and the end of its path.
    method: &'static str,
    path: &'static str,
    /// A part of its body, where the path does not tell.
    body: &'static str,
    /// Whether the server has acted already and only its answer is held.
    acted: bool,
}

const fn point(method: &'static str, path: &'static str, acted: bool) -> Point {
    Point { method, path, body: "", acted }
}

/// A first deploy: lock, key, superset, revision, members, result, lock.
const ON_NOTHING: &[Point] = &[
    point("POST", "/leases", false),
    point("POST", "/leases", true),
    Point { body: "handsctl.dev/key", ..point("POST", "/secrets", true) },
    point("PATCH", "/configmaps/handsctl-oh", false),
    point("PATCH", "/configmaps/handsctl-oh", true),
    Point { body: "handsctl.dev/revision", ..point("POST", "/secrets", false) },
    // Between superset and first member.
    Point { body: "handsctl.dev/revision", ..point("POST", "/secrets", true) },
    point("PATCH", "/serviceaccounts/oh", false),
    point("PATCH", "/roles/oh", true),
    point("PATCH", "/deployments/oh", false),
    point("PATCH", "/deployments/oh", true),
    point("PATCH", "/secrets/handsctl-oh-r1", false),
    point("PATCH", "/secrets/handsctl-oh-r1", true),
    point("DELETE", "/leases/handsctl-oh", false),
];

/// A deploy of something else, without the Ingress.
const ON_ANOTHER: &[Point] = &[
    point("POST", "/leases", true),
    Point { body: "handsctl.dev/revision", ..point("POST", "/secrets", true) },
    point("PATCH", "/deployments/oh", false),
    point("PATCH", "/deployments/oh", true),
    // Before prune.
    point("DELETE", "/ingresses/oh", false),
    // Between prune and exact.
    point("DELETE", "/ingresses/oh", true),
    point("PATCH", "/configmaps/handsctl-oh", false),
    point("PATCH", "/configmaps/handsctl-oh", true),
    point("PATCH", "/secrets/handsctl-oh-r2", false),
    point("DELETE", "/leases/handsctl-oh", true),
];

impl Point {
    fn is(&self, request: &Request) -> bool {
        let body = String::from_utf8_lossy(&request.body);
        request.is(self.method, self.path) && body.contains(self.body)
    }

    fn name(&self) -> String {
        let when = if self.acted { "after" } else { "before" };
        format!("{when} {} …{} {}", self.method, self.path, self.body)
    }
}

/// Everything of the set and everything of others, without what differs between two namespaces.
fn state(namespace: &Namespace) -> BTreeMap<String, Value> {
    let arguments = ["get", KINDS, "-n", &namespace.name, "-o", "json", "--show-managed-fields"];
    let text = namespace.bed.kubectl(&arguments).replace(&namespace.name, "NAMESPACE");
    // The namespace's name stands in the configuration, and so goes into its hash; the key of the other is random.
    let hashes = [("applyset-", 46), ("oh-config-", 10), ("oh-env-", 10)];
    let text = hashes.iter().fold(text, |text, (prefix, length)| without_tail(&text, prefix, *length));
    let list: Value = serde_json::from_str(&text).unwrap();
    let of_every_namespace = ["kube-root-ca.crt", "default"].map(Value::from);
    let items = list["items"].as_array().unwrap().iter();
    items.filter(|item| !of_every_namespace.contains(&item["metadata"]["name"])).map(normal).collect()
}

/// Cuts this many characters behind each occurrence: a hash.
fn without_tail(text: &str, prefix: &str, length: usize) -> String {
    let mut parts = text.split(prefix);
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + prefix + part.get(length..).unwrap_or_default())
}

fn normal(object: &Value) -> (String, Value) {
    let mut object = object.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let configuration = text(&object["data"]["config.toml"]);
    let name = format!("{}/{} {configuration}", text(&object["kind"]), text(&object["metadata"]["name"]));
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for own in ["uid", "resourceVersion", "creationTimestamp", "generation", "finalizers"] {
        metadata.remove(own);
    }
    // What controllers write comes when it comes.
    let entries = metadata.remove("managedFields").unwrap_or_default();
    let ours = entries.as_array().into_iter().flatten().filter(|entry| entry["manager"] == "handsctl");
    let ours: Vec<Value> =
        ours.map(|entry| json!([entry["operation"], entry["subresource"], entry["fieldsV1"]])).collect();
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| {
            name.starts_with("handsctl.dev/") || name.starts_with("applyset.kubernetes.io/")
        });
    }
    metadata.insert("ours".to_owned(), Value::Array(ours));
    match object["kind"].as_str().unwrap() {
        "Service" => {
            for own in ["clusterIP", "clusterIPs"] {
                object["spec"].as_object_mut().unwrap().remove(own);
            }
        }
        "PersistentVolumeClaim" => {
            object["spec"].as_object_mut().unwrap().remove("volumeName");
        }
        // The key is random, and a revision is compressed.
        "Secret" => {
            object.as_object_mut().unwrap().remove("data");
        }
        _ => {}
    }
    (name, object)
}

/// Objects of somebody else's, which look like ours.
fn plant(namespace: &Namespace) {
    let look_alike = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "look-alike", "labels": {
            "app.kubernetes.io/name": "openhands", "app.kubernetes.io/instance": "oh",
            "app.kubernetes.io/managed-by": "handsctl",
        } },
    });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &look_alike.to_string());
}

/// A copy of a member, as people make them.
fn copy(namespace: &Namespace) {
    let text = namespace.bed.kubectl(&["get", "ingress", "oh", "-n", &namespace.name, "-o", "yaml"]);
    let text = text.replace("\n  name: oh\n", "\n  name: copy\n");
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &text);
}

/// Theirs, to the byte.
fn theirs(namespace: &Namespace) -> String {
    let arguments = ["get", "configmap/look-alike", "-n", &namespace.name, "-o", "json"];
    let copy = ["get", "ingress/copy", "-n", &namespace.name, "-o", "json", "--ignore-not-found"];
    namespace.bed.kubectl(&arguments) + &namespace.bed.kubectl(&copy)
}

/// A namespace in which the run that is watched is about to begin.
fn prepared(proxy: &Proxy, points: &[Point]) -> Namespace {
    let namespace = Bed::shared().namespace("kill");
    namespace.make(&[]);
    plant(&namespace);
    namespace.config(FIRST);
    if std::ptr::eq(points, ON_ANOTHER) {
        proxy.command(&namespace, &["deploy"]).run().exits(0);
        copy(&namespace);
        namespace.config(CHANGED);
    }
    namespace
}

/// Kills a run there, runs it again, and gives what is then different from what an undisturbed one makes.
fn walk(point: &Point, points: &[Point], expected: &BTreeMap<String, Value>) -> Result<(), String> {
    let proxy = Proxy::before(Bed::shared());
    let namespace = prepared(&proxy, points);
    let before = theirs(&namespace);
    let wanted = *point;
    let when = proxy.on(move |request| wanted.is(request)).nth(1);
    let held = if point.acted { when.hold_answer() } else { when.hold() };
    let mut child = proxy.command(&namespace, &["deploy"]).spawn();
    held.reached(PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
    held.release();
    let run = proxy.command(&namespace, &["deploy"]).run();
    if run.code != Some(0) {
        return Err(format!("{}: exit {:?}\n{}", point.name(), run.code, run.stderr));
    }
    if theirs(&namespace) != before {
        return Err(format!("{}: somebody else's object was changed", point.name()));
    }
    let mut found = state(&namespace);
    // The lock of a run that was killed after its last write: a run that has nothing to write asks for none.
    found.remove("Lease/handsctl-oh ");
    let names = expected.keys().chain(found.keys());
    let different: Vec<&String> = names.filter(|name| expected.get(*name) != found.get(*name)).collect();
    if different.is_empty() {
        // Whatever is left of the lock keeps nobody away.
        let run = proxy.command(&namespace, &["teardown"]).run();
        let gone = run.code == Some(0) && !state(&namespace).contains_key("Lease/handsctl-oh ");
        return if gone { Ok(()) } else { Err(format!("{}: {}", point.name(), run.stderr)) };
    }
    let show = |name: &&String| {
        let of = |state: &BTreeMap<String, Value>| state.get(*name).map_or("-".to_owned(), Value::to_string);
        format!("{name}\n  undisturbed {}\n  killed      {}", of(expected), of(&found))
    };
    let shown: Vec<String> = different.iter().map(show).collect();
    Err(format!("{}:\n{}", point.name(), shown.join("\n")))
}

/// All points of a scenario, four at a time.
fn walk_all(points: &[Point]) {
    let proxy = Proxy::before(Bed::shared());
    let namespace = prepared(&proxy, points);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let expected = state(&namespace);
    assert!(expected.contains_key("Deployment/oh ") && !expected.contains_key("Lease/handsctl-oh "));
    // Every point is one that an undisturbed run passes.
    for point in points {
        assert!(proxy.requests().iter().any(|request| point.is(request)), "{}", point.name());
    }
    let queue = Mutex::new(points.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(point) = queue.lock().unwrap().next() else { return };
                    let outcome = walk(point, points, &expected);
                    failures.lock().unwrap().extend(outcome.err());
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), points.len(), failures.join("\n\n"));
}

#[test]
fn a_first_deploy_that_is_killed_anywhere_is_completed_by_the_next_one() {
    if Bed::is_off("a_first_deploy_that_is_killed_anywhere_is_completed_by_the_next_one") {
        return;
    }
    walk_all(ON_NOTHING);
}

#[test]
fn a_deploy_that_prunes_and_is_killed_anywhere_is_completed_by_the_next_one() {
    if Bed::is_off("a_deploy_that_prunes_and_is_killed_anywhere_is_completed_by_the_next_one") {
        return;
    }
    walk_all(ON_ANOTHER);
}
