//! `backup --snapshot` and `restore --snapshot` with the real definitions of `VolumeSnapshots` on a real API server. The test
//! plays the snapshot controller and the storage: it writes statuses, and creates the volumes.

use std::process::Child;
use std::sync::Once;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, finish, in_home};
use crate::fault::{ErrorResponse, Fault, Proxy, Request};

const DEFINITIONS: [&str; 3] = [
    include_str!("../fixtures/snapshots/volumesnapshotclasses.yaml"),
    include_str!("../fixtures/snapshots/volumesnapshotcontents.yaml"),
    include_str!("../fixtures/snapshots/volumesnapshots.yaml"),
];
const WAIT_LIMIT: Duration = Duration::from_secs(60);
const CLAIM: &str = "oh-state";

/// The storage of a namespace: its driver, with a storage class and volumes.
struct Storage {
    namespace: Namespace,
    /// Reads and records; it carries no request of a command unless the test asks for it.
    proxy: Proxy,
    /// The names of the driver and of both classes.
    driver: String,
}

impl Storage {
    /// Deploys the set with a volume of the driver.
    fn deployed(test: &str) -> Self {
        static INSTALL: Once = Once::new();
        let namespace = Bed::shared().namespace(test);
        let bed = namespace.bed;
        INSTALL.call_once(|| {
            for definition in DEFINITIONS {
                bed.kubectl_with(&["create", "-f", "-"], definition);
            }
            for plural in ["volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"] {
                let definition = format!("crd/{plural}.snapshot.storage.k8s.io");
                bed.kubectl(&["wait", "--for=condition=Established", &definition, "--timeout=30s"]);
                // Established definitions are not served at once: 429, the storage is initializing.
                wait(|| bed.try_kubectl(&["get", plural], "").status.success().then_some(()));
            }
        });
        let driver = format!("{}.csi.example.com", namespace.name);
        let storage = Self { proxy: Proxy::for_cluster(bed), namespace, driver };
        storage.apply(&json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": { "name": storage.driver }, "provisioner": storage.driver,
        }));
        storage.provision("1");
        let class = &storage.driver;
        storage.namespace.config(&format!("[deploy]\nstorage_class = \"{class}\"\nstorage_size = \"5Gi\"\n"));
        storage.namespace.handsctl(&["deploy"]).exits(0);
        storage
    }

    fn apply(&self, object: &Value) {
        self.namespace.bed.kubectl_with(&["apply", "-f", "-"], &object.to_string());
    }

    /// Creates a volume for the claim, which binds as soon as the claim exists.
    fn provision(&self, number: &str) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": { "name": format!("{}-{number}", self.driver) },
            "spec": {
                "capacity": { "storage": "5Gi" }, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": self.driver,
                "claimRef": { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": CLAIM, "namespace": self.namespace.name },
                "csi": { "driver": self.driver, "volumeHandle": number },
            },
        }));
    }

    fn create_class(&self) {
        self.apply(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": { "name": self.driver }, "driver": self.driver, "deletionPolicy": "Delete",
        }));
    }

    fn snapshots(&self) -> Vec<Value> {
        let path =
            format!("/apis/snapshot.storage.k8s.io/v1/namespaces/{}/volumesnapshots", self.namespace.name);
        self.proxy.get(&path).unwrap()["items"].as_array().unwrap().clone()
    }

    fn claim(&self) -> Value {
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims/{CLAIM}", self.namespace.name);
        self.proxy.get(&path).unwrap()
    }

    fn replicas(&self) -> Value {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/oh", self.namespace.name);
        self.proxy.get(&path).unwrap()["spec"]["replicas"].clone()
    }

    /// Waits for a snapshot and returns it.
    fn snapshot(&self) -> Value {
        wait(|| self.snapshots().pop())
    }

    /// Writes a snapshot's status.
    fn answer(&self, snapshot: &Value, status: &Value) {
        let name = snapshot["metadata"]["name"].as_str().unwrap();
        let patch = json!({ "status": status }).to_string();
        let arguments = ["patch", "volumesnapshot", name, "-n", &self.namespace.name, "--subresource=status"];
        self.namespace.bed.kubectl(&[&arguments[..], &["--type=merge", "-p", &patch]].concat());
    }

    /// Creates the content of a snapshot.
    fn create_content(&self, snapshot: &Value) -> String {
        let name = format!("content-{}", snapshot["metadata"]["uid"].as_str().unwrap());
        self.apply(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
            "metadata": { "name": name },
            "spec": {
                "deletionPolicy": "Delete", "driver": self.driver, "source": { "volumeHandle": "1" },
                "volumeSnapshotRef": { "name": snapshot["metadata"]["name"], "namespace": self.namespace.name },
            },
        }));
        name
    }

    /// Takes a snapshot of the running application and returns its name.
    fn taken(&self) -> String {
        let run = self.namespace.command(&["backup", "--snapshot"]).spawn_in_background();
        let snapshot = self.snapshot();
        let content = self.create_content(&snapshot);
        self.answer(&snapshot, &ready(&content));
        run.finish().exits(0);
        snapshot["metadata"]["name"].as_str().unwrap().to_owned()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let bed = self.namespace.bed;
        let mut objects: Vec<String> =
            ["1", "2"].iter().map(|number| format!("persistentvolume/{}-{number}", self.driver)).collect();
        for kind in ["storageclass", "volumesnapshotclass"] {
            objects.push(format!("{kind}/{}", self.driver));
        }
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        let delete = [&["delete", "--ignore-not-found", "--wait=false"], objects.as_slice()].concat();
        let _deleted_already = bed.try_kubectl(&delete, "");
    }
}

