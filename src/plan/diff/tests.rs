//! Comparisons of objects in the form that the API server returns.

use serde_json::{Value, json};

use super::*;
use crate::object::Mask;
use crate::object::kind::{CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, ROLE_BINDING, SECRET, SERVICE};
use crate::plan::inventory::members::Members;

fn ours(fields: &Value) -> Value {
    json!({ "manager": "handsctl", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields })
}

/// Returns a live Deployment with the API server's defaults and our managed fields entry.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "oh", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                "deployment.kubernetes.io/revision": "3",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
            "labels": { "app": "oh" },
            "managedFields": [ours(&json!({
                "f:metadata": { "f:labels": { "f:app": {} } },
                "f:spec": {
                    "f:replicas": {}, "f:selector": {}, "f:strategy": { "f:type": {} },
                    "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"oh\"}": {
                        ".": {}, "f:name": {}, "f:image": {},
                        "f:env": {
                            "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} },
                            "k:{\"name\":\"B\"}": { ".": {}, "f:name": {}, "f:value": {} },
                        },
                    } } } },
                },
            }))],
        },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "oh" } }, "strategy": { "type": "Recreate" },
            "template": { "spec": { "dnsPolicy": "ClusterFirst", "containers": [{
                "name": "oh", "image": "a:1", "terminationMessagePath": "/dev/termination-log",
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
            }] } },
        },
        "status": { "replicas": 1 },
    })
}

fn manifest() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "oh", "namespace": "n", "labels": { "app": "oh" } },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "oh" } }, "strategy": { "type": "Recreate" },
            "template": { "spec": { "containers": [{
                "name": "oh", "image": "a:1",
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
            }] } },
        },
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

fn difference_of(kind: KindInfo, manifest: &Value, live: &Value) -> Difference {
    changed(&kind.id("n", "oh"), manifest, live, None, &Mask::default())
}

/// Formats each change as `path: before → after (cause)`.
fn lines(difference: &Difference) -> Vec<String> {
    let side = |side: &Option<Value>| side.as_ref().map_or("-".to_owned(), ToString::to_string);
    let line = |hunk: &FieldChange| {
        let cause = match &hunk.cause {
            ChangeCause::You => "you".to_owned(),
            ChangeCause::Server => "server".to_owned(),
            ChangeCause::Drift(manager) => manager.name.clone(),
        };
        match &hunk.change {
            ValueChange::Values { before, after } => {
                format!("{}: {} → {} ({cause})", hunk.path, side(before), side(after))
            }
            ValueChange::Order { before, after } => {
                format!("{}: {} → {} ({cause})", hunk.path, before.join(" "), after.join(" "))
            }
            ValueChange::Hidden(hidden) => format!("{}: {hidden:?} ({cause})", hunk.path),
        }
    };
    difference.fields.iter().map(line).collect()
}

