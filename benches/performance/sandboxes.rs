//! A large installation with many conversations: 1000 objects of its own, and the sandboxes beside them.

use std::path::{Path, PathBuf};

use handsctl::object::kind::{CLAIM, INGRESS, KindInfo, POD, SERVICE};
use serde_json::{Value, json};

use super::set::{self, Files};

/// The objects of the installation itself.
pub(crate) const OBJECTS: usize = 1000;

/// Writes the configuration of an installation with [`OBJECTS`] objects: its own ones and ConfigMaps.
pub(crate) fn write_config(folder: &Path, own_objects: usize) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let maps = set::config_maps(OBJECTS.saturating_sub(own_objects))?;
    std::fs::write(folder.join("extra.yaml"), maps)?;
    let config = config_path(folder);
    std::fs::write(&config, "[deploy]\nextra_manifests = [\"extra.yaml\"]\n")?;
    Ok(config)
}

/// Returns the path of the configuration.
pub(crate) fn config_path(folder: &Path) -> PathBuf {
    folder.join("config.toml")
}

/// Returns the file of the sandboxes' objects, beside the manifests of the installation.
pub(crate) fn manifests_path(files: &Files) -> PathBuf {
    files.manifests.with_file_name("sandboxes.yaml")
}

/// Returns the objects that the application creates for this number of conversations. The pods are bound to the node.
pub(crate) fn objects(count: usize, node: &str) -> Vec<(KindInfo, Value)> {
    (0..count).flat_map(|number| conversation(&format!("{number:032x}"), node)).collect()
}

fn conversation(id: &str, node: &str) -> [(KindInfo, Value); 5] {
    let name = format!("openhands-runtime-{id}");
    [
        (CLAIM, claim(&format!("{name}-pvc"))),
        (POD, pod(&name, id, node)),
        (SERVICE, service(&format!("{name}-svc"), "runtime", 8080)),
        (SERVICE, service(&format!("{name}-svc-code"), "code", 8081)),
        (INGRESS, ingress(&name, id)),
    ]
}

fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
        // No volume is provisioned: only the claims are counted.
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
            "resources": { "requests": { "storage": "2Gi" } },
        },
    })
}

fn pod(name: &str, id: &str, node: &str) -> Value {
    let claim = json!({ "name": "workspace-volume", "persistentVolumeClaim": { "claimName": format!("{name}-pvc") } });
    let probe = json!({
        "httpGet": { "path": "/alive", "port": 8080 },
        "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 5,
    });
    let resources = json!({
        "limits": { "memory": "4Gi" }, "requests": { "cpu": "1", "memory": "2Gi" },
    });
    let command = "/openhands/micromamba/bin/micromamba run -n openhands poetry run python -u -m \
                   openhands.runtime.action_execution_server 8080 --working-dir /workspace --plugins agent_skills jupyter vscode";
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "openhands-runtime", "session": id } },
        "spec": {
            "nodeName": node, "restartPolicy": "Never", "volumes": [claim],
            "containers": [{
                "name": "runtime", "image": "registry.example/openhands/runtime:0.59-nikolaik",
                "command": ["/bin/bash", "-c", command], "workingDir": "/openhands/code/",
                "env": [
                    { "name": "port", "value": "8080" }, { "name": "PYTHONUNBUFFERED", "value": "1" },
                    { "name": "VSCODE_PORT", "value": "8081" },
                ],
                "ports": [{ "containerPort": 8080, "name": "http" }, { "containerPort": 8081, "name": "code" }],
                "volumeMounts": [{ "name": "workspace-volume", "mountPath": "/workspace" }],
                "readinessProbe": probe, "resources": resources,
                "securityContext": { "privileged": false },
            }],
        },
    })
}

fn service(name: &str, port_name: &str, port: u16) -> Value {
    let sandbox = name.split("-svc").next().unwrap_or_default();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": {
            "selector": { "session": sandbox.trim_start_matches("openhands-runtime-") },
            "ports": [{ "port": port, "targetPort": port, "name": port_name }],
            // The addresses of a cluster do not suffice for a thousand Services.
            "clusterIP": "None",
        },
    })
}

fn ingress(name: &str, id: &str) -> Value {
    let backend = json!({ "service": { "name": format!("{name}-svc-code"), "port": { "number": 8081 } } });
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": format!("{name}-ingress-code") },
        "spec": { "rules": [{
            "host": format!("{id}.localhost"),
            "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
        }] },
    })
}