fn wait<T>(mut read: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(value) = read() {
            return value;
        }
        assert!(Instant::now() < end, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ready(content: &str) -> Value {
    json!({ "readyToUse": true, "restoreSize": "5Gi", "boundVolumeSnapshotContentName": content,
        "creationTime": "2026-01-01T12:00:00Z" })
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn snapshot_of_stopped_application_is_taken_and_restored() {
    let storage = Storage::deployed("snapshot");
    let namespace = &storage.namespace;
    storage.create_class();
    let backup = namespace.command(&["backup", "--snapshot", "--stop"]).spawn_in_background();
    let snapshot = storage.snapshot();
    let name = snapshot["metadata"]["name"].as_str().unwrap();
    assert_eq!(storage.replicas(), 0, "it is taken while the application is stopped");
    assert_eq!(snapshot["spec"]["volumeSnapshotClassName"], storage.driver.as_str());
    assert_eq!(snapshot["spec"]["source"]["persistentVolumeClaimName"], CLAIM);
    assert_eq!(snapshot["metadata"]["annotations"]["handsctl.dev/revision"], "1");
    let content = storage.create_content(&snapshot);
    let mut status = ready(&content);
    status["readyToUse"] = json!(false);
    storage.answer(&snapshot, &status);
    // The application starts as soon as the content is captured.
    wait(|| (storage.replicas() == 1).then_some(()));
    storage.answer(&snapshot, &ready(&content));
    let backup = backup.finish().exits(0).says("volume claim oh-state, restore size 5Gi");
    backup.says("consistent: the application was stopped").says(&format!("--snapshot {name} --delete-data"));

    let context = ["--context", namespace.bed.context.as_str(), "-n", &namespace.name, "--name", "oh"];
    let words = [&["__complete", "fish"], &context[..], &["restore", "--snapshot", ""]].concat();
    let completed = in_home(namespace.folder.path(), &words).env("HANDSCTL_COMPLETION_LIMIT", "30s");
    completed.env("KUBECONFIG", &namespace.bed.kubeconfig).run().exits(0).prints(name);

    // Refusals change nothing.
    let before = storage.claim()["metadata"]["resourceVersion"].clone();
    let restore = ["restore", "--snapshot", name];
    namespace
        .handsctl(&restore)
        .exits(2)
        .says("HC5032")
        .says("volume claim oh-state exists")
        .says("--delete-data");
    namespace.handsctl(&["restore", "--snapshot", "absent"]).exits(2).says("HC5038").says(name);
    let forced = [&restore[..], &["--delete-data", "--yes"]].concat();
    storage.answer(&snapshot, &json!({ "restoreSize": "6Gi" }));
    namespace.handsctl(&forced).exits(2).says("it needs 6Gi, and the volume claim requests 5Gi");
    storage.answer(&snapshot, &json!({ "boundVolumeSnapshotContentName": "gone" }));
    namespace.handsctl(&forced).exits(2).says("its content in the storage is gone");
    storage.answer(&snapshot, &ready(&content));
    assert_eq!((&storage.claim()["metadata"]["resourceVersion"], storage.replicas()), (&before, json!(1)));

    let old = storage.claim();
    storage.provision("2");
    namespace.handsctl(&forced).exits(0).says(&format!("restored volume snapshot {name}"));
    let claim = storage.claim();
    assert_ne!(claim["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(claim["metadata"]["labels"], old["metadata"]["labels"]);
    let source = json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name });
    assert_eq!((&claim["spec"]["dataSource"], &claim["status"]["phase"]), (&source, &json!("Bound")));
    let fields = claim["metadata"]["managedFields"].as_array().unwrap();
    let restored: Vec<&Value> = fields
        .iter()
        .filter(|entry| entry["manager"] == "handsctl-restore")
        .map(|entry| &entry["fieldsV1"])
        .collect();
    assert_eq!(restored, [&json!({ "f:spec": { "f:dataSource": {} } })], "a deploy does not own the source");

    // No later deploy removes the source or replaces the claim.
    namespace.handsctl(&["deploy"]).exits(0).says(" 0 to send");
    namespace.handsctl(&["diff"]).exits(0);
    namespace.handsctl(&["deploy", "--set", "core.max_iterations=9"]).exits(0);
    let after = storage.claim();
    assert_eq!(after["metadata"]["uid"], claim["metadata"]["uid"]);
    assert_eq!(after["spec"]["dataSource"], source);

    // A teardown keeps the snapshot, also with the data deleted.
    let teardown = namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    teardown.says(&format!("volumesnapshot.snapshot.storage.k8s.io/{name}"));
    assert_eq!(storage.snapshots().len(), 1);
}

#[test]
fn snapshot_that_is_not_taken_leaves_nothing() {
    let storage = Storage::deployed("snapshot-failed");
    let namespace = &storage.namespace;
    // Without a class, and without the API.
    let refused = namespace.handsctl(&["backup", "--snapshot"]).exits(14).says("HC5036");
    refused.says(&format!("no VolumeSnapshotClass is of the volume's driver {}", storage.driver));
    let is_group = |request: &Request| request.is("GET", "/apis/snapshot.storage.k8s.io/v1");
    storage.proxy.on(is_group).inject(Fault::Respond(ErrorResponse::NotFound));
    for arguments in
        [&["backup", "--snapshot"][..], &["restore", "--snapshot", "x", "--delete-data", "--yes"]]
    {
        let run = storage.proxy.command(namespace, arguments).run().exits(14).says("HC5036");
        run.says("the cluster has no VolumeSnapshots; nothing was changed")
            .says("FILE copies the files of the volume instead");
    }
    storage.create_class();

    let run = namespace.command(&["backup", "--snapshot"]).spawn_in_background();
    let snapshot = storage.snapshot();
    storage
        .answer(&snapshot, &json!({ "readyToUse": false, "error": { "message": "no space in the pool" } }));
    run.finish().exits(8).says("HC5037").says("was not taken: no space in the pool");
    assert_eq!(storage.snapshots(), [] as [Value; 0]);

    let child = namespace.command(&["backup", "--snapshot", "--stop"]).spawn();
    storage.snapshot();
    assert_eq!(storage.replicas(), 0);
    interrupt(&child);
    finish(child).exits(130);
    assert_eq!(storage.snapshots(), [] as [Value; 0]);
    assert_eq!(storage.replicas(), 1);
    assert!(!namespace.has("lease/handsctl-oh"));
}

#[test]
fn interrupted_restore_of_snapshot_completes_the_claim() {
    let storage = Storage::deployed("snapshot-interrupted");
    let namespace = &storage.namespace;
    storage.create_class();
    let name = storage.taken();
    storage.provision("2");
    let old = storage.claim();
    let is_creation = |request: &Request| request.is("PATCH", "/persistentvolumeclaims/oh-state");
    let held = storage.proxy.on(is_creation).hold();
    let restore = ["restore", "--snapshot", &name, "--delete-data", "--yes"];
    let child = storage.proxy.command(namespace, &restore).spawn();
    held.wait_for_request(WAIT_LIMIT);
    interrupt(&child);
    held.release();
    finish(child).exits(130);
    let claim = storage.claim();
    assert_ne!(claim["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(claim["spec"]["dataSource"]["name"], name.as_str());
    assert_eq!(storage.replicas(), 1);
    namespace.handsctl(&["deploy"]).exits(0);
    assert_eq!(storage.claim()["metadata"]["uid"], claim["metadata"]["uid"]);
}