fn effects(difference: &Difference) -> Vec<String> {
    difference.effects.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_and_server_fields_are_not_differences() {
    let difference = difference_of(DEPLOYMENT, &manifest(), &deployment());
    assert_eq!(difference.outcome, DiffOutcome::Unchanged, "{:?}", lines(&difference));
    let mut response = with(deployment(), "/metadata/resourceVersion", json!("8"));
    response["spec"]["progressDeadlineSeconds"] = json!(600);
    let difference =
        changed(&DEPLOYMENT.id("n", "oh"), &manifest(), &deployment(), Some(&response), &Mask::default());
    assert_eq!(difference.outcome, DiffOutcome::Unchanged, "{:?}", lines(&difference));
}

#[test]
fn changed_image_restarts_the_pod_with_downtime() {
    let image = format!("{CONTAINER}/image");
    let difference = difference_of(DEPLOYMENT, &with(manifest(), &image, json!("a:2")), &deployment());
    assert_eq!(
        lines(&difference),
        [r#"spec.template.spec.containers[name="oh"].image: "a:1" → "a:2" (you)"#]
    );
    assert_eq!(effects(&difference), ["restarts the pod: image", "downtime until the new pod is ready"]);
    assert_eq!(difference.outcome, DiffOutcome::Changed);
}

#[test]
fn list_items_are_compared_by_key() {
    let env = json!([{ "name": "B", "value": "2" }, { "name": "C", "value": "3" }]);
    let difference =
        difference_of(DEPLOYMENT, &with(manifest(), &format!("{CONTAINER}/env"), env), &deployment());
    assert_eq!(
        lines(&difference),
        [
            r#"spec.template.spec.containers[name="oh"].env[name="A"]: {"name":"A","value":"1"} → - (you)"#,
            r#"spec.template.spec.containers[name="oh"].env[name="C"]: - → {"name":"C","value":"3"} (you)"#,
        ]
    );
    assert_eq!(effects(&difference)[0], "restarts the pod: env");
}

#[test]
fn reordered_items_are_one_difference() {
    let mut response = deployment();
    let env = json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }]);
    response["spec"]["template"]["spec"]["containers"][0]["env"] = env.clone();
    let manifest = with(manifest(), &format!("{CONTAINER}/env"), env);
    let difference =
        changed(&DEPLOYMENT.id("n", "oh"), &manifest, &deployment(), Some(&response), &Mask::default());
    assert_eq!(lines(&difference), [r#"spec.template.spec.containers[name="oh"].env: A B → B A (you)"#]);
    assert_eq!(effects(&difference)[0], "restarts the pod: env");
}

/// A live Deployment to which a colleague added a variable before ours, a sidecar, a pause and an annotation.
fn deployment_with_additions() -> Value {
    let mut live = deployment();
    live["metadata"]["annotations"]["team"] = json!("a");
    live["spec"]["paused"] = json!(true);
    let containers = live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    let sidecar =
        json!({ "name": "sidecar", "image": "s:1", "terminationMessagePath": "/dev/termination-log" });
    containers.push(sidecar);
    let variables =
        json!([{ "name": "X", "value": "3" }, { "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    containers[0]["env"] = variables;
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
        "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z", "fieldsV1": {
            "f:metadata": { "f:annotations": { "f:team": {} } },
            "f:spec": { "f:paused": {}, "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"oh\"}": { "f:env": { "k:{\"name\":\"X\"}": { ".": {}, "f:name": {}, "f:value": {} } } },
                "k:{\"name\":\"sidecar\"}": { ".": {}, "f:name": {}, "f:image": {} },
            } } } },
        },
    }));
    // Kubernetes' own writers add nothing that a person has to know.
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
        "manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": "2026-01-02T00:00:00Z",
        "fieldsV1": { "f:metadata": { "f:annotations": { "f:deployment.kubernetes.io/revision": {} } } },
    }));
    live
}

#[test]
fn fields_of_others_are_additions_and_no_differences() {
    let live = deployment_with_additions();
    let id = DEPLOYMENT.id("n", "oh");
    let additions = additions(&id, &manifest(), &live, &Mask::default());
    let line = |addition: &Addition| {
        let value = addition.value.clone().unwrap_or_default();
        format!("{}: {value} ({})", addition.path, addition.manager.name)
    };
    assert_eq!(
        additions.iter().map(line).collect::<Vec<_>>(),
        [
            r#"metadata.annotations.team: "a" (kubectl-edit)"#,
            r"spec.paused: true (kubectl-edit)",
            r#"spec.template.spec.containers[name="oh"].env[name="X"]: {"name":"X","value":"3"} (kubectl-edit)"#,
            r#"spec.template.spec.containers[name="sidecar"]: {"image":"s:1","name":"sidecar"} (kubectl-edit)"#,
        ]
    );
    assert_eq!(difference_of(DEPLOYMENT, &manifest(), &live).outcome, DiffOutcome::Unchanged);
}

#[test]
fn changed_field_of_others_is_drift_and_no_addition() {
    let mut live = with(deployment(), &format!("{CONTAINER}/image"), json!("a:2"));
    live["spec"]["selector"] = json!({ "matchLabels": { "app": "oh" }, "theirs": "1" });
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
        "manager": "kubectl-set", "operation": "Update", "time": "2026-01-02T00:00:00Z", "fieldsV1": { "f:spec": {
            "f:selector": {},
            "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"oh\"}": { "f:image": {} } } } },
        } },
    }));
    assert_eq!(additions(&DEPLOYMENT.id("n", "oh"), &manifest(), &live, &Mask::default()), []);
    assert_ne!(difference_of(DEPLOYMENT, &manifest(), &live).outcome, DiffOutcome::Unchanged);
}

#[test]
fn added_secret_values_are_hidden() {
    let live = json!({ "kind": "Secret", "data": { "OURS": "b3Vycw==", "THEIRS": "dGhlaXJz" }, "metadata": {
        "annotations": { "copy": "theirs" },
        "managedFields": [{
            "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z",
            "fieldsV1": { "f:data": { "f:THEIRS": {} }, "f:metadata": { "f:annotations": { ".": {}, "f:copy": {} } } },
        }],
    } });
    let manifest = json!({ "kind": "Secret", "data": { "OURS": "b3Vycw==" } });
    let additions = additions(&SECRET.id("n", "oh"), &manifest, &live, &Mask::from_objects([&live]));
    let values: Vec<_> =
        additions.iter().map(|addition| (addition.path.to_string(), &addition.value)).collect();
    assert_eq!(
        values,
        [
            ("data.THEIRS".to_owned(), &None),
            ("metadata.annotations.copy".to_owned(), &Some(json!("(redacted)"))),
        ]
    );
}

