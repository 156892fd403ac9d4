//! What the simulated kubelets report.

use std::fmt::Debug;
use std::io::Write as _;
use std::time::{Duration, Instant};

use handsctl::provider::kwok::objects;
use handsctl::provider::{ControlPlaneComponent, StartOutcome};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Bed, client, kill, wanted};

/// Long enough for a busy computer.
const SOON: Duration = Duration::from_secs(60);

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Watches an object until it is as it should be, and returns it; null when it does not exist.
async fn until<K>(api: &Api<K>, name: &str, good: impl Fn(&Value) -> bool) -> Value
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let condition = |object: Option<&K>| good(&serde_json::to_value(object).unwrap());
    let seen = Box::pin(await_condition(api.clone(), name, condition));
    if let Ok(object) = tokio::time::timeout(SOON, seen).await {
        return serde_json::to_value(object.unwrap()).unwrap();
    }
    panic!("{name} is not as it should be: {:#?}", api.get_opt(name).await)
}

fn condition<'a>(object: &'a Value, name: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .find(|it| it["type"] == name)
        .and_then(|it| it["status"].as_str())
        .unwrap_or_default()
}

fn ready(object: &Value) -> bool {
    condition(object, "Ready") == "True"
}

/// A namespaced API in `default`.
fn api<K>(client: &Client) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), "default")
}

/// A running cluster with its nodes.
async fn cluster(bed: &Bed, name: &str) -> Client {
    let client = client(&bed.up(&wanted(name)).await.unwrap()).await;
    let nodes = Api::<Node>::all(client.clone());
    for object in objects(name, 1) {
        match object["kind"].as_str().unwrap() {
            "Node" => create(&nodes, object).await,
            _ => create(&Api::<StorageClass>::all(client.clone()), object).await,
        }
    }
    for node in [format!("{name}-node"), format!("{name}-worker-1")] {
        until(&nodes, &node, ready).await;
    }
    until(&api::<ServiceAccount>(&client), "default", |account| !account.is_null()).await;
    client
}

async fn pod(client: &Client, name: &str, annotations: Value, spec: Value) {
    let metadata = json!({"name": name, "annotations": annotations});
    create(&api::<Pod>(client), json!({"metadata": metadata, "spec": spec})).await;
}

async fn events_of(client: &Client, name: &str) -> Vec<(String, String)> {
    let selected = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let events = api::<Event>(client).list(&selected).await.unwrap();
    events.into_iter().map(|event| (event.reason.unwrap(), event.message.unwrap())).collect()
}

#[tokio::test]
async fn simulated_kubelet_runs_pods_volumes_and_jobs() {
    let bed = Bed::new(&["stages"]);
    let client = cluster(&bed, "stages").await;
    tokio::join!(
        a_pod_with_everything_becomes_ready_and_shows_its_log(&bed, &client),
        a_claim_gets_a_volume_that_goes_with_it(&client),
        a_job_succeeds(&client),
        an_image_that_cannot_be_pulled(&client),
        a_container_that_crashes(&client),
    );
    after_a_restart_pods_start_again(&bed, &client).await;
}

async fn a_pod_with_everything_becomes_ready_and_shows_its_log(bed: &Bed, client: &Client) {
    let pods = api::<Pod>(client);
    let spec = json!({
        "initContainers": [
            {"name": "first", "image": "busybox:1"},
            {"name": "sidecar", "image": "busybox:1", "restartPolicy": "Always"},
        ],
        "containers": [
            {"name": "app", "image": "host:5000/app:1", "readinessProbe": {"httpGet": {"port": 3000}}},
            {"name": "more", "image": "more@sha256:0000000000000000000000000000000000000000000000000000000000000000"},
        ],
        "readinessGates": [{"conditionType": "example.com/gate"}],
    });
    pod(client, "whole", json!({}), spec).await;
    let seen = until(&pods, "whole", ready).await;
    for name in ["PodReadyToStartContainers", "Initialized", "ContainersReady", "example.com/gate"] {
        assert_eq!(condition(&seen, name), "True", "{name}");
    }
    let status = &seen["status"];
    assert_eq!(status["phase"], "Running");
    assert!(status["podIP"].as_str().unwrap().starts_with("198.18."), "{status}");
    assert_eq!(status["hostIP"], "127.0.0.1");
    assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    assert!(status["initContainerStatuses"][1]["state"]["running"].is_object());
    assert_eq!(status["containerStatuses"].as_array().unwrap().len(), 2);
    assert!(status["containerStatuses"][0]["imageID"].as_str().unwrap().starts_with("host:5000/app@sha256:"));

    let log = super::look(&bed.environment, "stages").1.pod_log;
    let mut log = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    writeln!(log, "2026-01-02T03:04:05.0Z stdout F hello").unwrap();
    let params = LogParams { container: Some("app".into()), ..LogParams::default() };
    assert_eq!(pods.logs("whole", &params).await.unwrap(), "hello\n");

    pods.delete("whole", &DeleteParams::default()).await.unwrap();
    until(&pods, "whole", Value::is_null).await;
}

