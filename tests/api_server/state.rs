//! State outside of the application's volume, and pods that share it.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};

const SHARED: &str = "[deploy]\nimage = \"acme/openhands:1.6\"\n\
    [deploy.storage]\nkind = \"s3\"\nbucket = \"hands\"\nendpoint = \"http://minio:9000\"\n\
    [deploy.storage.credentials]\naccess_key_id = { env = \"S3_ID\" }\nsecret_access_key = { secret = \"s3\", key = \"secret\" }\n\
    [deploy.database]\nhost = \"db.example.com\"\nport = 6432\npassword = { env = \"DB\" }\nssl_mode = \"verify-full\"\n";

fn deployment(namespace: &Namespace) -> Value {
    namespace.bed.get(&["deployment", "oh", "-n", &namespace.name])
}

fn variable(deployment: &Value, name: &str) -> Value {
    let variables = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let entry = variables.as_array().unwrap().iter().find(|variable| variable["name"] == name);
    entry.unwrap_or_else(|| panic!("no {name} in {variables}")).clone()
}

fn deploy(namespace: &Namespace) -> crate::bed::Run {
    namespace.command(&["deploy"]).env("S3_ID", "planted-id").env("DB", "planted-password").run()
}

#[test]
fn shared_state_needs_no_volume_and_supports_autoscaling() {
    let namespace = Bed::shared().namespace("shared-state");
    let bed = namespace.bed;
    // The first deploy has a volume, which is kept.
    namespace.config("[deploy]\nimage = \"acme/openhands:1.6\"\n");
    deploy(&namespace).exits(0);
    bed.kubectl(&["create", "secret", "generic", "s3", "--from-literal=secret=x", "-n", &namespace.name]);
    namespace.config(&format!("{SHARED}[deploy.autoscaling]\nmin = 2\nmax = 4\n"));
    deploy(&namespace)
        .exits(0)
        .says("HC0226")
        // The autoscaler scales to two later.
        .says("deployment.apps/oh 1/1")
        .says("--delete-data deletes it")
        .never_says("planted-");

    let live = deployment(&namespace);
    for (name, value) in [
        ("FILE_STORE", "s3"),
        ("FILE_STORE_PATH", "hands"),
        ("AWS_S3_ENDPOINT", "http://minio:9000"),
        ("AWS_S3_SECURE", "false"),
        ("DB_HOST", "db.example.com"),
        ("DB_PORT", "6432"),
        ("PGSSLMODE", "verify-full"),
    ] {
        assert_eq!(variable(&live, name)["value"], value, "{name}");
    }
    let key_of = |name: &str| variable(&live, name)["valueFrom"]["secretKeyRef"].clone();
    assert_eq!(key_of("AWS_SECRET_ACCESS_KEY"), json!({ "name": "s3", "key": "secret" }));
    assert_eq!(key_of("DB_PASS")["key"], "DB_PASS");
    let volumes = live["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|volume| volume["name"] == "state" && volume["emptyDir"].is_object()));
    let scaler = bed.get(&["hpa", "oh", "-n", &namespace.name]);
    assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], "oh");
    assert_eq!((&scaler["spec"]["minReplicas"], &scaler["spec"]["maxReplicas"]), (&json!(2), &json!(4)));

    // The number of replicas stays the autoscaler's, also when another field changes.
    bed.kubectl(&["scale", "deployment", "oh", "--replicas=4", "-n", &namespace.name]);
    deploy(&namespace).exits(0).says("unchanged");
    namespace.config(&format!("{SHARED}[deploy.autoscaling]\nmin = 2\nmax = 4\n[deploy.env]\nA = \"b\"\n"));
    deploy(&namespace).exits(0).says("deployment.apps/oh 4/4");
    assert_eq!(deployment(&namespace)["spec"]["replicas"], 4);

    // Without an autoscaler the configured number of replicas applies again, and the autoscaler is pruned.
    namespace.config(SHARED);
    namespace
        .command(&["deploy", "--force-conflicts"])
        .env("S3_ID", "planted-id")
        .env("DB", "planted-password")
        .run()
        .exits(0)
        .says("deployment.apps/oh 1/1");
    let get = bed.try_kubectl(&["get", "hpa", "oh", "-n", &namespace.name], "");
    assert!(String::from_utf8_lossy(&get.stderr).contains("NotFound"), "{get:?}");
}

#[test]
fn claim_binds_to_configured_volume() {
    let namespace = Bed::shared().namespace("static-volume");
    let (bed, name) = (namespace.bed, format!("{}-volume", namespace.name));
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name },
        "spec": {
            "capacity": { "storage": "7Gi" }, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "nfs": { "server": "nfs.example.com", "path": "/hands" },
        },
    });
    bed.kubectl_with(&["apply", "-f", "-"], &volume.to_string());
    namespace.config(&format!("[deploy]\nvolume = \"{name}\"\nstorage_size = \"7Gi\"\n"));
    namespace.handsctl(&["deploy"]).exits(0).says("persistentvolumeclaim/oh-state Bound");
    let claim = bed.get(&["pvc", "oh-state", "-n", &namespace.name]);
    assert_eq!((&claim["spec"]["volumeName"], &claim["status"]["phase"]), (&json!(name), &json!("Bound")));
    assert_eq!(claim["spec"]["storageClassName"], "", "not the default class");
    namespace.handsctl(&["deploy"]).exits(0).says(" 0 to send");
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    // The volume belongs to the administrator.
    assert_eq!(bed.get(&["pv", &name])["metadata"]["name"], name.as_str());
    bed.kubectl(&["delete", "pv", &name, "--wait=false"]);
}

#[test]
fn google_cloud_key_is_mounted_as_file() {
    let namespace = Bed::shared().namespace("google");
    namespace.config(
        "[deploy.storage]\nkind = \"google_cloud\"\nbucket = \"b\"\ncredentials = { key_json = { file = \"key.json\" } }\n",
    );
    std::fs::write(namespace.folder.path().join("key.json"), "{\"planted\": 1}\n").unwrap();
    namespace.handsctl(&["deploy"]).exits(0).never_says("planted");
    let live = deployment(&namespace);
    assert_eq!(variable(&live, "GOOGLE_APPLICATION_CREDENTIALS")["value"], "/var/secrets/google/key.json");
    let pod = &live["spec"]["template"]["spec"];
    let volume =
        pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "google-cloud-key");
    let secret = &volume.unwrap()["secret"];
    assert_eq!(secret["items"], json!([{ "key": "key.json", "path": "key.json" }]));
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts.iter().any(|mount| mount["mountPath"] == "/var/secrets/google" && mount["readOnly"] == true)
    );
    let stored =
        namespace.bed.get(&["secret", secret["secretName"].as_str().unwrap(), "-n", &namespace.name]);
    let key = base64::engine::general_purpose::STANDARD.decode(stored["data"]["key.json"].as_str().unwrap());
    assert_eq!(key.unwrap(), b"{\"planted\": 1}");
}