#[test]
fn moved_item_of_another_manager_is_not_yours() {
    let live = deployment_with_additions();
    let mut response = live.clone();
    let container = &mut response["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!("a:2");
    container["env"].as_array_mut().unwrap().rotate_left(1);
    let manifest = with(manifest(), &format!("{CONTAINER}/image"), json!("a:2"));
    let id = DEPLOYMENT.id("n", "oh");
    let difference = changed(&id, &manifest, &live, Some(&response), &Mask::default());
    assert_eq!(
        lines(&difference),
        [
            r#"spec.template.spec.containers[name="oh"].env: X A B → A B X (server)"#,
            r#"spec.template.spec.containers[name="oh"].image: "a:1" → "a:2" (you)"#,
        ]
    );
    let predicted = changed(&id, &manifest, &live, None, &Mask::default());
    assert_eq!(lines(&predicted), [r#"spec.template.spec.containers[name="oh"].image: "a:1" → "a:2" (you)"#]);
}

#[test]
fn field_of_another_manager_is_drift() {
    let mut live = with(deployment(), "/spec/replicas", json!(3));
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].as_object_mut().unwrap().remove("f:replicas");
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
        "manager": "kubectl-scale", "operation": "Update", "subresource": "scale", "time": "2026-01-02T00:00:00Z",
        "fieldsV1": { "f:spec": { "f:replicas": {} } },
    }));
    let difference = difference_of(DEPLOYMENT, &manifest(), &live);
    assert_eq!(lines(&difference), ["spec.replicas: 3 → 1 (kubectl-scale)"]);
    assert_eq!(effects(&difference), ["scales from 3 to 1"]);
    let ChangeCause::Drift(manager) = &difference.fields[0].cause else { panic!("{difference:?}") };
    assert_eq!(manager.since, Some("2026-01-02T00:00:00Z".parse().unwrap()));
}

#[test]
fn change_by_admission_has_cause_server() {
    let image = format!("{CONTAINER}/image");
    let mut response = with(deployment(), &image, json!("mirror/a:2"));
    response["metadata"]["labels"]["added"] = json!("x");
    response["spec"]["template"]["spec"]["dnsPolicy"] = json!("Default");
    let manifest = with(manifest(), &image, json!("a:2"));
    let difference =
        changed(&DEPLOYMENT.id("n", "oh"), &manifest, &deployment(), Some(&response), &Mask::default());
    assert_eq!(
        lines(&difference),
        [
            r#"metadata.labels.added: - → "x" (server)"#,
            r#"spec.template.spec.containers[name="oh"].image: "a:1" → "mirror/a:2" (server)"#,
            r#"spec.template.spec.dnsPolicy: "ClusterFirst" → "Default" (server)"#,
        ]
    );
    let new = created(&DEPLOYMENT.id("n", "oh"), &manifest, Some(&response), None, &Mask::default());
    assert_eq!(
        lines(&new),
        [
            r#"metadata.labels.added: - → "x" (server)"#,
            r#"spec.template.spec.containers[name="oh"].image: "a:2" → "mirror/a:2" (server)"#,
        ]
    );
}

#[test]
fn immutable_field_needs_a_new_object() {
    let rows = [
        (DEPLOYMENT, "/spec/selector/matchLabels", json!({ "a": "b" }), r"spec.selector.matchLabels.a"),
        (ROLE_BINDING, "/roleRef/name", json!("other"), "roleRef.name"),
        (SERVICE, "/spec/clusterIP", json!("10.0.0.2"), "spec.clusterIP"),
        (CLAIM, "/spec/storageClassName", json!("fast"), "spec.storageClassName"),
        (CONFIG_MAP, "/data/a", json!("2"), "data.a"),
        (SECRET, "/data/a", json!("Mg=="), "data.a"),
    ];
    let object = json!({
        "spec": {
            "selector": { "matchLabels": { "a": "a" } }, "clusterIP": "10.0.0.1", "storageClassName": "slow",
            "resources": { "requests": { "storage": "5Gi" } },
        },
        "roleRef": { "name": "r" }, "data": { "a": "1" }, "immutable": true,
    });
    for (kind, pointer, value, field) in rows {
        let difference = difference_of(kind, &with(object.clone(), pointer, value), &object);
        assert_eq!(effects(&difference), [format!("immutable: recreate needed ({field})")], "{kind:?}");
    }
}