async fn a_claim_gets_a_volume_that_goes_with_it(client: &Client) {
    let claims = api::<PersistentVolumeClaim>(client);
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    create(&claims, json!({"metadata": {"name": "data"}, "spec": spec})).await;
    let spec = json!({
        "containers": [{"name": "app", "image": "busybox:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    });
    pod(client, "with-data", json!({}), spec).await;
    until(&api::<Pod>(client), "with-data", ready).await;
    let bound = until(&claims, "data", |claim| claim["status"]["phase"] == "Bound").await;
    let volume = bound["spec"]["volumeName"].as_str().unwrap();
    api::<Pod>(client).delete("with-data", &DeleteParams::default()).await.unwrap();
    claims.delete("data", &DeleteParams::default()).await.unwrap();
    until(&Api::<PersistentVolume>::all(client.clone()), volume, Value::is_null).await;
}

async fn a_job_succeeds(client: &Client) {
    let template =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "work", "image": "busybox:1"}]}});
    let jobs = api::<Job>(client);
    create(&jobs, json!({"metadata": {"name": "work"}, "spec": {"template": template}})).await;
    until(&jobs, "work", |job| condition(job, "Complete") == "True").await;
}

async fn an_image_that_cannot_be_pulled(client: &Client) {
    let chosen = json!({"handsctl.dev/simulate": "image-pull-backoff"});
    pod(client, "unpullable", chosen, json!({"containers": [{"name": "app", "image": "app:9"}]})).await;
    let reason = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    let pods = api::<Pod>(client);
    until(&pods, "unpullable", |pod| reason(pod) == "ErrImagePull").await;
    let seen = until(&pods, "unpullable", |pod| reason(pod) == "ImagePullBackOff").await;
    let message = seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Back-off pulling image \"app:9\": ErrImagePull: rpc error: code = NotFound"),
        "{message}"
    );
    let events = events_of(client, "unpullable").await;
    assert!(
        events.iter().any(|(reason, text)| reason == "Failed" && text.contains("not found")),
        "{events:?}"
    );
}

async fn a_container_that_crashes(client: &Client) {
    let image = "registry.example:5000/team/simulate-crash-loop-backoff:1";
    let fast = json!({"handsctl.dev/backoff": "300ms"});
    pod(client, "crashing", fast, json!({"containers": [{"name": "app", "image": image}]})).await;
    let seen = until(&api::<Pod>(client), "crashing", |pod| {
        let container = &pod["status"]["containerStatuses"][0];
        container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            && container["restartCount"].as_i64() >= Some(3)
    })
    .await;
    let last = &seen["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(1), &json!("Error")));
    assert_eq!(condition(&seen, "Ready"), "False");
    let events = events_of(client, "crashing").await;
    assert!(
        events.iter().any(|(reason, text)| reason == "BackOff" && text.contains("container app")),
        "{events:?}"
    );
}

async fn after_a_restart_pods_start_again(bed: &Bed, client: &Client) {
    for component in ControlPlaneComponent::ALL {
        kill(bed.pid("stages", component).unwrap());
    }
    while super::look(&bed.environment, "stages").1.processes.iter().any(|process| process.pid.is_some()) {}
    let begin = Instant::now();
    assert_eq!(bed.up(&wanted("stages")).await.unwrap().outcome, StartOutcome::Restarted);
    pod(client, "after", json!({}), json!({"containers": [{"name": "app", "image": "busybox:1"}]})).await;
    until(&api::<Pod>(client), "after", ready).await;
    let took = begin.elapsed();
    eprintln!("a pod is ready {took:?} after a restart began");
    assert!(took < Duration::from_secs(10), "kwok waited for the leases of its predecessor: {took:?}");
}
