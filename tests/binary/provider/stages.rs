//! The reports of simulated kubelets.

use std::fmt::Debug;
use std::io::Write as _;
use std::time::{Duration, Instant};

use handsctl::provider::kwok::objects;
use handsctl::provider::{ControlPlaneComponent, StartOutcome};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Fixture, client, kill, spec};

/// Time limit of each wait, on a busy computer.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Watches an object until the condition holds, and returns it; null if it does not exist.
async fn wait_for<K>(api: &Api<K>, name: &str, holds: impl Fn(&Value) -> bool) -> Value
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let condition = |object: Option<&K>| holds(&serde_json::to_value(object).unwrap());
    let waiting = Box::pin(await_condition(api.clone(), name, condition));
    if let Ok(object) = tokio::time::timeout(WAIT_LIMIT, waiting).await {
        return serde_json::to_value(object.unwrap()).unwrap();
    }
    panic!("{name} does not reach the expected state: {:#?}", api.get_opt(name).await)
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

/// The API of a namespaced kind in `default`.
fn api<K>(client: &Client) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), "default")
}

/// Creates a cluster and waits for its nodes.
async fn cluster(fixture: &Fixture, name: &str) -> Client {
    let client = client(&fixture.up(&spec(name)).await.unwrap()).await;
    let nodes = Api::<Node>::all(client.clone());
    for object in objects(name, 1) {
        match object["kind"].as_str().unwrap() {
            "Node" => create(&nodes, object).await,
            _ => create(&Api::<StorageClass>::all(client.clone()), object).await,
        }
    }
    for node in [format!("{name}-node"), format!("{name}-worker-1")] {
        wait_for(&nodes, &node, ready).await;
    }
    wait_for(&api::<ServiceAccount>(&client), "default", |account| !account.is_null()).await;
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
    let fixture = Fixture::new(&["stages"]);
    let client = cluster(&fixture, "stages").await;
    tokio::join!(
        pod_with_sidecar_becomes_ready_and_has_logs(&fixture, &client),
        claim_gets_a_volume_and_both_are_deleted(&client),
        job_succeeds(&client),
        missing_image_is_not_pulled(&client),
        crashing_container_restarts(&client),
        pod_is_ready_again_after_its_node_was_not(&client),
    );
    pods_start_after_a_restart(&fixture, &client).await;
}

async fn pod_with_sidecar_becomes_ready_and_has_logs(fixture: &Fixture, client: &Client) {
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
    let live = wait_for(&pods, "whole", ready).await;
    for name in ["PodReadyToStartContainers", "Initialized", "ContainersReady", "example.com/gate"] {
        assert_eq!(condition(&live, name), "True", "{name}");
    }
    let status = &live["status"];
    assert_eq!(status["phase"], "Running");
    assert!(status["podIP"].as_str().unwrap().starts_with("198.18."), "{status}");
    assert_eq!(status["hostIP"], "127.0.0.1");
    assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    assert!(status["initContainerStatuses"][1]["state"]["running"].is_object());
    assert_eq!(status["containerStatuses"].as_array().unwrap().len(), 2);
    assert!(status["containerStatuses"][0]["imageID"].as_str().unwrap().starts_with("host:5000/app@sha256:"));

    let log = super::inspect(&fixture.environment, "stages").1.pod_log;
    let mut log = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    writeln!(log, "2026-01-02T03:04:05.0Z stdout F hello").unwrap();
    let params = LogParams { container: Some("app".into()), ..LogParams::default() };
    assert_eq!(pods.logs("whole", &params).await.unwrap(), "hello\n");

    pods.delete("whole", &DeleteParams::default()).await.unwrap();
    wait_for(&pods, "whole", Value::is_null).await;
}