#[test]
fn claim_can_grow_but_not_shrink() {
    let claim = |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
    let effects_of = |size: &str| effects(&difference_of(CLAIM, &claim(size), &claim("5Gi")));
    assert_eq!(effects_of("2Gi"), ["volume can only grow (5Gi → 2Gi)"]);
    assert_eq!(effects_of("6000Mi"), ["volume grows, if its storage class allows it (5Gi → 6000Mi)"]);
    assert_eq!(effects_of("5120Mi"), [""; 0]);
}

#[test]
fn changed_port_or_host_affects_clients() {
    let service = |kind: &str, port: u16| json!({ "spec": { "type": kind, "ports": [{ "port": 80, "protocol": "TCP", "nodePort": port }] } });
    assert_eq!(
        effects(&difference_of(SERVICE, &service("NodePort", 30002), &service("LoadBalancer", 30001))),
        [
            "clients of node port 30001 have to use 30002",
            "the service's type changes from LoadBalancer to NodePort"
        ]
    );
    let ingress = |host: &str| json!({ "spec": { "rules": [{ "host": host, "http": { "paths": [{ "path": "/" }] } }] } });
    let difference = difference_of(INGRESS, &ingress("b"), &ingress("a"));
    assert_eq!(lines(&difference), [r#"spec.rules[0].host: "a" → "b" (you)"#]);
    assert_eq!(effects(&difference), ["clients of a have to use b"]);
}

#[test]
fn secret_values_are_never_shown() {
    let encoded = "cGxhbnRlZC1zZWNyZXQ="; // planted-secret
    let secret =
        |value: &str| json!({ "kind": "Secret", "data": { "KEY": value, "OLD": encoded }, "type": "Opaque" });
    let old = secret("b3RoZXItc2VjcmV0"); // other-secret
    let id = SECRET.id("n", "oh-env-0000000001");
    let new = secret(encoded);
    let mask = Mask::from_objects([&new, &old]);
    let difference = created(&id, &new, Some(&new), Some(&old), &mask);
    assert_eq!(lines(&difference), ["data.KEY: Changed (you)", "data.OLD: Same (you)"]);
    assert_eq!(lines(&created(&id, &new, None, None, &mask))[0], "data.KEY: New (you)");

    let mut edited = json!({ "metadata": { "annotations": {
        "copy": "planted-secret", "kubectl.kubernetes.io/last-applied-configuration": encoded,
    } }, "data": { "KEY": encoded } });
    let drift = changed(&id, &json!({ "data": { "KEY": "b3RoZXItc2VjcmV0" } }), &edited, None, &mask);
    edited["metadata"]["annotations"]["copy"] = json!(null);
    let restored =
        changed(&id, &json!({ "metadata": { "annotations": { "copy": "x" } } }), &edited, None, &mask);
    for difference in [difference, drift, restored] {
        let text = format!("{difference:?}");
        for value in ["planted-secret", "other-secret", encoded, "b3RoZXItc2VjcmV0"] {
            assert!(!text.contains(value), "{value}: {text}");
        }
    }
}

#[test]
fn new_configuration_is_compared_with_the_referenced_one() {
    let config = |name: &str, text: &str| {
        let object =
            json!({ "kind": "ConfigMap", "metadata": { "name": name }, "data": { "config.toml": text } });
        (CONFIG_MAP.id("n", name), object)
    };
    let deployment = json!({ "spec": { "template": { "spec": { "volumes": [{ "configMap": { "name": "oh-config-00000000a1" } }] } } } });
    let live = Members::from([
        config("oh-config-00000000a0", "older"),
        config("oh-config-00000000a1", "old"),
        config("ohx-config-00000000a1", "another installation's"),
        (DEPLOYMENT.id("n", "oh"), deployment),
    ]);
    let (id, new) = config("oh-config-00000000a2", "new");
    let before = predecessor(&id, &live).unwrap();
    let difference = created(&id, &new, None, Some(before), &Mask::default());
    assert_eq!(lines(&difference), [r#"data["config.toml"]: "old" → "new" (you)"#]);
    assert_eq!(predecessor(&CONFIG_MAP.id("n", "oh"), &live), None);

    // An earlier configuration, whose ConfigMap still exists, is compared in the same way.
    let (earlier, manifest) = config("oh-config-00000000a0", "older");
    let before = predecessor(&earlier, &live).unwrap();
    let difference = reused(&earlier, &manifest, before, &Mask::default());
    assert_eq!(lines(&difference), [r#"data["config.toml"]: "old" → "older" (you)"#]);
    assert_eq!(difference.outcome, DiffOutcome::Reused("oh-config-00000000a1".into()));
    assert_eq!(predecessor(&CONFIG_MAP.id("n", "oh-config-00000000a1"), &live), None, "the pod has it");
}
