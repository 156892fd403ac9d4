//! A pod with a higher priority takes the application's place, and a webhook denies its pods.

use serde_json::json;

use super::doctor::ClusterObject;
use super::refusals::wait_for_output;
use crate::bed::Bed;
use crate::kubelet::BareNode;
use crate::webhook::{Answer, Authority, PodWebhook, Webhook};

#[test]
fn preempted_application_is_reported_with_the_pod_that_took_its_place() {
    let namespace = Bed::shared().namespace("preempted");
    let bed = namespace.bed;
    namespace.create(&[]);
    let name = &namespace.name;
    let node = BareNode::with_labels(&namespace, &json!({ "example.io/node": name }));
    let room = json!({ "cpu": "1", "memory": "16Gi", "ephemeral-storage": "100Gi", "pods": "10" });
    let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady" });
    node.patch_status(&json!({ "status": { "capacity": room, "allocatable": room, "conditions": [ready] } }));
    namespace.config(&format!(
        "[deploy]\nnode_selector = {{ \"example.io/node\" = \"{name}\" }}\n\
         tolerations = [{{ key = \"example.io/bare\", operator = \"Exists\" }}]\n\
         tolerate = {{ unschedulable = \"4s\" }}\nresources = {{ requests = {{ cpu = \"600m\" }} }}\n"
    ));
    let deploy = namespace.command(&["deploy", "--probe", "never"]).spawn_in_background();
    let app = "app.kubernetes.io/component=app";
    let placed = ["get", "pods", "-n", name, "-l", app, "-o", "jsonpath={.items[*].spec.nodeName}"];
    wait_for_output(bed, &placed, |text| text == node.name);
    let class = json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": { "name": name }, "value": 1000 });
    let _class = ClusterObject::create(bed, &class);
    let container = json!({ "name": "a", "image": "registry.example/urgent:1", "resources": { "requests": { "cpu": "900m" } } });
    let urgent = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "urgent", "namespace": name },
        "spec": {
            "priorityClassName": name, "nodeSelector": { "example.io/node": name }, "containers": [container],
            "tolerations": [{ "key": "example.io/bare", "operator": "Exists" }],
        },
    });
    bed.kubectl_with(&["create", "-f", "-"], &urgent.to_string());
    // The bare node confirms no deletion, so the preempted pod is terminating.
    deploy
        .finish()
        .exits(9)
        .says("error[HC4301]")
        .says("Insufficient cpu")
        .says("PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod")
        .says(&format!("on node {}, which is pod/urgent in namespace {name}", node.name))
        .says("[deploy.resources.requests].cpu");
}

#[test]
fn webhook_that_denies_pods_ends_the_rollout_with_its_words() {
    let namespace = Bed::shared().namespace("denied");
    namespace.create(&[]);
    let authority = Authority::new();
    let webhook = Webhook::new(&authority, |_call| Answer::Deny("images of this registry are not scanned"));
    let _configuration = PodWebhook::new(&namespace, &authority, &webhook);
    let run = namespace.handsctl(&["deploy", "--timeout", "1m"]).exits(9);
    assert!(webhook.calls() > 0);
    run.says("error[HC4503]").says(&format!(
        "admission webhook \"pods.{}.example.com\" denied the request: images of this registry are not scanned",
        namespace.name
    ));
}