async fn claim_gets_a_volume_and_both_are_deleted(client: &Client) {
    let claims = api::<PersistentVolumeClaim>(client);
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    create(&claims, json!({"metadata": {"name": "data"}, "spec": spec})).await;
    let spec = json!({
        "containers": [{"name": "app", "image": "busybox:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    });
    pod(client, "with-data", json!({}), spec).await;
    wait_for(&api::<Pod>(client), "with-data", ready).await;
    let bound = wait_for(&claims, "data", |claim| claim["status"]["phase"] == "Bound").await;
    let volume = bound["spec"]["volumeName"].as_str().unwrap();
    api::<Pod>(client).delete("with-data", &DeleteParams::default()).await.unwrap();
    claims.delete("data", &DeleteParams::default()).await.unwrap();
    wait_for(&Api::<PersistentVolume>::all(client.clone()), volume, Value::is_null).await;
}

async fn job_succeeds(client: &Client) {
    let template =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "work", "image": "busybox:1"}]}});
    let jobs = api::<Job>(client);
    create(&jobs, json!({"metadata": {"name": "work"}, "spec": {"template": template}})).await;
    wait_for(&jobs, "work", |job| condition(job, "Complete") == "True").await;
}

async fn missing_image_is_not_pulled(client: &Client) {
    let chosen = json!({"handsctl.dev/simulate": "image-pull-backoff"});
    pod(client, "unpullable", chosen, json!({"containers": [{"name": "app", "image": "app:9"}]})).await;
    let reason = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    let pods = api::<Pod>(client);
    wait_for(&pods, "unpullable", |pod| reason(pod) == "ErrImagePull").await;
    let live = wait_for(&pods, "unpullable", |pod| reason(pod) == "ImagePullBackOff").await;
    let message = live["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap();
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

async fn crashing_container_restarts(client: &Client) {
    let image = "registry.example:5000/team/simulate-crash-loop-backoff:1";
    let fast = json!({"handsctl.dev/backoff": "300ms"});
    pod(client, "crashing", fast, json!({"containers": [{"name": "app", "image": image}]})).await;
    let live = wait_for(&api::<Pod>(client), "crashing", |pod| {
        let container = &pod["status"]["containerStatuses"][0];
        container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            && container["restartCount"].as_i64() >= Some(3)
    })
    .await;
    let last = &live["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(1), &json!("Error")));
    assert_eq!(condition(&live, "Ready"), "False");
    let events = events_of(client, "crashing").await;
    assert!(
        events.iter().any(|(reason, text)| reason == "BackOff" && text.contains("container app")),
        "{events:?}"
    );
}

async fn pod_is_ready_again_after_its_node_was_not(client: &Client) {
    let pods = api::<Pod>(client);
    pod(client, "survivor", json!({}), json!({"containers": [{"name": "app", "image": "busybox:1"}]})).await;
    wait_for(&pods, "survivor", ready).await;
    // The only change that the node lifecycle controller makes to the pods of such a node.
    let change = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let patched = pods.patch_status("survivor", &PatchParams::default(), &Patch::Strategic(change)).await;
    assert!(!ready(&serde_json::to_value(patched.unwrap()).unwrap()));
    let live = wait_for(&pods, "survivor", ready).await;
    assert_eq!(condition(&live, "ContainersReady"), "True");
}

/// Less than kwok waits for the node leases of its predecessor: 40 s since their last renewal, at most 10 s ago.
const PREDECESSOR_LEASE: Duration = Duration::from_secs(30);

async fn pods_start_after_a_restart(fixture: &Fixture, client: &Client) {
    for component in ControlPlaneComponent::ALL {
        kill(fixture.pid("stages", component).unwrap());
    }
    super::wait_until("the killed processes are gone", || {
        let (_, details) = super::inspect(&fixture.environment, "stages");
        details.processes.iter().all(|process| process.pid.is_none())
    })
    .await;
    let begin = Instant::now();
    assert_eq!(fixture.up(&spec("stages")).await.unwrap().outcome, StartOutcome::Restarted);
    pod(client, "after", json!({}), json!({"containers": [{"name": "app", "image": "busybox:1"}]})).await;
    wait_for(&api::<Pod>(client), "after", ready).await;
    let took = begin.elapsed();
    assert!(took < PREDECESSOR_LEASE, "kwok waited for the leases of its predecessor: {took:?}");
}
